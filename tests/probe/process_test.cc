// tests/probe/process_test.cc
//
// Processes under the probe: forks, vforks, spawns, execs, the end, and places where no region can be.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

using shm::RecordKind;
using shm::RegionState;

const std::map<std::string, std::string> kSampleAll = {{"CAMPROBE_HEAP_INTERVAL", "64"}};

shm::RegionReader open_region(const std::string& path) {
  std::string error;
  auto reader = shm::RegionReader::open(path, &error);
  if (!reader) throw std::runtime_error(error);
  return std::move(*reader);
}

TEST(Process, ACleanExitLeavesNothingBehind) {
  Probed probed({.arguments = {target(), "nothing"}, .run = Run::kNone});
  EXPECT_EQ(probed.status, 0);
  for (const auto& path : all_regions())
    EXPECT_EQ(path.find("." + std::to_string(probed.pid) + "."), std::string::npos) << path;
}

TEST(Process, AnExitIsNotedForTheCollectorThatWantsTheRegion) {
  Probed probed({.arguments = {target(), "execs", "0"}});
  EXPECT_EQ(probed.status, 17);
  const auto status = probed.region().status();
  EXPECT_EQ(status->state, RegionState::kExited);
  EXPECT_EQ(status->exit_status, 17);
  EXPECT_GT(status->exit_ns, 0u);
}

TEST(Process, AKilledProgramLeavesItsWholeLiveHeap) {
  Probed probed({.arguments = {target(), "keep", "0", "300", "0"}, .environment = kSampleAll});
  EXPECT_EQ(probed.signal, SIGKILL);
  const auto region = probed.region();
  int found = 0;
  for (const auto& live : region.live_samples()) found += live.sample.size == 1000;
  EXPECT_GE(found, 299);  // each is sampled with probability 1 - e^-15.6
}

