// collector/analysis/load_rises.h
//
// A pool of connections, or of threads, has as many members as there ever was work for at a time. Under a load that
// rises step by step it grows with each step and never shrinks, so what was born there stays, spread over the run: to
// survival alone that is a leak. What tells them apart is when they grow. A leak goes on while the load stays as it is;
// a pool grows when the load gets to where it never was, and hardly between.
//
// How much is under way at a time is told by the connections that the server has accepted and has open: known whatever
// drives the load, and of one process.
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"
#include "collector/analysis/survival.h"

namespace camprobe::analysis {

struct Concurrency {
  std::vector<Seconds> rises;  // when more were open at a time than ever before, by a quarter; ascending
  double peak = 0;             // most at a time
};

// Of accepted connections' lives.
Concurrency concurrency_of(const std::vector<Life>& accepted);

struct GrowthWithLoad {
  bool follows = false;  // what stays came with the rises, beyond doubt
  double between = 0;    // how many came while the load stayed
};

// Of a population that `verdict` was reached on; needs population.rises.
GrowthWithLoad growth_with_load(const Population& population, const Stretch& stretch, const WorkClock& clock,
                                const SurvivalVerdict& verdict, const Thresholds& thresholds);

}  // namespace camprobe::analysis
