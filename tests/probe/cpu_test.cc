// tests/probe/cpu_test.cc
//
// CPU samples on a real program, and that the program cannot tell that it is sampled.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <map>
#include <set>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

TEST(Cpu, WeightsAddUpToTheCpuTimeOfEachThread) {
  Probed probed({.arguments = {target(), "cpu", "0.8", "2"}, .environment = {{"CAMPROBE_CPU_HZ", "250"}}});
  auto region = probed.region();
  std::map<std::uint32_t, double> weight;
  for (const auto& event : events_of(region, shm::RecordKind::kCpu)) {
    EXPECT_TRUE(event.is_signal);
    EXPECT_EQ(event.record.cpu.period_ns, 4'000'000u);
    EXPECT_EQ(event.record.cpu.weight_ns, (1 + std::uint64_t{event.record.cpu.overruns}) * 4'000'000u);
    weight[event.lane.tid] += static_cast<double>(event.record.cpu.weight_ns) * 1e-9;
  }
  const auto tids = probed.all_printed("tid"), used = probed.all_printed("used");
  ASSERT_EQ(tids.size(), 2u);
  for (std::size_t i = 0; i < tids.size(); ++i) {
    // The first phase is random and the last period is cut: at most one period each; ticks come with the kernel's own.
    EXPECT_NEAR(weight[static_cast<std::uint32_t>(tids[i])], used[i], 0.03) << "thread " << i;
  }
}

TEST(Cpu, SamplesStandInTheFunctionThatBurnsAndNameItsThread) {
  // A busy machine gives a thread its CPU time in few long pieces, with fewer ticks of more weight.
  Probed probed({.arguments = {target(), "cpu", "2", "1"}, .environment = {{"CAMPROBE_CPU_HZ", "500"}}});
  auto region = probed.region();
  int complete = 0, all = 0;
  std::set<shm::StackId> depot;
  std::set<std::uint64_t> instructions;
  for (const auto& event : events_of(region, shm::RecordKind::kCpu)) {
    if (static_cast<double>(event.lane.tid) != probed.printed("tid")) continue;
    const auto stack = region.stack_of(event.record);
    ASSERT_TRUE(stack);
    EXPECT_EQ(stack->frames[0], event.record.cpu.program_counter);
    EXPECT_EQ(event.lane.name, "burner0");
    complete += stack->complete;
    depot.insert(event.record.stack);
    instructions.insert(event.record.cpu.program_counter);
    ++all;
  }
  EXPECT_GT(all, 20);
  EXPECT_EQ(complete, all);
  // The depot does not grow by every instruction that was ever interrupted.
  EXPECT_GT(instructions.size(), 4u);
  EXPECT_LT(depot.size(), instructions.size());
}

TEST(Cpu, ThreadsThatAreOlderThanTheProbeAreFound) {
  Probed probed({.arguments = {target(), "cpu", "0.5", "1"},
                 .environment = {{"CAMPROBE_CPU_HZ", "200"}},
                 .preload = std::string("@:") + CAMPROBE_EARLY});
  auto region = probed.region();
  int samples = 0;
  for (const auto& event : events_of(region, shm::RecordKind::kCpu))
    samples += event.lane.tid == static_cast<std::uint32_t>(probed.printed("early"));
  EXPECT_GT(samples, 10);
}

TEST(Cpu, ZeroHertzInstallsNothing) {
  Probed probed({.arguments = {target(), "cpu", "0.1", "1"}, .environment = {{"CAMPROBE_CPU_HZ", "0"}}});
  auto region = probed.region();
  EXPECT_TRUE(events_of(region, shm::RecordKind::kCpu).empty());
}

TEST(Cpu, TicksAreInvisibleToCallsThatTheKernelDoesNotRestart) {
  Probed probed({.arguments = {target(), "interruptions", "2.5"}, .environment = {{"CAMPROBE_CPU_HZ", "4000"}}});
  ASSERT_TRUE(probed.exited) << probed.err;
  EXPECT_GT(probed.printed("calls"), 500);
  EXPECT_EQ(probed.printed("interrupted"), 0);
  EXPECT_EQ(probed.printed("early"), 0);
}

TEST(Cpu, TheProgramsOwnHandlersStillInterrupt) {
  Probed probed({.arguments = {target(), "own-interruption"}, .environment = {{"CAMPROBE_CPU_HZ", "4000"}}});
  EXPECT_EQ(probed.printed("own"), 1);
}

TEST(Cpu, TheProgramMayQueryResetAndTakeEverySignal) {
  Probed probed({.arguments = {target(), "all-signals"}, .environment = {{"CAMPROBE_CPU_HZ", "2000"}}});
  ASSERT_TRUE(probed.exited) << "killed by signal " << probed.signal;
  EXPECT_EQ(probed.printed("odd"), 0);
  EXPECT_EQ(probed.printed("missed"), 0);
  EXPECT_NE(probed.region().status()->message.find("CPU sampling stopped"), std::string::npos);
}

}  // namespace
}  // namespace camprobe::tests
