// collector/analysis/load_rises.h
//
// A pool of connections, or of threads, has as many members as there ever was work for at a time. Under a load that
// rises it grows with it and never shrinks, so what was born there stays, spread over the run: to survival alone that
// is a leak. What tells them apart is when they grow. A leak grows with every request; a pool grows when the load gets
// to where it never was, and otherwise only replaces members that wore out.
//
// How much is under way at a time is told by the connections that the server has accepted and has open: known whatever
// drives the load, and of one process.
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"
#include "collector/analysis/survival.h"

namespace camprobe::analysis {

// Of accepted connections' lives: each time that more were open than ever before, in steps of a fiftieth; ascending, so
// the last is the peak.
std::vector<ClientRecord> records_of(const std::vector<Life>& accepted);

struct GrowthWithLoad {
  bool follows = false;       // the load's records explain what stays better than its requests do
  bool stood_still = false;   // there were times in which the load stayed as it was, enough to look at,
  double between = 0;         // and so many came in them, less those that went
  double log_likelihood = 0;  // of births with the records over births with the requests
};

// Of a population that `verdict` was reached on; needs population.records.
GrowthWithLoad growth_with_load(const Population& population, const Stretch& stretch, const WorkClock& clock,
                                const SurvivalVerdict& verdict, const Thresholds& thresholds);

}  // namespace camprobe::analysis
