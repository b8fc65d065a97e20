// tests/ground_truth/baselines.cc
#include "tests/ground_truth/baselines.h"

#include <algorithm>
#include <cmath>

#include "collector/analysis/distributions.h"
#include "tests/ground_truth/otava.h"

namespace camprobe::ground_truth {

bool least_squares_slope(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (n < 3) return false;
  double mean = 0;
  for (const double v : values) mean += v / n;
  const double middle = (n - 1) / 2;
  double xx = 0, xy = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = static_cast<double>(i) - middle;
    xx += x * x, xy += x * (values[i] - mean);
  }
  const double slope = xy / xx;
  double squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double e = values[i] - mean - slope * (static_cast<double>(i) - middle);
    squares += e * e;
  }
  const double error = std::sqrt(squares / (n - 2) / xx);
  return slope > 0 && slope > analysis::student_t_above(n - 2, 0.005) * error;
}

bool mann_kendall(std::span<const double> values) {
  double s = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = i + 1; j < values.size(); ++j) s += values[j] > values[i] ? 1 : values[j] < values[i] ? -1 : 0;
  }
  const auto n = static_cast<double>(values.size());
  const double variance = n * (n - 1) * (2 * n + 5) / 18;
  return s > 0 && analysis::normal_tail((s - 1) / std::sqrt(variance)) < 0.005;
}

bool five_growing_in_a_row(std::span<const double> values) {
  int row = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    row = values[i] > values[i - 1] ? row + 1 : 0;
    if (row >= 5) return true;
  }
  return false;
}

bool two_snapshots(std::span<const double> values) {
  return !values.empty() && values.back() > 1.1 * values.front();
}

bool otava_rise(std::span<const double> values) {
  const auto points = otava::change_points(values);
  return std::any_of(points.begin(), points.end(), [](const auto& p) { return p.mean_after > p.mean_before; });
}

const std::vector<Baseline>& baselines() {
  static const std::vector<Baseline> list = {{"least squares", least_squares_slope},
                                             {"Mann-Kendall", mann_kendall},
                                             {"five in a row", five_growing_in_a_row},
                                             {"two snapshots", two_snapshots},
                                             {"Otava", otava_rise}};
  return list;
}

std::vector<double> level_of(const Scenario& scenario, std::size_t points) {
  std::vector<double> level;
  const double begin = scenario.stretch.warm_up, length = scenario.stretch.end - begin;
  if (!scenario.memory.rss.points.empty()) {
    for (const auto& p : scenario.memory.rss.points) {
      if (p.at >= begin) level.push_back(p.value);
    }
    return level;
  }
  // Changes at birth and death, summed up to each instant.
  level.assign(points, 0);
  const auto first_at = [&](double t) {  // the first instant at or after t
    const double i = std::ceil((t - begin) / length * static_cast<double>(points - 1));
    return static_cast<std::size_t>(std::clamp(i, 0.0, static_cast<double>(points)));
  };
  for (const auto& population : scenario.populations) {
    for (const auto& life : population.lives) {
      if (const std::size_t i = first_at(life.born); i < points) level[i] += life.amount;
      if (life.died > scenario.stretch.end) continue;
      if (const std::size_t i = first_at(life.died); i < points) level[i] -= life.amount;
    }
  }
  for (std::size_t i = 1; i < points; ++i) level[i] += level[i - 1];
  return level;
}

}  // namespace camprobe::ground_truth
