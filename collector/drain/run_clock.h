// collector/drain/run_clock.h
//
// The run's clock: CLOCK_MONOTONIC counted from the run's beginning, and its whole seconds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>

namespace camprobe::drain {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

// A count that a target wrote, as the database's integer: what does not fit is as much as fits.
inline std::int64_t to_integer(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::int64_t>::max()));
}

// The same of what is added up later: no more than a process could move or wait in a run (2^48 bytes are 72 hours at 1
// GB a second), so that no sum of such counts overflows.
inline std::int64_t to_count(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, std::uint64_t{1} << 48));
}

struct RunClock {
  std::uint64_t started_monotonic_ns = 0;

  // Negative for what was before the run.
  std::int64_t run_ns(std::uint64_t monotonic_ns) const {
    return to_integer(monotonic_ns) - to_integer(started_monotonic_ns);
  }
  std::int64_t second(std::uint64_t monotonic_ns) const {
    const std::int64_t ns = run_ns(monotonic_ns);
    return ns >= 0 ? ns / kSecondNs : -1 - (-ns - 1) / kSecondNs;
  }
  std::int64_t now_ns() const { return run_ns(clock_ns(CLOCK_MONOTONIC)); }
};

}  // namespace camprobe::drain
