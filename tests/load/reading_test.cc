// tests/load/reading_test.cc: what all adapters share: times, lines, compressed and unusable input, the bounded series.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

#include "collector/load/error_kinds.h"
#include "collector/load/series.h"
#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string gzip_of(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstd_of(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

std::string h2load_rows(int n) {
  std::mt19937 random(5);  // numbers that do not compress into one block
  std::string text;
  for (int i = 0; i < n; ++i) text += fmt::format("{}\t200\t{}\n", 1795444095000000 + i * 1000, random() % 1'000'000);
  return text;
}

TEST(WallTimes, Rfc3339IsReadWithFractionAndOffset) {
  const auto stamp = parse_rfc3339("2026-11-23T14:36:12.531326787Z");
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->at.time_since_epoch().count(), 1795444572531326787);
  EXPECT_EQ(stamp->resolution.count(), 1);
  EXPECT_EQ(parse_rfc3339("2026-11-23T16:36:12+02:00")->at.time_since_epoch(), seconds{1795444572});
  EXPECT_EQ(parse_rfc3339("2026-11-23T06:06:12.5-08:30")->at.time_since_epoch(), milliseconds{1795444572500});
  EXPECT_EQ(parse_rfc3339("2024-02-29T00:00:00Z")->at.time_since_epoch(), seconds{1709164800});
  EXPECT_EQ(parse_rfc3339("2026-11-23T14:36:12Z")->resolution, seconds{1});
}

TEST(WallTimes, WhatIsNoTimeIsRefused) {
  for (const char* text : {"", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-23T24:00:00Z",
                           "2026-11-23T14:36:12", "2026-11-23T14:36:12.Z", "2026-11-23T14:36:12Zx",
                           "1970-01-01T00:00:00Z", "2026-11-23T14:36:12+2", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
  for (const char* text : {"", "-5", "0", "17954445", "12345678901", "99999999999999999999", "1795444572.5"}) {
    EXPECT_FALSE(parse_epoch(text)) << text;
  }
}

TEST(WallTimes, PrintedTimesReadBack) {
  const auto stamp = parse_rfc3339("2026-01-02T03:04:05.006999Z");
  EXPECT_EQ(to_rfc3339(stamp->at), "2026-01-02T03:04:05.006Z");
}

TEST(Lines, AreTheSameHoweverTheyArrive) {
  const std::string text = "one\n\r\ntwo\r\n" + std::string(200'000, 'x') + "\nlast";
  for (const std::size_t chunk : {1, 2, 3, 4096, 1 << 20}) {
    const auto input = memory_input(text, chunk);
    LineReader lines(*input);
    std::string_view line;
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line, "one");
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line, "");
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line, "two");
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line.size(), 200'000u);
    EXPECT_FALSE(lines.unterminated());
    ASSERT_TRUE(lines.next(line));
    EXPECT_EQ(line, "last");
    EXPECT_TRUE(lines.unterminated());
    EXPECT_EQ(lines.number(), 5u);
    EXPECT_FALSE(lines.next(line));
  }
}

TEST(Lines, AnEndlessOneIsDroppedAndReadingGoesOn) {
  const std::string text = "a\n" + std::string(3 * LineReader::kLongestLine, 'x') + "\nb\n";
  const auto input = memory_input(text);
  LineReader lines(*input);
  std::string_view line;
  ASSERT_TRUE(lines.next(line));
  ASSERT_TRUE(lines.next(line));
  EXPECT_TRUE(lines.too_long());
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, "b");
  EXPECT_EQ(lines.number(), 3u);
}

TEST(Compressed, IsToldByContentAndReadThrough) {
  const std::string text = h2load_rows(5000);
  EXPECT_EQ(must_read(gzip_of(text), 1000).requests, 5000u);
  EXPECT_EQ(must_read(gzip_of(text) + gzip_of(text), 1000).requests, 10000u);  // two members after one another
}

TEST(Compressed, AKilledToolsFileKeepsWhatWasFlushed) {
  const std::string packed = gzip_of(h2load_rows(20000));
  const LoadTimeline timeline = must_read(packed.substr(0, packed.size() / 2), 1000);
  EXPECT_GT(*timeline.requests, 5000u);
  EXPECT_LT(*timeline.requests, 15000u);
  EXPECT_THAT(timeline.skipped.why, testing::Contains(testing::HasSubstr("compressed data ends early")));
  EXPECT_LE(timeline.skipped.rows, 1u);
}

TEST(Compressed, AMissingTrailerLosesNoRow) {
  const std::string packed = gzip_of(h2load_rows(2000));
  const LoadTimeline timeline = must_read(packed.substr(0, packed.size() - 8), 1000);
  EXPECT_EQ(timeline.requests, 2000u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre(testing::HasSubstr("compressed data ends early")));
}

