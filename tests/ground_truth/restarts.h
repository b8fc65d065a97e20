// tests/ground_truth/restarts.h
//
// A server that is restarted somewhere in the run: the same shape twice, one life after the other.
#pragma once

#include <vector>

#include "collector/analysis/thresholds.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

struct Restarted {
  Scenario scenario;                         // all populations of both lives, each with the number of its stretch
  std::vector<analysis::Stretch> stretches;  // as the analysis finds them by itself: the run's, and the lives' own
};

// The restart comes between a fifth and four fifths of the time, and each life has its share of the survivors and
// births. What the first one held is gone with it.
Restarted restarted(const Shape& shape, const Size& size, Random& random, const analysis::Thresholds& thresholds);

struct RestartRow {
  int runs = 0;
  int accused = 0;         // anything
  int accused_as_one = 0;  // anything, all judged in the run's stretch
};
RestartRow play_restarted(const Shape& shape, const Size& size, int runs, std::uint64_t seed,
                          const analysis::Thresholds& thresholds);

}  // namespace camprobe::ground_truth
