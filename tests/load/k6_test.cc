// tests/load/k6_test.cc: both of k6's row formats, which say the same and must be understood the same.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

std::string json_point(const char* metric, const std::string& time, double value, const std::string& tags) {
  return fmt::format(
      "{{\"metric\":\"{}\",\"type\":\"Point\",\"data\":{{\"time\":\"{}\",\"value\":{},\"tags\":{{{}}}}}}}\n", metric,
      time, value, tags);
}

std::string json_request(const std::string& time, double ms, bool failed, const std::string& tags) {
  return json_point("http_reqs", time, 1, tags) + json_point("http_req_duration", time, ms, tags) +
         json_point("http_req_blocked", time, 0.1, tags) + json_point("http_req_failed", time, failed ? 1 : 0, tags);
}

TEST(K6Json, NinePointsARequestCountOnce) {
  const LoadTimeline timeline = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  EXPECT_EQ(timeline.tool, "k6");
  EXPECT_EQ(timeline.requests, 10u);
  EXPECT_EQ(timeline.errors, 3u);
  EXPECT_EQ(requests_in_buckets(timeline), 10u);
  EXPECT_EQ(errors_in_buckets(timeline), 3u);
  EXPECT_EQ(timeline.skipped.rows, 0u);
  EXPECT_THAT(timeline.endpoints,
              testing::ElementsAre("bid", "http://127.0.0.1:18455/slow", "http://127.0.0.1:18455x/refused"));
}

TEST(K6Json, TimesAreEndsSoRequestsAreSentBefore) {
  const LoadTimeline timeline = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T10:00:00.301Z");  // .312 less 10.5 ms
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T10:00:04.800Z");
  const LoadBucket* first = bucket_at(timeline, "2026-11-23T10:00:00Z");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->all.requests, 3u);  // the third ended at 10:00:01.040 and took 55.5 ms
  const LoadBucket* fourth = bucket_at(timeline, "2026-11-23T10:00:03Z");
  ASSERT_NE(fourth, nullptr);
  EXPECT_EQ(fourth->all.requests, 4u);  // with the one that ended at 10:00:04.800 after 1.3 s, and one at 4.010
}

TEST(K6Json, ARefusedConnectionHasNoLatency) {
  const LoadTimeline timeline = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  EXPECT_EQ(timeline.latency.count(), 8u);
  EXPECT_EQ(timeline.latency.min(), 9'750'000u);  // a 503 is an answer
  EXPECT_EQ(timeline.latency.max(), 1'300'500'000u);
}

TEST(K6Json, UsersAreReadFromTheirGauge) {
  const LoadTimeline timeline = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  EXPECT_EQ(bucket_at(timeline, "2026-11-23T10:00:00Z")->all.users, 1);
  EXPECT_EQ(bucket_at(timeline, "2026-11-23T10:00:03Z")->all.users, 3);
}

TEST(K6Json, PhasesAreThePhaseTagOrElseTheScenario) {
  const LoadTimeline timeline = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  ASSERT_EQ(timeline.phases.size(), 2u);
  EXPECT_EQ(timeline.phases[0].name, "ramp");
  EXPECT_EQ(timeline.phases[0].kind, "ramp");
  EXPECT_EQ(timeline.phases[1].name, "peak");
  EXPECT_EQ(timeline.phases[1].kind, "load");
}

TEST(K6Json, TheOrderOfKeysSaysNothing) {
  const std::string reordered =
      "{\"data\":{\"tags\":{\"status\":\"200\"},\"value\":1,\"time\":\"2026-11-23T10:00:00.5+02:00\"},\"type\":"
      "\"Point\","
      "\"metric\":\"http_reqs\"}\n";
  const LoadTimeline timeline = must_read(reordered);
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.errors, 0u);
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T08:00:00.500Z");
}

TEST(K6Json, ACutOffLastLineIsNamedAndACompleteOneWithoutNewlineIsKept) {
  const std::string one = json_request("2026-11-23T10:00:00.5Z", 12, false, "\"status\":\"200\"");
  EXPECT_EQ(must_read(one + "{\"metric\":\"http_reqs\",\"type\":\"Point\",\"da").requests, 1u);
  const LoadTimeline cut =
      must_read(one + "{\"metric\":\"http_req_blocked\",\"type\":\"Point\",\"data\":{\"time\":\"20");
  EXPECT_THAT(cut.skipped.why, testing::ElementsAre("line 5: cut off (no end of line)"));
  std::string unterminated = one;
  unterminated.pop_back();
  const LoadTimeline whole = must_read(unterminated);
  EXPECT_EQ(whole.requests, 1u);
  EXPECT_EQ(whole.skipped.rows, 0u);
}

