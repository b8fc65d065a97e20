// tests/load/summaries_test.cc: tools that print totals and quantiles, and no clock: wrk, ab, siege; and ab -g.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

using std::chrono::milliseconds;

TEST(Wrk, WhatItPrintsGivesTotalsQuantilesAndALength) {
  const LoadTimeline timeline = must_read(text_of(fixture("summaries/wrk.txt")));
  EXPECT_EQ(timeline.tool, "wrk");
  EXPECT_EQ(timeline.requests, 1223u);
  EXPECT_EQ(timeline.errors, 49u);
  EXPECT_EQ(timeline.given->p50_ms, 6.64);
  EXPECT_FALSE(timeline.given->p95_ms);  // not printed: not guessed
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent);
  EXPECT_FALSE(timeline.start);
  EXPECT_GE(*timeline.duration, milliseconds{2000});
  EXPECT_LT(*timeline.duration, milliseconds{2300});
  EXPECT_EQ(timeline.users, 4.0);
  EXPECT_TRUE(timeline.buckets.empty());
  EXPECT_THAT(timeline.notes, testing::Contains(testing::HasSubstr("coordinated omission")));
}

TEST(Wrk, RequestsThatGotNoAnswerAreRequestsAndErrors) {
  const LoadTimeline timeline = must_read(text_of(fixture("summaries/wrk_drop.txt")));
  EXPECT_EQ(timeline.requests, 657u + 329);
  EXPECT_EQ(timeline.errors, 329u + 26);
  ASSERT_EQ(timeline.error_kinds.size(), 2u);
  EXPECT_EQ(timeline.error_kinds[0].kind, "read error");
}

TEST(Wrk, Wrk2CountsFromWhenARequestShouldHaveBeenSent) {
  const LoadTimeline timeline = must_read(
      "Running 30s test @ http://127.0.0.1:80/index.html\n  2 threads and 100 connections\n"
      "  Thread calibration: mean lat.: 9747 usec, rate sampling interval: 21 msec\n"
      "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     6.46ms    1.93ms  12.34ms   67.66%\n"
      "    Req/Sec     1.05k     1.12k    2.50k    64.84%\n  Latency Distribution (HdrHistogram - Recorded Latency)\n"
      " 50.000%    6.67ms\n 99.000%   11.07ms\n100.000%   12.34ms\n\n"
      "  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking delayed starts into "
      "account))\n"
      " 50.000%    1.67ms\n 99.000%    2.07ms\n  60018 requests in 30.00s, 19.81MB read\n");
  EXPECT_EQ(timeline.requests, 60018u);
  EXPECT_EQ(timeline.given->p50_ms, 6.67);
  EXPECT_EQ(timeline.given->p99_ms, 11.07);
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kIntended);
}

TEST(Wrk, StoppedBeforeItsResultsItSaysSo) {
  const auto timeline = read_text("Running 10s test @ http://127.0.0.1/\n  2 threads and 20 connections\n");
  ASSERT_FALSE(timeline.ok());
  EXPECT_THAT(timeline.error(), testing::HasSubstr("stopped before"));
}

TEST(Wrk, OfTwoRunsTheTotalsAddUpAndTheQuantilesDoNot) {
  const std::string one = text_of(fixture("summaries/wrk.txt"));
  const LoadTimeline timeline = must_read(one + one);
  EXPECT_EQ(timeline.requests, 2446u);
  EXPECT_FALSE(timeline.given);
  EXPECT_FALSE(timeline.duration);
}

TEST(Ab, WhatItPrintsIsReadAndAnswersOfAnotherLengthAreNoErrors) {
  const LoadTimeline timeline = must_read(text_of(fixture("summaries/ab.txt")));
  EXPECT_EQ(timeline.tool, "ab");
  EXPECT_EQ(timeline.requests, 120u);
  EXPECT_EQ(timeline.errors, 5u);
  EXPECT_EQ(timeline.given->p95_ms, 12.0);
  EXPECT_EQ(timeline.users, 3.0);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("/work"));
  const auto path = large_fixture("ab/ab_n2000.txt");
  SKIP_WITHOUT(path);
  const LoadTimeline lengths = must_read(text_of(path));
  EXPECT_EQ(lengths.errors, 24u);  // ab says 1667 failed: their lengths differ
  EXPECT_THAT(lengths.notes, testing::Contains(testing::HasSubstr("length")));
}

TEST(Ab, OneThatGaveUpHasRequestsOnly) {
  const LoadTimeline timeline = must_read(
      "This is ApacheBench, Version 2.3 <$Revision$>\n\nBenchmarking 127.0.0.1 (be patient)\n"
      "apr_pollset_poll: The timeout specified has expired (70007)\nTotal of 189 requests completed\n");
  EXPECT_EQ(timeline.requests, 189u);
  EXPECT_FALSE(timeline.errors);
  EXPECT_FALSE(timeline.given);
}

TEST(AbGnuplot, RowsGiveAHistogramAndNoErrors) {
  const LoadTimeline timeline = must_read(text_of(fixture("summaries/ab_gnuplot.tsv")));
  EXPECT_EQ(timeline.requests, 120u);
  EXPECT_FALSE(timeline.errors);
  EXPECT_EQ(timeline.latency.count(), 120u);
  EXPECT_EQ(timeline.latency.max(), 16'000'000u);
  EXPECT_EQ(timeline.resolution, std::chrono::seconds{1});
}

TEST(Siege, ItsThreeFormsAgree) {
  const LoadTimeline printed = must_read(text_of(fixture("summaries/siege.txt")));
  EXPECT_EQ(printed.tool, "siege");
  EXPECT_EQ(printed.requests, 130u);
  EXPECT_EQ(printed.errors, 5u);
  EXPECT_EQ(printed.given->max_ms, 20.0);
  EXPECT_FALSE(printed.given->p50_ms);
  EXPECT_EQ(printed.duration, milliseconds{1350});
  const LoadTimeline log = must_read(text_of(fixture("summaries/siege.log")));
  EXPECT_EQ(log.requests, printed.requests);
  EXPECT_EQ(log.errors, printed.errors);
  EXPECT_EQ(log.duration, printed.duration);
  EXPECT_FALSE(log.start);  // local time with no zone
  const LoadTimeline words = must_read(
      "Lifting the server siege...\nTransactions:\t\t         125 hits\nAvailability:\t\t       96.15 %\n"
      "Elapsed time:\t\t        1.35 secs\nResponse time:\t\t        0.01 secs\nFailed transactions:\t           5\n"
      "Longest transaction:\t        0.02\n");
  EXPECT_EQ(words.requests, printed.requests);
  EXPECT_EQ(words.errors, printed.errors);
  EXPECT_EQ(words.given->max_ms, 20.0);
}

}  // namespace
}  // namespace camprobe::load
