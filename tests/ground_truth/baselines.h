// tests/ground_truth/baselines.h
//
// What others do with the same data, under their own names: methods that judge a level by its values alone. Each is
// told the live total at equally spaced instants after warm-up, as a monitoring system would have it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

struct Baseline {
  std::string name;
  std::function<bool(std::span<const double>)> accuses;
};
const std::vector<Baseline>& baselines();

// The live total (or RSS, where the shape is one of RSS) at `points` instants after warm-up.
std::vector<double> level_of(const Scenario& scenario, std::size_t points);

// Least squares, slope above 0 at a two-sided 1 % of Student's t, errors taken as independent.
bool least_squares_slope(std::span<const double> values);
// Mann (Econometrica 13, 1945) and Kendall: rising at a two-sided 1 %, errors taken as independent.
bool mann_kendall(std::span<const double> values);
// node-memwatch's "leak" event: the level grew five times in a row.
bool five_growing_in_a_row(std::span<const double> values);
// Two snapshots, one after warm-up and one at the end: at least a tenth more.
bool two_snapshots(std::span<const double> values);
// A change point at which the level rises: Apache Otava (formerly Hunter) with its defaults (otava.h).
bool otava_rise(std::span<const double> values);

}  // namespace camprobe::ground_truth