TEST(K6Json, WithoutAJudgementOfK6TheStatusDecides) {
  const std::string text =
      json_point("http_reqs", "2026-11-23T10:00:00.5Z", 1, "\"status\":\"404\"") +
      json_point("http_reqs", "2026-11-23T10:00:00.6Z", 1, "\"status\":\"204\"") +
      json_point("http_reqs", "2026-11-23T10:00:00.7Z", 1, "\"status\":\"0\",\"error_code\":\"1212\"");
  EXPECT_EQ(must_read(text).errors, 2u);
}

TEST(K6Json, WithoutAnyHintErrorsAreUnknown) {
  const LoadTimeline timeline = must_read(json_point("http_reqs", "2026-11-23T10:00:00.5Z", 1, ""));
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.errors, std::nullopt);
}

TEST(K6Json, K6sOwnJudgementComesBeforeTheStatus) {
  // http.expectedStatuses(404) makes a 404 a success.
  const LoadTimeline timeline = must_read(json_request("2026-11-23T10:00:00.5Z", 12, false, "\"status\":\"404\""));
  EXPECT_EQ(timeline.errors, 0u);
}

TEST(K6Json, PointsThatWereSortedApartStillCountOnce) {
  std::string reqs, durations, failures;
  for (int i = 0; i < 5; ++i) {
    const std::string time = fmt::format("2026-11-23T10:00:0{}.5Z", i);
    reqs += json_point("http_reqs", time, 1, "\"status\":\"200\"");
    durations += json_point("http_req_duration", time, 20, "\"status\":\"200\"");
    failures += json_point("http_req_failed", time, 0, "\"status\":\"200\"");
  }
  const LoadTimeline timeline = must_read(durations + failures + reqs);
  EXPECT_EQ(timeline.requests, 5u);
  EXPECT_EQ(timeline.errors, 0u);
  EXPECT_EQ(timeline.latency.count(), 5u);
}

TEST(K6Json, OtherProtocolsHaveNoRequests) {
  const LoadTimeline timeline = must_read(json_point("iterations", "2026-11-23T10:00:00.5Z", 1, "") +
                                          json_point("vus", "2026-11-23T10:00:00.5Z", 1, ""));
  EXPECT_EQ(timeline.requests, 0u);
  EXPECT_THAT(timeline.notes, testing::Contains(testing::HasSubstr("no http_reqs")));
}

TEST(K6Json, RampingUsersGivePhases) {
  std::string text;
  for (int second = 0; second < 60; ++second) {
    const std::string time = fmt::format("2026-11-23T10:00:{:02}.5Z", second);
    const int users = second < 20 ? second : second < 50 ? 20 : (60 - second) * 2;
    text += json_point("vus", time, users, "") +
            json_request(time, 12, false, "\"status\":\"200\",\"scenario\":\"default\"");
  }
  const LoadTimeline timeline = must_read(text, 1 << 16);
  ASSERT_EQ(timeline.phases.size(), 3u);
  EXPECT_EQ(timeline.phases[0].kind, "ramp");
  EXPECT_EQ(timeline.phases[1].kind, "steady");
  EXPECT_EQ(timeline.phases[2].name, "ramp 2");
}

TEST(K6Csv, SaysTheSameAsJsonToTheSecond) {
  const LoadTimeline csv = must_read(text_of(fixture("k6_csv/two_scenarios.csv")));
  const LoadTimeline json = must_read(text_of(fixture("k6_json/two_scenarios.ndjson")));
  EXPECT_EQ(csv.requests, json.requests);
  EXPECT_EQ(csv.errors, json.errors);
  EXPECT_EQ(csv.endpoints, json.endpoints);
  EXPECT_EQ(csv.latency.to_json(), json.latency.to_json());
  ASSERT_EQ(csv.phases.size(), 2u);
  EXPECT_EQ(csv.phases[1].name, "peak");  // from extra_tags
  EXPECT_EQ(csv.resolution, std::chrono::seconds{1});
  EXPECT_THAT(csv.notes, testing::Contains(testing::HasSubstr("whole seconds")));
}

std::string csv_of(const std::string& time,
                   const std::string& header = "metric_name,timestamp,metric_value,status,extra_tags,metadata") {
  std::string text = header + "\n";
  for (const char* metric : {"http_reqs", "http_req_duration", "http_req_failed"}) {
    text += fmt::format("{},{},{},200,,\n", metric, time,
                        metric[5] == 'r' && metric[8] == 's' ? "1.000000"
                        : metric[9] == 'd'                   ? "20.000000"
                                                             : "0.000000");
  }
  return text;
}

struct TimeFormat {
  const char* text;
  const char* end;
  std::int64_t resolution_ns;
};
class K6CsvTimes : public testing::TestWithParam<TimeFormat> {};

TEST_P(K6CsvTimes, AreToldByTheirForm) {
  const LoadTimeline timeline = must_read(csv_of(GetParam().text));
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.latency.count(), 1u);
  EXPECT_EQ(to_rfc3339(*timeline.end), GetParam().end);
  EXPECT_EQ(timeline.resolution.count(), GetParam().resolution_ns);
  EXPECT_EQ(*timeline.end - *timeline.start, std::chrono::milliseconds{20});
}