TEST(Process, AForkedChildHasARegionOfItsOwnAndNeverWritesItsParents) {
  Probed probed({.arguments = {target(), "forks"}, .environment = kSampleAll});
  const auto children = probed.all_printed("child");
  const auto statuses = probed.all_printed("status");
  ASSERT_EQ(children.size(), 3u);
  auto parent = open_region(probed.regions_of(probed.pid).at(0));
  std::set<std::uint32_t> forked;
  for (const auto& event : events_of(parent)) {
    if (event.record.kind == RecordKind::kProcess) forked.insert(event.record.process.pid);
    if (event.record.kind == RecordKind::kAlloc) {
      EXPECT_LT(event.record.alloc.size, 60'000u) << "a child's allocation";
    }
  }
  for (std::size_t i = 0; i < children.size(); ++i) {
    EXPECT_EQ(statuses[i], 40 + static_cast<double>(i));
    EXPECT_TRUE(forked.count(static_cast<std::uint32_t>(children[i])));
    const auto paths = probed.regions_of(static_cast<pid_t>(children[i]));
    ASSERT_EQ(paths.size(), 1u);
    auto child = open_region(paths[0]);
    EXPECT_EQ(child.info().parent_pid, static_cast<std::uint32_t>(probed.pid));
    EXPECT_EQ(child.status()->exit_status, 40 + static_cast<std::int64_t>(i));
    EXPECT_FALSE(child.modules().empty());
    bool is_found = false;
    for (const auto& event : events_of(child, RecordKind::kAlloc))
      is_found = is_found || event.record.alloc.size == 60'000 + i;
    EXPECT_TRUE(is_found);
  }
}

TEST(Process, FollowForkZeroLeavesChildrenAlone) {
  Probed probed({.arguments = {target(), "forks"}, .environment = {{"CAMPROBE_FOLLOW_FORK", "0"}}});
  EXPECT_EQ(probed.all_printed("status").size(), 3u);
  EXPECT_EQ(probed.regions().size(), 1u);
}

TEST(Process, ACopyMadeBehindOurBackIsNoticed) {
  Probed probed({.arguments = {target(), "raw-fork"}, .environment = kSampleAll});
  auto parent = open_region(probed.regions_of(probed.pid).at(0));
  for (const auto& event : events_of(parent, RecordKind::kAlloc)) EXPECT_NE(event.record.alloc.size, 77'777u);
  EXPECT_EQ(probed.regions_of(static_cast<pid_t>(probed.printed("child"))).size(), 1u);
}

TEST(Process, VforkChildrenAndSpawnedProgramsRunAndWriteNothing) {
  Probed probed({.arguments = {target(), "vforks"}, .environment = kSampleAll});
  EXPECT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;
  EXPECT_TRUE(probed.all_printed("bad_status").empty()) << probed.out;
  EXPECT_EQ(probed.printed("nested"), 6);
  EXPECT_EQ(probed.printed("spawned"), 0);
  EXPECT_EQ(probed.printed("spawned_status"), 0);
  auto parent = open_region(probed.regions_of(probed.pid).at(0));
  int vforked = 0, spawned = 0;
  bool goes_on = false;
  for (const auto& event : events_of(parent)) {
    if (event.record.kind == RecordKind::kAlloc) {
      EXPECT_NE(event.record.alloc.size, 88'888u) << "a vfork child's allocation";
      goes_on = goes_on || event.record.alloc.size == 99'999;
    }
    if (event.record.kind != RecordKind::kProcess) continue;
    vforked += event.record.process.event == shm::ProcessEvent::kVforked;
    spawned += event.record.process.event == shm::ProcessEvent::kSpawned &&
               event.record.process.pid == static_cast<std::uint32_t>(probed.printed("spawned_pid"));
  }
  EXPECT_EQ(vforked, 21);
  EXPECT_EQ(spawned, 1);
  EXPECT_TRUE(goes_on);
  EXPECT_EQ(probed.regions_of(static_cast<pid_t>(probed.printed("spawned_pid"))).size(), 1u);
}

TEST(Process, EachExecIsAnImageWithANumberAndAFailedOneChangesNothing) {
  Probed probed({.arguments = {target(), "execs", "2"}});
  EXPECT_EQ(probed.status, 17);
  EXPECT_EQ(probed.out, "done\n");
  const auto paths = probed.regions_of(probed.pid);
  ASSERT_EQ(paths.size(), 3u);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto region = open_region(paths[i]);
    EXPECT_EQ(region.info().image, i);
    EXPECT_EQ(region.status()->state, i + 1 < paths.size() ? RegionState::kExec : RegionState::kExited);
  }
}

TEST(Process, ExecsWithoutACollectorLeaveNothingBehind) {
  Probed probed({.arguments = {target(), "execs", "3"}, .run = Run::kNone});
  EXPECT_EQ(probed.status, 17);
  for (const auto& path : all_regions())
    EXPECT_EQ(path.find("." + std::to_string(probed.pid) + "."), std::string::npos) << path;
}

TEST(Process, AForkStormAmidBusyThreadsDisturbsNobody) {
  Probed probed({.arguments = {target(), "fork-storm", "150"},
                 .environment = {{"CAMPROBE_HEAP_INTERVAL", "4KiB"}, {"CAMPROBE_CPU_HZ", "2000"}},
                 .run = Run::kNamed,
                 .seconds = 60});
  ASSERT_TRUE(probed.exited) << "killed by " << probed.signal;
  EXPECT_EQ(probed.printed("bad"), 0);
  EXPECT_TRUE(probed.regions().empty()) << "clean exits leave nothing";
}

TEST(Process, ADaemonsParentLeavesNothingBehind) {
  Probed probed({.arguments = {target(), "daemon"}, .run = Run::kNamed});
  EXPECT_EQ(probed.status, 0);
  // The daemon's own region may come after its parent's went.
  int without = 0;
  for (int tries = 0; tries < 300 && without < 20; ++tries) {
    without = probed.regions().empty() ? without + 1 : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(without, 20);
}

TEST(Process, SixteenKibibytesOfStackAreEnough) {
  Probed probed({.arguments = {target(), "small-stacks"},
                 .environment = {{"CAMPROBE_HEAP_INTERVAL", "4KiB"}, {"CAMPROBE_CPU_HZ", "4000"}}});
  ASSERT_EQ(probed.signal, SIGKILL) << probed.out << probed.err;  // its own
  EXPECT_EQ(probed.printed("bad"), 0);
  EXPECT_LE(probed.region().status()->lanes_used, 6u) << "threads that exit or are cancelled give their lane back";
}

TEST(Process, AMillionShortThreadsWouldReuseOneLane) {
  // pthread_create() is hooked; thrd_create() is not, and some of those threads are first seen by their CPU timer.
  for (const char* how : {"short-threads", "c-threads"}) {
    Probed probed({.arguments = {target(), how, "2000"}, .environment = {{"CAMPROBE_CPU_HZ", "4000"}}});
    EXPECT_EQ(probed.signal, SIGKILL) << probed.err;
    const auto region = probed.region();
    // The main thread's, and one that a new thread finds free, unless its last owner is not quite gone.
    EXPECT_LE(region.status()->lanes_used, 6u) << how;
    EXPECT_EQ(region.status()->lost[static_cast<int>(shm::Loss::kNoLane)], 0u) << how;
  }
}

// In a mount namespace of its own the program sees another /dev/shm, of `options`; empty: none at all.
std::function<void()> with_shm(const char* options) {
  return [options] {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(77);
    if (mount("tmpfs", "/dev/shm", "tmpfs", *options == '\0' ? MS_RDONLY : 0, options) != 0) _exit(77);
  };
}

TEST(Process, AFullOrReadOnlyShmIsSurvivedAndSaidOnce) {
  for (const char* options : {"size=8k", "size=64k", "size=512k", "size=1m", ""}) {
    Probed probed({.arguments = {target(), "cpu", "0.1", "3"}, .before_exec = with_shm(options)});
    if (probed.status == 77) GTEST_SKIP() << "no mount namespaces here";
    EXPECT_EQ(probed.signal, SIGKILL) << options << ": ended by " << probed.signal;  // its own
    EXPECT_EQ(probed.all_printed("used").size(), 3u) << options;
    if (std::string(options) == "size=8k" || *options == '\0') {
      EXPECT_NE(probed.err.find("this process is not recorded"), std::string::npos) << probed.err;
      EXPECT_EQ(probed.err.find('\n'), probed.err.size() - 1) << "one line: " << probed.err;
    } else {
      EXPECT_EQ(probed.err, "") << options;
    }
  }
  Probed quiet({.arguments = {target(), "cpu", "0.05", "1"}, .run = Run::kNone, .before_exec = with_shm("size=8k")});
  EXPECT_EQ(quiet.err, "") << "nobody asked for a recording";
  Probed tree(
      {.arguments = {"bash", "-c", "ls / >/dev/null; (ls / >/dev/null); :"}, .before_exec = with_shm("size=8k")});
  EXPECT_EQ(tree.err.find('\n'), tree.err.size() - 1) << "one line for the whole tree: " << tree.err;
}

TEST(Process, AWrongVariableIsNamedOnceInATreeOfProcesses) {
  Probed probed({.arguments = {"bash", "-c", "ls / >/dev/null; (ls / >/dev/null); exec ls / >/dev/null"},
                 .environment = {{"CAMPROBE_CPU_HZ", "often"}, {"CAMPROBE_HEAP", "1"}, {"CAMPROBE_BUDGET", "0.5%"}}});
  EXPECT_EQ(probed.status, 0);
  EXPECT_NE(probed.err.find("CAMPROBE_CPU_HZ=often"), std::string::npos) << probed.err;
  EXPECT_NE(probed.err.find("CAMPROBE_HEAP (no such variable)"), std::string::npos) << probed.err;
  EXPECT_EQ(probed.err.find("BUDGET"), std::string::npos);
  EXPECT_EQ(probed.err.find('\n'), probed.err.size() - 1) << probed.err;
}

TEST(Process, TheFirstAllocationMayComeWithAnyLockHeld) {
  Probed probed({.arguments = {CAMPROBE_PLAIN}, .preload = std::string("@:") + CAMPROBE_EARLY_LOCALE, .seconds = 10});
  EXPECT_EQ(probed.status, 6) << probed.signal;
  EXPECT_EQ(probed.printed("locale"), 1);
}

TEST(Process, TheControlBlockTakesEffectWithinASecond) {
  // Given a program that allocates and sleeps, with heap sampling off
  Program program{.arguments = {target(), "churn", "3"}, .environment = {{"CAMPROBE_HEAP_INTERVAL", "0"}}};
  std::vector<std::string> before = all_regions();
  std::thread collector([&] {
    // When a collector asks for an interval of 1 MiB after a second
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    for (const auto& path : all_regions()) {
      std::string error;
      auto reader = shm::RegionReader::open(path, &error);
      if (!reader || reader->info().run_id.rfind("test" + std::to_string(getpid()) + "-", 0) != 0) continue;
      shm::ControlBlock* control = reader->control(&error);
      ASSERT_NE(control, nullptr) << error;
      control->heap_interval = 1 << 20;
      control->version.fetch_add(1);
    }
  });
  Probed probed(program);
  collector.join();
  // Then samples of that interval come within a second, and the change is in the record
  auto region = probed.region();
  std::uint64_t changed = 0, first_sample = 0;
  for (const auto& event : events_of(region)) {
    if (event.record.kind == RecordKind::kSetting && event.record.setting.value == 1 << 20)
      changed = event.record.time_ns;
    if (event.record.kind == RecordKind::kAlloc && event.record.alloc.interval == 1 << 20 && first_sample == 0)
      first_sample = event.record.time_ns;
  }
  ASSERT_NE(changed, 0u);
  ASSERT_NE(first_sample, 0u);
  EXPECT_LT(changed, region.info().created_ns + 2'000'000'000);
  EXPECT_LT(first_sample, region.info().created_ns + 2'000'000'000);
}

}  // namespace
}  // namespace camprobe::tests
