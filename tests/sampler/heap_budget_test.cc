// tests/sampler/heap_budget_test.cc
#include "sampler/heap_budget.h"

#include <gtest/gtest.h>

#include <random>

namespace camprobe::sampler {
namespace {

constexpr std::uint32_t kBudget = 6'666;             // parts per million
constexpr std::uint32_t kThirdOfOnePercent = 3'333;  // of it, heap sampling's
constexpr std::uint64_t kStepCpu = 100'000'000;
constexpr std::uint64_t kStepWall = 500'000'000;
constexpr std::uint64_t kCapacity = 1 << 16;
constexpr std::uint64_t kSampleNs = 1000;

HeapMeasurement measured_at(std::uint64_t samples, std::uint64_t live = 100) {
  return {kStepCpu, kStepWall, samples * kSampleNs, 0, samples, live, kCapacity};
}

// A program that allocates so many bytes in each step: the interval that it settles at.
std::uint64_t settle(std::uint64_t bytes_a_step, std::uint64_t interval, int* changes_at_the_end) {
  HeapBudget budget;
  std::mt19937_64 random(bytes_a_step);
  *changes_at_the_end = 0;
  for (int step = 0; step < 400; ++step) {
    std::poisson_distribution<std::uint64_t> samples(static_cast<double>(bytes_a_step) / static_cast<double>(interval));
    const std::uint64_t next = budget.next(interval, kBudget, measured_at(samples(random)));
    if (step >= 300) *changes_at_the_end += next != interval;
    interval = next;
  }
  return interval;
}

TEST(HeapBudget, SettlesInsideTheBudgetAndHardlyEverMovesThen) {
  for (std::uint64_t bytes = 1 << 10; bytes <= std::uint64_t{1} << 34; bytes *= 4) {
    for (const std::uint64_t start : {kDensestAuto, kSparsestAuto}) {
      int changes = 0;
      const std::uint64_t interval = settle(bytes, start, &changes);
      EXPECT_LE(changes, 4) << "swings at " << bytes << " bytes a step";
      EXPECT_GE(interval, kDensestAuto);
      EXPECT_LE(interval, kSparsestAuto);
      const double share = static_cast<double>(bytes) / static_cast<double>(interval) * kSampleNs / kStepCpu;
      if (interval < kSparsestAuto) {
        EXPECT_LE(share, kThirdOfOnePercent * 1e-6 * 1.3);
      }
      // Nor sparser than it must be: six times as dense would not fit.
      if (interval > kDensestAuto) {
        EXPECT_GT(share * 6, kThirdOfOnePercent * 1e-6) << bytes;
      }
    }
  }
}

TEST(HeapBudget, AStormIsOverBudgetForOneStepOnly) {
  HeapBudget budget;
  std::uint64_t interval = kDensestAuto;
  for (int quiet = 0; quiet < 20; ++quiet) interval = budget.next(interval, kBudget, measured_at(10));
  const std::uint64_t bytes = 256ull << 20;
  interval = budget.next(interval, kBudget, measured_at(bytes / interval));
  EXPECT_LE(static_cast<double>(bytes) / static_cast<double>(interval) * kSampleNs, kStepCpu * 0.003333 * 1.3);
}

TEST(HeapBudget, AnIdleServerIsSampledAllTheSame) {
  HeapBudget budget;
  std::uint64_t interval = 1 << 20;
  // No CPU time to speak of, 20 MB in a step: the wall clock's share allows 166 samples of 1 us.
  const std::uint64_t bytes = 20'000'000;
  for (int step = 0; step < 50; ++step)
    interval = budget.next(interval, kBudget,
                           {1000, kStepWall, bytes / interval * kSampleNs, 0, bytes / interval, 100, kCapacity});
  EXPECT_LE(interval, 256u << 10);
  EXPECT_LE(static_cast<double>(bytes) / static_cast<double>(interval) * kSampleNs, kStepWall * 0.0005);
}

TEST(HeapBudget, ExpensiveFirstSamplesAreForgotten) {
  HeapBudget budget;
  std::uint64_t interval = 32 << 10;
  const std::uint64_t bytes = 16 << 20;
  interval = budget.next(interval, kBudget, {kStepCpu, kStepWall, 300 * 20'000, 0, 300, 100, kCapacity});
  const std::uint64_t at_first = interval;
  for (int step = 0; step < 60; ++step) interval = budget.next(interval, kBudget, measured_at(bytes / interval));
  EXPECT_LT(interval, at_first);
}

TEST(HeapBudget, AFullTableDoublesOnceAndAgainOnlyAsItFills) {
  HeapBudget budget;
  std::uint64_t interval = 32 << 10;
  const auto step = [&](std::uint64_t live) { return interval = budget.next(interval, kBudget, measured_at(0, live)); };
  EXPECT_EQ(step(kCapacity / 4 * 3 - 1), 32u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3), 64u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3 + 10), 64u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3 + kCapacity / 32), 128u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3), 128u << 10) << "not denser while the table is full";
  EXPECT_EQ(step(kCapacity / 4), 64u << 10);
}

// The budget is the whole probe's: where CPU and wait samples take more of it, heap sampling takes less.
TEST(HeapBudget, YieldsToWhatTheOtherFamiliesTake) {
  constexpr std::uint64_t kBytes = 1 << 28;
  const auto settled_beside = [&](std::uint64_t other_ns) {
    HeapBudget budget;
    std::uint64_t interval = kDensestAuto;
    for (int step = 0; step < 200; ++step) {
      HeapMeasurement measured = measured_at(kBytes / interval);
      measured.other_ns = other_ns;
      interval = budget.next(interval, kBudget, measured);
    }
    return interval;
  };
  const auto budget_ns = static_cast<std::uint64_t>(kBudget * 1e-6 * kStepCpu);
  const std::uint64_t alone = settled_beside(0);
  EXPECT_EQ(settled_beside(budget_ns / 5), alone) << "a quarter of the budget is there for others anyway";
  EXPECT_GT(settled_beside(budget_ns / 2), alone);
  for (const std::uint64_t other : {budget_ns / 5, budget_ns / 2, budget_ns * 5 / 8}) {
    const std::uint64_t heap_ns = kBytes / settled_beside(other) * kSampleNs;
    EXPECT_LE(heap_ns + other, budget_ns) << other;
  }
  EXPECT_EQ(settled_beside(budget_ns * 20), kSparsestAuto)
      << "a rate that was asked for is kept; heap sampling gives way";
}

}  // namespace
}  // namespace camprobe::sampler
