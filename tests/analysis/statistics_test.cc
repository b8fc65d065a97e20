// tests/analysis/statistics_test.cc
//
// The statistics on their own, against published values, values worked out by hand, and the rates they promise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>

#include "collector/analysis/clock.h"
#include "collector/analysis/degradation.h"
#include "collector/analysis/gauges.h"
#include "collector/analysis/leaks.h"
#include "collector/analysis/lifetimes.h"
#include "collector/analysis/lives.h"
#include "collector/analysis/poisson.h"
#include "collector/analysis/trend.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::analysis {
namespace {

using ground_truth::Random;

TEST(Hazard, IsThatOfAllWhereOneOfManyDeadIsKept) {
  // A constant death rate of 4 a stretch; then the same with one of ten dead kept and saying so.
  Random random(11);
  std::vector<Placed> all, kept;
  for (int i = 0; i < 20'000; ++i) {
    const double born = std::uniform_real_distribution<double>(0, 1)(random);
    const double died = born + std::exponential_distribution<double>(4)(random);
    all.push_back({born, died > 1 ? 2 : died, 1, 1, born});
    if (died > 1) kept.push_back(all.back());
    if (died <= 1 && i % 10 == 0) kept.push_back({born, died, 10, 10, born, 10});
  }
  const Hazard of_all = hazard_past(0.2, all, 0), of_kept = hazard_past(0.2, kept, 0);
  EXPECT_NEAR(of_all.rate(), 4, 0.2);
  EXPECT_NEAR(of_kept.rate(), 4, 0.4);
  EXPECT_LT(of_kept.seen, 0.7 * of_kept.exposure) << "what few stand for is not seen";
}

TEST(Garwood, GivesThePublishedLimits) {
  // Table of exact 95 % Poisson limits (Garwood 1936; Ulm 1990).
  const struct {
    double n, low, high;
  } rows[] = {{0, 0, 3.689},       {1, 0.0253, 5.572},   {5, 1.623, 11.668},
              {10, 4.795, 18.390}, {50, 37.111, 65.919}, {100, 81.364, 121.627}};
  for (const auto& row : rows) {
    const Interval interval = garwood(row.n);
    EXPECT_NEAR(interval.low, row.low, 1e-3) << row.n;
    EXPECT_NEAR(interval.high, row.high, 1e-3) << row.n;
  }
}

TEST(PoissonTail, IsTheSumOfTheDistribution) {
  // P(X >= 3 | 2) = 1 - e^-2 (1 + 2 + 2) = 1 - 5 e^-2
  EXPECT_NEAR(poisson_tail(3, 2), 1 - 5 * std::exp(-2.0), 1e-12);
  EXPECT_DOUBLE_EQ(poisson_tail(0, 2), 1);
  EXPECT_DOUBLE_EQ(poisson_tail(1, 0), 0);
}

TEST(BenjaminiHochberg, RejectsAsInThePaper) {
  // Benjamini and Hochberg 1995, section 4: 15 p-values; at q = .05 the four smallest are rejected.
  const std::vector<double> p = {.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344,
                                 .0459, .3240, .4262, .5719, .6528, .7590, 1.0};
  const std::vector<bool> found = benjamini_hochberg(p, 0.05);
  EXPECT_EQ(std::count(found.begin(), found.end(), true), 4);
  const std::vector<bool> strict = benjamini_hochberg(p, 0.05, true);
  EXPECT_EQ(std::count(strict.begin(), strict.end(), true), 3);
  EXPECT_TRUE(benjamini_hochberg({}, 0.05).empty());
}

TEST(FitDecay, FindsTheRateOfAThinningProcessWithinItsError) {
  Random random(11);
  std::uniform_real_distribution<double> uniform;
  double squares = 0;
  const int runs = 300;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> times;
    while (times.size() < 200) {
      const double t = -std::log(1 - uniform(random) * (1 - std::exp(-3.0 * 0.8))) / 3.0;  // exp(-3 t) on [0, .8]
      times.push_back(t);
    }
    const Decay decay = fit_decay(times, 0.8);
    squares += std::pow((decay.k - 3.0) / decay.standard_error, 2);
  }
  EXPECT_NEAR(squares / runs, 1.0, 0.25);  // standardised errors have unit variance
}

