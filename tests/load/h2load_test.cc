// tests/load/h2load_test.cc: rows by start in microseconds, unsorted, without the requests that got no answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/load/h2load_summary.h"
#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

using std::chrono::microseconds;

TEST(H2load, ARealLogGivesRequestsErrorsAndLatencies) {
  const LoadTimeline timeline = must_read(text_of(fixture("h2load/work.tsv")));
  EXPECT_EQ(timeline.tool, "h2load");
  EXPECT_EQ(timeline.requests, 120u);
  EXPECT_EQ(timeline.errors, 4u);
  EXPECT_EQ(timeline.latency.count(), 120u);
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent);
  EXPECT_EQ(timeline.skipped.rows, 0u);
  EXPECT_EQ(requests_in_buckets(timeline), 120u);
  EXPECT_EQ(errors_in_buckets(timeline), 4u);
}

TEST(H2load, DurationsAreMicrosecondsAndStampsAreStarts) {
  const LoadTimeline timeline = must_read("1795444095900000\t200\t250000\n1795444095100000\t404\t1500\n");
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T14:28:15.100Z");
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T14:28:16.150Z");
  EXPECT_EQ(timeline.latency.max(), 250'000'000u);
  EXPECT_EQ(timeline.latency.min(), 1'500'000u);
  EXPECT_EQ(timeline.errors, 1u);
  ASSERT_EQ(timeline.buckets.size(), 1u);  // both were sent in the same second, one ended in the next
  EXPECT_EQ(timeline.resolution, microseconds{1});
}

TEST(H2load, RowsNeedNoOrder) {
  const LoadTimeline timeline =
      must_read("1795444098000000\t200\t10\n1795444095000000\t200\t3000100\n1795444096500000\t200\t1500200\n");
  ASSERT_EQ(timeline.buckets.size(), 3u);
  EXPECT_LT(timeline.buckets[0].from, timeline.buckets[1].from);
  EXPECT_LT(timeline.buckets[1].from, timeline.buckets[2].from);
}

TEST(H2load, AFailedStreamIsAnErrorWithoutLatency) {
  const LoadTimeline timeline = must_read("1795444095000000\t200\t900\n1795444095000100\t-1\t70\n");
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_EQ(timeline.latency.count(), 1u);
}

TEST(H2load, FurtherColumnsAreAllowed) {
  EXPECT_EQ(must_read("1795444095000000\t200\t900\th2\tx\n").requests, 1u);
}

TEST(H2load, ACutOffLastRowIsLeftOutAndNamed) {
  // Cut in the duration: 51234 would read as 512.
  const LoadTimeline timeline = must_read("1795444095000000\t200\t51000\n1795444095000100\t200\t512");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.skipped.rows, 1u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre("line 2: cut off (no end of line)"));
}

TEST(H2load, DamagedRowsAreNamedAndTheRestIsKept) {
  const LoadTimeline timeline = must_read(
      "1795444095000000\t200\t900\nrubbish\n1795444095000000\t20x\t900\n\n1795444095\t200\t900\n"
      "1795444095000000\t200\t-5\n1795444095000000\t200\n1795444095000001\t200\t900\n1795444095000001\t200\t900\n"
      "1795444095000001\t200\t900\n1795444095000001\t200\t900\n1795444095000001\t200\t900\n1795444095000001\t200\t900"
      "\n");
  EXPECT_EQ(timeline.requests, 7u);
  EXPECT_EQ(timeline.skipped.rows, 5u);
  EXPECT_THAT(timeline.skipped.why,
              testing::ElementsAre(testing::StartsWith("line 2: "), testing::StartsWith("line 3: "),
                                   testing::StartsWith("line 5: "), testing::StartsWith("line 6: "),
                                   testing::StartsWith("line 7: ")));
}

TEST(H2load, ReasonsAreBoundedCountsAreNot) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "1795444095000000\t200\t900\n";
  for (int i = 0; i < 90; ++i) text += "rubbish\n";
  const LoadTimeline timeline = must_read(text);
  EXPECT_EQ(timeline.skipped.rows, 90u);
  EXPECT_EQ(timeline.skipped.why.size(), Skipped::kReasonsKept);
}

TEST(H2load, TheSummaryCountsWhatHasNoRow) {
  LoadTimeline timeline = must_read(text_of(fixture("h2load/drop.tsv")));
  EXPECT_EQ(timeline.requests, 6u);
  EXPECT_EQ(timeline.errors, 0u);
  ASSERT_TRUE(add_h2load_summary(timeline, text_of(fixture("h2load/drop.txt"))));
  EXPECT_EQ(timeline.requests, 9u);  // of 90 asked for, 9 were sent
  EXPECT_EQ(timeline.errors, 3u);
  EXPECT_EQ(requests_in_buckets(timeline), 6u);
}

TEST(H2load, ASummaryOfOneRunDoesNotShrinkALogOfTwo) {
  const std::string one = text_of(fixture("h2load/work.tsv"));
  LoadTimeline timeline = must_read(one + one);
  ASSERT_TRUE(add_h2load_summary(timeline, text_of(fixture("h2load/work.txt"))));
  EXPECT_EQ(timeline.requests, 240u);
  EXPECT_THAT(timeline.notes, testing::ElementsAre(testing::HasSubstr("several runs")));
}

TEST(H2load, ATextThatIsNoSummaryChangesNothing) {
  LoadTimeline timeline = must_read(text_of(fixture("h2load/drop.tsv")));
  EXPECT_FALSE(add_h2load_summary(timeline, "requests: none\n"));
  EXPECT_FALSE(add_h2load_summary(timeline, ""));
  EXPECT_EQ(timeline.requests, 6u);
}

struct LargeRun {
  const char* name;
  std::uint64_t requests, errors;
  double shortest_ms, longest_ms;
};
class H2loadLarge : public testing::TestWithParam<LargeRun> {};

TEST_P(H2loadLarge, AgreesWithWhatTheToolPrinted) {
  const LargeRun& run = GetParam();
  const auto path = large_fixture(std::string("h2load/") + run.name + ".tsv");
  SKIP_WITHOUT(path);
  LoadTimeline timeline = must_read(text_of(path), 1 << 16);
  EXPECT_EQ(timeline.requests, run.requests);
  EXPECT_EQ(timeline.errors, run.errors);
  EXPECT_NEAR(static_cast<double>(*timeline.latency.min()) / 1e6, run.shortest_ms, 0.01);
  EXPECT_NEAR(static_cast<double>(*timeline.latency.max()) / 1e6, run.longest_ms, 0.05);
  ASSERT_TRUE(add_h2load_summary(timeline, text_of(large_fixture(std::string("h2load/") + run.name + ".txt"))));
  EXPECT_EQ(timeline.requests, run.requests);
  EXPECT_EQ(timeline.errors, run.errors);
}

INSTANTIATE_TEST_SUITE_P(Runs, H2loadLarge,
                         testing::Values(LargeRun{"h2load_n400_r2", 400, 0, 49.25, 51.75},
                                         LargeRun{"h2load_n600", 600, 5, 0.060, 9.05},
                                         LargeRun{"h2load_t2_n1500", 1500, 17, 0.270, 10.18}));

}  // namespace
}  // namespace camprobe::load
