// tests/sampler/opening_turns_test.cc: which openings are captured, and that what they stand for adds up.
#include "sampler/opening_turns.h"

#include <gtest/gtest.h>

#include <cmath>

namespace camprobe::sampler {
namespace {

TEST(OpeningTurns, TheFirstOfAThreadAreAllCapturedHoweverFastTheyCome) {
  OpeningTurns turns;
  IntervalGenerator random(1);
  for (std::uint64_t i = 0; i < OpeningTurns::kFirst; ++i) EXPECT_EQ(turns.take(i * 1'000, random), 1u);
}

TEST(OpeningTurns, AThreadThatOpensFewFilesHasAllOfThemCaptured) {
  OpeningTurns turns;
  IntervalGenerator random(2);
  for (std::uint64_t i = 0; i < 20'000; ++i) ASSERT_EQ(turns.take(i * 5'000'000, random), 1u);
}

TEST(OpeningTurns, ManyOpeningsCostFewCapturesAndFewAreCapturedAllAgain) {
  OpeningTurns turns;
  IntervalGenerator random(3);
  std::uint64_t now = 0, captured = 0;
  constexpr std::uint64_t kSecond = 1'000'000'000, kApart = 20'000;
  for (int i = 0; i < 200'000; ++i) turns.take(now += kApart, random);
  for (const std::uint64_t end = now + kSecond; now < end;) captured += turns.take(now += kApart, random) != 0;
  EXPECT_LE(captured, kSecond / OpeningTurns::kTooCloseNs);
  EXPECT_GE(captured, kSecond / OpeningTurns::kTooFarNs);
  for (int i = 0; i < 1'000; ++i) turns.take(now += 50'000'000, random);
  EXPECT_EQ(turns.take(now += 50'000'000, random), 1u);
}

// Every 13th opening is of a second stack, as one that leaks; the rate of all changes a hundredfold in between.
TEST(OpeningTurns, WhatCapturedOpeningsStandForIsUnbiasedWhileTheRateChanges) {
  constexpr int kSeeds = 400, kOpenings = 60'000, kEvery = 13;
  double sum = 0, squares = 0, truth = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    OpeningTurns turns;
    IntervalGenerator random(seed * 7919);
    std::uint64_t now = 0;
    double estimate = 0, other = 0;
    truth = 0;
    for (int i = 0; i < kOpenings; ++i) {
      now += i / 10'000 % 2 == 0 ? 8'000 : 800'000;
      const double stands_for = turns.take(now, random);
      (i % kEvery == 0 ? estimate : other) += stands_for;
      truth += i % kEvery == 0;
    }
    sum += estimate;
    squares += estimate * estimate;
    // Of each block one is captured: the sum of all misses no more than the block that is under way.
    EXPECT_LE(std::fabs(estimate + other - kOpenings), OpeningTurns::kLargest);
  }
  const double mean = sum / kSeeds, error = std::sqrt((squares / kSeeds - mean * mean) / kSeeds);
  EXPECT_LT(std::fabs(mean - truth), 5 * error) << mean << " for " << truth << " +- " << error;
  EXPECT_LT(error, truth * 0.01);
}

}  // namespace
}  // namespace camprobe::sampler
