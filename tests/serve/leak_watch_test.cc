// What camprobe serve makes of a process's levels: simulated ones, hours in milliseconds.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "collector/serve/leak_watch.h"

namespace camprobe::serve {
namespace {

constexpr double kMiB = 1 << 20;

// Levels every five seconds, judged at the end.
LeakWatch watched(double hours, const std::function<LeakWatch::Levels(double second, double noise)>& levels) {
  LeakWatch watch;
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  double noise = 0;
  for (double at = 0; at < hours * 3600; at += 5) {
    noise = 0.8 * noise + 0.6 * normal(random);  // neighbours are alike, as load is; of unit variance
    watch.add(1000 + at, levels(at, noise));
  }
  watch.judge();
  return watch;
}

LeakWatch::Levels level(double heap, double descriptors) {
  LeakWatch::Levels levels;
  levels.heap_bytes = heap;
  levels.heap_error = std::sqrt(heap * 65536);
  levels.descriptors = descriptors;
  levels.threads = 20;
  levels.mapping_bytes = 0;
  levels.resident_bytes = heap + 40 * kMiB;
  levels.memory_limit_bytes = 1024 * kMiB;
  return levels;
}

TEST(LeakWatch, TellsNothingInItsFirstMinutes) {
  const LeakWatch watch = watched(0.08, [](double s, double) { return level(100 * kMiB + s * kMiB, 10 + s); });
  EXPECT_EQ(watch.state(LeakResource::kHeap), LeakState::kTooEarly);
  EXPECT_EQ(watch.seconds_to_limit(), std::numeric_limits<double>::infinity());
}

TEST(LeakWatch, SuspectsWhatGrowsSteadilyAndOnlyThat) {
  const LeakWatch watch = watched(2, [](double s, double noise) {
    return level(200 * kMiB + s / 3600 * 60 * kMiB + 4 * kMiB * noise, 100 + 3 * noise);
  });
  EXPECT_EQ(watch.state(LeakResource::kHeap), LeakState::kSuspected);
  EXPECT_EQ(watch.state(LeakResource::kDescriptors), LeakState::kNone);
  EXPECT_EQ(watch.state(LeakResource::kThreads), LeakState::kNone);
  EXPECT_EQ(watch.state(LeakResource::kMappings), LeakState::kNone);
  // 320 + 40 MiB of 1,024, at 60 an hour.
  EXPECT_NEAR(watch.seconds_to_limit() / 3600, (1024.0 - 360) / 60, 1.5);
}

TEST(LeakWatch, SuspectsDescriptorsThatAreNeverClosed) {
  const LeakWatch watch =
      watched(1, [](double s, double noise) { return level(200 * kMiB, std::round(50 + s / 60 + 2 * noise)); });
  EXPECT_EQ(watch.state(LeakResource::kDescriptors), LeakState::kSuspected);
  EXPECT_EQ(watch.state(LeakResource::kHeap), LeakState::kNone);
}

TEST(LeakWatch, SuspectsNoCacheThatHasFilledNorASawtoothNorNoise) {
  const LeakWatch cache = watched(3, [](double s, double noise) {
    return level(100 * kMiB + 300 * kMiB * (1 - std::exp(-s / 1200)) + 2 * kMiB * noise, 50);
  });
  EXPECT_EQ(cache.state(LeakResource::kHeap), LeakState::kSettling);
  EXPECT_EQ(cache.seconds_to_limit(), std::numeric_limits<double>::infinity());
  const LeakWatch sawtooth = watched(3, [](double s, double noise) {
    return level(100 * kMiB + std::fmod(s, 600) / 600 * 80 * kMiB + kMiB * noise, 50);
  });
  EXPECT_NE(sawtooth.state(LeakResource::kHeap), LeakState::kSuspected);
  const LeakWatch noisy = watched(
      3, [](double, double noise) { return level(200 * kMiB + 20 * kMiB * noise, std::round(100 + 10 * noise)); });
  EXPECT_NE(noisy.state(LeakResource::kHeap), LeakState::kSuspected);
  EXPECT_NE(noisy.state(LeakResource::kDescriptors), LeakState::kSuspected);
}

TEST(LeakWatch, KeepsAsMuchAfterAMonthAsAfterAnHour) {
  LeakWatch watch;
  for (double at = 0; at < 30 * 86400.0; at += 5) watch.add(at, level(200 * kMiB, 100));
  EXPECT_LE(watch.points(), 5 * LeakWatch::kMostPoints);
  EXPECT_GE(watch.points(), 5 * LeakWatch::kMostPoints / 2);
  // And what began two hours ago is seen, whatever was before.
  for (double at = 0; at < 3 * 3600; at += 5) watch.add(30 * 86400.0 + at, level(200 * kMiB + at / 36 * kMiB, 100));
  watch.judge();
  EXPECT_EQ(watch.state(LeakResource::kHeap), LeakState::kSuspected);
}

}  // namespace
}  // namespace camprobe::serve
