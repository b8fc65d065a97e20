// tests/ground_truth/otava.cc
#include "tests/ground_truth/otava.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "collector/analysis/distributions.h"

namespace camprobe::ground_truth::otava {

namespace {

using Series = std::span<const double>;

struct Range {
  std::size_t begin, end;
};

double mean_of(Series x) {
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}
double variance_of(Series x, double mean) {
  double sum = 0;
  for (const double v : x) sum += (v - mean) * (v - mean);
  return sum / static_cast<double>(x.size());
}

// TTestSignificanceTester.compare: scipy's ttest_ind_from_stats with equal variances.
ChangePoint compare(std::size_t index, Series left, Series right) {
  ChangePoint point{index, mean_of(left), mean_of(right), 1};
  const auto n1 = static_cast<double>(left.size()), n2 = static_cast<double>(right.size());
  if (n1 + n2 <= 2) return point;
  const double v1 = left.size() >= 2 ? variance_of(left, point.mean_before) : 0;
  const double v2 = right.size() >= 2 ? variance_of(right, point.mean_after) : 0;
  const double df = n1 + n2 - 2;
  const double pooled = ((n1 - 1) * v1 + (n2 - 1) * v2) / df;
  const double difference = std::abs(point.mean_before - point.mean_after);
  const double error = std::sqrt(pooled * (1 / n1 + 1 / n2));
  if (error <= 0) {
    point.p_value = difference > 0 ? 0 : std::numeric_limits<double>::quiet_NaN();
    return point;
  }
  point.p_value = 2 * analysis::student_t_tail(df, difference / error);
  return point;
}

std::vector<Range> intervals_between(const std::vector<ChangePoint>& points, std::size_t size) {
  std::vector<Range> ranges;
  std::size_t begin = 0;
  for (const ChangePoint& point : points) {
    if (point.index != begin) ranges.push_back({begin, point.index});
    begin = point.index;
  }
  if (begin != size) ranges.push_back({begin, size});
  return ranges;
}

// The interval that contains the candidate is split at it; one that ends at it is compared with the next.
ChangePoint evaluate(std::size_t index, Series series, const std::vector<Range>& ranges) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const Range r = ranges[i];
    if (r.end == index && i + 1 < ranges.size()) {
      const Range next = ranges[i + 1];
      return compare(index, series.subspan(r.begin, r.end - r.begin),
                     series.subspan(next.begin, next.end - next.begin));
    }
    if (r.begin < index && index < r.end)
      return compare(index, series.subspan(r.begin, index - r.begin), series.subspan(index, r.end - index));
  }
  return {index, 0, 0, 1};
}

// PairDistanceCalculator.get_candidate_change_point: the (tau, kappa) that maximises
//   Q = 2/(m+n) sum |X_i - Y_j| - 2m/((m+n)(n-1)) sum_{i<k} |X_i - X_k| - 2n/((m+n)(m-1)) sum_{j<k} |Y_j - Y_k|,
// X = series[begin, tau), Y = series[tau, kappa). A part of one value has no distances within it.
struct Candidate {
  std::size_t index;
  double q;
};
std::optional<Candidate> best_split(Series series, Range range) {
  if (range.end - range.begin < 2) return std::nullopt;
  const std::size_t size = range.end - range.begin;
  const auto at = [&](std::size_t i) { return series[range.begin + i]; };
  // within[a][b): sums of distances of all pairs of [a, b); by prefix: to_earlier[j][a] = sum over i in [a, j) |x_i -
  // x_j|.
  std::vector<std::vector<double>> within(size + 1, std::vector<double>(size + 1, 0));
  for (std::size_t a = 0; a < size; ++a) {
    for (std::size_t b = a + 2; b <= size; ++b) {
      double to_last = 0;
      for (std::size_t i = a; i + 1 < b; ++i) to_last += std::abs(at(i) - at(b - 1));
      within[a][b] = within[a][b - 1] + to_last;
    }
  }
  Candidate best{range.begin + 1, -std::numeric_limits<double>::infinity()};
  for (std::size_t tau = 1; tau < size; ++tau) {
    for (std::size_t kappa = tau + 1; kappa <= size; ++kappa) {
      const auto n = static_cast<double>(tau), m = static_cast<double>(kappa - tau);
      const double left = within[0][tau], right = within[tau][kappa], between = within[0][kappa] - left - right;
      double q = 2 / (m + n) * between;
      if (n > 1) q -= 2 * m / ((m + n) * (n - 1)) * left;
      if (m > 1) q -= 2 * n / ((m + n) * (m - 1)) * right;
      if (q > best.q) best = {range.begin + tau, q};
    }
  }
  return best;
}

// ChangePointDetector.get_change_points over one window.
std::vector<ChangePoint> divide(Series window, double max_p_value) {
  std::vector<ChangePoint> points;
  for (;;) {
    const std::vector<Range> ranges = intervals_between(points, window.size());
    std::optional<Candidate> candidate;
    for (const Range& range : ranges) {
      const auto split = best_split(window, range);
      if (split && (!candidate || split->q > candidate->q)) candidate = split;
    }
    if (!candidate) break;
    const ChangePoint point = evaluate(candidate->index, window, ranges);
    if (!(point.p_value <= max_p_value)) break;
    points.push_back(point);
    std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  }
  return points;
}

double magnitude(const ChangePoint& p) {
  const double forward = p.mean_before == 0 ? 0 : p.mean_after / p.mean_before - 1;
  const double backward = p.mean_after == 0 ? 0 : p.mean_before / p.mean_after - 1;
  return std::max(std::abs(forward), std::abs(backward));
}

}  // namespace

std::vector<ChangePoint> change_points(Series series, std::size_t window, double max_p_value, double min_magnitude) {
  const double first_pass = max_p_value < 0.05 ? 10 * max_p_value : max_p_value < 0.5 ? 2 * max_p_value : max_p_value;
  // split(): windows that overlap by half, or begin at the last change point of the one before.
  std::vector<ChangePoint> points;
  for (std::size_t start = 0; start < series.size();) {
    const std::size_t end = std::min(start + window, series.size());
    std::size_t last = 0;
    for (ChangePoint point : divide(series.subspan(start, end - start), first_pass)) {
      point.index += start;
      last = point.index;
      const bool known =
          std::any_of(points.begin(), points.end(), [&](const auto& other) { return other.index == point.index; });
      if (!known) points.push_back(point);
    }
    start = std::max(last, start + window / 2);
  }
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  const auto all = intervals_between(points, series.size());
  for (ChangePoint& point : points) point = evaluate(point.index, series, all);

  // merge(): the weakest goes until all are strong.
  while (!points.empty()) {
    auto weakest = std::max_element(points.begin(), points.end(),
                                    [](const auto& a, const auto& b) { return a.p_value < b.p_value; });
    if (weakest->p_value < max_p_value) {
      weakest = std::min_element(points.begin(), points.end(),
                                 [](const auto& a, const auto& b) { return magnitude(a) < magnitude(b); });
      if (magnitude(*weakest) > min_magnitude) break;
    }
    const auto index = static_cast<std::size_t>(weakest - points.begin());
    points.erase(weakest);
    const auto ranges = intervals_between(points, series.size());
    // As there: the two that follow are compared anew, and the one before is not.
    for (std::size_t i = index; i < std::min(index + 2, points.size()); ++i)
      points[i] = evaluate(points[i].index, series, ranges);
  }
  return points;
}

}  // namespace camprobe::ground_truth::otava
