// tests/analysis/restart_test.cc
//
// A server that is restarted in the middle of the run: each life is judged by itself, and a leak in several lives is
// one finding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "collector/analysis/from_run.h"
#include "run/reader.h"
#include "run/writer.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::analysis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kSecondNs = 1'000'000'000;

struct Server {
  std::int64_t began = 0, ended = 0;  // seconds; ended 0: still there
  bool leaks = false;
  bool fills_at_start = false;    // a cache: its first ten seconds keep fifty objects, and nothing later
  std::int64_t keeps_one_in = 1;  // of those objects that a leak keeps
};

// 200 requests a second for 400 s over one server after another, whose every tenth request keeps an object, if it
// leaks. What one that ends held is freed in its last half second.
run::Report report_of(const std::vector<Server>& lives) {
  run::Scratch scratch;
  const std::string path = scratch / "restarted.camrun";
  constexpr std::int64_t kEnd = 400;
  auto writer = run::Writer::create(path, run::sample_meta());
  EXPECT_TRUE(writer);
  std::vector<run::ProcessId> servers;
  for (const Server& life : lives) {
    run::Process process;
    process.pid = 100 + static_cast<std::int64_t>(servers.size());
    process.probe_state = "sampling";
    process.memory_limit_bytes = std::int64_t{1} << 30;
    process.began_ns = life.began * kSecondNs;
    if (life.ended > 0) process.ended_ns = life.ended * kSecondNs;
    const run::ProcessId server = writer->add(process);
    servers.push_back(server);
    const auto stack = [&](const char* function) {
      const run::StackId id = writer->add_stack(server, false);
      run::Frame frame;
      frame.function = function;
      frame.kind = "native";
      frame.module = "server";
      writer->set_frames(id, {frame});
      return id;
    };
    const run::StackId remember = stack("remember"), handle = stack("handle"), fill = stack("fill");
    const std::int64_t until = life.ended > 0 ? life.ended : kEnd;
    std::int64_t sample = 0;
    const auto put = [&](run::StackId where, std::int64_t born, std::optional<std::int64_t> died) {
      if (!died && life.ended > 0) died = life.ended * kSecondNs - kSecondNs / 2;
      writer->put(run::HeapObject{server, ++sample, where, {}, {}, 4096, 8192, 10410, 2.54, born, died});
    };
    for (std::int64_t i = 0; i < (until - life.began) * 5; ++i) {
      const std::int64_t born = life.began * kSecondNs + i * kSecondNs / 5 + 7'000'000;
      put(handle, born, born + 2 * kSecondNs < until * kSecondNs ? std::optional(born + 2 * kSecondNs) : std::nullopt);
      if (life.leaks && i % life.keeps_one_in == 0) put(remember, born, std::nullopt);
      if (life.fills_at_start && i < 50) put(fill, born, std::nullopt);
    }
    for (std::int64_t second = life.began; second < until; ++second) {
      writer->count(run::IoRow{server, second, "socket_read", 200, 20'000, 0, 0});
      writer->point(run::Metric{0, "process_resident_bytes", "bytes", "gauge"}, server, second, 5e7);
    }
  }
  const run::SourceId source = writer->add(run::LoadSource{});
  for (std::int64_t second = 0; second < kEnd; ++second) {
    run::LoadBucket bucket;
    bucket.source = source;
    bucket.second = second;
    bucket.requests = 200;
    writer->put(bucket);
  }
  writer->put(run::LoadWindow{0, source, "steady", "steady", 0, kEnd * kSecondNs});
  EXPECT_TRUE(writer->finish(kEnd * kSecondNs, run::kComplete));
  auto reader = run::Reader::open(path);
  EXPECT_TRUE(reader);
  return analyse(*reader);
}

std::vector<run::Finding> leaks_of(const run::Report& report) {
  std::vector<run::Finding> leaks;
  for (const run::Finding& finding : report.findings) {
    if (finding.kind == "leak" && finding.verdict == "leaks" && finding.confirmed) leaks.push_back(finding);
  }
  return leaks;
}

std::string evidence(const run::Finding& finding, const std::string& kind) {
  std::string text;
  for (const run::ReportEvidence& e : finding.evidence) {
    if (e.what == kind) text += e.text + "\n";
  }
  return text;
}

constexpr double kTruth = 4096 * 2.54 * 5 / 200 * 1000;  // bytes kept per 1,000 requests

TEST(Restart, DoesNotHideTheLeakOfTheServerThatIsGone) {
  const run::Report report = report_of({{0, 200, true, false}, {201, 0, false, false}});
  const auto leaks = leaks_of(report);
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].where.process, 1);
  EXPECT_THAT(leaks[0].title, HasSubstr("(pid 100, ended at 3:20)"));
  EXPECT_TRUE(leaks[0].since->from_start);
  EXPECT_LE(leaks[0].per_1000_requests->low, kTruth);
  EXPECT_GE(leaks[0].per_1000_requests->high, kTruth);
  EXPECT_FALSE(leaks[0].forecast.has_value()) << "nothing is left that could reach a limit";
  EXPECT_THAT(evidence(leaks[0], "life"), HasSubstr("0:00 to 3:20"));
  EXPECT_EQ(report.verdict, "fail");
}

