#include "suite/scaling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>

namespace camprobe::suite {
namespace {

using Terms = std::array<double, 3>;  // l, s, k

double model(const Terms& terms, double n) {
  return terms[0] * n / (1 + terms[1] * (n - 1) + terms[2] * n * (n - 1));
}

double squares(const Terms& terms, const std::vector<ScalePoint>& points) {
  double sum = 0;
  for (const ScalePoint& point : points) sum += std::pow(point.throughput - model(terms, point.n), 2);
  return sum;
}

// Solves a small symmetric system by Gaussian elimination with pivots; false where it is singular.
bool solve(std::array<std::array<double, 4>, 3>& a, std::size_t size, Terms& x) {
  for (std::size_t i = 0; i < size; ++i) {
    std::size_t pivot = i;
    for (std::size_t r = i + 1; r < size; ++r) {
      if (std::abs(a[r][i]) > std::abs(a[pivot][i])) pivot = r;
    }
    if (std::abs(a[pivot][i]) < 1e-300) return false;
    std::swap(a[i], a[pivot]);
    for (std::size_t r = i + 1; r < size; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (std::size_t c = i; c <= size; ++c) a[r][c] -= factor * a[i][c];
    }
  }
  for (std::size_t i = size; i-- > 0;) {
    x[i] = a[i][size];
    for (std::size_t c = i + 1; c < size; ++c) x[i] -= a[i][c] * x[c];
    x[i] /= a[i][i];
  }
  return true;
}

// Levenberg-Marquardt on the first `free` terms; s and k are kept at zero or above.
Terms fitted(const std::vector<ScalePoint>& points, std::size_t free, Terms terms) {
  double damping = 1e-3, error = squares(terms, points);
  for (int round = 0; round < 500; ++round) {
    std::array<std::array<double, 4>, 3> normal{};
    for (const ScalePoint& point : points) {
      const double n = point.n, below = 1 + terms[1] * (n - 1) + terms[2] * n * (n - 1), value = terms[0] * n / below;
      const Terms slope{n / below, -value * (n - 1) / below, -value * n * (n - 1) / below};
      for (std::size_t i = 0; i < free; ++i) {
        for (std::size_t j = 0; j < free; ++j) normal[i][j] += slope[i] * slope[j];
        normal[i][free] += slope[i] * (point.throughput - value);
      }
    }
    for (std::size_t i = 0; i < free; ++i) normal[i][i] *= 1 + damping;
    Terms step{};
    if (!solve(normal, free, step)) break;
    Terms next = terms;
    for (std::size_t i = 0; i < free; ++i) next[i] = std::max(i == 0 ? 1e-12 : 0.0, terms[i] + step[i]);
    const double now = squares(next, points);
    if (now < error) {
      const bool has_settled = error - now < 1e-14 * (error + 1e-300);
      terms = next;
      error = now;
      damping = std::max(damping / 5, 1e-12);
      if (has_settled) break;
    } else {
      damping *= 5;
      if (damping > 1e16) break;
    }
  }
  return terms;
}

std::optional<ScaleFit> fit(const std::vector<ScalePoint>& points, std::size_t free) {
  std::set<double> different;
  double mean = 0;
  for (const ScalePoint& point : points) {
    if (!(point.n >= 1) || !(point.throughput > 0)) return std::nullopt;
    different.insert(point.n);
    mean += point.throughput / static_cast<double>(points.size());
  }
  if (different.size() < free + 1) return std::nullopt;
  const ScalePoint& first =
      *std::min_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.n < b.n; });
  const Terms start{first.throughput / first.n, 0.01, free == 3 ? 1e-4 : 0};
  const Terms terms = fitted(points, free, start);

  ScaleFit out;
  out.single = terms[0];
  out.contention = terms[1];
  out.coherency = free == 3 ? terms[2] : 0;
  if (out.coherency > 0 && out.contention < 1) out.peak_at = std::sqrt((1 - out.contention) / out.coherency);
  double total = 0;
  std::vector<double> residuals;
  // With as many terms as that, residuals are too small by this factor.
  const double widen = std::sqrt(static_cast<double>(points.size()) /
                                 std::max(1.0, static_cast<double>(points.size()) - static_cast<double>(free)));
  for (const ScalePoint& point : points) {
    residuals.push_back((point.throughput - model(terms, point.n)) * widen);
    total += std::pow(point.throughput - mean, 2);
  }
  out.r_squared = total > 0 ? 1 - squares(terms, points) / total : 1;

  constexpr std::size_t kRounds = 500;
  std::mt19937_64 random(20071);
  std::vector<double> contention, coherency;
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::vector<ScalePoint> again = points;
    for (ScalePoint& point : again)
      point.throughput = std::max(1e-9, model(terms, point.n) + residuals[random() % residuals.size()]);
    const Terms other = fitted(again, free, terms);
    contention.push_back(other[1]);
    coherency.push_back(other[2]);
  }
  std::sort(contention.begin(), contention.end());
  std::sort(coherency.begin(), coherency.end());
  const auto low = static_cast<std::size_t>(0.025 * kRounds), high = kRounds - 1 - low;
  out.contention_low = std::min(contention[low], out.contention);
  out.contention_high = std::max(contention[high], out.contention);
  if (free == 3) {
    out.coherency_low = std::min(coherency[low], out.coherency);
    out.coherency_high = std::max(coherency[high], out.coherency);
  }
  return out;
}

}  // namespace

double ScaleFit::at(double n) const {
  return model({single, contention, coherency}, n);
}

std::optional<ScaleFit> fit_usl(const std::vector<ScalePoint>& points) {
  return fit(points, 3);
}

std::optional<ScaleFit> fit_amdahl(const std::vector<ScalePoint>& points) {
  return fit(points, 2);
}

}  // namespace camprobe::suite
