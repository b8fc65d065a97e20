// tests/survival/survival.cc: see tests/survival/survival.h.
#include "tests/survival/survival.h"

#include <algorithm>
#include <cstdlib>

namespace camprobe::tests {

std::string victim() {
  return CAMPROBE_VICTIM;
}

long scaled(const char* variable, long usual) {
  const char* asked = std::getenv(variable);
  return asked != nullptr && std::atol(asked) > 0 ? std::atol(asked) : usual;
}

int seconds_for(int usual_seconds, long amount, long usual) {
  return static_cast<int>(static_cast<double>(usual_seconds) *
                          std::max(1.0, static_cast<double>(amount) / static_cast<double>(usual)));
}

Totals totals_of(const shm::RegionReader& region) {
  Totals totals;
  for (const auto& lane : region.lanes()) {
    totals.allocs += lane.heap_allocs;
    totals.frees += lane.heap_frees;
    totals.bytes += lane.heap_bytes;
    for (std::uint32_t kind = 0; kind < shm::kIoKinds; ++kind) {
      totals.io[kind].ops += lane.io[kind].ops;
      totals.io[kind].bytes += lane.io[kind].bytes;
      totals.io[kind].errors += lane.io[kind].errors;
    }
  }
  const auto status = region.status();
  totals.allocs += status->stray_allocs;
  totals.frees += status->stray_frees;
  totals.bytes += status->stray_bytes;
  return totals;
}

Totals operator-(const Totals& some, const Totals& none) {
  Totals difference = some;
  difference.allocs -= none.allocs;
  difference.frees -= none.frees;
  difference.bytes -= none.bytes;
  for (std::uint32_t kind = 0; kind < shm::kIoKinds; ++kind) {
    difference.io[kind].ops -= none.io[kind].ops;
    difference.io[kind].bytes -= none.io[kind].bytes;
    difference.io[kind].errors -= none.io[kind].errors;
  }
  return difference;
}

std::uint64_t lost(const shm::RegionReader& region, shm::Loss loss) {
  return region.status()->lost[static_cast<std::uint32_t>(loss)];
}

std::map<std::uint64_t, std::uint64_t> live_by_size(const shm::RegionReader& region) {
  std::map<std::uint64_t, std::uint64_t> found;
  for (const auto& live : region.live_samples())
    if (!live.is_mapping) ++found[live.sample.size];
  return found;
}

std::set<std::uint64_t> live_addresses(const shm::RegionReader& region, std::uint64_t bytes) {
  std::set<std::uint64_t> found;
  for (const auto& live : region.live_samples())
    if (!live.is_mapping && live.sample.size == bytes) found.insert(live.address);
  return found;
}

}  // namespace camprobe::tests
