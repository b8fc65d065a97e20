// tests/survival/heap_test.cc
//
// Groups 1, 2, 3, 5, 14 and 15 of README.md: what programs do to blocks, and what is left to say about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/shm/test_region.h"
#include "tests/survival/stepper.h"
#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

using shm::Loss;
using ::testing::ElementsAre;

// ------------------------------------------------------------------------------------------------ 1: realloc

TEST(Survival01, AFailedReallocKeepsTheBlockUntilItsFreeAndReallocToZeroEndsIt) {
  const std::uint64_t count = 150, threads = 4, all = count * threads;
  Probed probed({.arguments = {victim(), "failing-reallocs", std::to_string(count), std::to_string(threads)},
                 .environment = kSampleAll});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_EQ(probed.printed("refused"), static_cast<double>(3 * all));
  EXPECT_EQ(probed.printed("bad"), 0);
  auto region = probed.region();
  auto live = live_by_size(region);
  EXPECT_EQ(live[50'001], all) << "kept after a realloc() that failed";
  EXPECT_EQ(live[50'003], 0u) << "freed after two that failed";
  EXPECT_EQ(live[50'005], 0u) << "ended by realloc(p, 0)";
  EXPECT_EQ(live[50'007], all) << "allocated again after realloc(p, 0)";
  // Each sample ended once.
  std::map<std::uint64_t, std::set<std::uint64_t>> ended;
  for (const auto& event : events_of(region, shm::RecordKind::kFree))
    EXPECT_TRUE(ended[event.record.free.size].insert(event.record.free.sample).second);
  EXPECT_EQ(ended[50'001].size(), 0u);
  EXPECT_EQ(ended[50'003].size(), all);
  EXPECT_EQ(ended[50'005].size(), all);
  EXPECT_EQ(ended[50'007].size(), all);
}

TEST(Survival01, FailedReallocsAreCountedAsAllocationsAndFreeNothing) {
  const auto run = [](const char* count) {
    Probed probed({.arguments = {victim(), "failing-reallocs", count, "4"}});
    EXPECT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    return totals_of(probed.region());
  };
  const Totals difference = run("120") - run("20");
  // A round: five mallocs, three reallocs that fail, two realloc(p, 0); one free() and the two that realloc(p, 0)
  // makes.
  EXPECT_EQ(difference.allocs, 4u * 100 * (5 + 3));
  EXPECT_EQ(difference.frees, 4u * 100 * 3);
}

// ------------------------------------------------------------------------------------------------ 2: other threads

TEST(Survival02, BlocksFreedByOtherThreadsWhileTheirAddressComesBackAreNeverMistaken) {
  const long threads = 64, rounds = scaled("SURVIVAL_EXCHANGES", 1'500);
  Probed probed({.arguments = {victim(), "exchange", std::to_string(threads), std::to_string(rounds)},
                 .environment = kSampleAll,
                 .seconds = seconds_for(60, rounds, 1'500)});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_EQ(probed.printed("bad"), 0);
  const auto region = probed.region();
  std::set<std::uint64_t> truth;
  for (const double address : probed.all_printed("live")) truth.insert(static_cast<std::uint64_t>(address));
  EXPECT_EQ(truth.size(), 16u);
  EXPECT_EQ(live_addresses(region, 50'011), truth);
  EXPECT_EQ(lost(region, Loss::kLiveFull), 0u);
}

TEST(Survival02, TheCountersOfSixtyFourThreadsThatFreeEachOthersBlocksAreExact) {
  const auto run = [](long rounds) {
    Probed probed({.arguments = {victim(), "exchange", "64", std::to_string(rounds)}, .seconds = 60});
    EXPECT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    return totals_of(probed.region());
  };
  // Sixteen blocks are left over in both.
  const Totals difference = run(600) - run(100);
  EXPECT_EQ(difference.allocs, 64u * 500);
  EXPECT_EQ(difference.frees, 64u * 500);
  EXPECT_EQ(difference.bytes, 64u * 500 * 50'011);
}

// ------------------------------------------------------------------------------------------------ 3: early blocks

TEST(Survival03, BlocksOfTheBootstrapArenaAndFromBeforeTheLaneAreFreedGrownAndMeasuredLikeAnyOther) {
  const Probed without({.arguments = {victim(), "early-pointers"}, .preload = CAMPROBE_EARLY_POINTERS});
  EXPECT_EQ(without.out, "bad 0\nresolved 0\n") << without.err;
  for (const auto& environment : {std::map<std::string, std::string>{}, kDensest}) {
    const Probed with({.arguments = {victim(), "early-pointers"},
                       .environment = environment,
                       .preload = std::string("@:") + CAMPROBE_EARLY_POINTERS});
    EXPECT_EQ(with.status, 0) << with.signal << with.err;
    EXPECT_EQ(with.printed("resolved"), 1) << "nothing was allocated while the probe looked up its functions";
    EXPECT_EQ(with.printed("bad"), 0);
  }
}

// ------------------------------------------------------------------------------------------------ 5: RTLD_DEEPBIND

TEST(Survival05, BlocksCrossBetweenTheProgramAndADeepBoundLibrary) {
  Probed probed({.arguments = {victim(), "deep-binding", CAMPROBE_PLUGIN, "3000"}, .environment = kSampleAll});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_EQ(probed.printed("bad"), 0);
  const auto region = probed.region();
  EXPECT_EQ(live_addresses(region, 50'017),
            std::set<std::uint64_t>{static_cast<std::uint64_t>(probed.printed("last"))});
  // The library's own blocks were never seen being allocated.
  EXPECT_TRUE(live_addresses(region, 50'015).empty());
  // Blocks that it freed behind the hooks' back are forgotten when their address comes back: never more than the
  // addresses that glibc hands out in turn.
  EXPECT_LT(live_addresses(region, 50'013).size(), 50u);
}

// ------------------------------------------------------------------------------------------------ 14: age

// Single-steps free() over blocks that were not sampled, before and after TURNS sampled allocations.
TEST(Survival14, AFreeCostsTheSameInstructionsAfterMillionsOfSamples) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "single-stepping is written for x86-64";
#endif
  const long turns = scaled("SURVIVAL_SAMPLES", 300'000), live = 500, probes = 400;
  Stepped program({victim(), "aged", std::to_string(turns), std::to_string(live), std::to_string(probes)},
                  {{"CAMPROBE_HEAP_INTERVAL", "1024GiB"},
                   {"CAMPROBE_CPU_HZ", "0"},
                   {"CAMPROBE_RUN", "stepped:" + std::to_string(getpid())}});
  const auto set_interval = [&](std::uint64_t bytes) {
    auto region = program.region();
    std::string error;
    shm::ControlBlock* control = region.control(&error);
    ASSERT_NE(control, nullptr) << error;
    control->heap_interval = bytes;
    control->version.fetch_add(1);
  };
  const std::string module = "/libcamprobe.so";
  ASSERT_TRUE(program.run_to_stop(20));
  const auto fresh = program.step_through_visits(module);
  ASSERT_TRUE(program.run_to_stop(20));
  set_interval(64);
  ASSERT_TRUE(program.run_to_stop(seconds_for(60, turns, 300'000)));
  const auto status = program.region().status();
  EXPECT_GT(status->samples_taken, static_cast<std::uint64_t>(turns) * 99 / 100);
  EXPECT_GE(status->live_samples, static_cast<std::uint64_t>(live));
  EXPECT_LT(status->live_samples, static_cast<std::uint64_t>(live) + 100);
  set_interval(std::uint64_t{1} << 40);
  ASSERT_TRUE(program.run_to_stop(20));
  const auto aged = program.step_through_visits(module);

  // Given: each visit is a free() on its fast path, of one length.
  ASSERT_EQ(fresh.size(), static_cast<std::size_t>(probes / 2));
  ASSERT_EQ(aged.size(), static_cast<std::size_t>(probes / 2));
  EXPECT_THAT(fresh, ::testing::Each(fresh.front()));
  // Then: so it is now. A block whose filter byte is that of a live sample, a multiple of 256 MiB away, asks the table:
  // of 200 blocks 0.02 among 500 samples, so three of them once in a few hundred thousand runs. The table is two cache
  // lines of keys, however old it is.
  const auto is_fast = [&](std::uint64_t instructions) { return instructions == fresh.front(); };
  EXPECT_LE(std::count_if(aged.begin(), aged.end(), std::not_fn(is_fast)), 2) << ::testing::PrintToString(aged);
  EXPECT_LT(*std::max_element(aged.begin(), aged.end()), 400u);
}

struct Lookups {
  shm::LiveTable* table;
  std::uint64_t first;
};
void look_for_strangers(void* raw) {
  const auto* lookups = static_cast<Lookups*>(raw);
  shm::LiveSample sample;
  for (std::uint64_t i = 0; i < 200; ++i) lookups->table->peek(lookups->first + i * 16, &sample);
}

TEST(Survival14, AMissInTheLiveTableCostsTheSameInstructionsAfterTenMillionSamples) {
  shm::TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  shm::LiveTable& table = region->live();
  std::uint64_t next = 1;
  const auto key_of = [](std::uint64_t n) { return 0x7f0000000000 + n * 4'112; };
  const auto insert = [&] {
    shm::LiveSample sample = {};
    sample.sample = next;
    return table.insert(key_of(next++), sample);
  };
  // Given a table whose memory is all there, with 500 samples
  shm::LiveSample gone;
  for (int i = 0; i < 40'000; ++i) ASSERT_TRUE(insert());
  for (std::uint64_t n = 1; n <= 40'000 - 500; ++n) ASSERT_TRUE(table.erase(key_of(n), &gone));
  Lookups lookups = {&table, 0x550000000000};
  const std::uint64_t fresh = instructions_of(look_for_strangers, &lookups);
  // When ten million come and go
  const auto samples = static_cast<std::uint64_t>(scaled("SURVIVAL_TABLE_SAMPLES", 10'000'000));
  while (next < samples) {
    ASSERT_TRUE(table.erase(key_of(next - 500), &gone));
    ASSERT_TRUE(insert());
  }
  // Then a look-up that finds nothing takes not one instruction more
  EXPECT_EQ(region.reader().status()->live_samples, 500u);
  EXPECT_EQ(instructions_of(look_for_strangers, &lookups), fresh);
}

// ------------------------------------------------------------------------------------------------ 15: accuracy

double weight(std::uint64_t bytes, double interval) {
  return static_cast<double>(bytes) / -std::expm1(-static_cast<double>(bytes) / interval);
}

TEST(Survival15, SixteenBytesAndThirtyTwoMebibytesFromOneStackAreBothRight) {
  const double small = 400'000, large = 6, interval = 16 << 10;
  const std::uint64_t large_bytes = std::uint64_t{32} << 20;
  double z_sum = 0;
  const int runs = static_cast<int>(scaled("SURVIVAL_ACCURACY_RUNS", 6));
  for (int run = 0; run < runs; ++run) {
    Probed probed(
        {.arguments = {victim(), "one-stack", "400000", "6"}, .environment = {{"CAMPROBE_HEAP_INTERVAL", "16KiB"}}});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.err;
    const auto region = probed.region();
    std::map<shm::StackId, double> estimates;
    shm::StackId stack = 0;
    for (const auto& live : region.live_samples()) {
      if (live.is_mapping || (live.sample.size != 16 && live.sample.size != large_bytes)) continue;
      estimates[live.sample.stack] += weight(live.sample.size, static_cast<double>(live.sample.interval));
      if (live.sample.size == large_bytes) stack = live.sample.stack;
    }
    ASSERT_NE(stack, 0u);
    const double truth = small * 16 + large * static_cast<double>(large_bytes);
    const double p = -std::expm1(-16 / interval);
    const double sigma = 16 * std::sqrt(small * (1 - p) / p);
    const double z = (estimates[stack] - truth) / sigma;
    EXPECT_LT(std::fabs(z), 6) << estimates[stack] << " for " << truth;
    z_sum += z;
  }
  EXPECT_LT(std::fabs(z_sum) / std::sqrt(runs), 5) << "biased";
}

TEST(Survival15, SampledLiveAndLostReconcileWhenTheLiveTableOverflows) {
  const std::uint64_t once = 80'000, again = 20'000;
  const auto run = [](std::uint64_t first, std::uint64_t second) {
    auto probed = std::make_unique<Probed>(
        Program{.arguments = {victim(), "overflow", std::to_string(first), std::to_string(second)},
                .environment = {{"CAMPROBE_HEAP_INTERVAL", "64"}, {"CAMPROBE_CPU_HZ", "0"}}});
    EXPECT_EQ(probed->signal, SIGKILL) << probed->err;
    return probed;
  };
  // Each of them is sampled: it is in the table, or it is counted as lost.
  {
    const auto probed = run(once, 0);
    auto region = probed->region();
    const auto status = region.status();
    const std::uint64_t full = lost(region, Loss::kLiveFull);
    EXPECT_GT(full, 10'000u);
    EXPECT_EQ(live_by_size(region)[1500] + full, once);
    // What the program's start had freed again is all that is missing.
    EXPECT_GE(status->samples_taken, status->live_samples + full);
    EXPECT_LT(status->samples_taken, status->live_samples + full + 100);
    // And the recorder: what is read, and what it overwrote.
    std::uint64_t allocations = 0;
    const auto drained = region.drain([&](const shm::LaneOwner&, bool, const shm::ReadRecord& record) {
      allocations += record.kind == shm::RecordKind::kAlloc;
    });
    EXPECT_GE(drained.records + drained.before, once);
    EXPECT_EQ(drained.torn, 0u);
    EXPECT_GT(allocations, 0u);
  }
  // After all were freed, those that the table had not held too, there is room for every new one.
  const auto probed = run(once, again);
  const auto region = probed->region();
  auto live = live_by_size(region);
  EXPECT_EQ(live[1500], 0u);
  EXPECT_EQ(live[1600], again);
  EXPECT_LT(lost(region, Loss::kLiveFull), once);
  const auto base = run(0, 0);
  const Totals difference = totals_of(region) - totals_of(base->region());
  EXPECT_EQ(difference.allocs, once + again);
  EXPECT_EQ(difference.frees, once);
}

// Repeated with other seeds, one a thread: the error of each estimate against its own standard error, and how often the
// interval that goes with it holds the truth.
TEST(Survival15, OverAHundredSeedsEstimatesAreUnbiasedAndTheirIntervalsCover) {
  struct Size {
    double kept;
    int covered = 0;
    double z_sum = 0;
  };
  std::map<std::uint64_t, Size> sizes = {{64, {8'000}}, {1'000, {600}}, {9'000, {150}}};
  const int processes = static_cast<int>(scaled("SURVIVAL_SEED_PROCESSES", 1)), seeds_each = 100;
  const double interval = 4096, seeds = processes * seeds_each;
  for (int process = 0; process < processes; ++process) {
    Probed probed({.arguments = {victim(), "estimate", std::to_string(seeds_each)},
                   .environment = {{"CAMPROBE_HEAP_INTERVAL", "4KiB"}}});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.err;
    const auto region = probed.region();
    ASSERT_EQ(lost(region, Loss::kLiveFull), 0u);
    std::map<std::uint32_t, std::map<std::uint64_t, double>> found;  // by thread
    for (const auto& live : region.live_samples()) {
      if (live.is_mapping || live.sample.tid == static_cast<std::uint32_t>(probed.pid)) continue;
      ASSERT_EQ(live.sample.interval, static_cast<std::uint64_t>(interval));
      found[live.sample.tid][live.sample.size] += 1;
    }
    ASSERT_EQ(found.size(), static_cast<std::size_t>(seeds_each));
    for (auto& [thread, sampled] : found) {
      for (auto& [bytes, size] : sizes) {
        const double p = -std::expm1(-static_cast<double>(bytes) / interval);
        const double estimate = sampled[bytes] / p;
        // What a reader can know: the standard error from the samples themselves.
        const double error = std::sqrt(sampled[bytes] * (1 - p)) / p;
        const double true_error = std::sqrt(size.kept * (1 - p) / p);
        EXPECT_LT(std::fabs(estimate - size.kept), 6 * true_error) << bytes << " bytes: " << estimate;
        size.covered += std::fabs(estimate - size.kept) <= 1.96 * error;
        size.z_sum += (estimate - size.kept) / true_error;
      }
    }
  }
  // 95 of 100, in the range that chance leaves once in a hundred thousand suites.
  const double deviation = std::sqrt(seeds * 0.95 * 0.05);
  double covered = 0;
  for (const auto& [bytes, size] : sizes) {
    EXPECT_GT(size.covered, 0.95 * seeds - 6 * deviation) << bytes << " bytes";
    EXPECT_LT(std::fabs(size.z_sum) / std::sqrt(seeds), 5) << bytes << " bytes: biased";
    RecordProperty("covered_of_" + std::to_string(bytes), size.covered);
    covered += size.covered;
  }
  const double all = seeds * static_cast<double>(sizes.size());
  EXPECT_GT(covered, 0.95 * all - 5 * std::sqrt(all * 0.95 * 0.05));
  EXPECT_LT(covered, 0.95 * all + 3.5 * std::sqrt(all * 0.95 * 0.05)) << "intervals that are too wide";
}

}  // namespace
}  // namespace camprobe::tests
