// tests/survival/process_test.cc
//
// Groups 6, 7 and 8 of README.md: forks amid busy threads, children in their parent's memory, and processes that are
// killed while they write.
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

using shm::RegionState;

shm::RegionReader open_region(const std::string& path) {
  std::string error;
  auto reader = shm::RegionReader::open(path, &error);
  if (!reader) throw std::runtime_error(error);
  return std::move(*reader);
}

// ------------------------------------------------------------------------------------------------ 6: forks

TEST(Survival06, AForkStormWhileThreadsHoldTheSlowPathHangsNobodyAndCountsExactly) {
  const long usual = 120, forks = scaled("SURVIVAL_FORKS", usual);
  const auto run = [&](long count, const std::map<std::string, std::string>& environment) {
    auto probed = std::make_unique<Probed>(Program{.arguments = {victim(), "fork-storm", std::to_string(count), "4"},
                                                   .environment = environment,
                                                   .seconds = seconds_for(60, count, usual)});
    EXPECT_EQ(probed->signal, SIGKILL) << probed->out << probed->err;
    EXPECT_EQ(probed->printed("bad"), 0) << probed->out;
    return probed;
  };
  const auto storm = run(forks, kDensest);
  // The turns of the threads are counted; what else a run allocates does not depend on them.
  const auto own = [](const Probed& probed) {
    const auto totals = totals_of(open_region(probed.regions_of(probed.pid).at(0)));
    const auto turns = static_cast<std::uint64_t>(probed.printed("turns"));
    return std::pair{totals.allocs - turns, totals.bytes - turns * 5'000};
  };
  const auto calm = run(1, {{"CAMPROBE_CPU_HZ", "0"}});
  EXPECT_EQ(own(*storm), own(*calm));
  // Each child, and each of its own, has a region with its own figures alone.
  std::map<std::uint64_t, int> regions_by_allocations;
  int children = 0;
  for (const auto& path : storm->regions()) {
    const auto region = open_region(path);
    if (region.info().pid == static_cast<std::uint32_t>(storm->pid)) continue;
    ++children;
    EXPECT_EQ(live_by_size(region)[5'000], 0u) << "a block of its parent's";
    const auto totals = totals_of(region);
    EXPECT_GE(totals.allocs, 50u);
    EXPECT_LT(totals.allocs, 60u);
    EXPECT_GE(totals.bytes, 50u * 6'000);
  }
  EXPECT_EQ(children, 2 * forks);
}

TEST(Survival06, APreforkedServerWhoseWorkersDieAndComeBackAnswersAndCountsEachRequest) {
  const long requests = scaled("SURVIVAL_REQUESTS", 1'000), killed = requests / 100, workers = 4;
  for (const auto& environment : {std::map<std::string, std::string>{}, kDensest}) {
    Probed probed({.arguments = {victim(), "prefork", std::to_string(workers), std::to_string(requests)},
                   .environment = environment,
                   .seconds = seconds_for(60, requests, 1'000)});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    EXPECT_EQ(probed.printed("answered"), static_cast<double>(requests - killed));
    EXPECT_EQ(probed.printed("killed"), static_cast<double>(killed));
    EXPECT_EQ(probed.printed("bad"), 0);
    std::uint64_t accepted = 0, read_bytes = 0, written = 0, dead = 0;
    const auto pids = probed.all_printed("worker");
    EXPECT_EQ(pids.size(), static_cast<std::size_t>(workers + killed));
    for (const double pid : pids) {
      const auto paths = probed.regions_of(static_cast<pid_t>(pid));
      ASSERT_EQ(paths.size(), 1u) << pid;
      const auto region = open_region(paths[0]);
      const Totals totals = totals_of(region);
      accepted += totals.of(shm::IoKind::kAccept).ops;
      read_bytes += totals.of(shm::IoKind::kSocketRead).bytes;
      written += totals.of(shm::IoKind::kSocketWrite).bytes;
      dead += region.status()->state == RegionState::kRunning;
      EXPECT_EQ(region.info().parent_pid, static_cast<std::uint32_t>(probed.pid));
    }
    const auto all = static_cast<std::uint64_t>(requests + workers);
    EXPECT_EQ(accepted, all);
    EXPECT_EQ(read_bytes, 4 * all);
    EXPECT_EQ(written, 4 * static_cast<std::uint64_t>(requests - killed));
    EXPECT_EQ(dead, static_cast<std::uint64_t>(killed)) << "the killed ones never said that they end";
    const Totals client = totals_of(open_region(probed.regions_of(probed.pid).at(0)));
    EXPECT_EQ(client.of(shm::IoKind::kConnect).ops, all);
    EXPECT_EQ(client.of(shm::IoKind::kSocketWrite).bytes, 4 * all);
  }
}

// ------------------------------------------------------------------------------------------------ 7: shared memory

TEST(Survival07, ChildrenInOurMemoryAllocateAndExecAndWriteNothing) {
  const long rounds = scaled("SURVIVAL_SHARED_CHILDREN", 10);
  for (const auto& environment : {kSampleAll, kDensest}) {
    Probed probed({.arguments = {victim(), "shared-memory-children", std::to_string(rounds)},
                   .environment = environment,
                   .seconds = seconds_for(60, rounds, 10)});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    EXPECT_EQ(probed.printed("bad"), 0) << probed.out;
    auto region = open_region(probed.regions_of(probed.pid).at(0));
    EXPECT_EQ(region.status()->state, RegionState::kRunning);
    for (const auto& event : events_of(region, shm::RecordKind::kAlloc))
      EXPECT_NE(event.record.alloc.size, 88'888u) << "a child's allocation";
    EXPECT_EQ(live_addresses(region, 70'007).size(), 1u) << "the recording goes on, also after a child was killed";
    EXPECT_EQ(totals_of(region).of(shm::IoKind::kOtherWrite).ops, 0u) << "a child's write to its pipe";
  }
}

// ------------------------------------------------------------------------------------------------ 8: killed

// tests/shm/killed_writer_test.cc kills a writer at each instruction. Here the whole probe is killed at moments that
// nobody chose, with several threads at it, and the region must be read as it was.
TEST(Survival08, WhatAKilledProcessLeavesIsWholeWheneverTheKillCame) {
  const int kills = static_cast<int>(scaled("SURVIVAL_KILLS", 40));
  for (int i = 0; i < kills; ++i) {
    Probed probed(
        {.arguments = {victim(), "never-ending", "3"}, .environment = kDensest, .kill_after_ms = 30 + i % 23});
    ASSERT_EQ(probed.signal, SIGKILL);
    if (probed.out.empty()) continue;  // killed before it began
    auto region = probed.region();
    const auto status = region.status();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->state, RegionState::kRunning);
    std::uint64_t seen = 0;
    std::map<std::uint32_t, std::uint64_t> newest;
    const auto drained = region.drain([&](const shm::LaneOwner& lane, bool is_signal, const shm::ReadRecord& record) {
      ++seen;
      if (is_signal) return;
      EXPECT_GE(record.time_ns, newest[lane.index]) << "records of a lane are in order";
      newest[lane.index] = record.time_ns;
      if (record.kind == shm::RecordKind::kAlloc) {
        EXPECT_LE(record.alloc.sample, status->samples_taken);
        EXPECT_TRUE(record.stack == 0 || region.stack(record.stack)) << "a stack that cannot be read";
      }
    });
    EXPECT_GT(seen, 0u);
    // One record a ring can have been under way.
    EXPECT_LE(drained.torn, 2u * status->lanes_used);
    std::set<std::uint64_t> samples;
    std::size_t ours = 0;
    for (const auto& live : region.live_samples()) {
      EXPECT_TRUE(samples.insert(live.sample.sample).second) << "the same sample twice";
      EXPECT_LE(live.sample.sample, status->samples_taken);
      EXPECT_TRUE(live.sample.stack == 0 || region.stack(live.sample.stack));
      ours += live.sample.size >= 10'000 && live.sample.size < 10'008;
    }
    EXPECT_LE(ours, 3u * 8 + 3);
    const Totals totals = totals_of(region);
    EXPECT_GE(totals.allocs, totals.frees);
    EXPECT_LT(totals.allocs - totals.frees, 200u);
  }
}

}  // namespace
}  // namespace camprobe::tests
