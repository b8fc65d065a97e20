// bench/timing.h
//
// What the benchmark programs share: the clock, quantiles, and a chain of calls of a given depth.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace camprobe::bench {

inline double now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// What the thread has used: does not run on while others have the processor.
inline double cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

inline double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

// Nanoseconds of CPU time that one operation takes: `operations(count)` are timed over and over, some hundred
// microseconds at a time, and the fifth of the slices that was disturbed least decides (by its worst), so that neither
// interrupts nor what other programs left of the caches are counted.
template <typename Operations>
double quiet_ns(double seconds, long count, Operations operations) {
  std::vector<double> slices;
  for (const double end = now_ns() + seconds * 1e9; now_ns() < end;) {
    const double began = cpu_ns();
    operations(count);
    slices.push_back((cpu_ns() - began) / static_cast<double>(count));
  }
  return quantile(std::move(slices), 0.2);
}

// Calls `leaf` from under `Depth` frames, which are functions of their own for every `Site`: a walk meets code it has
// not met from another site. They keep no frame pointer, as compiled C++ does.
template <int Site, int Depth>
[[gnu::noinline]] void under(void (*leaf)()) {
  if constexpr (Depth == 0) {
    leaf();
  } else {
    under<Site, Depth - 1>(leaf);
  }
  asm volatile("" : : "i"(Site), "i"(Depth) : "memory", "rbx");  // no tail call, a register to save, and no two alike
}

}  // namespace camprobe::bench
