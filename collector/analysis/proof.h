// collector/analysis/proof.h
//
// The active proof: load, idle, the same load, idle. What leaks is left by both loads alike and outlives both idles; a
// cache is filled by the first load and adds little in the second; pools and sessions add nothing, or do not outlive an
// idle that is longer than their lifetime. It tells from one another what a single load cannot: the seconds of a leak
// and of a cache that fills are the same data.
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"
#include "collector/analysis/poisson.h"
#include "collector/analysis/thresholds.h"

namespace camprobe::analysis {

struct ProofPhases {
  Interval first_load, first_idle, second_load, second_idle;  // seconds
};

enum class ProofVerdict {
  kConfirmed,  // both loads left as much, and it stayed
  kCleared,  // the second left next to nothing, or what was left did not outlive the idle, or gave way to the second's
  kOpen,     // too little of it to tell, or neither
};

struct Proof {
  ProofVerdict verdict = ProofVerdict::kOpen;
  // Amounts that a load left, at its end and at the end of the idle after it; of births after the load's own start-up.
  double first_at_end = 0, first_after_idle = 0, second_at_end = 0, second_after_idle = 0;
  double first_at_last = 0;  // of what the first load left, there after the second idle: a full cache replaces it
  double first_requests = 0, second_requests = 0;
  double first_events = 0, second_events = 0;  // sampled objects behind `..._after_idle`
  double ratio = 0;                            // left a request, second over first
  Interval ratio_interval;                     // 95 %
};

// Of one population, or of several together.
Proof judge_proof(const std::vector<const Population*>& members, const ProofPhases& phases, const WorkClock& clock,
                  const Thresholds& thresholds);

}  // namespace camprobe::analysis
