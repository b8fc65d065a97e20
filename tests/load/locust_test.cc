// tests/load/locust_test.cc: differences of cumulative counts, with and without a row for each name; single requests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/load/locust_totals.h"
#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

const std::string kHeader =
    "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,95%,99%,100%,Total Request Count,Total Failure Count,"
    "Total Median Response Time,Total Max Response Time\r\n";

TEST(LocustHistory, CountsAreDifferencesAndUsersAreKnown) {
  const LoadTimeline timeline = must_read(kHeader +
                                          "1795444235,0,,Aggregated,0,0,N/A,N/A,N/A,N/A,0,0,0,0\r\n"
                                          "1795444236,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n"
                                          "1795444237,6,,Aggregated,0,0,6,9,11,19,124,4,6,19\r\n");
  EXPECT_EQ(timeline.requests, 124u);
  EXPECT_EQ(timeline.errors, 4u);
  ASSERT_EQ(timeline.buckets.size(), 3u);
  EXPECT_EQ(timeline.buckets[1].all.requests, 40u);
  EXPECT_EQ(timeline.buckets[2].all.requests, 84u);
  EXPECT_EQ(timeline.buckets[2].all.errors, 3u);
  EXPECT_EQ(timeline.buckets[2].all.users, 6.0);
  EXPECT_EQ(to_rfc3339(timeline.buckets[2].from), "2026-11-23T14:30:36.000Z");  // the second before the row
  EXPECT_EQ(timeline.given->p95_ms, 9.0);                                       // cumulative: those of the run
  EXPECT_FALSE(timeline.buckets[2].all.given);
  EXPECT_TRUE(timeline.latency.empty());
}

TEST(LocustHistory, FullHistoryKeepsQuantilesOfEachSecondAndName) {
  const LoadTimeline timeline = must_read(kHeader +
                                          "1795444235,0,,Aggregated,0,0,N/A,N/A,N/A,N/A,0,0,0,0\r\n"
                                          "1795444236,3,GET,/a,0,0,5,9,10,12,40,1,5,12\r\n"
                                          "1795444236,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n");
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("GET /a"));
  ASSERT_EQ(timeline.buckets.size(), 2u);
  const LoadBucket& bucket = timeline.buckets[1];
  EXPECT_EQ(bucket.all.requests, 40u);
  EXPECT_EQ(bucket.all.given->p99_ms, 10.0);
  ASSERT_EQ(bucket.endpoints.size(), 1u);
  EXPECT_EQ(bucket.endpoints[0].second.requests, 40u);
  EXPECT_EQ(bucket.endpoints[0].second.given->max_ms, 12.0);
  EXPECT_FALSE(timeline.given->p95_ms);  // the run's own are not in the file
  EXPECT_EQ(timeline.given->max_ms, 12.0);
}

TEST(LocustHistory, TotalsThatFallAreAReset) {
  const LoadTimeline timeline = must_read(kHeader +
                                          "1795444236,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n"
                                          "1795444237,3,,Aggregated,0,0,5,9,10,12,10,0,5,12\r\n");
  EXPECT_EQ(timeline.requests, 50u);
  EXPECT_THAT(timeline.notes, testing::Contains(testing::HasSubstr("reset")));
}

bool add_totals(LoadTimeline& timeline, const std::string& totals) {
  const auto input = memory_input(totals);
  return add_locust_totals(timeline, *input);
}

TEST(LocustTotals, HoldWhatCameAfterTheLastFlush) {
  LoadTimeline timeline = must_read(kHeader + "1795444235,0,,Aggregated,0,0,N/A,N/A,N/A,N/A,0,0,0,0\r\n" +
                                    "1795444236,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n");
  const std::string totals =
      "Type,Name,Request Count,Failure Count,Median Response Time,50%,95%,99%,100%\r\n"
      "GET,/a,420,3,6,6,14,19,34\r\n,Aggregated,420,3,6,6,14,19,34\r\n";
  EXPECT_EQ(locust_totals_beside("x/a_stats_history.csv"), "x/a_stats.csv");
  EXPECT_EQ(locust_totals_beside("x/a.csv"), "");
  EXPECT_TRUE(add_totals(timeline, totals));
  EXPECT_EQ(timeline.requests, 420u);
  EXPECT_EQ(timeline.errors, 3u);
  EXPECT_EQ(timeline.given->p95_ms, 14.0);
  EXPECT_THAT(timeline.notes, testing::Contains(testing::HasSubstr("380 requests are in the totals only")));
  EXPECT_FALSE(add_totals(timeline, "Type,Name,Request Count,Failure Count\r\n,Aggregated,7,0\r\n"))
      << "of an earlier run";
  EXPECT_EQ(timeline.requests, 420u);
}

