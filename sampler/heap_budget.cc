// sampler/heap_budget.cc: see sampler/heap_budget.h.
#include "sampler/heap_budget.h"

namespace camprobe::sampler {

std::uint64_t HeapBudget::next(std::uint64_t interval, std::uint32_t target_ppm, const HeapMeasurement& measured) {
  const std::uint64_t allowed_ns = static_cast<std::uint64_t>(static_cast<double>(measured.cpu_ns) * target_ppm / 1e6);

  // The table first: a sample that finds no room is lost. One doubling at three quarters, and another for each further
  // thirty-second that the table still fills; samples that are in it already stay.
  const std::uint64_t limit = next_live_limit_ != 0 ? next_live_limit_ : measured.capacity / 4 * 3;
  if (measured.live >= limit) {
    next_live_limit_ = measured.live + measured.capacity / 32;
    return interval * 2 < kSparsestAuto ? interval * 2 : (interval > kSparsestAuto ? interval : kSparsestAuto);
  }
  const bool table_is_roomy = measured.live < measured.capacity / 2;
  if (table_is_roomy) next_live_limit_ = 0;

  if (measured.sampling_ns > allowed_ns && interval < kSparsestAuto) {
    // As many doublings as it takes by the same proportion, so that a sudden storm is over budget for one step only.
    std::uint64_t cost = measured.sampling_ns;
    while (cost > allowed_ns && interval < kSparsestAuto) {
      interval *= 2;
      cost /= 2;
    }
    return interval;
  }
  // A fifth of the budget stays free, so that the interval does not swing between two values.
  if (interval > kDensestAuto && table_is_roomy && measured.sampling_ns * 2 < allowed_ns / 5 * 4) return interval / 2;
  return interval;
}

}  // namespace camprobe::sampler
