// tests/sampler/heap_budget_test.cc
#include "sampler/heap_budget.h"

#include <gtest/gtest.h>

namespace camprobe::sampler {
namespace {

constexpr std::uint32_t kThirdOfOnePercent = 3'333;
constexpr std::uint64_t kStepCpu = 100'000'000;
constexpr std::uint64_t kCapacity = 1 << 16;

// A program that allocates so many bytes in each step, at a cost of 1 us a sample: the interval that it settles at.
std::uint64_t settle(std::uint64_t bytes_a_step, std::uint64_t interval, int* changes_at_the_end) {
  HeapBudget budget;
  *changes_at_the_end = 0;
  for (int step = 0; step < 100; ++step) {
    const HeapMeasurement measured = {kStepCpu, bytes_a_step / interval * 1000, 100, kCapacity};
    const std::uint64_t next = budget.next(interval, kThirdOfOnePercent, measured);
    if (step >= 50) *changes_at_the_end += next != interval;
    interval = next;
  }
  return interval;
}

TEST(HeapBudget, SettlesInsideTheBudgetAndStaysThere) {
  for (std::uint64_t bytes = 1 << 10; bytes <= std::uint64_t{1} << 34; bytes *= 4) {
    for (const std::uint64_t start : {kDensestAuto, kSparsestAuto}) {
      int changes = 0;
      const std::uint64_t interval = settle(bytes, start, &changes);
      EXPECT_EQ(changes, 0) << "swings at " << bytes << " bytes a step";
      EXPECT_GE(interval, kDensestAuto);
      EXPECT_LE(interval, kSparsestAuto);
      const double share = static_cast<double>(bytes) / static_cast<double>(interval) * 1000 / kStepCpu;
      if (interval < kSparsestAuto) {
        EXPECT_LE(share, kThirdOfOnePercent * 1e-6);
      }
      // Nor sparser than it must be: four times as dense would not fit.
      if (interval > kDensestAuto) {
        EXPECT_GT(share * 4, kThirdOfOnePercent * 1e-6) << bytes;
      }
    }
  }
}

TEST(HeapBudget, AStormIsOverBudgetForOneStepOnly) {
  HeapBudget budget;
  std::uint64_t interval = kDensestAuto;
  const std::uint64_t bytes = 64ull << 20;
  interval = budget.next(interval, kThirdOfOnePercent, {kStepCpu, bytes / interval * 1000, 0, kCapacity});
  EXPECT_LE(static_cast<double>(bytes) / static_cast<double>(interval) * 1000, kStepCpu * 0.003333);
}

TEST(HeapBudget, AFullTableDoublesOnceAndAgainOnlyAsItFills) {
  HeapBudget budget;
  std::uint64_t interval = 32 << 10;
  const auto step = [&](std::uint64_t live) { return interval = budget.next(interval, kThirdOfOnePercent, {kStepCpu, 0, live, kCapacity}); };
  EXPECT_EQ(step(kCapacity / 4 * 3 - 1), 32u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3), 64u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3 + 10), 64u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3 + kCapacity / 32), 128u << 10);
  EXPECT_EQ(step(kCapacity / 4 * 3), 128u << 10) << "not denser while the table is full";
  EXPECT_EQ(step(kCapacity / 4), 64u << 10);
}

}  // namespace
}  // namespace camprobe::sampler
