// collector/analysis/trend.cc
#include "collector/analysis/trend.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "collector/analysis/distributions.h"

namespace camprobe::analysis {

namespace {

struct Line {
  double slope = 0, intercept = 0;
  double sum_xx = 0;   // about the mean
  double squares = 0;  // of the residuals
};

Line least_squares(std::span<const GaugePoint> points) {
  Line line;
  const auto n = static_cast<double>(points.size());
  double mx = 0, my = 0;
  for (const auto& p : points) mx += p.at, my += p.value;
  mx /= n, my /= n;
  double sum_xy = 0;
  for (const auto& p : points) {
    line.sum_xx += (p.at - mx) * (p.at - mx);
    sum_xy += (p.at - mx) * (p.value - my);
  }
  line.slope = line.sum_xx > 0 ? sum_xy / line.sum_xx : 0;
  line.intercept = my - line.slope * mx;
  for (const auto& p : points) {
    const double e = p.value - line.intercept - line.slope * p.at;
    line.squares += e * e;
  }
  return line;
}

double aicc(double squares, double n, double parameters) {
  const double k = parameters + 1;  // and the variance
  return n * std::log(std::max(squares, 1e-12) / n) + 2 * k + 2 * k * (k + 1) / std::max(n - k - 1, 0.5);
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

double theil_sen(std::span<const GaugePoint> points) {
  // All pairs of up to 400 points; longer series by block medians, whose slope is the same.
  std::vector<GaugePoint> blocks;
  if (points.size() > 400) {
    blocks = block_medians(points, 400);
    points = blocks;
  }
  std::vector<double> slopes;
  slopes.reserve(points.size() * points.size() / 2);
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = i + 1; j < points.size(); ++j) {
      const double dx = points[j].at - points[i].at;
      if (dx > 0) slopes.push_back((points[j].value - points[i].value) / dx);
    }
  }
  return median(std::move(slopes));
}

double corrected_autocorrelation(std::span<const double> residuals) {
  const auto n = static_cast<double>(residuals.size());
  if (n < 3) return 0.99;
  double products = 0, squares = 0;
  for (std::size_t i = 0; i < residuals.size(); ++i) {
    squares += residuals[i] * residuals[i];
    if (i > 0) products += residuals[i] * residuals[i - 1];
  }
  if (squares <= 0) return 0;
  double r = products / squares + 4 / n;
  r += (1 + 3 * r) / n;
  return std::clamp(r, 0.0, 0.99);
}

double effective_points(double points, double autocorrelation) {
  return points * (1 - autocorrelation) / (1 + autocorrelation);
}

Trend fit_trend(std::span<const GaugePoint> points, double alpha, bool independent) {
  Trend trend;
  if (points.size() < 6) return trend;
  const Line line = least_squares(points);
  std::vector<double> residuals;
  for (const auto& p : points) {
    residuals.push_back(p.value - line.intercept - line.slope * p.at);
    trend.mean += p.value / static_cast<double>(points.size());
  }
  trend.slope = theil_sen(points);
  if (line.squares <= 1e-12 * std::max(1.0, trend.mean * trend.mean)) {  // a straight line, or a constant
    trend.judged = true;
    trend.effective_points = static_cast<double>(points.size());
    trend.interval = {trend.slope, trend.slope};
    trend.p_value = std::abs(trend.slope) > 0 ? 0 : 1;
    return trend;
  }
  trend.autocorrelation = independent ? 0 : corrected_autocorrelation(residuals);
  trend.effective_points = effective_points(static_cast<double>(points.size()), trend.autocorrelation);
  const double df = trend.effective_points - 2;
  if (trend.effective_points < 4 || line.sum_xx <= 0) {
    trend.interval = {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
    return trend;
  }
  trend.judged = true;
  // n_e replaces n in the error of the mean square and in the spread of x alike (Sxx shrinks with the points kept).
  const double error = std::sqrt(line.squares / (df * line.sum_xx));
  const double reach = student_t_above(df, alpha / 2) * error;
  trend.interval = {trend.slope - reach, trend.slope + reach};
  trend.p_value = 2 * student_t_tail(df, std::abs(line.slope) / error);
  return trend;
}

std::vector<GaugePoint> block_medians(std::span<const GaugePoint> points, std::size_t blocks) {
  std::vector<GaugePoint> medians;
  if (points.empty() || blocks == 0) return medians;
  const double begin = points.front().at, width = (points.back().at - begin) / static_cast<double>(blocks);
  if (width <= 0) return {points.front()};
  std::vector<std::vector<double>> values(blocks), times(blocks);
  for (const auto& p : points) {
    const auto i = std::min(static_cast<std::size_t>((p.at - begin) / width), blocks - 1);
    values[i].push_back(p.value);
    times[i].push_back(p.at);
  }
  for (std::size_t i = 0; i < blocks; ++i) {
    if (!values[i].empty()) medians.push_back({median(std::move(times[i])), median(std::move(values[i]))});
  }
  return medians;
}

std::vector<GaugePoint> sawtooth_minima(std::span<const GaugePoint> points, const Thresholds& k) {
  std::vector<GaugePoint> minima;
  if (points.size() < 12) return minima;
  // Turning points: a fall counts once it exceeds the share of the typical amplitude, taken first as the middle 80 % of
  // the values about their trend.
  const Line line = least_squares(points);
  std::vector<double> rest;
  for (const auto& p : points) rest.push_back(p.value - line.intercept - line.slope * p.at);
  std::vector<double> sorted = rest;
  std::sort(sorted.begin(), sorted.end());
  const double amplitude = sorted[sorted.size() * 9 / 10] - sorted[sorted.size() / 10];
  if (amplitude <= 0) return minima;
  const double enough = k.sawtooth_drop * amplitude;
  std::size_t drops_of_one_step = 0;
  double high = points[0].value;
  std::size_t low = 0;
  bool falling = false;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (!falling) {
      high = std::max(high, points[i].value);
      if (high - points[i].value > enough) {
        falling = true;
        low = i;
        if (points[i - 1].value - points[i].value > enough) ++drops_of_one_step;
      }
    } else {
      if (points[i].value < points[low].value) low = i;
      if (points[i].value - points[low].value > enough) {
        minima.push_back(points[low]);
        falling = false;
        high = points[i].value;
      }
    }
  }
  // Noise has drops too, but climbs as suddenly as it falls. A sawtooth spends most of its time climbing.
  std::size_t climbs = 0, falls = 0;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].value > points[i - 1].value) ++climbs;
    if (points[i].value < points[i - 1].value) ++falls;
  }
  const bool asymmetric = climbs > 2 * falls && 2 * drops_of_one_step >= minima.size();
  if (!asymmetric || static_cast<int>(minima.size()) < k.sawtooth_cycles) minima.clear();
  return minima;
}

