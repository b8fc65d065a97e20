// tests/shm/killed_writer_test.cc
//
// A writer killed at any instruction of a write. The child single-steps (ptrace) through writes of each kind; the
// parent reads the region after every single instruction, when it holds exactly what SIGKILL at that instruction would
// leave, and must find the old state or the new one, never a mixture. At some of them the child really is killed.
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shm/test_region.h"

namespace camprobe::shm {
namespace {

// Single-steps a child through act() to its end and calls inspect() after each instruction; or, unless `kill_at` is
// negative, kills it after that many and calls inspect() then. Returns how many instructions it made.
template <typename Act, typename Inspect>
long step_through(long kill_at, Act act, Inspect inspect) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    act();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  long steps = 0;
  for (; steps != kill_at; ++steps) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) || WIFSIGNALED(status)) return steps;
    if (kill_at < 0) inspect();
    if (::testing::Test::HasFatalFailure()) break;
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  inspect();
  return steps;
}

// The child inherits the region's shared mapping and plays the writer.
TEST(KilledWriter, LeavesOldOrNewRecordsNeverAMixture) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  RingWriter ring = region.ring(region->acquire_lane(1, 1));
  for (std::uint64_t n = 1; n <= kLongRing + 5; ++n) write_numbered(ring, n);  // slots are being reused
  const auto act = [&] {
    for (std::uint64_t n = 1; n <= 3; ++n) write_numbered(ring, 1'000'000 + n);
  };
  const auto inspect = [&] {
    RegionReader reader = region.reader();
    const DrainResult drained =
        reader.drain([](auto&&, bool, const ReadRecord& record) { ASSERT_TRUE(is_whole(record)); });
    ASSERT_LE(drained.torn, 1u);
    ASSERT_GE(drained.records, kLongRing - 2);
  };
  const long whole = step_through(-1, act, inspect);
  EXPECT_GT(whole, 60);
  for (long kill_at = 1; kill_at < whole; kill_at += 1 + whole / 16) step_through(kill_at, act, inspect);
}

TEST(KilledWriter, LeavesTheDepotAndTheLiveTableReadable) {
  TestRegion region;
  ASSERT_TRUE(region.created()) << region.error();
  const std::uintptr_t warm[2] = {1, 2};
  const StackId known = region->intern_stack(warm, 2, true);
  LiveSample first{};
  first.size = first.sample = 7;
  ASSERT_TRUE(region->live().insert(0x1000, first));
  std::uintptr_t frames[2] = {100, 5};
  const auto act = [&] {
    LiveSample sample{};
    sample.size = sample.sample = 9;
    sample.stack = region->intern_stack(frames, 2, true);
    region->live().insert(0x2000, sample);
    region->live().erase(0x2000, &sample);
  };
  const auto inspect = [&] {
    const RegionReader reader = region.reader();
    const auto stack = reader.stack(known);
    ASSERT_TRUE(stack.has_value());
    ASSERT_EQ(stack->frames, (std::vector<std::uint64_t>{1, 2}));
    for (const ReadLiveSample& entry : reader.live_samples()) ASSERT_EQ(entry.sample.size, entry.sample.sample);
  };
  const long whole = step_through(-1, act, inspect);
  EXPECT_GT(whole, 200);
  for (long kill_at = 1; kill_at < whole; kill_at += 1 + whole / 16) {
    frames[0] += 1;
    step_through(kill_at, act, inspect);
    // The table works on after the death: a slot the dead writer had claimed is at most lost, never wrong.
    LiveSample taken;
    region->live().erase(0x2000, &taken);
    ASSERT_NE(region->intern_stack(frames, 2, true), 0u);
  }
}

}  // namespace
}  // namespace camprobe::shm
