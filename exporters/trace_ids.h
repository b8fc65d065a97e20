// exporters/trace_ids.h
//
// W3C trace ids of single spans (w3.org/TR/trace-context), which tie spans of several processes into one tree.
//
// A server that takes part says so with the text attribute `traceparent`:
//  - on a span that lies in no other (a request): what it was called with. The trace id is taken from it, and the span
//    it names is the parent, in another service.
//  - on a span inside another (a call): what it called with. The trace id and the span's own id are taken from it, so
//    that the other service's spans find their parent here; unless it only hands on what it was given.
// What lies inside such a span is of its trace. A request that came without one and called with one began that trace:
// it and all inside it are of the trace of its first call. Everything else gets ids made of the run's id and the span's
// number: the same each time the same run is read.
#pragma once

#include <string>
#include <vector>

#include "run/reader.h"

namespace camprobe::exporters {

struct TraceIds {
  std::string trace;      // 32 hexadecimal digits
  std::string span;       // 16
  std::string parent;     // "" for none
  std::string received;   // the remote parent of its trace
  bool is_entry = false;  // called by another service
};

// Of each of the spans, in their order: by their beginning, so that parents come before their children.
std::vector<TraceIds> trace_ids(const std::string& run_id, const std::vector<run::Span>& spans);

// "" where the span carries none.
std::string trace_of(const run::Span& span);

}  // namespace camprobe::exporters