Saturation fit_saturation(std::span<const GaugePoint> blocks) {
  Saturation best;
  const auto n = static_cast<double>(blocks.size());
  if (blocks.size() < 8) return best;
  const double begin = blocks.front().at, length = blocks.back().at - begin;
  if (length <= 0) return best;
  const double line = aicc(least_squares(blocks).squares, n, 2);
  double best_aicc = std::numeric_limits<double>::infinity();
  // For a given tau the model a + c (1 - exp(-t/tau)) is linear in (a, c).
  for (double share = 0.03; share < 3; share *= 1.15) {
    const double tau = share * length;
    std::vector<GaugePoint> bent;
    for (const auto& p : blocks) bent.push_back({-std::expm1(-(p.at - begin) / tau), p.value});
    const Line fit = least_squares(bent);
    const double score = aicc(fit.squares, n, 3);
    if (score < best_aicc && fit.slope > 0) {
      best_aicc = score;
      best.plateau = fit.intercept + fit.slope;
      best.tau = tau;
    }
  }
  best.better = best_aicc + 2 < line && best.tau < length;
  return best;
}

Bend find_bend(std::span<const GaugePoint> points) {
  Bend bend;
  const std::size_t n = points.size();
  if (n < 8) return bend;
  const double flat = least_squares(points).squares;
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> squares(n, std::numeric_limits<double>::infinity());
  for (std::size_t i = 2; i + 2 < n; ++i) {
    // y = a + b max(0, t - t_i): flat, then a line
    std::vector<GaugePoint> hinge;
    hinge.reserve(n);
    for (const auto& p : points) hinge.push_back({std::max(0.0, p.at - points[i].at), p.value});
    const Line fit = least_squares(hinge);
    if (fit.slope <= 0) continue;
    squares[i] = fit.squares;
    if (fit.squares < best) {
      best = fit.squares;
      bend.at = points[i].at;
    }
  }
  if (!std::isfinite(best)) return bend;
  const auto count = static_cast<double>(n);
  bend.found = aicc(best, count, 3) + 4 < aicc(flat, count, 2);
  bend.interval = {bend.at, bend.at};
  for (std::size_t i = 0; i < n; ++i) {
    if (count * std::log(std::max(squares[i], 1e-12) / std::max(best, 1e-12)) > 3.84) continue;
    bend.interval.low = std::min(bend.interval.low, points[i].at);
    bend.interval.high = std::max(bend.interval.high, points[i].at);
  }
  return bend;
}

}  // namespace camprobe::analysis
