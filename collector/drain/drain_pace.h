// collector/drain/drain_pace.h
//
// When a target's rings are to be drained next: so that the fullest of them is about a quarter full then, but at the
// latest after the longest period, which rings are sized for, and not sooner than the shortest, below which the round
// itself would cost more than what it brings. A quarter, because a burst or a collector that has to wait for a CPU
// must find the rest of the ring free.
//
// The period is cut at once when a ring fills and grows back slowly: a server that was busy a moment ago will be again.
#pragma once

#include <algorithm>
#include <cstdint>

namespace camprobe::drain {

class DrainPace {
 public:
  explicit DrainPace(std::uint64_t longest_ns) : longest_ns_(longest_ns), period_ns_(longest_ns) {}

  // After a round: how full the fullest ring was found. Gives the time until the next one.
  std::uint64_t after(std::uint32_t fullest_per_1024) {
    constexpr std::uint64_t kWanted = 256;
    if (fullest_per_1024 > kWanted)
      period_ns_ = period_ns_ * kWanted / fullest_per_1024;
    else
      period_ns_ += period_ns_ / 8;
    period_ns_ = std::clamp(period_ns_, longest_ns_ / 10, longest_ns_);
    return period_ns_;
  }

 private:
  std::uint64_t longest_ns_, period_ns_;
};

}  // namespace camprobe::drain
