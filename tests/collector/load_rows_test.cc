#include "collector/load_rows.h"

#include <gtest/gtest.h>

#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(LoadRows, WallClockBecomesTheRunsClock) {
  run::Scratch scratch;
  auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
  ASSERT_TRUE(writer);
  const std::int64_t started = run::sample_meta().started_realtime_ns;
  const load::WallTime began{load::Nanoseconds(started)};

  load::LoadTimeline timeline;
  timeline.tool = "k6";
  timeline.requests = 30;
  timeline.errors = 1;
  timeline.latency_basis = load::LatencyBasis::kSent;
  timeline.endpoints = {"/chat"};
  for (int i = 0; i < 3; ++i) {
    load::LoadBucket bucket;
    bucket.from = began + seconds(i + 2) + milliseconds(300);
    bucket.width = seconds(1);
    bucket.all.requests = 10;
    bucket.all.latency.record(5'000'000, 10);
    bucket.endpoints.emplace_back(0, bucket.all);
    bucket.endpoints.emplace_back(7, bucket.all);  // no such endpoint
    timeline.buckets.push_back(bucket);
  }
  timeline.phases.push_back({"steady", "steady", began + seconds(2), began + seconds(5)});
  EXPECT_EQ(write_load(*writer, timeline, "k6.json", started, load::Nanoseconds(0)), 3u);
  ASSERT_TRUE(writer->finish(10 * run::kTestSecond, run::kComplete));

  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  const auto buckets = reader->load_buckets("");
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_EQ(buckets[0].second, 2);
  EXPECT_EQ(buckets[2].second, 4);
  EXPECT_EQ(buckets[0].requests, 10);
  EXPECT_EQ(run::Histogram::from_json(*buckets[0].latency)->count(), 10u);
  EXPECT_EQ(reader->load_buckets("/chat").size(), 3u);
  EXPECT_EQ(reader->load_buckets().size(), 6u);
  ASSERT_EQ(reader->load_windows().size(), 1u);
  EXPECT_EQ(reader->load_windows()[0].from_ns, 2 * run::kTestSecond);
  EXPECT_EQ(reader->load_sources().at(0).requests, 30);
  EXPECT_EQ(reader->load_sources().at(0).latency_basis, "sent");
}

TEST(LoadRows, ALoadThatBeginsWithTheRunHasItsFirstSecondInIt) {
  run::Scratch scratch;
  auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
  ASSERT_TRUE(writer);
  const std::int64_t started = run::sample_meta().started_realtime_ns;
  load::LoadTimeline timeline;
  timeline.tool = "h2load";
  for (int i = 0; i < 2; ++i) {
    load::LoadBucket bucket;
    bucket.from = load::WallTime{load::Nanoseconds(started)} + seconds(i) - milliseconds(800);
    bucket.width = seconds(1);
    bucket.all.requests = 10;
    timeline.buckets.push_back(bucket);
  }
  EXPECT_EQ(write_load(*writer, timeline, "h2load.tsv", started, load::Nanoseconds(0)), 2u);
  ASSERT_TRUE(writer->finish(10 * run::kTestSecond, run::kComplete));
  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  ASSERT_EQ(reader->load_buckets("").size(), 1u);
  EXPECT_EQ(reader->load_buckets("")[0].second, 0);
  EXPECT_EQ(reader->load_buckets("")[0].requests, 20);
}

// A load of changing rate, by a tool whose clock is 7 s behind; the server reads each request once.
TEST(LoadRows, TheClockOfAToolElsewhereIsFoundByTheRequestsBothCount) {
  run::Scratch scratch;
  const std::int64_t started = run::sample_meta().started_realtime_ns;
  const auto requests_at = [](int second) { return 200 + 150 * ((second / 9) % 2) + (second * 37) % 11; };
  load::LoadTimeline timeline;
  timeline.tool = "k6";
  auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
  ASSERT_TRUE(writer);
  for (int second = 0; second < 90; ++second) {
    const bool is_loaded = second >= 15 && second < 75;
    const int requests = is_loaded ? requests_at(second) : 0;
    writer->count(run::IoRow{run::ProcessId{1}, second, "socket_read", requests, requests * 100, 0, 0});
    if (!is_loaded) continue;
    load::LoadBucket bucket;
    bucket.from = load::WallTime{load::Nanoseconds(started)} + seconds(second - 7);
    bucket.width = seconds(1);
    bucket.all.requests = static_cast<std::uint64_t>(requests);
    timeline.buckets.push_back(bucket);
  }
  ASSERT_TRUE(writer->finish(90 * run::kTestSecond, run::kComplete));
  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader);
  const auto skew = find_skew(*reader, timeline, started);
  ASSERT_TRUE(skew);
  EXPECT_NEAR(std::chrono::duration<double>(*skew).count(), 7.0, 0.2);
}

}  // namespace
}  // namespace camprobe