TEST(Restart, MakesOneFindingOfALeakInTwoLives) {
  const auto leaks = leaks_of(report_of({{0, 150, true, false}, {151, 0, true, false}}));
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].where.process, 2) << "the one that is still there";
  EXPECT_THAT(leaks[0].title, Not(HasSubstr("ended")));
  EXPECT_THAT(evidence(leaks[0], "life"), HasSubstr("Pid 100, which ended at 2:30, leaked there as well"));
  EXPECT_TRUE(leaks[0].forecast.has_value());
  EXPECT_LE(leaks[0].per_1000_requests->low, kTruth);
  EXPECT_GE(leaks[0].per_1000_requests->high, kTruth);
}

TEST(Restart, IsTheStartOfWhatTheSecondServerLeaks) {
  const auto leaks = leaks_of(report_of({{0, 150, false, false}, {151, 0, true, false}}));
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].where.process, 2);
  EXPECT_FALSE(leaks[0].since->from_start) << "of the load";
  EXPECT_NEAR(leaks[0].since->at_s, 151, 1);
  EXPECT_THAT(evidence(leaks[0], "life"), HasSubstr("from 2:31 on, when pid 101 began"));
}

TEST(Restart, OfAServerThatFillsItsCacheAgainAccusesNobody) {
  const run::Report report = report_of({{0, 130, false, true}, {131, 260, false, true}, {261, 0, false, true}});
  EXPECT_EQ(leaks_of(report).size(), 0u);
  EXPECT_EQ(report.verdict, "pass") << report.summary;
}

// Each of the workers has too little to be convicted by; all of them have enough.
TEST(Restart, JudgesWorkersTogetherThatBeganAndEndedTogether) {
  std::vector<Server> servers = {{0, 150, false, false}};
  for (std::int64_t worker = 0; worker < 4; ++worker) servers.push_back({151 + worker % 2, 0, true, false, 100});
  const auto leaks = leaks_of(report_of(servers));
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_THAT(evidence(leaks[0], "life"), HasSubstr("and 3 others began"));
  EXPECT_EQ(leaks_of(report_of({{0, 150, false, false}, {151, 0, true, false, 100}})).size(), 0u);
}

// Workers that come and go all the time are not judged one by one.
TEST(Restart, OfManyShortLivesLeavesThemToTheWholeRun) {
  std::vector<Server> lives;
  for (std::int64_t began = 0; began < 400; began += 20) lives.push_back({began, began + 20, true, false});
  const run::Report report = report_of(lives);
  EXPECT_EQ(leaks_of(report).size(), 0u) << "what they keep goes with them";
}

}  // namespace
}  // namespace camprobe::analysis
