// tests/shm/tables_test.cc
//
// The tables inside a region: stacks and names that are interned once, live samples that leave no tombstones, span
// slots and descriptors.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/shm/test_region.h"

namespace camprobe::shm {
namespace {

TEST(Depot, GivesTheSameStackTheSameIdFromManyThreads) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  constexpr std::uintptr_t kStacks = 3000;
  std::vector<std::vector<StackId>> ids(4, std::vector<StackId>(kStacks));
  std::vector<std::thread> threads;
  for (auto& mine : ids) {
    threads.emplace_back([&] {
      for (std::uintptr_t i = 0; i < kStacks; ++i) {
        const std::uintptr_t frames[3] = {i + 1, i * 7 + 1, 0x400000};
        mine[i] = region->intern_stack(frames, 3, true);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<StackId> distinct;
  for (std::uintptr_t i = 0; i < kStacks; ++i) {
    for (const auto& mine : ids) ASSERT_EQ(mine[i], ids[0][i]);
    ASSERT_NE(ids[0][i], 0u);
    distinct.insert(ids[0][i]);
  }
  EXPECT_EQ(distinct.size(), kStacks);
  const RegionReader reader = region.reader();
  const auto stack = reader.stack(ids[0][5]);
  ASSERT_TRUE(stack.has_value());
  EXPECT_EQ(stack->frames, (std::vector<std::uint64_t>{6, 36, 0x400000}));
  EXPECT_TRUE(stack->complete);
}

TEST(Depot, ACutStackIsAnotherStackAndSaysSo) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const std::uintptr_t frames[2] = {0x1000, 0x2000};
  const StackId whole = region->intern_stack(frames, 2, true);
  const StackId cut = region->intern_stack(frames, 2, false);
  EXPECT_NE(whole, cut);
  EXPECT_FALSE(region.reader().stack(cut)->complete);
  EXPECT_EQ(region.reader().stack(cut)->frames.size(), 2u);
}

TEST(Depot, WhenFullGivesZeroCountsItAndKeepsOldStacks) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  std::vector<std::uintptr_t> frames(64, 0x1234);
  StackId first = 0;
  std::uint64_t refused = 0;
  for (std::uintptr_t i = 1; i <= 20'000; ++i) {
    frames[0] = i;
    const StackId id = region->intern_stack(frames.data(), 64, true);
    if (i == 1) first = id;
    if (id == 0) ++refused;
  }
  EXPECT_GT(refused, 10'000u);
  EXPECT_EQ(region.reader().status()->lost[static_cast<int>(Loss::kStackFull)], refused);
  frames[0] = 1;
  EXPECT_EQ(region->intern_stack(frames.data(), 64, true), first);
}

TEST(Names, AreReadBackAndForgedIdsAreNot) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const NameId id = region->intern_name("cam.arbitration", 15);
  const RegionReader reader = region.reader();
  EXPECT_EQ(reader.name(id), "cam.arbitration");
  for (const NameId forged : {0u, id + 1, id + 2, 0xffffffffu, 12345u})
    EXPECT_FALSE(reader.name(forged).has_value()) << forged;
}

LiveSample sample_of(std::uint64_t n) {
  LiveSample sample{};
  sample.size = n * 10;
  sample.sample = n;
  sample.stack = static_cast<StackId>(n);
  return sample;
}

TEST(LiveTable, TakesThreeQuartersOfItsSlotsWithoutRefusingOne) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  std::mt19937_64 random(7);
  std::uint64_t refused = 0;
  for (std::uint64_t n = 1; n <= kLiveSamples * 3 / 4; ++n)
    if (!region->live().insert(0x7f0000000000 + (random() % (1ull << 32)) * 16, sample_of(n))) ++refused;
  EXPECT_EQ(refused, 0u);
}

TEST(LiveTable, MatchesAMapOverAMillionRandomSteps) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  std::unordered_map<std::uint64_t, std::uint64_t> truth;
  std::vector<std::uint64_t> keys;
  std::mt19937_64 random(11);
  std::uint64_t number = 0;
  for (int step = 0; step < 1'000'000; ++step) {
    if (keys.size() < 500 || random() % 2 == 0) {
      const std::uint64_t key = 0x550000000000 + (random() % 100'000) * 16;
      if (truth.contains(key) || keys.size() > 20'000) continue;
      ASSERT_TRUE(region->live().insert(key, sample_of(++number)));
      truth[key] = number;
      keys.push_back(key);
    } else {
      const std::size_t at = random() % keys.size();
      LiveSample taken;
      ASSERT_TRUE(region->live().erase(keys[at], &taken));
      ASSERT_EQ(taken.sample, truth[keys[at]]);
      ASSERT_FALSE(region->live().peek(keys[at], &taken));
      truth.erase(keys[at]);
      keys[at] = keys.back();
      keys.pop_back();
    }
  }
  const auto live = region.reader().live_samples();
  ASSERT_EQ(live.size(), truth.size());
  EXPECT_EQ(region.reader().status()->live_samples, truth.size());
  for (const ReadLiveSample& entry : live) ASSERT_EQ(entry.sample.sample, truth[entry.address]);
}

TEST(LiveTable, AMappingAndTheBlockInsideItAreTwoEntries) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const std::uint64_t address = 0x7f1234560000;
  ASSERT_TRUE(region->live().insert(mapping_key(address), sample_of(1)));
  ASSERT_TRUE(region->live().insert(address, sample_of(2)));
  const auto live = region.reader().live_samples();
  ASSERT_EQ(live.size(), 2u);
  EXPECT_NE(live[0].is_mapping, live[1].is_mapping);
  EXPECT_EQ(live[0].address, live[1].address);
}

TEST(LiveTable, ManyThreadsLoseNothingAndAReaderSeesOnlyWholeSamples) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> broken{0};
  std::thread reader_thread([&] {
    RegionReader reader = region.reader();
    while (!stop) {
      for (const ReadLiveSample& entry : reader.live_samples())
        if (entry.sample.size != entry.sample.sample * 10 ||
            entry.sample.stack != static_cast<StackId>(entry.sample.sample))
          ++broken;
    }
  });
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t round = 0; round < 40; ++round) {
        for (std::uint64_t i = 1; i <= 2000; ++i)
          ASSERT_TRUE(region->live().insert((t << 32 | i) * 16, sample_of(round * 10'000 + i)));
        for (std::uint64_t i = 1; i <= 2000; ++i) {
          LiveSample taken;
          ASSERT_TRUE(region->live().erase((t << 32 | i) * 16, &taken));
          ASSERT_EQ(taken.sample, round * 10'000 + i);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  stop = true;
  reader_thread.join();
  EXPECT_EQ(region.reader().status()->live_samples, 0u);
  // A sample may be rewritten between the two looks at its key only if the same address came back meanwhile, and then
  // the copy may hold parts of both: the reader accepts that for addresses reused within microseconds.
  EXPECT_LT(broken, 50u);
}

TEST(Spans, HandleIsDeadAfterItsSlotWasFreed) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  SpanId id = 0;
  SpanSlot* slot = region->claim_span(0, &id);
  ASSERT_NE(slot, nullptr);
  slot->id.store(id);
  EXPECT_EQ(region->span(id), slot);
  slot->name = 77;
  ASSERT_EQ(region.reader().open_spans().size(), 1u);
  EXPECT_EQ(region.reader().open_span_name(id), NameId{77});
  slot->id.store(0);
  EXPECT_EQ(region->span(id), nullptr);
  EXPECT_FALSE(region.reader().open_span_name(id));
  SpanId again = 0;
  EXPECT_EQ(region->claim_span(0, &again), slot);
  EXPECT_NE(id, again);
}

TEST(Spans, ALaneKeepsAFewSlotsAndTakesTheLastOneFirst) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  for (const auto& [index, most] : {std::pair{0, 64}, std::pair{static_cast<int>(kLongLanes), 1}}) {
    ASSERT_EQ(region->acquire_lane(1000, 1), 0);
    Lane& lane = *region->lane(0);
    SpanId id = 0;
    EXPECT_EQ(region->claim_kept_span(lane, &id), nullptr);
    std::vector<std::pair<SpanSlot*, SpanId>> open;
    for (int i = 0; i < 100; ++i) {
      SpanSlot* slot = region->claim_span(0, &id);
      ASSERT_NE(slot, nullptr);
      slot->id.store(id);
      open.emplace_back(slot, id);
    }
    for (auto& [slot, handle] : open) region->keep_span(index, lane, *slot, handle);
    EXPECT_TRUE(region.reader().open_spans().empty());
    for (int kept = most; kept-- > 0;) {
      SpanId fresh = 0;
      EXPECT_EQ(region->claim_kept_span(lane, &fresh), open[static_cast<std::size_t>(kept)].first);
      EXPECT_NE(fresh, open[static_cast<std::size_t>(kept)].second);
      EXPECT_EQ(region->span(open[static_cast<std::size_t>(kept)].second), nullptr);
      open[static_cast<std::size_t>(kept)].first->id.store(0);
    }
    EXPECT_EQ(region->claim_kept_span(lane, &id), nullptr);
    // What was not kept went back to the table.
    EXPECT_EQ(region->claim_span(static_cast<std::uint32_t>(open.back().second & 0xffff) - 1, &id), open.back().first);
    open.back().first->id.store(0);
    region->release_lane(0);
  }
}

TEST(Spans, ForgedHandlesFindNothing) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  for (const SpanId forged : {SpanId{0}, SpanId{1}, SpanId{0xffff}, ~SpanId{0}, SpanId{0x10000}}) {
    EXPECT_EQ(region->span(forged), nullptr);
    EXPECT_FALSE(region.reader().open_span_name(forged));
  }
}

TEST(Descriptors, BeyondTheTableAreCountedNotWritten) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  EXPECT_EQ(region->descriptor(-1), nullptr);
  EXPECT_EQ(region->descriptor(static_cast<int>(kDescriptors)), nullptr);
  EXPECT_EQ(region->known_descriptor(5), nullptr);
  ASSERT_NE(region->descriptor(5), nullptr);
  EXPECT_NE(region->known_descriptor(5), nullptr);
  EXPECT_EQ(region.reader().status()->lost[static_cast<int>(Loss::kDescriptorRange)], 1u);
}

}  // namespace
}  // namespace camprobe::shm
