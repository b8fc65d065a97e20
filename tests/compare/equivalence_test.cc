// tests/compare/equivalence_test.cc
//
// How often the comparison is wrong, by simulation with fixed seeds: runs whose windows are autocorrelated and whose
// levels differ from run to run. The tables it prints are those of docs/comparing.md, which were made with
// CAMPROBE_COMPARE_SIMULATIONS=1000.
#include "collector/compare/equivalence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "collector/compare/effects.h"

namespace camprobe::compare {
namespace {

using Random = std::mt19937_64;

constexpr int kWindows = 240;
constexpr double kPhi = 0.5, kSpread = 0.05;  // of the logarithm of a window's value

int repeats() {
  const char* asked = std::getenv("CAMPROBE_COMPARE_SIMULATIONS");
  return asked != nullptr && std::atoi(asked) > 0 ? std::atoi(asked) : 400;
}

std::vector<double> windows_of(double level, double phi, double spread, Random& random) {
  std::normal_distribution<double> normal;
  std::vector<double> values;
  double x = normal(random);
  for (int i = 0; i < kWindows; ++i) {
    values.push_back(level + spread * x);
    x = phi * x + std::sqrt(1 - phi * phi) * normal(random);
  }
  return values;
}

// `between` times the usual deviation of the metric lies between runs.
std::vector<Level> side_of(int runs, const Effect& effect, double shift, double between, double phi, Random& random) {
  std::normal_distribution<double> normal;
  std::vector<Level> side;
  for (int i = 0; i < runs; ++i) {
    const double level = shift + between * effect.usual_deviation * normal(random);
    side.push_back(level_of(windows_of(level, phi, kSpread, random), false));
  }
  return side;
}

struct Share {
  double worse = 0, better = 0, same = 0;
};

Share outcomes(const char* metric, int runs, double step, double between, int times, std::uint64_t seed,
               double phi = kPhi) {
  const Effect& effect = *effect_on(metric);
  Random random(seed);
  Share share;
  for (int i = 0; i < times; ++i) {
    const auto base = side_of(runs, effect, 0, between, phi, random);
    const auto other = side_of(runs, effect, std::log1p(step), between, phi, random);
    const Judgement judged = judge(base, other, 1, std::log1p(effect.minimum), effect.usual_deviation);
    share.worse += judged.outcome == Outcome::kWorse ? 1.0 / times : 0;
    share.better += judged.outcome == Outcome::kBetter ? 1.0 / times : 0;
    share.same += judged.outcome == Outcome::kSame ? 1.0 / times : 0;
  }
  return share;
}

// A whole comparison of unchanged programs: any of its figures worse.
double any_false_worse(int runs, double between, int times, std::uint64_t seed) {
  Random random(seed);
  int any = 0;
  for (int i = 0; i < times; ++i) {
    bool worse = false;
    for (const char* metric : {"latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "cpu_per_request_ms",
                               "allocations_per_request", "allocated_bytes_per_request", "rss_peak_bytes"}) {
      const Effect& effect = *effect_on(metric);
      const auto base = side_of(runs, effect, 0, between, kPhi, random);
      const auto other = side_of(runs, effect, 0, between, kPhi, random);
      worse |= judge(base, other, 1, std::log1p(effect.minimum), effect.usual_deviation).outcome == Outcome::kWorse;
    }
    any += worse;
  }
  return static_cast<double>(any) / times;
}

TEST(Equivalence, CallsAnUnchangedProgramWorseInFewerThanOneOfAHundredComparisons) {
  std::printf("false worse, any of 7 figures\nruns a side | between runs x0 | x0.5 | x1 | x1.5 | x2\n");
  for (const int runs : {1, 2, 3, 5}) {
    std::printf("%d", runs);
    for (const double between : {0.0, 0.5, 1.0, 1.5, 2.0}) {
      const double share = any_false_worse(runs, between, repeats(), 1000 + static_cast<std::uint64_t>(runs));
      std::printf(" | %.4f", share);
      // One run a side has nothing to learn from where runs differ by more than is assumed.
      if (between <= (runs == 1 ? 1.0 : 1.5)) {
        EXPECT_LT(share, 0.01) << runs << " runs, " << between;
      }
    }
    std::printf("\n");
  }
}

TEST(Equivalence, FindsATenPercentStepWithSeveralRunsASide) {
  std::printf("found: 10 %% step, between runs x1 (x0.5)\nruns a side | CPU per request | p95\n");
  for (const int runs : {1, 2, 3, 4, 5, 8}) {
    const auto found = [&](const char* metric, double between) {
      return outcomes(metric, runs, 0.10, between, repeats(), 77).worse;
    };
    const double cpu = found("cpu_per_request_ms", 1), p95 = found("latency_p95_ms", 1);
    std::printf("%d | %.3f (%.3f) | %.3f (%.3f)\n", runs, cpu, found("cpu_per_request_ms", 0.5), p95,
                found("latency_p95_ms", 0.5));
    if (runs >= 3) {
      EXPECT_GE(cpu, 0.95) << runs;
    }
    if (runs >= 5) {
      EXPECT_GE(p95, 0.95) << runs;
    }
  }
}

TEST(Equivalence, SaysSameOnlyWhereItIs) {
  // A change of twice the minimum is hardly ever called the same; none at all mostly is, given enough runs.
  for (const int runs : {1, 3, 5}) {
    const double wrong = outcomes("cpu_per_request_ms", runs, 0.06, 1, repeats(), 5).same;
    std::printf("%d runs a side: 6 %% more CPU called the same: %.4f\n", runs, wrong);
    EXPECT_LT(wrong, 0.01) << runs;
  }
  const double right = outcomes("latency_p50_ms", 5, 0, 0.5, repeats(), 6).same;
  std::printf("5 runs a side: unchanged p50 called the same: %.3f\n", right);
  EXPECT_GT(right, 0.9);
}

TEST(Equivalence, HoldsUnderStrongerAutocorrelation) {
  for (const double phi : {0.0, 0.8, 0.95}) {
    const double wrong = outcomes("cpu_per_request_ms", 1, 0, 1, repeats(), 9, phi).worse;
    std::printf("phi %.2f, one run a side: false worse %.4f\n", phi, wrong);
    EXPECT_LT(wrong, 0.01) << phi;
  }
}

TEST(Equivalence, ItsIntervalCovers) {
  // At the usual deviation between runs, which the prior then knows.
  const Effect& effect = *effect_on("cpu_per_request_ms");
  Random random(21);
  int covered = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto base = side_of(2, effect, 0, 1, kPhi, random), other = side_of(2, effect, 0.05, 1, kPhi, random);
    const Judgement judged = judge(base, other, 1, 0.03, effect.usual_deviation);
    covered += judged.interval.low <= 0.05 && judged.interval.high >= 0.05;
  }
  std::printf("95 %% intervals cover %.1f %%\n", covered / 10.0);
  EXPECT_GT(covered, 930);
}

TEST(Equivalence, DirectionAndMissingSides) {
  const std::vector<Level> low = {{1, 0.001, 100}}, high = {{2, 0.001, 100}};
  EXPECT_EQ(judge(low, high, 1, 0.1, 0.01).outcome, Outcome::kWorse);
  EXPECT_EQ(judge(low, high, -1, 0.1, 0.01).outcome, Outcome::kBetter);
  EXPECT_EQ(judge(high, low, 1, 0.1, 0.01).outcome, Outcome::kBetter);
  EXPECT_EQ(judge(low, low, 1, 0.1, 0.01).outcome, Outcome::kSame);
  EXPECT_EQ(judge(low, {{1.1, 0.2, 100}}, 1, 0.1, 0.01).outcome, Outcome::kCannotTell);
  EXPECT_EQ(judge({}, high, 1, 0.1, 0.01).outcome, Outcome::kCannotTell);
  // Too few effective windows: nothing is known of the error.
  EXPECT_EQ(judge(low, {{2, 0.001, 2}}, 1, 0.1, 0.01).outcome, Outcome::kCannotTell);
}

TEST(Equivalence, TheDocumentedTableIsTheCodes) {
  std::ifstream file(std::string(CAMPROBE_SOURCE_DIR) + "/docs/comparing.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(effects_table()), std::string::npos);
}

}  // namespace
}  // namespace camprobe::compare
