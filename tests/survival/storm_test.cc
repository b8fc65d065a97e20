// tests/survival/storm_test.cc
//
// Groups 9 and 12 of README.md: signals at 4 kHz amid everything, and stacks that nobody expects.
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

TEST(Survival09, SignalsAtFourKilohertzDuringMallocLibrariesAndThrowsStopNothing) {
  const long length = scaled("SURVIVAL_STORM_SECONDS", 3);
  Probed probed({.arguments = {victim(), "storm", std::to_string(length), CAMPROBE_PLUGIN},
                 .environment = {{"CAMPROBE_HEAP_INTERVAL", "1KiB"}, {"CAMPROBE_CPU_HZ", "4000"}},
                 .seconds = static_cast<int>(length) + 30});
  ASSERT_TRUE(probed.exited) << "ended by signal " << probed.signal << probed.err;
  EXPECT_EQ(probed.status, 0);
  EXPECT_EQ(probed.printed("bad"), 0);
  // Every kind of work went on to the end, interrupted thousands of times a second.
  EXPECT_GT(probed.printed("signals"), 500 * static_cast<double>(length));
  EXPECT_GT(probed.printed("allocated"), 1'000 * static_cast<double>(length));
  EXPECT_GT(probed.printed("opened"), 20 * static_cast<double>(length));
  EXPECT_GT(probed.printed("caught"), 200 * static_cast<double>(length));
  auto region = probed.region();
  EXPECT_FALSE(events_of(region, shm::RecordKind::kCpu).empty());
}

TEST(Survival12, CoroutinesOnSmallStacksWithGarbageForAFramePointerAndAlternateStacksAreSampled) {
  const long rounds = scaled("SURVIVAL_COROUTINE_ROUNDS", 150);
  Probed probed({.arguments = {victim(), "strange-stacks", std::to_string(rounds)},
                 .environment = kDensest,
                 .seconds = seconds_for(30, rounds, 150)});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_EQ(probed.printed("worked"), static_cast<double>(2 * 32 * rounds));
  EXPECT_GT(probed.printed("signals"), 0);
  auto region = probed.region();
  EXPECT_EQ(live_addresses(region, 70'005).size(), 1u);
  // Only what handlers did amid the probe's own work went unrecorded, nothing of the coroutines'.
  EXPECT_LE(static_cast<double>(lost(region, shm::Loss::kReentrant)), probed.printed("signals"));
}

}  // namespace
}  // namespace camprobe::tests
