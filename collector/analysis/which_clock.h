// collector/analysis/which_clock.h
//
// Requests or time: which does the growth of a population keep to, and can this run's load tell?
#pragma once

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"

namespace camprobe::analysis {

// Log-likelihood of survivor births "so many a second" over "so many a request".
double time_over_work(const Population& population, const Stretch& stretch, const WorkClock& clock);

struct LoadShape {
  bool varies = false;  // by half or more
  bool falls = false;   // somewhere, after having been higher: growth with time then looks unlike any filling cache
};
LoadShape load_shape(const Stretch& stretch, const WorkClock& clock);

}  // namespace camprobe::analysis
