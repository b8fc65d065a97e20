// sampler/heap_budget.h
//
// How dense heap sampling is: the law that moves the `auto` interval. Pure arithmetic on what was measured, so that it can
// be tested without a process; sampler/control.cc measures and applies.
//
// A sample costs about the same whatever the interval, so sampling's share of CPU time goes as 1 / interval. Twice as dense
// costs twice as much: halve only where that still fits, and double as soon as it does not. Steps of two keep estimates
// comparable and the number of settings in a run small.
#pragma once

#include <cstdint>

namespace camprobe::sampler {

inline constexpr std::uint64_t kDensestAuto = 8u << 10;
inline constexpr std::uint64_t kSparsestAuto = 4u << 20;

struct HeapMeasurement {
  std::uint64_t cpu_ns;       // the process's CPU time since the last step
  std::uint64_t sampling_ns;  // of it in the heap's sampled paths
  std::uint64_t live;         // entries in the live table now
  std::uint64_t capacity;     // of the live table
};

class HeapBudget {
 public:
  constexpr HeapBudget() = default;

  // The interval that should hold from now on. `target_ppm`: sampling's share of CPU time, parts per million.
  std::uint64_t next(std::uint64_t interval, std::uint32_t target_ppm, const HeapMeasurement& measured);

 private:
  std::uint64_t next_live_limit_ = 0;  // where the table's filling doubles the interval again; 0: at three quarters
};

}  // namespace camprobe::sampler
