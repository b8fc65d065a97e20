// exporters/otlp.h
//
// Single spans as OTLP JSON (OpenTelemetry protocol, ExportTraceServiceRequest): what an OpenTelemetry collector's file
// receiver and POST /v1/traces take, and through it Jaeger, Tempo and the others.
//
// Ids. A server that takes part in W3C tracing (w3.org/TR/trace-context) says so with the text attribute `traceparent`:
//  - on a span that lies in no other (a request): what it was called with. The trace id is taken from it, and the span
//  it
//    names is the parent, in another service.
//  - on a span inside another (a call): what it called with. The trace id and the span's own id are taken from it, so
//    that the other service's spans find their parent here; unless it only hands on what it was given.
// What lies inside such a span is of its trace. Everything else gets ids made of the run's id and the span's number:
// the same in each export of the same run.
#pragma once

#include <string>
#include <vector>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `notes` gains what a reader should know. Throws SliceError where there is no span. Spans that never ended are left
// out: OTLP has no place for them.
std::string to_otlp_json(run::Reader& run, const Filter& filter, std::vector<std::string>& notes);

}  // namespace camprobe::exporters
