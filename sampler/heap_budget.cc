// sampler/heap_budget.cc: see sampler/heap_budget.h.
#include "sampler/heap_budget.h"

namespace camprobe::sampler {

namespace {

constexpr double kCostMemory = 256;     // samples that the known cost is worth
constexpr double kNewRate = 0.5;        // weight of the last step's allocation rate
constexpr double kMostShare = 1.0 / 3;  // of the budget that heap sampling may take
constexpr double kSeenShare = 0.75;     // of the budget, that all that is measured together may take
constexpr double kWallShare = 0.1;      // of the allowance, applied to the wall clock: the least one
// Denser only with room to spare, sparser only when clearly over: noise alone changes nothing.
constexpr double kDenserBelow = 0.7;
constexpr double kSparserAbove = 1.2;

}  // namespace

std::uint64_t HeapBudget::next(std::uint64_t interval, std::uint32_t budget_ppm, const HeapMeasurement& measured) {
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

  const double budget = budget_ppm * 1e-6, cpu = static_cast<double>(measured.cpu_ns);
  const double counted = cpu > kWallShare * wall ? cpu : kWallShare * wall;
  const double left = kSeenShare * budget * counted - static_cast<double>(measured.other_ns);
  const double most = kMostShare * budget * counted;
  const double allowed = left < most ? (left > 0 ? left : 0) : most;
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
