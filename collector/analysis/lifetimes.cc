// collector/analysis/lifetimes.cc
#include "collector/analysis/lifetimes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace camprobe::analysis {

double LifetimeMixture::still_to_die(double age) const {
  const double dying = (1 - staying_share) * std::exp(-death_rate * std::max(0.0, age - from));
  return dying / std::max(dying + staying_share, 1e-300);
}

double LifetimeMixture::age_when(double share) const {
  // (1 - s) exp(-r (age - from)) / s = share / (1 - share)
  const double odds = (1 - staying_share) / staying_share * (1 - share) / share;
  return odds <= 1 ? from : from + std::log(odds) / death_rate;
}

namespace {

// Deaths and censorings by age; every model's likelihood is a sum over these.
struct Ages {
  struct Bin {
    double low, high, deaths, alive;  // `alive` at an age inside the bin when the stretch ended: censored at its middle
    double middle() const { return 0.5 * (low + high); }
  };
  std::vector<Bin> bins;
  double deaths = 0, alive = 0;
  double scale = 1;  // counts are those of lives, times this: as many as they are worth where some stand for others
};

Ages ages_of(const std::vector<Placed>& lives, double born_after, double from) {
  constexpr int kBins = 48;
  Ages ages;
  const double width = (1 - from) / kBins;
  for (int i = 0; i < kBins; ++i) ages.bins.push_back({from + i * width, from + (i + 1) * width, 0, 0});
  double sum = 0, squares = 0;
  for (const Placed& life : lives) {
    const bool died = life.died <= 1;
    const double age = (died ? life.died : 1) - life.born;
    if (life.born <= born_after || age <= from) continue;
    Ages::Bin& bin = ages.bins[std::min(static_cast<std::size_t>((age - from) / width), ages.bins.size() - 1)];
    (died ? bin.deaths : bin.alive) += life.kept_of;
    (died ? ages.deaths : ages.alive) += life.kept_of;
    sum += life.kept_of, squares += life.kept_of * life.kept_of;
  }
  if (squares > sum) {
    ages.scale = sum / squares;  // their effective number over their number
    ages.deaths *= ages.scale, ages.alive *= ages.scale;
    for (Ages::Bin& bin : ages.bins) bin.deaths *= ages.scale, bin.alive *= ages.scale;
  }
  return ages;
}

// `survival(age)` need not be 1 at `from`: it is taken relative to its value there.
template <class Survival>
double log_likelihood(const Ages& ages, const Survival& survival) {
  const double at_from = survival(ages.bins.front().low);
  if (!(at_from > 1e-290)) return -std::numeric_limits<double>::infinity();
  double sum = 0, before = 1;
  for (const Ages::Bin& bin : ages.bins) {
    const double after = survival(bin.high) / at_from;
    if (bin.deaths > 0) sum += bin.deaths * std::log(std::max(before - after, 1e-300));
    if (bin.alive > 0) sum += bin.alive * std::log(std::max(survival(bin.middle()) / at_from, 1e-300));
    before = after;
  }
  return sum;
}

// The best of two parameters: a grid over their logarithms, made finer about the best point.
using Likelihood = std::function<double(double, double)>;
double best_of_two(const Likelihood& likelihood, double low1, double high1, double low2, double high2) {
  double l1 = std::log(low1), h1 = std::log(high1), l2 = std::log(low2), h2 = std::log(high2);
  double best = -std::numeric_limits<double>::infinity();
  for (int round = 0; round < 4; ++round) {
    constexpr int kSteps = 14;
    double best1 = l1, best2 = l2, best_here = -std::numeric_limits<double>::infinity();
    const double step1 = (h1 - l1) / kSteps, step2 = (h2 - l2) / kSteps;
    for (int i = 0; i <= kSteps; ++i) {
      for (int j = 0; j <= kSteps; ++j) {
        const double value = likelihood(std::exp(l1 + i * step1), std::exp(l2 + j * step2));
        if (value > best_here) best_here = value, best1 = l1 + i * step1, best2 = l2 + j * step2;
      }
    }
    best = std::max(best, best_here);
    l1 = best1 - 1.5 * step1, h1 = best1 + 1.5 * step1;
    l2 = best2 - 1.5 * step2, h2 = best2 + 1.5 * step2;
  }
  return best;
}

// Two kinds, the slower with a given death rate (0: it stays): expectation-maximisation for its share and the other
// kind's rate.
struct TwoKinds {
  double share = 0, rate = 0, log_likelihood = 0;
};
TwoKinds fit_two_kinds(const Ages& ages, double slow) {
  const double from = ages.bins.front().low;
  const double all = ages.deaths + ages.alive;
  TwoKinds fit;
  fit.share = std::clamp(0.5 * ages.alive / all, 0.01, 0.9);
  double exposure = 0;
  for (const auto& bin : ages.bins) exposure += (bin.deaths + bin.alive) * (bin.middle() - from);
  fit.rate = std::max(2 * slow, 2 * ages.deaths / std::max(exposure, 1e-9));
  for (int i = 0; i < 200; ++i) {
    double of_slow = 0, fast_deaths = 0, fast_exposure = 0;
    for (const auto& bin : ages.bins) {
      const double age = bin.middle() - from;
      const double s = fit.share * std::exp(-slow * age), f = (1 - fit.share) * std::exp(-fit.rate * age);
      const double alive_slow = s / std::max(s + f, 1e-300);
      const double dead_slow = s * slow / std::max(s * slow + f * fit.rate, 1e-300);
      of_slow += bin.alive * alive_slow + bin.deaths * dead_slow;
      fast_deaths += bin.deaths * (1 - dead_slow);
      fast_exposure += (bin.alive * (1 - alive_slow) + bin.deaths * (1 - dead_slow)) * age;
    }
    const double share = std::clamp(of_slow / all, 1e-6, 1 - 1e-6);
    const double rate = std::clamp(fast_deaths / std::max(fast_exposure, 1e-9), std::max(slow, 0.01), 1000.0);
    const bool settled = std::abs(share - fit.share) < 1e-7 && std::abs(rate - fit.rate) < 1e-5 * rate;
    fit.share = share, fit.rate = rate;
    if (settled) break;
  }
  fit.log_likelihood = log_likelihood(ages, [&](double age) {
    return fit.share * std::exp(-slow * (age - from)) + (1 - fit.share) * std::exp(-fit.rate * (age - from));
  });
  return fit;
}

double best_that_ends(const Ages& ages, double slowest) {
  double best = -std::numeric_limits<double>::infinity();
  for (const double slow : {slowest, 1.5 * slowest, 2.5 * slowest, 4 * slowest})
    best = std::max(best, fit_two_kinds(ages, slow).log_likelihood);
  const auto weibull = [&](double scale, double shape) {
    return log_likelihood(ages, [&](double age) { return std::exp(-std::pow(age / scale, shape)); });
  };
  best = std::max(best, best_of_two(weibull, 1e-4, 4, 0.25, 40));
  const auto lognormal = [&](double median, double spread) {
    return log_likelihood(
        ages, [&](double age) { return 0.5 * std::erfc(std::log(age / median) / spread / std::sqrt(2.0)); });
  };
  best = std::max(best, best_of_two(lognormal, 1e-4, 4, 0.05, 4));
  // Below an exponent of 1 the mean is infinite and so is what such a population comes to hold: no lifetime that ends.
  const auto lomax = [&](double scale, double exponent) {
    return log_likelihood(ages, [&](double age) { return std::pow(1 + age / scale, -exponent); });
  };
  return std::max(best, best_of_two(lomax, 1e-4, 4, 1, 40));
}

}  // namespace

LifetimeMixture fit_lifetimes(const std::vector<Placed>& lives, double born_after, double from, double slowest) {
  LifetimeMixture mixture;
  mixture.from = from;
  const Ages ages = ages_of(lives, born_after, from);
  if (ages.deaths < 8 || ages.alive < 8) return mixture;
  const TwoKinds kinds = fit_two_kinds(ages, 0);
  mixture.fitted = true;
  mixture.staying_share = kinds.share;
  mixture.staying = kinds.share * (ages.deaths + ages.alive) / ages.scale;
  mixture.death_rate = kinds.rate;
  mixture.log_likelihood = kinds.log_likelihood - best_that_ends(ages, slowest);
  return mixture;
}

}  // namespace camprobe::analysis
