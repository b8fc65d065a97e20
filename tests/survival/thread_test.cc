// tests/survival/thread_test.cc
//
// Groups 10 and 11 of README.md: threads that leave in the middle of something, and very many of them.
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

using shm::Loss;

// ------------------------------------------------------------------------------------------------ 10: leaving

TEST(Survival10, ThreadsAreCancelledInEveryCallThatWaitsAndInTheSlowPath) {
  const long rounds = scaled("SURVIVAL_CANCELLATIONS", 12);
  for (const auto& environment : {std::map<std::string, std::string>{}, kDensest}) {
    Probed probed({.arguments = {victim(), "cancellation", std::to_string(rounds)},
                   .environment = environment,
                   .seconds = seconds_for(60, rounds, 12)});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    EXPECT_EQ(probed.printed("not_cancelled"), 0) << probed.out;
    EXPECT_EQ(probed.printed("not_cleaned"), 0);
    EXPECT_EQ(probed.printed("not_ended"), 0);
    // Each gave its lane back.
    EXPECT_LE(probed.region().status()->lanes_used, 25u);
  }
  Probed probed({.arguments = {victim(), "cancellation", "2"}, .environment = kSampleAll});
  EXPECT_EQ(live_addresses(probed.region(), 70'001).size(), 1u) << "the recording goes on";
}

// The allocator is one that may be left anywhere, so that only the probe could be harmed.
TEST(Survival10, HandlersMayJumpOutOfMallocSpansAndTransfers) {
  const long jumps = scaled("SURVIVAL_JUMPS", 8'000);
  for (const auto& environment : {std::map<std::string, std::string>{{"CAMPROBE_HEAP_INTERVAL", "4KiB"}}, kDensest}) {
    Probed probed({.arguments = {victim(), "jumps", std::to_string(jumps)},
                   .environment = environment,
                   .preload = std::string("@:") + CAMPROBE_BUMP_ALLOCATOR,
                   .seconds = seconds_for(60, jumps, 8'000)});
    ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
    const auto region = probed.region();
    // An allocation that was left in the middle is counted or not; all others are.
    EXPECT_GE(static_cast<double>(totals_of(region).allocs), probed.printed("done"));
    EXPECT_LE(static_cast<double>(totals_of(region).allocs), probed.printed("begun") + 1'000);
    if (environment.at("CAMPROBE_HEAP_INTERVAL") == "64") {
      EXPECT_EQ(live_addresses(region, 70'003).size(), 1u) << "the recording goes on";
    }
  }
}

// ------------------------------------------------------------------------------------------------ 11: short lives

TEST(Survival11, ShortLivedThreadsReuseLanesAndEachIsCountedToItsLastDestructor) {
  const long usual = 4'000, threads = scaled("SURVIVAL_THREADS", usual);
  const auto run = [&](long count, const std::map<std::string, std::string>& environment) {
    auto probed = std::make_unique<Probed>(Program{.arguments = {victim(), "short-lived", std::to_string(count), "4"},
                                                   .environment = environment,
                                                   .seconds = seconds_for(60, count, usual)});
    EXPECT_EQ(probed->signal, SIGKILL) << probed->out << probed->err;
    EXPECT_EQ(probed->printed("bad"), 0);
    EXPECT_LE(probed->region().status()->lanes_used, 12u);
    EXPECT_EQ(lost(probed->region(), Loss::kNoLane), 0u);
    return probed;
  };
  const auto fewer = run(400, {}), more = run(400 + threads, {});
  const Totals difference = totals_of(more->region()) - totals_of(fewer->region());
  // In the body, in the thread-local object's destructor, and in four rounds of the key's; what the C library allocates
  // for each thread comes from itself.
  const auto each = static_cast<std::uint64_t>(threads);
  EXPECT_GE(difference.allocs, each * 6);
  EXPECT_EQ(difference.allocs, difference.frees);
  EXPECT_GE(difference.bytes, each * (1'000 + 3'000 + 4 * 2'000));
  EXPECT_LT(difference.bytes, each * (1'000 + 3'000 + 4 * 2'000 + 1'000));

  run(2'000, kDensest);
}

TEST(Survival11, AllocationsInAtexitHandlersStaticDestructorsAndTheirThreadsAreCounted) {
  const auto run = [](const char* count, const std::map<std::string, std::string>& environment) {
    auto probed =
        std::make_unique<Probed>(Program{.arguments = {victim(), "at-the-end", count}, .environment = environment});
    EXPECT_EQ(probed->status, 29) << probed->signal << probed->err;
    EXPECT_EQ(probed->out, "going\n");
    EXPECT_EQ(probed->region().status()->state, shm::RegionState::kExited);
    EXPECT_EQ(probed->region().status()->exit_status, 29);
    return probed;
  };
  const Totals difference = totals_of(run("600", {})->region()) - totals_of(run("100", {})->region());
  EXPECT_EQ(difference.allocs, 4u * 500);
  EXPECT_EQ(difference.frees, 4u * 500);
  EXPECT_EQ(difference.bytes, 4u * 500 * 1'000);
  run("2000", kDensest);
}

}  // namespace
}  // namespace camprobe::tests