TEST(FitDecay, OfEvenlySpacedEventsIsZeroWithTheTextbookError) {
  std::vector<double> times;
  for (int i = 0; i < 100; ++i) times.push_back((i + 0.5) / 100);
  const Decay decay = fit_decay(times, 1);
  EXPECT_NEAR(decay.k, 0, 1e-6);
  EXPECT_NEAR(decay.standard_error, std::sqrt(12.0 / 100), 1e-6);
}

TEST(FindRateRise, FindsTheOnsetAndItsIntervalByHand) {
  // 2 events in [0, 5), 10 in [5, 10]: change just before the first of the ten, at 5.
  std::vector<double> times = {1, 3};
  for (int i = 0; i < 10; ++i) times.push_back(5 + 0.5 * i);
  const RateRise rise = find_rate_rise(times, 10);
  EXPECT_DOUBLE_EQ(rise.at, 5);
  const double by_hand = 2 * std::log(2 / 5.0) + 10 * std::log(10 / 5.0) - 12 * std::log(12 / 10.0);
  EXPECT_NEAR(rise.log_likelihood_ratio, by_hand, 1e-9);
  EXPECT_LE(rise.interval.low, 5);
  EXPECT_GE(rise.interval.high, 5);
}

TEST(FindRateRise, IntervalCoversTheTrueOnsetAndFlatRatesHaveNone) {
  Random random(12);
  std::uniform_real_distribution<double> uniform;
  int covered = 0, false_rises = 0;
  const int runs = 400;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> times, flat;
    for (int i = 0; i < 40; ++i) times.push_back(0.45 + 0.55 * uniform(random));
    for (int i = 0; i < 8; ++i) times.push_back(0.45 * uniform(random));
    for (int i = 0; i < 60; ++i) flat.push_back(uniform(random));
    std::sort(times.begin(), times.end());
    std::sort(flat.begin(), flat.end());
    const RateRise rise = find_rate_rise(times, 1);
    covered += rise.interval.low <= 0.45 && 0.45 <= rise.interval.high;
    false_rises += find_rate_rise(flat, 1).log_likelihood_ratio > Thresholds{}.onset_likelihood_ratio;
  }
  std::printf("onset interval covers %.3f, false rises %.3f\n", double(covered) / runs, double(false_rises) / runs);
  EXPECT_GE(covered, runs * 92 / 100);
  EXPECT_LE(covered, runs * 99 / 100);
  EXPECT_LE(false_rises, runs * 8 / 100);
}

TEST(Overdispersion, IsOneForPoissonCountsAndLargeForBursts) {
  Random random(13);
  std::poisson_distribution<int> poisson(10);
  int above = 0;
  for (int run = 0; run < 500; ++run) {
    std::vector<double> counts;
    for (int i = 0; i < 6; ++i) counts.push_back(poisson(random));
    above += overdispersion(counts) > 1;
  }
  EXPECT_LE(above, 40);  // 5 % of 500, and some
  const std::vector<double> bursts = {30, 0, 0, 30, 0, 0};
  EXPECT_NEAR(overdispersion(bursts), (2 * 400 + 4 * 100) / 10.0 / 5, 1e-9);
}

TEST(WorkClock, RunsWithTheRequestsAndBackAgain) {
  const WorkClock clock({{0, 0}, {10, 0}, {20, 1000}, {30, 1000}, {40, 3000}}, WorkSource::kLoadTool);
  EXPECT_DOUBLE_EQ(clock.at(15), 500);
  EXPECT_DOUBLE_EQ(clock.at(25), 1000);
  EXPECT_DOUBLE_EQ(clock.when(2000), 35);
  EXPECT_DOUBLE_EQ(clock.at(-5), 0);
  EXPECT_DOUBLE_EQ(clock.at(99), 3000);
  EXPECT_NEAR(clock.body_begin(), 10, 0.1);
  EXPECT_NEAR(clock.body_end(), 40, 0.1);
  const WorkClock none({{0, 5}, {10, 5}}, WorkSource::kLoadTool);
  EXPECT_FALSE(none.counts_requests());
  EXPECT_DOUBLE_EQ(none.at(7), 7);
}

