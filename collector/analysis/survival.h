// collector/analysis/survival.h
//
// Does what is born at one stack stay? Judged by survival of birth cohorts, never by the slope of live bytes: a live
// total is a random walk when it leaks and has a long memory when it does not, so intervals around its slope are wrong
// both ways. An object that carries its birth time tells much more:
//
//   survivors  births after warm-up that are old enough to have died were they going to, and did not
//   spread     they are born throughout, and to the end: not only at start-up, at one instant, or in one phase
//   hazard     old objects do not die: D deaths in E object-lengths past an age; a cache or a session table fails here
//   decay      births of survivors do not thin out like exp(-k t): a cache that fills up fails here
//   onset      since when (likelihood-ratio scan); size and interval are those of the time since then
//
// Places and ages are measured on [0, 1], the judged stretch on the clock in use (requests, or time).
#pragma once

#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/input.h"
#include "collector/analysis/poisson.h"
#include "collector/analysis/thresholds.h"
#include "collector/analysis/verdict.h"

namespace camprobe::analysis {

struct SurvivalVerdict {
  Verdict verdict = Verdict::kInconclusive;
  Reason reason = Reason::kTooFewSurvivors;
  bool on_time_clock = false;  // judged by time: growth does not depend on the load

  // Evidence.
  double survivors = 0;            // events (samples, or exact)
  double effective_survivors = 0;  // of equal weight: (sum w)^2 / sum w^2
  double overdispersion = 1;
  double p_value = 1;         // more survivors than the minimum effect explains by chance
  double survivor_age = 0;    // age used, share of the stretch
  double old_age = 0;         // age past which the death rate below was taken; 0: none adequate
  double old_age_hazard = 0;  // deaths per object and stretch
  double decay = 0, decay_error = 0;
  double dying_share = 0;     // of the survivors, by age, are rather of a long-lived kind that dies; 0: not asked
  double survivor_share = 0;  // of births of the cohorts in the window, as far as they are known

  // Since when, until when.
  bool since_start = true;
  Seconds since = 0;
  Interval since_interval;
  bool ended = false;
  Seconds until = 0;

  // How much, over the time it went on; 95 %.
  double amount = 0;  // what stays, from `since` (or warm-up) to the end of the window
  double amount_per_object = 0;
  double per_request = 0;
  Interval per_request_interval;
  double per_hour = 0;
  Interval per_hour_interval;
  double objects_per_request = 0;
  double plateau_remaining = 0;  // saturating: still to come

  // Inconclusive: how much longer a run would do, as a factor of the judged stretch; 0 unknown.
  double longer_by = 0;

  std::vector<double> birth_profile;  // of survivors in 24 equal parts of the judged stretch, for merging
};

// Objects born in [from, to), whatever became of them.
double activity_between(const Population& population, Seconds from, Seconds to);

// `warm_up` in seconds of the run. Screening over many populations (multiplicity) is the caller's.
SurvivalVerdict judge_survival(const Population& population, const Stretch& stretch, const WorkClock& clock,
                               const Thresholds& thresholds);

}  // namespace camprobe::analysis
