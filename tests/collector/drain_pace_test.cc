// How often rings are drained, played through against a ring that fills at a given rate.
#include "collector/drain/drain_pace.h"

#include <gtest/gtest.h>

namespace camprobe::drain {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr double kRing = 4096;

// The fullest that a ring gets after the first `settle` rounds, per 1024, and how many rounds a second that took.
struct Outcome {
  std::uint32_t fullest = 0;
  double rounds_per_second = 0;
};
Outcome play(double records_per_second, int settle = 20, int rounds = 200) {
  DrainPace pace(100 * kMs);
  std::uint64_t period = 100 * kMs, time = 0;
  Outcome outcome;
  for (int i = 0; i < rounds; ++i) {
    const double in_ring = records_per_second * static_cast<double>(period) / 1e9;
    const auto full = static_cast<std::uint32_t>(std::min(in_ring / kRing, 1.0) * 1024);
    if (i >= settle) {
      outcome.fullest = std::max(outcome.fullest, full);
      time += period;
    }
    period = pace.after(full);
  }
  outcome.rounds_per_second = (rounds - settle) * 1e9 / static_cast<double>(time);
  return outcome;
}

TEST(DrainPace, IsTheLongestForWhatRingsAreSizedFor) {
  EXPECT_DOUBLE_EQ(play(0).rounds_per_second, 10);
  EXPECT_DOUBLE_EQ(play(9'000).rounds_per_second, 10);
}

TEST(DrainPace, FollowsAFasterThreadBeforeItsRingIsFull) {
  for (const double rate : {20'000.0, 40'000.0, 80'000.0, 200'000.0}) {
    const Outcome outcome = play(rate);
    EXPECT_LT(outcome.fullest, 1024u / 2) << rate;
    EXPECT_GT(outcome.rounds_per_second, 10) << rate;
    EXPECT_LE(outcome.rounds_per_second, 100) << rate;
  }
}

TEST(DrainPace, IsCutAtOnceAndGrowsBackSlowly) {
  DrainPace pace(100 * kMs);
  EXPECT_EQ(pace.after(1024), 25 * kMs);
  EXPECT_LT(pace.after(10), 30 * kMs);
  for (int i = 0; i < 30; ++i) pace.after(0);
  EXPECT_EQ(pace.after(0), 100 * kMs);
  EXPECT_EQ(pace.after(1024 * 1024), 10 * kMs) << "never so short that rounds cost more than they bring";
}

}  // namespace
}  // namespace camprobe::drain