TEST(Compressed, DamageInTheMiddleIsNamed) {
  std::string packed = gzip_of(h2load_rows(20000));
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  packed[packed.size() / 2 + 1] = static_cast<char>(packed[packed.size() / 2 + 1] ^ 0x55);
  const LoadTimeline timeline = must_read(packed, 1000);
  EXPECT_FALSE(timeline.skipped.why.empty());
}

TEST(Compressed, ZstdIsToldByContentToo) {
  const std::string text = h2load_rows(5000), packed = zstd_of(text);
  EXPECT_EQ(must_read(packed, 1000).requests, 5000u);
  EXPECT_EQ(must_read(packed + packed, 1000).requests, 10000u);  // two frames
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(must_read(skippable + packed, 1000).requests, 5000u);
  EXPECT_THAT(must_read(packed, 7).skipped.why, testing::IsEmpty());
}

TEST(Compressed, AKilledToolsZstdKeepsWhatWasFlushed) {
  const std::string first = zstd_of(h2load_rows(5000)), second = zstd_of(h2load_rows(5000));
  const LoadTimeline timeline = must_read(first + second.substr(0, second.size() - 9), 1000);
  EXPECT_GE(*timeline.requests, 5000u);
  EXPECT_THAT(timeline.skipped.why, testing::Contains(testing::HasSubstr("compressed data ends early")));
  std::string damaged = first + second;
  damaged[first.size() + 20] = static_cast<char>(damaged[first.size() + 20] ^ 0x5a);
  EXPECT_THAT(must_read(damaged, 1000).skipped.why, testing::Contains(testing::HasSubstr("damaged")));
}

