// collector/load/phases.h
//
// The phases of a load run where the tool does not name them: how the level of load (users, or requests a second) rose,
// stayed and fell.
//
// Method. The level per bucket is brought to at most 240 points (of at least 10 requests on average, where requests are
// counted) and cut into the straight pieces that minimise
//   sum of squared residuals / noise + 6 ln(points) for every piece     (exactly, by dynamic programming),
// where the noise is the variance that neighbouring points show, and no less than that of counting (Poisson) or 3 % of
// the peak. A piece that changes by more than a fifth of the peak is a ramp; one below 2 % of the peak is idle; one
// that is shorter than a tenth of the run and twice as high as what is before and after it is a spike; the others are
// steady. Clear means: at least 10 points, at most 12 pieces, and residuals below a fifth of the peak. Otherwise there
// is no answer.
#pragma once

#include <vector>

#include "collector/load/timeline.h"

namespace camprobe::load {

// What is segmented: `levels[i]` holds during [from + i * width, from + (i + 1) * width).
struct LevelSeries {
  WallTime from;
  Nanoseconds width{0};
  std::vector<double> levels;
  // How many counted events a level of 1 stands for in one bucket (its counting noise); 0 for an exact gauge.
  double events_per_level = 0;
};

// Empty where nothing is clear.
std::vector<LoadPhase> find_phases(const LevelSeries& series);

// The kind of a phase that the user named: her own word where the name begins with it ("ramp-up"), else the kind of its
// series where that is of one kind throughout, else "load".
std::string kind_of(const std::string& name, const LevelSeries& series);

// Gives `timeline` its phases: from `load`, where the tool has a measure of its own; else by users where they are
// known, else by request rate; the first of them whose shape is clear. Where none is, one phase "load" of the whole
// run. Does nothing where there are phases already, or no start and end.
void add_phases(LoadTimeline& timeline, const LevelSeries& load = {});

// Requests a second in each bucket, gaps as zeros; buckets at either end count for the part that the run covers.
LevelSeries request_rate(const LoadTimeline& timeline);

}  // namespace camprobe::load
