// collector/analysis/thresholds.h
//
// Every constant the verdicts hang on, in one place, under one version, printed in each report. A change here is a
// change of the judgement: raise the version, run scripts/ground-truth, and keep the tables it prints in
// docs/ground-truth.md.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace camprobe::analysis {

struct Thresholds {
  int version = 6;

  // What counts as evidence of survival. Ages and places are shares of the judged stretch on the clock in use.
  double warm_up_share = 0.1;   // births in the first tenth are start-up
  double warm_up_repeat = 1.5;  // a leak must still be one with a warm-up this much longer
  double survivor_age = 0.25;   // old enough to count, unless deaths show that younger objects stay as well
  std::array<double, 3> younger_ages = {0.03125, 0.0625, 0.125};
  double shortest_age_seconds = 2;  // objects younger than this may not have reached the run file yet
  std::array<double, 4> old_ages = {0.6, 0.5, 0.4, 0.33};
  double old_age_exposure = 1.5;  // object-lengths at risk before a death rate is believed
  double old_age_hazard = 0.7;    // deaths per object and stretch: above this the population is bounded
  int sub_cohorts = 6;
  int sub_cohorts_with_survivors = 3;  // of them, and one of the last two
  double min_survivors_sampled = 16;   // heap: +-25 % on the size of the leak
  double min_survivors_exact = 8;      // descriptors, threads, mappings: counted one by one, no sampling error
  double min_candidate = 3;            // fewer survivors are not even tested
  double negligible_share = 0.25;      // of the least growth that matters: what a stack is tested against
  double false_discovery_rate = 0.01;

  double most_kept_share = 1;    // of what a stack makes, for a verdict at the end of a run: any
  double min_net_growth = 0.25;  // of the survivors: else they replaced others that left

  // What dies may live long: two kinds in one population (lifetimes.h).
  double staying_likelihood_ratio = 1;  // of "some stay, the rest dies" over all lifetimes that end
  double slowest_death = 1.5;           // deaths per object and stretch of the slowest kind that still dies
  double dying_among_survivors = 0.25;  // at the age of a survivor, at most so likely of the kind that dies

  // Saturation: survivor births that thin out like exp(-k t).
  double saturation_rate = 2.5;      // k of the slowest cache that a run can tell from a leak: full by 92 % at its end
  double saturation_doubt = 0.3;     // log-likelihood of such a cache over a constant rate: above this inconclusive,
  double saturation_clear = 1;       // above this saturating,
  double saturation_again = 1.5;     // and above this with the longer warm-up, no leak
  double saturation_start_up = 2;    // at most so much of it may come from the start-up
  double front_loaded_share = 0.25;  // births in the last third of the first third's: saturating
  double last_eighth_growth = 0.4;   // of what the growth before promised for it, at least: else levelled off

  // Onset: log-likelihood ratio of "rate rose once" over "one rate".
  double onset_likelihood_ratio = 5;
  double same_onset_share = 0.15;     // of the stretch: stacks of one function that began this close are one leak
  double moved_share = 0.25;          // of the births before: a stack is as good as left for another
  double stopped_probability = 1e-3;  // of such a silence at the end if the leak still went on
  double at_once_share = 0.05;        // of the stretch: births this close are one event, unless more follow
  double step_share = 0.2;            // growth that lasted less than this share of the stretch is a step

  // Minimum effects.
  double min_growth_share_of_rss = 0.005;
  double min_bytes_per_hour = 1024.0 * 1024.0;
  double min_daily_share_of_limit = 0.01;
  double min_exact_events = 1;  // growth in the stretch that a handful of late openings explains

  // Growth that came as the load got to where it never was (load_rises.h): log-likelihood of that over growth with the
  // requests, above which it is no leak.
  double records_over_requests = 0;

  double unseen_load_share = 0.2;  // of socket reads outside of what the load tool saw: its results are not of the load

  // Too short to judge anything.
  double min_seconds = 20;
  double min_requests = 500;
  double own_stretch_share = 0.1;  // of the run's stretch: so long must a process have lived to be judged by itself

  // Gauges.
  double gauge_alpha = 0.01;
  double gauge_min_effective = 4;
  double gauge_min_growth = 0.05;  // of the mean level, over the stretch
  double sawtooth_drop = 0.3;      // of the typical amplitude
  int sawtooth_cycles = 6;
  double gauge_last_third_slope = 0.5;  // of the middle third's

  // Degradation. Effects are relative and hold for runs of `long_run_seconds` and more; how restless a machine is over
  // minutes cannot be learnt from a run of one minute, so shorter runs must show more, up to `short_run_factor` times.
  double degradation_alpha = 0.005;
  double degradation_false_discovery = 0.01;
  double same_load = 0.05;
  double cpu_effect = 0.03;
  double p50_effect = 0.05;
  double p95_effect = 0.04;
  double p99_effect = 0.10;
  double error_rate_effect = 0.005;  // absolute
  double long_run_seconds = 1200;
  double short_run_factor = 5;
  double tail_events = 50;       // beyond a quantile, for one window's value of it
  double min_latency_ms = 0.2;   // a rise smaller than this hurts nobody
  double mix_distance = 0.1;     // Hellinger: endpoints are mixed otherwise than before
  double culprit_share = 0.5;    // of the growth
  double min_idle_share = 0.05;  // of the machine: below it, a wait may be one for a processor
  double neighbour_share = 0.1;  // of the machine that other programs took more late than early: cannot tell

  double lost_share = 0.05;  // of heap samples: above this an innocent verdict is none

  // Active proof: load, idle, the same load, idle.
  double proof_start_share = 0.2;    // of each load's requests is its start-up
  double proof_outlives_idle = 0.8;  // of what the loads left must be there at the end
  double proof_gone = 0.2;           // of it at most: it did not last
  double proof_same = 0.5;  // left a request, second load over first: confirmed if surely above, cleared if below

  // Looks before the end of a run (early.h).
  double early_first_look = 300;       // seconds, where the run's length is not known
  double early_saturation_doubt = -1;  // as saturation_doubt: a cache must be surely excluded
  double early_kept_share = 0.5;       // of what a stack makes, at most
  double early_survivors = 1.5;        // times as many survivors, and as much exposure of old objects

  double forecast_horizon = 10;  // no point value beyond this many stretches
};

// All of them by name, for the report.
std::vector<std::pair<std::string, double>> as_list(const Thresholds& thresholds);

// For measuring what each is worth (tests/ground_truth); false: no such name.
bool set_threshold(Thresholds& thresholds, const std::string& name, double value);

}  // namespace camprobe::analysis
