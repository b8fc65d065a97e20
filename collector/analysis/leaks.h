// collector/analysis/leaks.h
//
// From thousands of judged stacks to the few findings a person reads: correct for having asked thousands of questions,
// put together what is one leak seen on several stacks, forecast when the limit is reached.
#pragma once

#include <cstddef>
#include <vector>

#include "collector/analysis/survival.h"

namespace camprobe::analysis {

struct Forecast {
  bool reaches_limit = false;  // within the horizon, at the upper end of the interval at least
  double hours = 0;            // at the estimated rate; 0: beyond the horizon
  double hours_low = 0;        // at the upper end of the interval
  double hours_high = 0;       // at the lower end; 0: never
};

struct LeakFinding {
  Resource resource = Resource::kHeap;
  std::size_t stretch = 0;               // in which it was judged
  std::vector<std::size_t> populations;  // indices into the input, largest part first
  std::vector<double> shares;            // of what stays, alike
  SurvivalVerdict verdict;
  bool holds_strictly = false;  // also under Benjamini-Yekutieli (any dependence between stacks)
  double confidence = 0;
  Forecast forecast;
};

struct LeakAnalysis {
  std::vector<LeakFinding> findings;  // leaks first, then saturating, step, inconclusive; each by size
  std::size_t populations = 0;        // looked at
  std::size_t candidates = 0;         // with survivors enough to be tested
  bool too_short = false;             // run too short for any verdict, whatever the findings say
};

// Each population is judged in the stretch that it names, and together with others of the same stretch alone. The first
// stretch is the run's. Of a stretch that ended with its process only leaks are reported: what is open about them no
// longer run would close. The false discovery rate is shared out among the stretches.
LeakAnalysis find_leaks(const std::vector<Population>& populations, const std::vector<Stretch>& stretches,
                        const WorkClock& clock, const Thresholds& thresholds);
// The same with all in one stretch.
LeakAnalysis find_leaks(const std::vector<Population>& populations, const Stretch& stretch, const WorkClock& clock,
                        const Thresholds& thresholds);

// Time until `limit` when at `now` already; 95 % from the interval of the rate.
Forecast forecast_limit(double now, double limit, double per_hour, const Interval& per_hour_interval,
                        double horizon_hours);

// The share of such verdicts that simulations of known truth show to be right, by evidence; docs/analysis.md has the
// table.
double confidence_of(const SurvivalVerdict& verdict);

}  // namespace camprobe::analysis