TEST(Series, StaysBoundedHoweverLongTheRunAndManifoldTheLatencies) {
  SeriesBuilder series;
  const WallTime start{seconds{1795444000}};
  const auto endpoint = series.endpoint("/a");
  std::uint64_t latency = 1;
  for (int second = 0; second < 12'000; ++second) {
    for (int i = 0; i < 120; ++i) {
      latency = latency * 6364136223846793005u + 1442695040888963407u;
      series.add(start + seconds{second}, endpoint, false, Nanoseconds{latency >> 30});
    }
  }
  LoadTimeline timeline;
  series.finish(timeline);
  std::size_t entries = 0;
  for (const LoadBucket& bucket : timeline.buckets) {
    entries += bucket.all.latency.buckets_in_use();
    for (const auto& [index, cell] : bucket.endpoints) entries += cell.latency.buckets_in_use();
  }
  EXPECT_LE(entries, SeriesBuilder::kMostEntries);
  EXPECT_EQ(requests_in_buckets(timeline), 12'000u * 120);
  EXPECT_EQ(timeline.latency.count(), 12'000u * 120);
  EXPECT_EQ(timeline.buckets.front().width, seconds{10});  // 240 counts a second would be 2.9 million
}

TEST(Series, GivenQuantilesAreDroppedWhereTheyWouldHaveToBeMerged) {
  SeriesBuilder series;
  const WallTime start{seconds{1795444000}};
  series.add_requests(start, std::nullopt, 1, 0);
  series.set_given(start, std::nullopt, {1, 2, 3, 4}, seconds{1});
  for (std::size_t i = 1; i <= SeriesBuilder::kMostBuckets; ++i)
    series.add_requests(start + seconds{i}, std::nullopt, 1, 0);
  LoadTimeline timeline;
  series.finish(timeline);
  EXPECT_FALSE(timeline.buckets.front().all.given);
}

TEST(ErrorKinds, AreBoundedAndCountedDown) {
  ErrorKinds kinds;
  for (int i = 0; i < 100; ++i) kinds.add("kind " + std::to_string(i));
  kinds.add_status(503, 7);
  kinds.add("two\nlines");
  kinds.add("");
  const auto all = kinds.take();
  EXPECT_EQ(all.size(), ErrorKinds::kMostKinds + 1);
  EXPECT_EQ(all.front().kind, "other");  // 68 later kinds, and what came after them
  EXPECT_EQ(all.front().count, 68u + 7 + 1 + 1);
}

TEST(Timelines, WithoutAClockArePlacedWhereSomebodyKnowsTheyBegan) {
  LoadTimeline timeline;
  timeline.requests = 100;
  timeline.errors = 3;
  timeline.duration = seconds{10};
  timeline.given = Quantiles{1, 2, 3, 4};
  timeline.endpoints = {"/a"};
  timeline.place(WallTime{seconds{1795444000}});
  ASSERT_EQ(timeline.buckets.size(), 1u);
  EXPECT_EQ(timeline.buckets[0].all.requests, 100u);
  EXPECT_EQ(timeline.buckets[0].width, seconds{10});
  EXPECT_EQ(timeline.buckets[0].endpoints.size(), 1u);
  EXPECT_EQ(timeline.end, WallTime{seconds{1795444010}});
  const auto start = timeline.start;
  timeline.place(WallTime{seconds{1795449000}});
  EXPECT_EQ(timeline.start, start);
}

TEST(UnusableFiles, GetOneSentenceWithWhatWhereAndWhatToDo) {
  for (const std::string text : {"", "hello\n", "{\"a\":1}", "[]",
                                 "\x7f"
                                 "ELF\0\0",
                                 "metric_name\n1,2\n"}) {
    const auto timeline = read_text(text);
    ASSERT_FALSE(timeline.ok()) << text;
    EXPECT_THAT(timeline.error(), testing::MatchesRegex("load results test: .*; .*"));
    EXPECT_EQ(timeline.error().find('\n'), std::string::npos);
  }
  const auto binary =
      read_text(std::string("\x7f"
                            "ELF\0\1\2",
                            7));
  EXPECT_THAT(binary.error(), testing::HasSubstr("binary"));
  EXPECT_THAT(read_text("").error(), testing::HasSubstr("empty"));
  EXPECT_THAT(read_load_file("/").error(), testing::HasSubstr("directory"));
  EXPECT_THAT(read_load_file("/no/such/file").error(), testing::HasSubstr("No such file"));
}

TEST(UnusableFiles, OtherToolsOutputsAreNotTakenForOurs) {
  SKIP_WITHOUT(large_fixture(""));
  for (const char* name : {"ab/ab_percentiles.csv", "hey/hey_n1500.csv", "hey/hey_z10_q20.txt", "vegeta/report.json",
                           "vegeta/report.txt", "k6/summary_export.json", "autocannon/events.ndjson", "jmeter/plan.jmx",
                           "locust/full_history/run_stats.csv", "tsung/tsung.dump"}) {
    EXPECT_FALSE(read_load_file(large_fixture(name)).ok()) << name;
  }
}

TEST(Series, ManyEndpointsAreFoldedIntoOther) {
  SeriesBuilder series;
  const WallTime at = parse_rfc3339("2026-11-23T10:00:00Z")->at;
  for (int i = 0; i < 1000; ++i) series.add_requests(at, series.endpoint(fmt::format("/item/{}", i)), 1, 0);
  LoadTimeline timeline;
  series.finish(timeline);
  EXPECT_EQ(timeline.endpoints.size(), SeriesBuilder::kMostEndpoints + 1);
  EXPECT_EQ(timeline.endpoints.back(), "other");
  EXPECT_EQ(timeline.buckets[0].endpoints.back().second.requests, 1000 - SeriesBuilder::kMostEndpoints);
  EXPECT_EQ(timeline.buckets[0].all.requests, 1000u);
}

TEST(Series, DaysFoldIntoWiderBucketsWithoutLosingARequest) {
  SeriesBuilder series;
  const WallTime start = parse_rfc3339("2026-11-23T10:00:00Z")->at;
  const int length = 72 * 3600;
  for (int second = 0; second < length; ++second) {
    series.add_requests(start + seconds{second}, std::nullopt, 2, second % 10 == 0);
    series.add_latency(start + seconds{second}, std::nullopt, milliseconds{5 + second % 3});
  }
  LoadTimeline timeline;
  series.finish(timeline);
  EXPECT_LE(timeline.buckets.size(), SeriesBuilder::kMostBuckets);
  EXPECT_EQ(timeline.buckets[0].width, seconds{60});
  EXPECT_EQ(timeline.buckets[1].from - timeline.buckets[0].from, seconds{60});
  EXPECT_EQ(requests_in_buckets(timeline), 2u * length);
  EXPECT_EQ(errors_in_buckets(timeline), length / 10u);
  EXPECT_EQ(timeline.latency.count(), static_cast<std::uint64_t>(length));
}

TEST(Series, WildTimesStayBounded) {
  SeriesBuilder series;
  std::mt19937_64 random(1);
  for (int i = 0; i < 60'000; ++i) {
    series.add_requests(WallTime{seconds{946'684'800 + random() % 6'000'000'000}},
                        series.endpoint(fmt::format("{}", i % 40)), 1, 0);
  }
  LoadTimeline timeline;
  series.finish(timeline);
  EXPECT_LE(timeline.buckets.size(), SeriesBuilder::kMostBuckets);
  EXPECT_EQ(requests_in_buckets(timeline), 60'000u);
}

}  // namespace
}  // namespace camprobe::load
