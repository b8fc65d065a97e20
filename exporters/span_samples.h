// exporters/span_samples.h
//
// Spans as samples: each stands under the spans it was inside of, and weighs the time that was its own. They are taken
// from the run one after the other, and no more are held than are open at a time, or 100,000: a run of days has
// millions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "exporters/samples.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct SpanSample {
  run::ProcessId process{};
  run::ThreadId thread{};
  run::NameId name{};
  std::int64_t began_ns = 0;
  double own_ns = 0;
  std::vector<std::string> path;  // names, root first, itself last
  Labels labels;                  // "provider", where the span or one around it names one
};

// Of each ended span of the filter's processes that began inside its time and, where it asks for a span, is of that
// name or inside one of it; whatever its thread. A span's own time is its duration less that of the spans directly
// inside it (no less than nothing: spans of several threads inside one may together last longer than it does).
void each_span_sample(run::Reader& run, const Filter& filter, const std::function<void(const SpanSample&)>& use);

}  // namespace camprobe::exporters
