// tests/load/artillery_test.cc: ten-second buckets whose quantiles stay their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

TEST(Artillery, ARealReportGivesTotalsFromItsAggregate) {
  const LoadTimeline timeline = must_read(text_of(fixture("artillery/report.json")));
  EXPECT_EQ(timeline.tool, "artillery");
  EXPECT_EQ(timeline.requests, 440u);
  EXPECT_EQ(timeline.errors, 146u);  // 140 refused connections and 6 times 503
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T16:22:25.680Z");
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T16:22:41.484Z");
  EXPECT_TRUE(timeline.latency.empty());
  ASSERT_TRUE(timeline.given);
  EXPECT_TRUE(timeline.given->p95_ms);
  EXPECT_EQ(timeline.skipped.rows, 0u);
}

TEST(Artillery, TheFirstBucketBeginsBeforeTheRunDoes) {
  const LoadTimeline timeline = must_read(text_of(fixture("artillery/report.json")));
  ASSERT_EQ(timeline.buckets.size(), 3u);
  EXPECT_EQ(to_rfc3339(timeline.buckets[0].from), "2026-11-23T16:22:20.000Z");
  EXPECT_LT(timeline.buckets[0].from, *timeline.start);
  EXPECT_EQ(timeline.buckets[0].width, std::chrono::seconds{10});
  EXPECT_EQ(timeline.buckets[0].all.requests, 94u);
  EXPECT_EQ(timeline.buckets[1].all.requests, 299u);
  EXPECT_EQ(timeline.buckets[1].all.errors, 105u);
  EXPECT_EQ(timeline.buckets[1].all.users, 1);  // 260 arrived by then, 259 were gone
  EXPECT_TRUE(timeline.buckets[1].all.given);
  EXPECT_EQ(requests_in_buckets(timeline), 440u);
}

TEST(Artillery, EndpointsCountAnswersAndErrors) {
  const LoadTimeline timeline = must_read(text_of(fixture("artillery/report.json")));
  EXPECT_THAT(timeline.endpoints, testing::UnorderedElementsAre("/work", "/slow", ":18456/refused"));
  std::uint64_t refused = 0, errors = 0;
  for (const LoadBucket& bucket : timeline.buckets) {
    for (const auto& [endpoint, cell] : bucket.endpoints) {
      if (timeline.endpoints[endpoint] != ":18456/refused") continue;
      refused += cell.requests;
      errors += cell.errors;
      EXPECT_FALSE(cell.given);
    }
  }
  EXPECT_EQ(refused, 140u);
  EXPECT_EQ(errors, 140u);
}

std::string report_of(const std::string& aggregate, const std::string& intermediate) {
  return "{\"aggregate\":{" + aggregate + "},\"intermediate\":[" + intermediate + "]}";
}

// A minute of warm-up from 0 to 100 arrivals a second, then two minutes of 100.
std::string ramp_and_hold() {
  std::string periods;
  const std::uint64_t start = 1795444010000;
  for (int i = 0; i < 18; ++i) {
    const int arrivals = i < 6 ? (i * 2 + 1) * 1000 / 12 : 1000;
    periods += fmt::format(
        "{}{{\"period\":\"{}\",\"counters\":{{\"vusers.created\":{},\"vusers.completed\":{},\"http.requests\":{}}},"
        "\"firstMetricAt\":{},\"lastMetricAt\":{}}}",
        i == 0 ? "" : ",", start + i * 10000, arrivals, arrivals, arrivals * 2, start + i * 10000 + 5,
        start + i * 10000 + 9990);
  }
  return report_of("\"counters\":{\"http.requests\":30000},\"period\":1795444010000", periods);
}

TEST(Artillery, PhasesComeFromTheArrivalOfUsers) {
  const LoadTimeline timeline = must_read(ramp_and_hold());
  ASSERT_EQ(timeline.phases.size(), 2u);
  EXPECT_EQ(timeline.phases[0].kind, "ramp");
  EXPECT_EQ(timeline.phases[1].kind, "steady");
  EXPECT_NEAR(std::chrono::duration<double>(timeline.phases[1].from - *timeline.start).count(), 60, 11);
  EXPECT_EQ(timeline.phases[1].to, timeline.end);
}

TEST(Artillery, APeriodMayBeATextOrANumber) {
  const LoadTimeline timeline = must_read(report_of("\"counters\":{\"http.requests\":3}",
                                                    "{\"period\":\"1795444010000\",\"counters\":{\"http.requests\":1}},"
                                                    "{\"period\":1795444020000,\"counters\":{\"http.requests\":2}},"
                                                    "{\"period\":\"soon\",\"counters\":{\"http.requests\":2}}"));
  EXPECT_EQ(timeline.buckets.size(), 2u);
  EXPECT_EQ(timeline.requests, 3u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre(testing::StartsWith("intermediate 3: ")));
}

TEST(Artillery, ACutOffReportKeepsTheTotalsAndTheWholeBuckets) {
  const std::string whole = text_of(fixture("artillery/report.json"));
  const std::size_t second = whole.find("\"period\": \"1795450950000\"");
  ASSERT_NE(second, std::string::npos);
  const LoadTimeline timeline = must_read(whole.substr(0, second + 200));
  EXPECT_EQ(timeline.requests, 440u);
  EXPECT_EQ(timeline.buckets.size(), 1u);
  EXPECT_EQ(timeline.skipped.rows, 1u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre(testing::MatchesRegex("line [0-9]+: cut off .*")));
}

TEST(Artillery, AReportWithoutHttpHasNoRequestsRatherThanZero) {
  const LoadTimeline timeline =
      must_read(report_of("\"counters\":{\"vusers.created\":5,\"websocket.messages_sent\":9}", ""));
  EXPECT_EQ(timeline.requests, std::nullopt);
  EXPECT_EQ(timeline.errors, std::nullopt);
}

TEST(Artillery, AReportOfTheFirstVersionIsRefused) {
  const auto timeline = read_text(report_of("\"timestamp\":\"2017-01-01T00:00:00Z\",\"requestsCompleted\":5", ""));
  ASSERT_FALSE(timeline.ok());
  EXPECT_THAT(timeline.error(), testing::HasSubstr("Artillery 1"));
}

TEST(Artillery, AgreesWithWhatTheToolPrintedOnALargerRun) {
  const auto path = large_fixture("artillery/report.json");
  SKIP_WITHOUT(path);
  const LoadTimeline timeline = must_read(text_of(path), 1 << 16);
  EXPECT_EQ(timeline.requests, 1661u);
  EXPECT_EQ(timeline.errors, 8u);
  ASSERT_EQ(timeline.buckets.size(), 3u);
  EXPECT_EQ(timeline.buckets[0].all.requests, 34u);
  EXPECT_EQ(timeline.buckets[1].all.given->p99_ms, 51.9);
  EXPECT_EQ(timeline.given->p50_ms, 2);
  EXPECT_EQ(timeline.given->p95_ms, 49.9);
  EXPECT_EQ(timeline.given->p99_ms, 53);
  EXPECT_EQ(timeline.given->max_ms, 76);
  EXPECT_EQ(timeline.endpoints.size(), 3u);
}

}  // namespace
}  // namespace camprobe::load
