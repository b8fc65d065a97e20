// collector/analysis/poisson.h
//
// Statistics of events in an interval: is there more than so many, how many a unit with what certainty, do they thin
// out, since when do they come. Everything here takes plain numbers and knows nothing of heaps or descriptors.
//
// Sources: Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936), for the interval; Benjamini
// and Hochberg, JRSS B 57 (1995), and Benjamini and Yekutieli, Ann. Statist. 29 (2001), for many tests at once; the
// change of rate is the likelihood ratio of two Poisson rates against one (Akman and Raftery, JRSS B 48 (1986)). The
// interval of the instant is the set within 3.2 of the maximum: a change point is no regular parameter, and the usual
// chi-squared(1, .95)/2 = 1.92 covers only 84 % (statistics_test.cc measures both).
#pragma once

#include <span>
#include <vector>

namespace camprobe::analysis {

struct Interval {
  double low = 0, high = 0;
};

// P(X >= events) for X Poisson with that mean. `events` may be a fraction (events divided by their overdispersion): the
// incomplete gamma function carries on between whole numbers.
double poisson_tail(double events, double mean);

// Exact 1 - alpha interval for the mean of a Poisson count; `events` may be a fraction (an effective count).
Interval garwood(double events, double alpha = 0.05);

// Pearson chi-squared / df of counts against what they should be (equal, where `expected` is empty), where it is
// significantly above 1; else 1.
double overdispersion(std::span<const double> counts, std::span<const double> expected = {}, double certainty = 0.95);

// Rejected hypotheses, true where rejected, at false discovery rate q. `dependent`: the strict version of Benjamini and
// Yekutieli, for any dependence.
std::vector<bool> benjamini_hochberg(std::span<const double> p_values, double q, bool dependent = false);

// Maximum likelihood of k in a rate proportional to exp(-k t), t in [0, length], from event times. k is negative where
// events grow denser. Needs at least two events; otherwise k = 0 and an infinite standard error.
struct Decay {
  double k = 0;
  double standard_error = 0;
};
Decay fit_decay(std::span<const double> times, double length);

// Log-likelihood of a rate proportional to exp(-k t) with that k over a constant one, from the same events.
double decay_over_constant(std::span<const double> times, double length, double k);

// One rise of the rate. `times` ascending, in [0, length].
struct RateRise {
  double log_likelihood_ratio = 0;
  double at = 0;
  Interval interval;  // 95 %
};
RateRise find_rate_rise(std::span<const double> times, double length, std::size_t min_events_after = 5);

}  // namespace camprobe::analysis
