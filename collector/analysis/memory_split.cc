// collector/analysis/memory_split.cc
#include "collector/analysis/memory_split.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "collector/metrics.h"

namespace camprobe::analysis {

namespace {

constexpr std::array kAllocators = {"", "glibc", "tcmalloc", "jemalloc", "mimalloc"};  // by shm::AllocatorKind

// The series of each process, by second.
using Series = std::map<run::ProcessId, std::map<std::int64_t, double>>;

Series series_of(run::Reader& reader, const run::Metric& metric) {
  Series series;
  for (const run::Point& p : reader.series(metric.name)) series[p.process][p.second] = p.value;
  return series;
}

// The last value by then.
std::optional<double> value_at(const Series& series, run::ProcessId process, std::int64_t second) {
  const auto of_process = series.find(process);
  if (of_process == series.end()) return std::nullopt;
  const auto after = of_process->second.upper_bound(second);
  if (after == of_process->second.begin()) return std::nullopt;
  return std::prev(after)->second;
}

class Retained {
 public:
  explicit Retained(run::Reader& reader)
      : free_(series_of(reader, metrics::kAllocatorFree)),
        cached_(series_of(reader, metrics::kAllocatorCached)),
        held_(series_of(reader, metrics::kAllocatorHeld)),
        live_(series_of(reader, metrics::kHeapLiveBytes)) {}

  // Bytes, and whether the allocator said so itself.
  std::optional<std::pair<double, bool>> at(run::ProcessId process, std::int64_t second) const {
    if (const auto free = value_at(free_, process, second))
      return std::pair(*free + value_at(cached_, process, second).value_or(0), true);
    const auto held = value_at(held_, process, second), live = value_at(live_, process, second);
    if (!held || !live) return std::nullopt;
    return std::pair(std::max(0.0, *held - *live), false);
  }

  const Series& held() const { return held_; }
  const Series& live() const { return live_; }

 private:
  Series free_, cached_, held_, live_;
};

}  // namespace

std::map<run::ProcessId, run::ReportMemory> memory_at_the_end(run::Reader& reader) {
  std::map<run::ProcessId, run::ReportMemory> found;
  const Retained retained(reader);
  const Series mapped = series_of(reader, metrics::kMappedBytes), kinds = series_of(reader, metrics::kAllocatorKind),
               stacks = series_of(reader, metrics::kStackBytes);
  for (const auto& [process, resident] : series_of(reader, metrics::kResidentBytes)) {
    if (process == run::kMachine) continue;
    // A process that is ending has none left.
    auto last = resident.rbegin();
    while (last != resident.rend() && last->second <= 0) ++last;
    if (last == resident.rend()) continue;
    const auto [second, bytes] = *last;
    run::ReportMemory memory;
    memory.resident = bytes;
    memory.live = value_at(retained.live(), process, second);
    memory.mappings = value_at(mapped, process, second);
    memory.stacks = value_at(stacks, process, second);
    if (const auto kind = value_at(kinds, process, second); kind && *kind >= 0 && *kind < kAllocators.size())
      memory.allocator = kAllocators[static_cast<std::size_t>(*kind)];  // a stranger's file may say 4.9
    if (const auto kept = retained.at(process, second)) {
      memory.retained = kept->first;
      memory.retained_is_told = kept->second;
    }
    // The live heap is an estimate, and not all that is free or mapped need be resident.
    if (memory.live && memory.retained)
      memory.rest = std::max(
          0.0, bytes - *memory.live - *memory.retained - memory.mappings.value_or(0) - memory.stacks.value_or(0));
    found.emplace(process, std::move(memory));
  }
  return found;
}

std::vector<GaugePoint> retained_by_allocators(run::Reader& reader) {
  const Retained retained(reader);
  std::map<std::int64_t, double> seconds;
  for (const auto& [process, held] : retained.held()) {
    for (const auto& [second, bytes] : held) {
      if (const auto kept = retained.at(process, second)) seconds[second] += kept->first;
    }
  }
  std::vector<GaugePoint> points;
  points.reserve(seconds.size());
  for (const auto& [second, value] : seconds) points.push_back({static_cast<double>(second), value});
  return points;
}

}  // namespace camprobe::analysis
