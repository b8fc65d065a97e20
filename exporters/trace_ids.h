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

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "exporters/chosen_spans.h"
#include "run/reader.h"

namespace camprobe::exporters {

// Two words, not a text of 32 characters: there are half a million of these.
struct TraceId {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const TraceId&) const = default;
};

struct TraceIds {
  TraceId trace;
  std::uint64_t span = 0;
  std::uint64_t parent = 0;    // 0: none
  std::uint64_t received = 0;  // the remote parent of its trace
  bool is_entry = false;       // called by another service
};

// 32 and 16 hexadecimal digits.
std::string text_of(const TraceId& trace);
std::string text_of_span_id(std::uint64_t span);

// Of each of the spans, in their order: by their beginning, so that parents come before their children. Of chosen ones
// the attributes are asked for.
std::vector<TraceIds> trace_ids(const std::string& run_id, const std::vector<run::Span>& spans);
std::vector<TraceIds> trace_ids(run::Reader& run, const std::vector<ChosenSpan>& spans);

// Whether it carries a trace's id.
bool has_trace(const run::Span& span);

}  // namespace camprobe::exporters