TEST(LocustTotals, AreAllThatARunShorterThanAFlushHas) {
  LoadTimeline timeline = must_read(kHeader);
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kNone);
  EXPECT_TRUE(add_totals(timeline,
                         "Type,Name,Request Count,Failure Count,50%,95%,99%,100%\r\n"
                         ",Aggregated,60,0,6,14,19,34\r\n"));
  EXPECT_EQ(timeline.requests, 60u);
  EXPECT_EQ(timeline.given->p50_ms, 6.0);
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent) << "quantiles are counted from somewhere";
}

// The file is made anew each second, and may be anything.
TEST(LocustTotals, OfWhichHalfIsThereOrNoRunHasAreNotTaken) {
  LoadTimeline timeline = must_read(kHeader + "1795444236,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n");
  const std::string header = "Type,Name,Request Count,Failure Count,50%,95%,99%,100%\r\n";
  EXPECT_FALSE(add_totals(timeline, header + ",Aggregated,420,1")) << "of 10 errors, say";
  EXPECT_FALSE(add_totals(timeline, header + ",Aggregated,18446744073709551615,3,6,14,19,34\r\n"));
  EXPECT_FALSE(add_totals(timeline, header + ",Aggregated,420,421,6,14,19,34\r\n"));
  EXPECT_FALSE(add_totals(timeline, ""));
  EXPECT_EQ(timeline.requests, 40u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_TRUE(add_totals(timeline, header + ",Aggregated,420,3,inf,-14,N/A,34\r\n"));
  EXPECT_EQ(timeline.given->p95_ms, 9.0) << "those of the history stay";
}

TEST(LocustHistory, RealRunsAgreeWithTheirSumOfNames) {
  const LoadTimeline full = must_read(text_of(fixture("locust_history/full.csv")));
  EXPECT_EQ(full.requests, 246u);
  EXPECT_EQ(full.errors, 13u);
  EXPECT_THAT(full.endpoints, testing::ElementsAre("GET /work", "GET slow, quoted \"name\""));
  std::uint64_t sum = 0;
  for (const LoadBucket& bucket : full.buckets) {
    for (const auto& [endpoint, cell] : bucket.endpoints) sum += cell.requests;
  }
  EXPECT_EQ(sum, 246u);
  EXPECT_EQ(full.skipped.rows, 0u);
  const LoadTimeline brief = must_read(text_of(fixture("locust_history/default.csv")));
  EXPECT_EQ(brief.requests, 244u);
  EXPECT_TRUE(brief.given->p99_ms);
}

TEST(LocustHistory, BadRowsAreNamedAndTheRestIsKept) {
  const LoadTimeline timeline = must_read(kHeader +
                                          "now,3,,Aggregated,0,0,5,9,10,12,40,1,5,12\r\n"
                                          "1795444236,3,,Aggregated,0,0,5,9,10,12,many,1,5,12\r\n"
                                          "1795444236,3\r\n1795444236,3,,,0,0,5,9,10,12,10,0,5,12\r\n"
                                          "1795444237,3,,Aggregated,0,0,5,9,10,12,10,0,5,12\r\n"
                                          "1795444238,3,,Aggr");
  EXPECT_EQ(timeline.requests, 10u);
  EXPECT_EQ(timeline.skipped.rows, 5u);
}

TEST(LocustRequests, AreSinglesWithTheirSendingTime) {
  const LoadTimeline timeline = must_read(text_of(fixture("locust_requests/requests.csv")));
  EXPECT_EQ(timeline.requests, 59u);
  EXPECT_EQ(timeline.errors, 6u);
  EXPECT_EQ(timeline.latency.count(), 53u);  // six were refused
  ASSERT_EQ(timeline.error_kinds.size(), 1u);
  EXPECT_EQ(timeline.error_kinds[0].kind, "[Errno 111] Connection refused");
  EXPECT_EQ(timeline.skipped.rows, 0u);
}

TEST(LocustRequests, SecondsWithAFractionAreExact) {
  const LoadTimeline timeline = must_read(
      "timestamp,request_type,name,response_time_ms,response_length,status_code,exception\n"
      "1795444785.305334,GET,/a,8.22,0,200,\n1795444785.5,GET,/a,8.22,0,503,\"HTTPError('503')\"\n1795444786,GET,/"
      "a,x,0,200,\n");
  EXPECT_EQ(timeline.start->time_since_epoch().count(), 1795444785305334000);
  EXPECT_EQ(timeline.latency.min(), 8'220'000u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_EQ(timeline.error_kinds.front().kind, "HTTP 503");
  EXPECT_EQ(timeline.skipped.rows, 1u);
}

}  // namespace
}  // namespace camprobe::load
