// exporters/otlp.h
//
// Single spans as OTLP JSON (OpenTelemetry protocol, ExportTraceServiceRequest): what an OpenTelemetry collector's file
// receiver and POST /v1/traces take, and through it Jaeger, Tempo and the others.
// Ids are as trace_ids.h has them.
#pragma once

#include <string>
#include <vector>

#include "exporters/filter.h"
#include "exporters/output.h"
#include "run/reader.h"

namespace camprobe::exporters {

// `notes` gains what a reader should know. Throws SliceError where there is no span. Spans that never ended are left
// out: OTLP has no place for them.
void to_otlp_json(run::Reader& run, const Filter& filter, std::vector<std::string>& notes, Output& out);

}  // namespace camprobe::exporters
