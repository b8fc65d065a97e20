// tests/load/phases_test.cc: the shapes of load that are told apart, and those that are left alone.
#include "collector/load/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace camprobe::load {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

// Requests a second with counting noise.
LevelSeries counted(int length, const std::function<double(double)>& rate, unsigned seed = 1) {
  std::mt19937 random(seed);
  LevelSeries series;
  series.from = WallTime{seconds{1'800'000'000}};
  series.width = seconds{1};
  series.events_per_level = 1;
  for (int i = 0; i < length; ++i) {
    const double mean = rate(i + 0.5);
    series.levels.push_back(mean > 0 ? static_cast<double>(std::poisson_distribution<int>(mean)(random)) : 0);
  }
  return series;
}

std::vector<std::string> kinds(const std::vector<LoadPhase>& phases) {
  std::vector<std::string> out;
  for (const LoadPhase& phase : phases) out.push_back(phase.kind);
  return out;
}

double second_of(const LevelSeries& series, WallTime time) {
  return std::chrono::duration<double>(time - series.from).count();
}

TEST(Phases, ASteadyLoadIsOnePhaseWhateverTheNoise) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const LevelSeries series = counted(
        300, [](double) { return 200.0; }, seed);
    EXPECT_THAT(kinds(find_phases(series)), ElementsAre("steady")) << seed;
  }
}

TEST(Phases, ARampAPlateauAndTheWayDownAreToldWithTheirTimes) {
  const LevelSeries series = counted(300, [](double t) { return t < 60 ? t * 5 : t < 240 ? 300.0 : (300 - t) * 5; });
  const auto phases = find_phases(series);
  ASSERT_THAT(kinds(phases), ElementsAre("ramp", "steady", "ramp"));
  EXPECT_NEAR(second_of(series, phases[1].from), 60, 6);
  EXPECT_NEAR(second_of(series, phases[2].from), 240, 6);
  EXPECT_EQ(phases[0].name, "ramp");
  EXPECT_EQ(phases[2].name, "ramp 2");
  EXPECT_EQ(phases[0].to, phases[1].from);
}

TEST(Phases, AShortPeakIsASpike) {
  const LevelSeries series = counted(300, [](double t) { return t >= 150 && t < 165 ? 900.0 : 150.0; });
  const auto phases = find_phases(series);
  ASSERT_THAT(kinds(phases), ElementsAre("steady", "spike", "steady"));
  EXPECT_NEAR(second_of(series, phases[1].from), 150, 3);
  EXPECT_NEAR(second_of(series, phases[1].to), 165, 3);
}

TEST(Phases, APauseIsIdle) {
  const LevelSeries series = counted(240, [](double t) { return t >= 80 && t < 160 ? 0.0 : 150.0; });
  EXPECT_THAT(kinds(find_phases(series)), ElementsAre("steady", "idle", "steady"));
}

TEST(Phases, StepsOfLoadAreSteadyPhasesOfTheirOwn) {
  const LevelSeries series = counted(300, [](double t) { return t < 100 ? 100.0 : t < 200 ? 200.0 : 300.0; });
  EXPECT_THAT(kinds(find_phases(series)), ElementsAre("steady", "steady", "steady"));
}

TEST(Phases, NoiseWithoutShapeIsNotClear) {
  std::mt19937 random(9);
  LevelSeries series = counted(200, [](double) { return 100.0; });
  for (double& level : series.levels) level = static_cast<double>(random() % 1000);
  EXPECT_TRUE(find_phases(series).empty());
}

TEST(Phases, FewRequestsOrAShortRunAreNotClear) {
  EXPECT_TRUE(find_phases(counted(8, [](double) { return 500.0; })).empty());
  EXPECT_TRUE(find_phases(counted(12, [](double) { return 4.0; })).empty());
  EXPECT_TRUE(find_phases(LevelSeries{}).empty());
  EXPECT_TRUE(find_phases(counted(100, [](double) { return 0.0; })).empty());
}

TEST(Phases, DaysAreThinnedNotRefused) {
  const LevelSeries series = counted(100'000, [](double t) { return t < 20'000 ? t / 100 : 200.0; });
  const auto phases = find_phases(series);
  ASSERT_THAT(kinds(phases), ElementsAre("ramp", "steady"));
  EXPECT_NEAR(second_of(series, phases[1].from), 20'000, 1500);
  EXPECT_EQ(second_of(series, phases[1].to), 100'000);
}

TEST(Phases, AUsersWordComesFirst) {
  const LevelSeries nothing;
  EXPECT_EQ(kind_of("Ramp-up", nothing), "ramp");
  EXPECT_EQ(kind_of("warmup", nothing), "warm-up");
  EXPECT_EQ(kind_of("checkout", nothing), "load");
  EXPECT_EQ(kind_of("checkout", counted(100, [](double) { return 100.0; })), "steady");
}

LoadTimeline timeline_of(const LevelSeries& series) {
  LoadTimeline timeline;
  timeline.start = series.from + std::chrono::milliseconds{500};
  timeline.end = series.from + series.width * static_cast<std::int64_t>(series.levels.size());
  for (std::size_t i = 0; i < series.levels.size(); ++i) {
    LoadBucket bucket;
    bucket.from = series.from + series.width * static_cast<std::int64_t>(i);
    bucket.width = series.width;
    bucket.all.requests = static_cast<std::uint64_t>(series.levels[i]);
    if (bucket.all.requests > 0) timeline.buckets.push_back(bucket);
  }
  return timeline;
}

TEST(Phases, ATimelineWithoutAClearShapeIsOneWindow) {
  LoadTimeline timeline = timeline_of(counted(5, [](double) { return 100.0; }));
  add_phases(timeline);
  ASSERT_EQ(timeline.phases.size(), 1u);
  EXPECT_EQ(timeline.phases[0].name, "load");
  EXPECT_EQ(timeline.phases[0].from, timeline.start);
  EXPECT_EQ(timeline.phases[0].to, timeline.end);
}

TEST(Phases, ATimelinesPhasesReachFromItsStartToItsEnd) {
  LoadTimeline timeline = timeline_of(counted(240, [](double t) { return t >= 80 && t < 160 ? 0.0 : 150.0; }));
  add_phases(timeline);  // the idle stretch has no buckets at all
  ASSERT_THAT(kinds(timeline.phases), ElementsAre("steady", "idle", "steady"));
  EXPECT_EQ(timeline.phases.front().from, timeline.start);
  EXPECT_EQ(timeline.phases.back().to, timeline.end);
}

TEST(Phases, PartialBucketsAtTheEndsAreRatedByWhatTheyCover) {
  LoadTimeline timeline = timeline_of(counted(4, [](double) { return 100.0; }));
  timeline.buckets.front().all.requests = 50;  // the run began in its middle
  const LevelSeries rate = request_rate(timeline);
  EXPECT_DOUBLE_EQ(rate.levels.front(), 100);
}

}  // namespace
}  // namespace camprobe::load
