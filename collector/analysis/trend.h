// collector/analysis/trend.h
//
// Levels over time (RSS, open descriptors, threads): is there a trend, how steep, does it level off, since when.
//
// Neighbouring points of such a series are alike, so n points are worth fewer: on AR(1) noise without any trend, least
// squares at a nominal 1 % cries wolf in 12 % of series at phi = .5 and 69 % at .95, Mann-Kendall no less. With the
// effective number of points n_e = n (1 - r)/(1 + r), r the lag-one autocorrelation of the residuals corrected for its
// bias, it stays at or below 1.4 % (tests/analysis/trend_test.cc measures it).
//
// Sources: Theil (1950) and Sen, JASA 63 (1968), for the slope; Bayley and Hammersley (1946) for n_e; Kendall,
// Biometrika 41 (1954), for the bias of r; Hurvich and Tsai, Biometrika 76 (1989), for AICc.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "collector/analysis/input.h"
#include "collector/analysis/poisson.h"
#include "collector/analysis/thresholds.h"

namespace camprobe::analysis {

struct Trend {
  bool judged = false;  // enough effective points
  double slope = 0;     // Theil-Sen, units a second
  Interval interval;    // 1 - alpha, from the effective number of points
  double p_value = 1;   // two-sided
  double effective_points = 0;
  double autocorrelation = 0;
  double mean = 0;
};
// `independent`: the points are known to be (minima of a sawtooth, one a cycle), so each counts in full.
Trend fit_trend(std::span<const GaugePoint> points, double alpha, bool independent = false);

double theil_sen(std::span<const GaugePoint> points);
double median(std::vector<double> values);  // 0 of none

// Lag-one autocorrelation corrected for the bias of short series, in [0, .99], and what n points of it are worth.
double corrected_autocorrelation(std::span<const double> residuals);
double effective_points(double points, double autocorrelation);

// Medians of `blocks` equal stretches of time; empty ones are left out.
std::vector<GaugePoint> block_medians(std::span<const GaugePoint> points, std::size_t blocks);

// The low points between drops, where at least `thresholds.sawtooth_cycles` such drops are seen: a sawtooth grows only
// if its minima do.
std::vector<GaugePoint> sawtooth_minima(std::span<const GaugePoint> points, const Thresholds& thresholds);

// c (1 - exp(-t/tau)) against a line, on block medians, by AICc.
struct Saturation {
  bool better = false;  // than a line
  double plateau = 0;   // level it goes to
  double tau = 0;       // seconds
};
Saturation fit_saturation(std::span<const GaugePoint> blocks);

// Continuous, flat then rising (or rising otherwise): where it bends, with the set of bends nearly as likely.
struct Bend {
  bool found = false;
  Seconds at = 0;
  Interval interval;
};
Bend find_bend(std::span<const GaugePoint> points);

}  // namespace camprobe::analysis