TEST(TheilSen, IsTheMedianOfThePairwiseSlopes) {
  const std::vector<GaugePoint> points = {{0, 0}, {1, 1}, {2, 2}, {3, 100}};
  // slopes 1, 1, 1, 33.3, 49.5, 98: median (1 + 33.33) / 2
  EXPECT_NEAR(theil_sen(points), 0.5 * (1 + 100.0 / 3), 1e-9);
}

TEST(FitTrend, KeepsItsFalseAlarmRateOnAutocorrelatedNoise) {
  // 240 points, nominal 1 %. Least squares flags 1, 12, 39 and 69 % of these.
  Random random(14);
  const int runs = 1000;
  for (const auto& [phi, at_most] : {std::pair{0.0, 0.02}, {0.5, 0.024}, {0.8, 0.02}, {0.95, 0.03}}) {
    int alarms = 0;
    for (int run = 0; run < runs; ++run) {
      const Trend trend = fit_trend(ground_truth::autoregressive(240, phi, random), 0.01);
      alarms += trend.judged && trend.p_value < 0.01;
    }
    std::printf("trend on AR(1) phi %.2f: false alarms %.3f (nominal .01)\n", phi, double(alarms) / runs);
    EXPECT_LE(double(alarms) / runs, at_most) << phi;
  }
}

TEST(FitTrend, SeesARealSlope) {
  Random random(15);
  int seen = 0;
  for (int run = 0; run < 100; ++run) {
    auto points = ground_truth::autoregressive(240, 0.5, random);
    for (auto& p : points) p.value += 2.0 * p.at / 240;  // two standard deviations over the run
    const Trend trend = fit_trend(points, 0.01);
    seen += trend.judged && trend.interval.low > 0;
  }
  EXPECT_GE(seen, 90);
}

Gauge gauge_of(std::vector<GaugePoint> points) {
  return {"rss", "bytes", std::move(points)};
}

Stretch stretch_of(double seconds) {
  Stretch stretch;
  stretch.end = seconds;
  stretch.warm_up = 0.1 * seconds;
  return stretch;
}

TEST(JudgeGauge, TellsGrowthFromNoiseSawteethAndFilling) {
  Random random(16);
  const Thresholds k;
  int noise = 0, walk_bounded = 0, saw = 0, saw_growing = 0, filling = 0, growing = 0, late = 0;
  const int runs = 60;
  for (int run = 0; run < runs; ++run) {
    const auto judge = [&](const std::function<double(double)>& level, double phi, double sd) {
      auto points = ground_truth::autoregressive(300, phi, random);
      for (auto& p : points) p.value = level(p.at) + sd * p.value;
      return judge_gauge(gauge_of(points), stretch_of(300), 1, k).verdict;
    };
    noise += judge([](double) { return 100; }, 0.5, 1) == Verdict::kLeaks;
    walk_bounded += judge([](double) { return 100; }, 0.95, 5) == Verdict::kLeaks;
    saw += judge([](double t) { return 100 + 5 * std::fmod(t, 20); }, 0, 0.5) == Verdict::kLeaks;
    saw_growing += judge([](double t) { return 100 + 5 * std::fmod(t, 20) + 0.1 * t; }, 0, 0.5) == Verdict::kLeaks;
    filling += judge([](double t) { return 100 + 60 * (1 - std::exp(-t / 60)); }, 0.5, 1) == Verdict::kLeaks;
    growing += judge([](double t) { return 100 + 0.2 * t; }, 0.5, 1) == Verdict::kLeaks;
    late += judge([](double t) { return 100 + 0.4 * std::max(0.0, t - 150); }, 0.5, 1) == Verdict::kLeaks;
  }
  std::printf(
      "gauges called leaking, of %d: noise %d, bounded walk %d, sawtooth %d, filling %d; growing sawtooth %d, "
      "growing %d, growing from half time %d\n",
      runs, noise, walk_bounded, saw, filling, saw_growing, growing, late);
  EXPECT_LE(noise, 1);
  EXPECT_LE(walk_bounded, 3);
  EXPECT_LE(saw, 1);
  EXPECT_LE(filling, 2);
  EXPECT_GE(saw_growing, 54);
  EXPECT_GE(growing, 57);
  EXPECT_GE(late, 54);
}

