// sampler/heap_budget.cc: see sampler/heap_budget.h.
#include "sampler/heap_budget.h"

namespace camprobe::sampler {

namespace {

constexpr double kCostMemory = 256;  // samples that the known cost is worth
constexpr double kNewRate = 0.5;     // weight of the last step's allocation rate
constexpr double kWallShare = 0.1;   // of the target, applied to the wall clock: the least allowance
// Denser only with room to spare, sparser only when clearly over: noise alone changes nothing.
constexpr double kDenserBelow = 0.7;
constexpr double kSparserAbove = 1.2;

}  // namespace

std::uint64_t HeapBudget::next(std::uint64_t interval, std::uint32_t target_ppm, const HeapMeasurement& measured) {
  // The table first: a sample that finds no room is lost. One doubling at three quarters, and another for each further
  // thirty-second that the table still fills; samples that are in it already stay.
  const std::uint64_t limit = next_live_limit_ != 0 ? next_live_limit_ : measured.capacity / 4 * 3;
  if (measured.live >= limit) {
    next_live_limit_ = measured.live + measured.capacity / 32;
    return interval * 2 < kSparsestAuto ? interval * 2 : (interval > kSparsestAuto ? interval : kSparsestAuto);
  }
  const bool table_is_roomy = measured.live < measured.capacity / 2;
  if (table_is_roomy) next_live_limit_ = 0;
  if (measured.wall_ns == 0) return interval;

  const auto samples = static_cast<double>(measured.samples);
  const auto wall = static_cast<double>(measured.wall_ns);
  sample_ns_ = (sample_ns_ * kCostMemory + static_cast<double>(measured.sampling_ns)) / (kCostMemory + samples);
  const double rate = samples * static_cast<double>(interval) / wall;
  // A storm counts at once, a lull only by and by: the other way round a burst would be sampled too densely.
  bytes_per_ns_ = !has_rate_ || rate > 4 * bytes_per_ns_ ? rate : bytes_per_ns_ + kNewRate * (rate - bytes_per_ns_);
  has_rate_ = true;

  const double share = target_ppm * 1e-6;
  const double of_cpu = share * static_cast<double>(measured.cpu_ns), of_wall = share * kWallShare * wall;
  const double allowed = of_cpu > of_wall ? of_cpu : of_wall;
  const double cost = bytes_per_ns_ * wall / static_cast<double>(interval) * sample_ns_;
  if (cost > kSparserAbove * allowed) {
    double wanted = cost;
    while (wanted > allowed && interval < kSparsestAuto) {
      interval *= 2;
      wanted /= 2;
    }
    return interval;
  }
  if (cost * 2 < kDenserBelow * allowed && interval > kDensestAuto && table_is_roomy) return interval / 2;
  return interval;
}

}  // namespace camprobe::sampler
