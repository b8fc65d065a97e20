// tests/shm/sample_depot_test.cc
//
// The depot that forgets: it always has room, an id leads to its own stack or nowhere, and nobody who is still writing
// is overtaken.
#include "shm/sample_depot.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/shm/test_region.h"

namespace camprobe::shm {
namespace {

constexpr std::uint32_t kDepth = 64;
constexpr std::uint64_t kMinute = 60'000'000'000;

// A stack that tells its number in each frame.
StackId intern(Region& region, std::uintptr_t number, std::uint64_t now_ns = kMinute) {
  std::uintptr_t frames[kDepth + 1];
  std::fill_n(frames, kDepth, number);
  return region.intern_sample_in_place(frames, kDepth, true, now_ns);
}

bool is_stack(const std::optional<ReadStack>& stack, std::uintptr_t number) {
  return stack && stack->frames == std::vector<std::uint64_t>(kDepth, number);
}

InternHeader& table(Region& region, std::uint32_t number) {
  return *reinterpret_cast<InternHeader*>(region.base() + sample_index_offset(number));
}

TEST(SampleDepot, TakesStacksForEverInBoundedMemory) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const RegionReader reader = region.reader();
  std::vector<StackId> ids;
  std::uint64_t reserved = 0;
  for (std::uintptr_t i = 0; i < 40'000; ++i) {
    ids.push_back(intern(*region, i + 1));
    ASSERT_NE(ids.back(), 0u) << i;
    const bool is_looked_at = i % 1000 == 0;
    if (is_looked_at) {
      ASSERT_TRUE(is_stack(reader.stack(ids.back()), i + 1)) << i;
    }
    if (i == 20'000) reserved = region->header()->reserved_bytes;
  }
  EXPECT_EQ(region->header()->reserved_bytes, reserved) << "both tables were full long before";
  EXPECT_EQ(reader.status()->lost[static_cast<int>(Loss::kStackFull)], 0u);
  EXPECT_GE(region->header()->sample_turn, 15u);
  // A turn has room for two thousand of these: the last ones are there, the first are gone and say so.
  for (std::uintptr_t i = 38'500; i < 40'000; ++i) {
    ASSERT_TRUE(is_stack(reader.stack(ids[i]), i + 1)) << i;
  }
  for (std::uintptr_t i = 0; i < 30'000; ++i) {
    ASSERT_FALSE(reader.stack(ids[i])) << i;
  }
}

TEST(SampleDepot, GivesTheSameIdWithinATurnAndANewOneAfterTenMinutes) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const RegionReader reader = region.reader();
  const StackId first = intern(*region, 1);
  EXPECT_EQ(intern(*region, 1, 10 * kMinute), first);
  const StackId second = intern(*region, 1, 12 * kMinute);
  EXPECT_NE(second, first);
  EXPECT_TRUE(is_stack(reader.stack(first), 1)) << "a collector may come a little later";
  EXPECT_TRUE(is_stack(reader.stack(second), 1));
  EXPECT_EQ(turn_of(second), turn_of(first) + 1);
  const StackId third = intern(*region, 2, 24 * kMinute);
  EXPECT_FALSE(reader.stack(first));
  EXPECT_TRUE(is_stack(reader.stack(third), 2));
  EXPECT_TRUE(is_sample_stack(first) && is_sample_stack(third));
}

TEST(SampleDepot, LeavesTheOtherDepotAlone) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const std::uintptr_t frames[3] = {1, 2, 3};
  const StackId kept = region->intern_stack(frames, 3, true);
  for (std::uintptr_t i = 1; i <= 20'000; ++i) intern(*region, i);
  EXPECT_EQ(region->intern_stack(frames, 3, true), kept);
  EXPECT_FALSE(is_sample_stack(kept));
  EXPECT_EQ(region.reader().stack(kept)->frames, (std::vector<std::uint64_t>{1, 2, 3}));
}

// A thread that is stopped for long in the middle of writing a stack.
TEST(SampleDepot, EmptiesNoTableThatSomebodyWritesTo) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const StackId first = intern(*region, 1);
  ++table(*region, 0).writers;
  std::uintptr_t i = 1;
  while (intern(*region, ++i) != 0) {
    ASSERT_LT(i, 10'000u);
  }
  EXPECT_EQ(region->header()->sample_turn, 1u) << "full, and the table before it cannot be emptied";
  EXPECT_TRUE(is_stack(region.reader().stack(first), 1));
  EXPECT_EQ(region.reader().status()->lost[static_cast<int>(Loss::kStackFull)], 1u);
  EXPECT_NE(intern(*region, i - 1, 30 * kMinute), 0u) << "what is in stays known";
  --table(*region, 0).writers;
  EXPECT_NE(intern(*region, i), 0u);
  EXPECT_EQ(region->header()->sample_turn, 2u);
  EXPECT_FALSE(region.reader().stack(first));
}

TEST(SampleDepot, ReadersGetTheirStackOrNoneWhileManyThreadsTurnItOver) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  constexpr int kThreads = 4, kRecent = 256;
  struct Published {
    std::atomic<std::uint64_t> word{0};  // id, and the number of its stack
  };
  std::vector<Published> published(kThreads * kRecent);
  std::atomic<int> running{kThreads};
  std::atomic<std::uint64_t> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < 60'000; ++i) {
        const std::uintptr_t number = 1 + random() % 20'000;  // the same ones by several threads at once
        const StackId id = intern(*region, number);
        if (id == 0) ++refused;
        published[static_cast<std::size_t>(t * kRecent + i % kRecent)].word = std::uint64_t{id} << 32 | number;
      }
      --running;
    });
  }
  const RegionReader reader = region.reader();
  std::uint64_t right = 0, wrong = 0, gone = 0;
  while (running > 0) {
    for (const Published& p : published) {
      const std::uint64_t word = p.word;
      if (word >> 32 == 0) continue;
      const auto stack = reader.stack(static_cast<StackId>(word >> 32));
      if (!stack)
        ++gone;
      else
        ++(is_stack(stack, word & 0xffffffff) ? right : wrong);
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(right, 0u);
  EXPECT_GT(region->header()->sample_turn, 10u);
  EXPECT_EQ(table(*region, 0).writers, 0u);
  EXPECT_EQ(table(*region, 1).writers, 0u);
  // A thread that loses its processor in the middle of writing keeps its table from being emptied for milliseconds, in
  // which this test fills the other one: those stacks are refused, and counted.
  EXPECT_EQ(reader.status()->lost[static_cast<int>(Loss::kStackFull)], refused) << right << ' ' << gone;
  const StackId after = intern(*region, 50'000);
  EXPECT_TRUE(is_stack(reader.stack(after), 50'000));
}

TEST(SampleDepot, ForgedIdsLeadNowhere) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const StackId id = intern(*region, 7);
  const RegionReader reader = region.reader();
  for (const StackId forged : {id + 1, id & ~kSampleStackBit, id + (1u << kTurnShift), id + (2u << kTurnShift),
                               kSampleStackBit, ~StackId{0}, kSampleStackBit | ((1u << kTurnShift) - 1)})
    EXPECT_FALSE(reader.stack(forged)) << forged;
}

}  // namespace
}  // namespace camprobe::shm