TEST(JudgeMemory, NamesRetentionAndNeverCallsItALeak) {
  MemoryParts parts;
  for (int t = 0; t < 120; ++t) {
    const double mib = 1024 * 1024;
    parts.rss.points.push_back({double(t), (100 + 0.5 * t) * mib});
    parts.live_heap.points.push_back({double(t), 50 * mib});
    parts.retained.points.push_back({double(t), (10 + 0.48 * t) * mib});
  }
  Stretch stretch = stretch_of(120);
  stretch.rss_bytes = 160 << 20;
  EXPECT_EQ(judge_memory(parts, stretch, Thresholds{}).mainly, MemoryGrowth::kRetention);
  for (auto& p : parts.live_heap.points) p.value += 0.48 * p.at * 1024 * 1024;
  for (auto& p : parts.retained.points) p.value = 1 << 20;
  EXPECT_EQ(judge_memory(parts, stretch, Thresholds{}).mainly, MemoryGrowth::kLiveHeap);
}

TEST(ForecastLimit, CountsFromNowAndSaysNeverWhereTheRateMayBeNone) {
  const Forecast forecast = forecast_limit(100, 1100, 100, {50, 200}, 1000);
  EXPECT_DOUBLE_EQ(forecast.hours, 10);
  EXPECT_DOUBLE_EQ(forecast.hours_low, 5);
  EXPECT_DOUBLE_EQ(forecast.hours_high, 20);
  EXPECT_DOUBLE_EQ(forecast_limit(100, 1100, 100, {-1, 200}, 1000).hours_high, 0);
  EXPECT_DOUBLE_EQ(forecast_limit(100, 1100, 100, {50, 200}, 9).hours, 0);  // beyond the horizon: no point value
}

// A tenth that stays among objects that live an eighth of the run; the same without it; and tails that are long.
TEST(FitLifetimes, TellsAKindThatStaysFromALongTail) {
  ground_truth::Random random(77);
  std::uniform_real_distribution<double> when(0, 1);
  const auto lives = [&](int n, const std::function<double()>& lifetime, int staying) {
    std::vector<Placed> placed;
    const auto add = [&](double stays) {
      const double born = when(random);
      placed.push_back({born, born + stays < 1 ? born + stays : 2, 1, 1, born});
    };
    for (int i = 0; i < n; ++i) add(lifetime());
    for (int i = 0; i < staying; ++i) add(10);
    return placed;
  };
  const auto ratio = [](const std::vector<Placed>& placed) {
    return fit_lifetimes(placed, 0.1, 0.03, Thresholds{}.slowest_death).log_likelihood;
  };
  std::exponential_distribution<double> eighth(8);
  std::lognormal_distribution<double> lognormal(std::log(0.01), 2);
  const auto pareto = [&] { return 0.004 * std::pow(1 - when(random), -1 / 1.2); };
  int found = 0, wrong = 0;
  for (int i = 0; i < 20; ++i) {
    found += ratio(lives(
                 2000, [&] { return eighth(random); }, 200)) > Thresholds{}.staying_likelihood_ratio;
    wrong += ratio(lives(
                 2000, [&] { return eighth(random); }, 0)) > Thresholds{}.staying_likelihood_ratio;
    wrong += ratio(lives(
                 4000, [&] { return lognormal(random); }, 0)) > Thresholds{}.staying_likelihood_ratio;
    wrong += ratio(lives(8000, pareto, 0)) > Thresholds{}.staying_likelihood_ratio;
  }
  EXPECT_GE(found, 19);
  EXPECT_LE(wrong, 1);
}

}  // namespace
}  // namespace camprobe::analysis
