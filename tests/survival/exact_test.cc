// tests/survival/exact_test.cc
//
// The counters are exact: what 64 threads and forked children did, as they counted it themselves, is what the region
// says, to the unit.
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

struct Kind {
  const char* name;
  shm::IoKind kind;
};
constexpr Kind kKinds[] = {{"socket_read", shm::IoKind::kSocketRead}, {"socket_write", shm::IoKind::kSocketWrite},
                           {"file_read", shm::IoKind::kFileRead},     {"file_write", shm::IoKind::kFileWrite},
                           {"pipe_read", shm::IoKind::kOtherRead},    {"pipe_write", shm::IoKind::kOtherWrite}};

void expect_equal(const Totals& found, const Probed& truth, const std::string& who) {
  const auto told = [&](const std::string& what) {
    return static_cast<std::uint64_t>(truth.printed(who + "_" + what));
  };
  EXPECT_EQ(found.allocs, told("allocs")) << who;
  EXPECT_EQ(found.frees, told("frees")) << who;
  EXPECT_EQ(found.bytes, told("bytes")) << who;
  for (const auto& [name, kind] : kKinds) {
    EXPECT_EQ(found.of(kind).ops, told(std::string(name) + "_ops")) << who << " " << name;
    EXPECT_EQ(found.of(kind).bytes, told(std::string(name) + "_bytes")) << who << " " << name;
    EXPECT_EQ(found.of(kind).errors, told(std::string(name) + "_errors")) << who << " " << name;
  }
}

Totals totals_at(const Probed& probed, pid_t pid) {
  std::string error;
  const auto paths = probed.regions_of(pid);
  if (paths.size() != 1) throw std::runtime_error("no region of process " + std::to_string(pid));
  const auto region = shm::RegionReader::open(paths[0], &error);
  if (!region) throw std::runtime_error(error);
  return totals_of(*region);
}

class Exact : public ::testing::TestWithParam<std::map<std::string, std::string>> {};

TEST_P(Exact, CountersOfSixtyFourThreadsAndForkedChildrenEqualTheTruthToTheUnit) {
  const long usual = 300, count = scaled("SURVIVAL_ROUNDS", usual), forks = 12;
  const auto run = [&](long rounds) {
    auto probed = std::make_unique<Probed>(
        Program{.arguments = {victim(), "exact", "64", std::to_string(rounds), std::to_string(forks)},
                .environment = GetParam(),
                .seconds = seconds_for(90, rounds, usual)});
    EXPECT_EQ(probed->signal, SIGKILL) << probed->out << probed->err;
    EXPECT_EQ(probed->printed("bad"), 0);
    return probed;
  };
  const auto none = run(0), some = run(count);
  EXPECT_GT(some->printed("threads_allocs"), 64 * 6 * static_cast<double>(count) - 1);
  expect_equal(totals_at(*some, some->pid) - totals_at(*none, none->pid), *some, "threads");
  const auto children = some->all_printed("child"), idle_children = none->all_printed("child");
  ASSERT_EQ(children.size(), static_cast<std::size_t>(forks));
  for (std::size_t i = 0; i < children.size(); ++i)
    expect_equal(
        totals_at(*some, static_cast<pid_t>(children[i])) - totals_at(*none, static_cast<pid_t>(idle_children.at(i))),
        *some, "child");
}

INSTANTIATE_TEST_SUITE_P(Intervals, Exact,
                         ::testing::Values(std::map<std::string, std::string>{},
                                           std::map<std::string, std::string>{{"CAMPROBE_HEAP_INTERVAL", "0"}},
                                           kDensest));

}  // namespace
}  // namespace camprobe::tests
