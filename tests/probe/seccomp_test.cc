// tests/probe/seccomp_test.cc
//
// Programs that allow themselves only the system calls that they need themselves. A filter that kills on any other must
// never meet one of the probe's.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <regex>
#include <set>

#include "shm/raw_syscall.h"
#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

const std::map<std::string, std::string> kDensest = {{"CAMPROBE_HEAP_INTERVAL", "64"}, {"CAMPROBE_CPU_HZ", "4000"}};

// What a program prints but for the times in it.
std::string without_times(const std::string& text) {
  return std::regex_replace(text, std::regex("_ns [0-9]+"), "_ns");
}

std::string expect_same_end(const Probed& with, const std::vector<std::string>& arguments, tests::Run run) {
  std::string said;
  for (const auto& word : arguments) said += " " + word;
  Probed without({.arguments = arguments, .preload = "", .run = run});
  EXPECT_EQ(without.status, 31) << said << ": without the probe, signal " << without.signal;
  EXPECT_EQ(with.status, without.status) << said << ": signal " << with.signal << "; " << with.err;
  EXPECT_EQ(with.signal, without.signal) << said;
  EXPECT_EQ(without_times(with.out), without_times(without.out)) << said;
  EXPECT_EQ(with.err, without.err) << said;
  return said;
}

TEST(Seccomp, AFilterThatForbidsWhatTheProbeCallsIsNeverMet) {
  for (const char* action : {"kill", "kill-thread", "trap", "errno"}) {
    for (const char* way : {"prctl", "seccomp"}) {
      for (const tests::Run run : {tests::Run::kCollected, tests::Run::kNone}) {
        if (run == tests::Run::kNone && std::string(action) != "kill") continue;
        const std::vector<std::string> arguments = {CAMPROBE_SEALED, action, way};
        Probed with({.arguments = arguments, .environment = kDensest, .run = run, .seconds = 60});
        const std::string said = expect_same_end(with, arguments, run);
        if (run == tests::Run::kNone) {
          for (const auto& path : all_regions())
            EXPECT_EQ(path.find("." + std::to_string(with.pid) + "."), std::string::npos) << said << " left " << path;
          continue;
        }
        // It goes on recording what needs no forbidden call.
        auto region = with.region();
        const auto sealed = static_cast<std::uint64_t>(with.printed("sealed_ns"));
        int samples = 0, openings = 0;
        for (const auto& event : events_of(region)) {
          if (event.record.time_ns <= sealed) continue;
          samples += event.record.kind == shm::RecordKind::kAlloc;
          openings += event.record.kind == shm::RecordKind::kOpen;
        }
        EXPECT_GT(samples, 100) << said;
        EXPECT_GT(openings, 0) << said;
        EXPECT_EQ(region.status()->state, shm::RegionState::kExited) << said;
        EXPECT_EQ(region.status()->exit_status, 31) << said;
      }
    }
  }
}

TEST(Seccomp, WithoutAClockRecordingEndsAndWithoutSigreturnNoTickComes) {
  for (const char* missing : {"clock", "sigreturn"}) {
    const std::vector<std::string> arguments = {CAMPROBE_SEALED, "kill", "seccomp", missing};
    Probed with({.arguments = arguments, .environment = kDensest, .seconds = 60});
    const std::string said = expect_same_end(with, arguments, tests::Run::kCollected);
    auto region = with.region();
    EXPECT_NE(region.status()->message.find("seccomp"), std::string::npos) << said << region.status()->message;
    const auto sealed = static_cast<std::uint64_t>(with.printed("sealed_ns"));
    // A tick that was under way may still have come.
    for (const auto& event : events_of(region, shm::RecordKind::kCpu))
      EXPECT_LT(event.record.time_ns, sealed + 100'000'000) << said;
  }
}

TEST(Seccomp, TheStrictModeIsSurvived) {
  const std::vector<std::string> arguments = {CAMPROBE_SEALED, "strict"};
  Probed with({.arguments = arguments, .environment = kDensest, .seconds = 60});
  expect_same_end(with, arguments, tests::Run::kCollected);
}

TEST(Seccomp, AFilterThatTheKernelRefusesChangesNothing) {
  const std::vector<std::string> arguments = {CAMPROBE_SEALED, "refused"};
  Probed with({.arguments = arguments, .environment = kDensest, .seconds = 60});
  expect_same_end(with, arguments, tests::Run::kCollected);
  auto region = with.region();
  EXPECT_EQ(region.status()->message, "");
  EXPECT_EQ(region.status()->families, shm::kAllFamilies);
  const auto refused = static_cast<std::uint64_t>(with.printed("refused_ns"));
  int ticks = 0, samples = 0;
  for (const auto& event : events_of(region)) {
    ticks += event.record.kind == shm::RecordKind::kCpu && event.record.time_ns > refused;
    samples += event.record.kind == shm::RecordKind::kAlloc && event.record.time_ns > refused;
  }
  EXPECT_GT(ticks, 10);
  EXPECT_GT(samples, 10);
}

TEST(Seccomp, AFilterThatWasThereBeforeTheProgramIsTriedOutByCopies) {
  const std::vector<std::string> arguments = {CAMPROBE_SEALED, "exec", "prctl", CAMPROBE_SEALED, "work"};
  Probed with({.arguments = arguments, .environment = kDensest, .seconds = 60});
  expect_same_end(with, arguments, tests::Run::kCollected);
}

TEST(Seccomp, EverySystemCallOfTheProbeIsListedAndDocumented) {
  std::ifstream document(std::string(CAMPROBE_SOURCE_DIR) + "/docs/system-calls.md");
  const std::string text((std::istreambuf_iterator<char>(document)), {});
  std::set<std::string> documented;
  const std::regex row("\\| `([a-z0-9_]+)` \\|");
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at) documented.insert((*at)[1]);
  std::set<std::string> listed;
#define CAMPROBE_LIST(name) listed.insert(#name);
  CAMPROBE_SYSTEM_CALLS(CAMPROBE_LIST)
#undef CAMPROBE_LIST
  EXPECT_EQ(documented, listed);
}

}  // namespace
}  // namespace camprobe::tests
