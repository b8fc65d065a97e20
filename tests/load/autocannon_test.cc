// tests/load/autocannon_test.cc: one object a run, and latencies that are not to be believed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

TEST(Autocannon, AClosedRunIsOneBucketWithGivenQuantiles) {
  const LoadTimeline timeline = must_read(text_of(fixture("autocannon/closed.json")));
  EXPECT_EQ(timeline.tool, "autocannon");
  EXPECT_EQ(timeline.requests, 1643u);
  EXPECT_EQ(timeline.errors, 66u);
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T16:22:17.623Z");
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T16:22:19.641Z");
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent);
  EXPECT_TRUE(timeline.latency.empty());
  const auto quantiles = timeline.quantiles();
  ASSERT_TRUE(quantiles);
  EXPECT_EQ(quantiles->p50_ms, 4);
  EXPECT_EQ(quantiles->p95_ms, std::nullopt);  // autocannon has none
  EXPECT_EQ(quantiles->p99_ms, 9);
  EXPECT_EQ(quantiles->max_ms, 12);
  ASSERT_EQ(timeline.buckets.size(), 1u);
  EXPECT_EQ(timeline.buckets[0].width, *timeline.end - *timeline.start);
  EXPECT_EQ(timeline.buckets[0].all.users, 4);
  ASSERT_EQ(timeline.phases.size(), 1u);
  EXPECT_EQ(timeline.phases[0].name, "load");
}

TEST(Autocannon, ARateCorrectedRunHasNoQuantilesAndSaysWhy) {
  const LoadTimeline timeline = must_read(text_of(fixture("autocannon/rate.json")));
  EXPECT_EQ(timeline.requests, 192u);
  EXPECT_FALSE(timeline.quantiles());
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kNone);
  EXPECT_EQ(timeline.skipped.rows, 0u);
  EXPECT_THAT(timeline.skipped.why,
              testing::ElementsAre(testing::HasSubstr("7794 latencies were recorded for 192 requests")));
}

TEST(Autocannon, RefusedConnectionsAreRequestsThatFailed) {
  const LoadTimeline timeline = must_read(text_of(fixture("autocannon/refused.json")));
  EXPECT_EQ(timeline.requests, 19750u);
  EXPECT_EQ(timeline.errors, 19750u);
  EXPECT_FALSE(timeline.quantiles());  // its zeros are no latencies
}

TEST(Autocannon, WhatOthersPrintedBeforeItIsPassedOver) {
  EXPECT_EQ(must_read("Running 2s test\n\n" + text_of(fixture("autocannon/closed.json"))).requests, 1643u);
}

TEST(Autocannon, SeveralResultsAddUpWithoutQuantiles) {
  const LoadTimeline timeline =
      must_read(text_of(fixture("autocannon/rate.json")) + "\n" + text_of(fixture("autocannon/closed.json")));
  EXPECT_EQ(timeline.requests, 192u + 1643u);
  EXPECT_EQ(timeline.errors, 66u);
  EXPECT_FALSE(timeline.quantiles());
  ASSERT_EQ(timeline.buckets.size(), 2u);
  EXPECT_EQ(timeline.buckets[0].all.requests, 1643u);  // the earlier of the two
  EXPECT_EQ(timeline.buckets[0].all.given->p99_ms, 9);
}

TEST(Autocannon, AReformattedResultReadsTheSame) {
  const std::string text = nlohmann::json::parse(text_of(fixture("autocannon/closed.json"))).dump(2);
  EXPECT_EQ(must_read(text).requests, 1643u);
}

TEST(Autocannon, ACutOffResultKeepsWhatCameBeforeAndNullsTheRest) {
  const std::string whole = text_of(fixture("autocannon/closed.json"));
  const LoadTimeline timeline = must_read(whole.substr(0, whole.find("\"requests\"")));
  EXPECT_EQ(timeline.errors, 66u);
  EXPECT_EQ(timeline.requests, std::nullopt);
  EXPECT_EQ(timeline.skipped.rows, 1u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre("line 1: cut off in the middle of the document"));
}

TEST(Autocannon, AgreesWithTheToolOnLargerRuns) {
  SKIP_WITHOUT(large_fixture("autocannon"));
  const auto read = [](const char* name) {
    return must_read(text_of(large_fixture(std::string("autocannon/") + name)), 1 << 16);
  };
  const LoadTimeline closed = read("result_closed.json");
  EXPECT_EQ(closed.requests, 40776u);
  EXPECT_EQ(closed.errors, 420u);
  EXPECT_EQ(closed.quantiles()->p99_ms, 9);
  const LoadTimeline uncorrected = read("result_rate_R200_ignoreCO_slow.json");
  EXPECT_EQ(uncorrected.requests, 966u);
  EXPECT_EQ(uncorrected.quantiles()->p50_ms, 50);
  const LoadTimeline corrected = read("result_rate_R800.json");
  EXPECT_EQ(corrected.requests, 8019u);
  EXPECT_EQ(corrected.errors, 82u);
  EXPECT_FALSE(corrected.quantiles());
  const LoadTimeline refused = read("result_conn_refused.json");
  EXPECT_EQ(refused.errors, 42300u);
  EXPECT_FALSE(refused.quantiles());
}

}  // namespace
}  // namespace camprobe::load
