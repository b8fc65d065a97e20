#include "collector/analysis/findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "run/units.h"

namespace camprobe::analysis {

using run::in_bytes;

std::vector<run::Finding> memory_findings(const RunInput& input, const MemoryVerdict& memory,
                                          const std::vector<run::Finding>& leaks, const Thresholds& k) {
  if (memory.rss.verdict == Verdict::kNone || memory.mainly == MemoryGrowth::kNone ||
      memory.mainly == MemoryGrowth::kLiveHeap)
    return {};
  // Descriptors cost kernel memory and threads stacks; where one of those leaks, what RSS does is its shadow.
  for (const run::Finding& f : leaks) {
    if (f.confirmed && (f.resource == "thread" || f.resource == "mmap" || f.resource == "js-heap")) return {};
  }
  const double unexplained = memory.rss_growth - std::max(0.0, memory.live_growth);
  if (unexplained < std::max(0.05 * input.stretch.rss_bytes, 4 * k.min_bytes_per_hour) ||
      unexplained < 0.5 * memory.rss_growth)
    return {};
  run::Finding out;
  out.kind = "budget";
  out.resource = "rss";
  out.id = "rss";
  const bool retained = memory.mainly == MemoryGrowth::kRetention;
  if (memory.rss.verdict == Verdict::kLeaks && !retained) {
    out.verdict = "inconclusive";
    out.needs_seconds = 4 * (input.stretch.end - input.stretch.begin);
  } else {
    out.verdict = memory.rss.verdict == Verdict::kLeaks ? "none" : to_string(memory.rss.verdict);
  }
  out.title = retained ? fmt::format("Resident memory rose by {}: kept by the allocator, not leaked",
                                     in_bytes(memory.rss_growth))
                       : fmt::format("Resident memory rose by {}, the live heap by {}", in_bytes(memory.rss_growth),
                                     in_bytes(memory.live_growth));
  out.since = run::ReportSince{memory.rss.since_start ? input.stretch.begin : memory.rss.since,
                               memory.rss.since_interval.low,
                               memory.rss.since_interval.high,
                               memory.rss.since_start,
                               {},
                               ""};
  if (memory.rss.trend.judged) {
    out.per_hour = run::Estimate{memory.rss.trend.slope * 3600, memory.rss.trend.interval.low * 3600,
                                 memory.rss.trend.interval.high * 3600, "bytes"};
  }
  out.confidence = 0.8;
  out.evidence.push_back({"rss", memory.rss.why + ".", memory.rss_growth});
  out.evidence.push_back(
      {"live", fmt::format("Sampled live heap changed by {}.", in_bytes(memory.live_growth)), memory.live_growth});
  if (memory.retained_known) {
    out.evidence.push_back(
        {"retained",
         fmt::format("Memory the allocator keeps for reuse changed by {}.", in_bytes(memory.retained_growth)),
         memory.retained_growth});
  }
  out.advice =
      retained && memory.retained_known
          ? "The allocator keeps what was freed: nothing leaks. If the memory is wanted back, try MALLOC_ARENA_MAX, "
            "malloc_trim(), the allocator's own decay settings or another allocator (--allocator)."
          : "Fragmentation or retention by the allocator, most likely: try MALLOC_ARENA_MAX, malloc_trim() or another "
            "allocator, and see whether it levels off in a longer run.";
  return {out};
}

}  // namespace camprobe::analysis
