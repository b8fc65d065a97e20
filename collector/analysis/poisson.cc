// collector/analysis/poisson.cc
#include "collector/analysis/poisson.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "collector/analysis/distributions.h"

namespace camprobe::analysis {

double poisson_tail(double events, double mean) {
  if (events <= 0) return 1;
  if (mean <= 0) return 0;
  return gamma_lower(events, mean);
}

Interval garwood(double events, double alpha) {
  Interval interval;
  if (events > 0) interval.low = 0.5 * chi_squared_below(2 * events, alpha / 2);
  interval.high = 0.5 * chi_squared_above(2 * events + 2, alpha / 2);
  return interval;
}

double overdispersion(std::span<const double> counts, std::span<const double> expected, double certainty) {
  if (counts.size() < 2) return 1;
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  if (mean <= 0) return 1;
  double chi_squared = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    // A cell that should hold next to nothing must not decide alone.
    const double should = expected.empty() ? mean : std::max(expected[i], 0.5);
    chi_squared += (counts[i] - should) * (counts[i] - should) / should;
  }
  // Noise alone lifts chi-squared above its mean half of the time; only what noise rarely does counts, or every
  // interval widened by this would be too wide.
  const auto df = static_cast<double>(counts.size() - 1);
  if (chi_squared <= chi_squared_below(df, certainty)) return 1;
  return std::max(1.0, chi_squared / df);
}

std::vector<bool> benjamini_hochberg(std::span<const double> p_values, double q, bool dependent) {
  const std::size_t m = p_values.size();
  std::vector<bool> rejected(m, false);
  std::vector<std::size_t> order(m);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return p_values[a] < p_values[b]; });
  if (dependent) {
    double harmonic = 0;
    for (std::size_t i = 1; i <= m; ++i) harmonic += 1.0 / static_cast<double>(i);
    if (harmonic > 0) q /= harmonic;
  }
  std::size_t last = 0;  // how many are rejected
  for (std::size_t k = 1; k <= m; ++k) {
    if (p_values[order[k - 1]] <= q * static_cast<double>(k) / static_cast<double>(m)) last = k;
  }
  for (std::size_t k = 0; k < last; ++k) rejected[order[k]] = true;
  return rejected;
}

namespace {

// Mean of x in [0, 1] under density proportional to exp(-kappa x): 1/kappa - 1/(e^kappa - 1), 1/2 at 0, falling.
double truncated_exponential_mean(double kappa) {
  if (std::abs(kappa) < 1e-4) return 0.5 - kappa / 12;
  return 1 / kappa - 1 / std::expm1(kappa);
}

// Variance of the same: 1/kappa^2 - e^kappa/(e^kappa - 1)^2, 1/12 at 0. It is the information one event has on kappa.
double truncated_exponential_variance(double kappa) {
  kappa = std::abs(kappa);  // symmetric
  if (kappa < 1e-2) return 1.0 / 12 - kappa * kappa / 240;
  const double e = std::expm1(kappa);
  return 1 / (kappa * kappa) - (e + 1) / (e * e);
}

}  // namespace

Decay fit_decay(std::span<const double> times, double length) {
  const auto n = static_cast<double>(times.size());
  if (n < 2 || length <= 0) return {0, std::numeric_limits<double>::infinity()};
  constexpr double kSteepest = 200;
  const double mean = std::accumulate(times.begin(), times.end(), 0.0) / n / length;
  double low = -kSteepest, high = kSteepest;
  for (int i = 0; i < 80; ++i) {  // the mean falls with kappa
    const double middle = 0.5 * (low + high);
    (truncated_exponential_mean(middle) > mean ? low : high) = middle;
  }
  const double kappa = 0.5 * (low + high);
  return {kappa / length, 1 / std::sqrt(n * truncated_exponential_variance(kappa)) / length};
}

double decay_over_constant(std::span<const double> times, double length, double k) {
  const double kappa = k * length;
  if (kappa <= 0) return 0;
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  return static_cast<double>(times.size()) * std::log(kappa / -std::expm1(-kappa)) - k * sum;
}

constexpr double kOnsetIntervalDrop = 3.2;

RateRise find_rate_rise(std::span<const double> times, double length, std::size_t min_events_after) {
  RateRise rise;
  const std::size_t n = times.size();
  rise.interval = {0, length};
  if (n < min_events_after + 1 || length <= 0) return rise;
  const auto total = static_cast<double>(n);
  const auto log_rate = [](double events, double span) { return events <= 0 ? 0 : events * std::log(events / span); };
  const double one_rate = log_rate(total, length);
  const auto ratio_at = [&](double at, std::size_t before) {
    const double n1 = static_cast<double>(before), n2 = total - n1, rest = length - at;
    if (at <= 0 || rest <= 0 || n2 / rest <= n1 / at) return 0.0;
    return log_rate(n1, at) + log_rate(n2, rest) - one_rate;
  };
  // As a function of the instant of change the ratio rises between events and drops at each of them, so its maxima lie
  // just before events (an event at the instant itself counts as "after").
  const std::size_t candidates = n - min_events_after + 1;
  std::vector<double> ratio(candidates);
  for (std::size_t i = 0; i < candidates; ++i) ratio[i] = ratio_at(times[i], i);
  const auto best = static_cast<std::size_t>(std::max_element(ratio.begin(), ratio.end()) - ratio.begin());
  if (ratio[best] <= 0) return rise;
  rise.log_likelihood_ratio = ratio[best];
  rise.at = times[best];
  const double floor = ratio[best] - kOnsetIntervalDrop;
  std::size_t first = 0, last = candidates - 1;
  while (ratio[first] < floor) ++first;
  while (ratio[last] < floor) --last;
  double low = first == 0 ? 0 : times[first - 1], high = times[first];
  for (int i = 0; i < 50; ++i) {
    const double middle = 0.5 * (low + high);
    (ratio_at(middle, first) < floor ? low : high) = middle;
  }
  rise.interval = {high, times[last]};
  return rise;
}

}  // namespace camprobe::analysis
