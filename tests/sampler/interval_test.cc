// tests/sampler/interval_test.cc
#include "sampler/interval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace camprobe::sampler {
namespace {

TEST(Interval, LogarithmIsTheLibrarysToNineDigits) {
  IntervalGenerator random(7);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t bits = (random.next_bits() >> 11) >> (i % 53);
    EXPECT_NEAR(log_of_uniform(bits), std::log(static_cast<double>(bits + 1) / 9007199254740992.0), 1e-9) << bits;
  }
  EXPECT_EQ(log_of_uniform((std::uint64_t{1} << 53) - 1), 0);
  EXPECT_NEAR(log_of_uniform(0), -53 * std::log(2.0), 1e-9);
}

TEST(Interval, GapsAreGeometricWithTheMeanAskedFor) {
  for (const std::uint64_t mean : {64ull, 4096ull, 524288ull}) {
    IntervalGenerator random(mean);
    const int draws = 400'000;
    double sum = 0;
    int below[3] = {};
    for (int i = 0; i < draws; ++i) {
      const std::int64_t gap = random.next_gap({mean});
      ASSERT_GE(gap, 1);
      sum += static_cast<double>(gap);
      // P(gap <= k) = 1 - e^(-k / T)
      for (int q = 0; q < 3; ++q) below[q] += gap <= static_cast<std::int64_t>(mean >> q);
    }
    // The exponential rounded up has mean T + 1/2.
    const double t = static_cast<double>(mean);
    EXPECT_NEAR(sum / draws, t + 0.5, 6 * t / std::sqrt(draws));
    for (int q = 0; q < 3; ++q) {
      const double p = 1 - std::exp(-std::floor(t / (1 << q)) / t);
      EXPECT_NEAR(below[q], draws * p, 6 * std::sqrt(draws * p * (1 - p))) << mean << " " << q;
    }
  }
}

TEST(Interval, SeedsThatDifferByOneStartFarApart) {
  double sum = 0;
  const int seeds = 20'000;
  for (int seed = 0; seed < seeds; ++seed)
    sum += static_cast<double>(IntervalGenerator(static_cast<std::uint64_t>(seed)).next_gap({4096}));
  EXPECT_NEAR(sum / seeds, 4096.5, 6 * 4096 / std::sqrt(seeds));
}

// What the heap's fast path does with the gaps, without the process around it.
TEST(Interval, AnAllocationIsSampledWithTheProbabilityItsWeightAssumes) {
  const std::uint64_t interval = 4096;
  for (const std::uint64_t size : {1ull, 16ull, 4096ull, 10'000ull}) {
    IntervalGenerator random(size);
    std::int64_t countdown = random.next_gap({interval}) - 1;
    const int allocations = 1'000'000;
    int samples = 0;
    for (int i = 0; i < allocations; ++i) {
      countdown -= static_cast<std::int64_t>(size);
      if (countdown >= 0) continue;
      ++samples;
      countdown = random.next_gap({interval}) - 1;
    }
    const double p = -std::expm1(-static_cast<double>(size) / static_cast<double>(interval));
    EXPECT_NEAR(samples, allocations * p, 6 * std::sqrt(allocations * p * (1 - p))) << size;
  }
}

}  // namespace
}  // namespace camprobe::sampler