INSTANTIATE_TEST_SUITE_P(Formats, K6CsvTimes,
                         testing::Values(TimeFormat{"1795428003", "2026-11-23T10:00:03.000Z", 1'000'000'000},
                                         TimeFormat{"1795428003250", "2026-11-23T10:00:03.250Z", 1'000'000},
                                         TimeFormat{"1795428003250125", "2026-11-23T10:00:03.250Z", 1'000},
                                         TimeFormat{"1795428003250125999", "2026-11-23T10:00:03.250Z", 1},
                                         TimeFormat{"2026-11-23T10:00:03Z", "2026-11-23T10:00:03.000Z", 1'000'000'000},
                                         TimeFormat{"2026-11-23T12:00:03+02:00", "2026-11-23T10:00:03.000Z",
                                                    1'000'000'000},
                                         TimeFormat{"2026-11-23T10:00:03.250125999Z", "2026-11-23T10:00:03.250Z", 1}));

TEST(K6Csv, ColumnsAreFoundByTheHeader) {
  const std::string text =
      "metric_name,timestamp,metric_value,url,status,metadata\nhttp_reqs,1795428003,1.000000,http://x/a,503,\n"
      "metric_name,timestamp,metric_value,status,name,metadata\nhttp_reqs,1795428004,1.000000,200,b,\n";
  const LoadTimeline timeline = must_read(text);
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("http://x/a", "b"));
}

TEST(K6Csv, QuotedFieldsMayHoldCommasQuotesAndNewlines) {
  const std::string text =
      "metric_name,timestamp,metric_value,error,name,status,metadata\n"
      "http_reqs,1795428003,1.000000,\"bad \"\"thing\"\", here\nand there\",\"a,b\",0,\n"
      "http_reqs,1795428004,1.000000,,c,200,\n";
  const LoadTimeline timeline = must_read(text);
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("a,b", "c"));
}

TEST(K6Csv, AQuoteThatNeverClosesCostsABoundedNumberOfLines) {
  std::string text = "metric_name,timestamp,metric_value,status,metadata\nhttp_reqs,1795428003,1,\"200,\n";
  for (int i = 0; i < 500; ++i) text += "http_reqs,1795428004,1.000000,200,\n";
  const LoadTimeline timeline = must_read(text, 1 << 12);
  EXPECT_GT(*timeline.requests, 350u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre("line 2: a quote is opened and never closed"));
}

TEST(K6Csv, ACutOffLastRowIsNamed) {
  const std::string whole = csv_of("1795428003") + "http_reqs,1795428004,1.0";
  const LoadTimeline timeline = must_read(whole);
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre("line 5: cut off (no end of line)"));
}

TEST(K6Csv, RowsWithoutSenseAreNamed) {
  const LoadTimeline timeline = must_read(
      csv_of("1795428003") + "http_reqs,yesterday,1,200,,\nhttp_reqs,1795428004,x,200,,\nhttp_reqs,1795428004\n");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.skipped.rows, 3u);
}

TEST(K6, AgreesWithWhatTheToolPrintedOnLargerRuns) {
  const auto json_path = large_fixture("k6/results.ndjson");
  SKIP_WITHOUT(json_path);
  const LoadTimeline json = must_read(text_of(json_path), 1 << 16);
  EXPECT_EQ(json.requests, 71u);
  EXPECT_EQ(json.errors, 4u);
  EXPECT_EQ(json.latency.count(), 67u);
  const auto quantiles = json.quantiles();  // k6 prints those of answered requests as {expected_response:true}
  EXPECT_NEAR(*quantiles->p50_ms, 50.37, 50.37 * 0.016);
  EXPECT_NEAR(*quantiles->p95_ms, 51.31, 51.31 * 0.016);
  EXPECT_NEAR(*quantiles->max_ms, 51.62, 0.01);
  EXPECT_NEAR(static_cast<double>(*json.latency.mean()) / 1e6, 32.98, 0.01);
  EXPECT_NEAR(static_cast<double>(*json.latency.min()) / 1e6, 1.56, 0.01);

  const LoadTimeline csv = must_read(text_of(large_fixture("k6/results_unix_s.csv")), 1 << 16);
  EXPECT_EQ(csv.requests, 71u);
  EXPECT_EQ(csv.errors, 4u);
  EXPECT_EQ(csv.latency.to_json(), json.latency.to_json());
  const LoadTimeline milli = must_read(text_of(large_fixture("k6/results_unix_milli.csv")), 1 << 16);
  EXPECT_EQ(milli.requests, 70u);
  EXPECT_EQ(milli.errors, 5u);
  EXPECT_EQ(milli.resolution, std::chrono::milliseconds{1});
}

}  // namespace
}  // namespace camprobe::load
