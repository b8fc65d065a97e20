// sampler/heap_budget.h
//
// How dense heap sampling is: the law that moves the `auto` interval. Pure arithmetic on what was measured, so that it
// can be tested without a process; sampler/control.cc measures and applies.
//
// At the interval T a program that allocates R bytes takes R / T samples, at c nanoseconds each; so sampling fits into
// an allowance A from T = R c / A on. Both are estimated and smoothed: c over the last few hundred samples, R over the
// last steps. c is not a constant of the machine: the first walk over a piece of code costs ten times the later ones,
// and rare samples run cold; a controller that only looked at the cost of the last step swung between 256 KiB and 4 MiB
// for ever.
//
// The allowance is what the budget leaves. A quarter of it is kept back for what cannot be measured from inside (the
// fast paths, the exact counters, the kernel's side of a signal); of the rest the other families' samples take what
// they take, because their rates were asked for; and of what then is left heap sampling takes no more than a third of
// the budget, so that it has settled already when the others need more, and because a server that does nothing but I/O
// pays more than half of the budget for what cannot be measured. It is counted in the process's CPU time, and never
// less than a little of the clock on the wall: in a server that is nearly idle nobody notices half a millisecond a
// second, and its leaks are found as soon.
//
// Steps of two keep estimates comparable and the number of settings in a run small.
#pragma once

#include <cstdint>

namespace camprobe::sampler {

inline constexpr std::uint64_t kDensestAuto = 8u << 10;
inline constexpr std::uint64_t kSparsestAuto = 4u << 20;

struct HeapMeasurement {  // since the last step
  std::uint64_t cpu_ns;   // the process's CPU time
  std::uint64_t wall_ns;
  std::uint64_t sampling_ns;  // in the heap's sampled paths
  std::uint64_t other_ns;     // in the probe's other sampled paths and handlers
  std::uint64_t samples;      // taken at the interval in force
  std::uint64_t live;         // entries in the live table now
  std::uint64_t capacity;     // of the live table
};

class HeapBudget {
 public:
  constexpr HeapBudget() = default;

  // The interval that should hold from now on. `budget_ppm`: the whole probe's share of CPU time, parts per million.
  std::uint64_t next(std::uint64_t interval, std::uint32_t budget_ppm, const HeapMeasurement& measured);

  // What a sample costs, as far as is known.
  std::uint64_t sample_ns() const { return static_cast<std::uint64_t>(sample_ns_); }

 private:
  double sample_ns_ = 2000;
  double bytes_per_ns_ = 0;  // allocated, of wall clock; smoothed
  bool has_rate_ = false;
  std::uint64_t next_live_limit_ = 0;  // where the table's filling doubles the interval again; 0: at three quarters
};

}  // namespace camprobe::sampler
