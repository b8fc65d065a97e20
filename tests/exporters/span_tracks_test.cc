// tests/exporters/span_tracks_test.cc: spans laid out for a timeline, and which are chosen where there are too many.
#include "exporters/span_tracks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "exporters/trace_ids.h"
#include "tests/exporters/export_runs.h"
#include "tests/exporters/synthetic_run.h"

namespace camprobe::exporters {
namespace {

using tests::kSecondNs;
using tests::RunBuilder;

class SpanTracksTest : public testing::Test {
 protected:
  SpanTracksTest()
      : path_(std::filesystem::temp_directory_path() / ("camprobe-spans-" + std::to_string(::getpid()) + ".camrun")) {}
  ~SpanTracksTest() override { std::filesystem::remove(path_); }

  run::Reader open() { return std::move(run::Reader::open(path_.string())).value(); }
  Filter all() { return Filter(TimeRange{0, open().duration_ns()}); }

  std::filesystem::path path_;
};

TEST_F(SpanTracksTest, SpansOfOneTrackNestAndOnlyInsideTheirParents) {
  tests::mesh_run(path_);
  run::Reader run = open();
  const SpanTracks laid = span_tracks(run, all());
  ASSERT_EQ(laid.spans.size(), 8u);
  std::map<std::uint32_t, std::vector<std::int64_t>> open_spans;
  for (std::size_t i = 0; i < laid.spans.size(); ++i) {
    const ChosenSpan& at = laid.spans[i];
    std::vector<std::int64_t>& around = open_spans[laid.track_of[i]];
    while (!around.empty() && around.back() <= at.began_ns) around.pop_back();
    if (!around.empty()) {
      EXPECT_NE(at.parent, 0) << at.span;
    }
    for (const std::int64_t ends_ns : around) EXPECT_LE(at.ended_ns, ends_ns);
    around.push_back(at.ended_ns);
  }
  ASSERT_EQ(laid.flows.size(), 1u);
  EXPECT_EQ(laid.spans[laid.flows[0].first].span, 1);
  EXPECT_EQ(laid.spans[laid.flows[0].second].span, 2);
}

// Requests beside one another on one thread, each with a call inside; most are never ended. Every track's spans nest, a
// call lies in its request, and a track that is free again is the first to be used.
TEST_F(SpanTracksTest, RequestsThatAreNeverEndedHaveATrackEach) {
  constexpr std::int64_t kRequests = 40'000, kMs = 1'000'000;
  {
    RunBuilder run(path_);
    run.meta("ended_ns", std::to_string((kRequests + 100) * kMs));
    const std::int64_t p = run.process(5, "/bin/server");
    for (std::int64_t i = 0; i < kRequests; ++i) {
      const std::int64_t began = i * kMs;
      if (i % 10 == 0)
        run.insert("span", {p, 2 * i + 1, std::int64_t{0}, run.name("request"), began, began + kMs / 2, std::int64_t{1},
                            std::int64_t{1}, "{}"});
      else
        run.insert("span", {p, 2 * i + 1, std::int64_t{0}, run.name("request"), began, nullptr, std::int64_t{1},
                            nullptr, "{}"});
      run.insert("span", {p, 2 * i + 2, 2 * i + 1, run.name("call"), began + 10, began + kMs / 4, std::int64_t{1},
                          std::int64_t{1}, "{}"});
    }
    run.finish();
  }
  run::Reader run = open();
  const SpanTracks laid = span_tracks(run, all());
  ASSERT_EQ(laid.spans.size(), 2u * kRequests);
  EXPECT_EQ(laid.tracks.size(), static_cast<std::size_t>(kRequests - kRequests / 10));
  EXPECT_TRUE(laid.flows.empty()) << "each call lies in its request";
  for (std::size_t i = 0; i < laid.spans.size(); i += 2) {
    EXPECT_EQ(laid.track_of[i], laid.track_of[i + 1]);
    if (laid.spans[i].has_ended) {
      EXPECT_EQ(laid.track_of[i], laid.track_of[i + 2]) << "which is free again";
    }
  }
}

TEST(TraceIds, ARequestThatCameWithoutATraceIsOfItsFirstCalls) {
  const std::string trace(32, 'a'), call(16, 'b');
  constexpr std::uint64_t kCall = 0xbbbbbbbbbbbbbbbb;
  const auto span = [](std::int64_t process, std::int64_t id, std::int64_t parent, std::int64_t began,
                       const std::string& attributes) {
    run::Span row;
    row.process = static_cast<run::ProcessId>(process);
    row.span = id;
    row.parent = parent;
    row.began_ns = began;
    row.attributes = attributes;
    return row;
  };
  const std::string carried = R"({"traceparent":"00-)" + trace + "-" + call + R"(-01"})";
  const auto ids = trace_ids("run", {span(1, 1, 0, 0, "{}"), span(1, 2, 1, 1, "{}"), span(1, 3, 2, 2, carried),
                                     span(2, 1, 0, 3, carried), span(1, 4, 1, 9, "{}"), span(1, 5, 0, 10, "{}")});
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(text_of(ids[i].trace), trace) << i;
  EXPECT_EQ(ids[0].parent, 0u);
  EXPECT_EQ(ids[2].span, kCall);
  EXPECT_EQ(ids[2].parent, ids[1].span);
  EXPECT_EQ(ids[3].parent, kCall);
  EXPECT_EQ(text_of_span_id(kCall), call);
  EXPECT_TRUE(ids[3].is_entry);
  EXPECT_NE(text_of(ids[5].trace), trace);
}

TEST_F(SpanTracksTest, OfTooManyTheSlowestAreChosenWithAllInsideThem) {
  constexpr std::int64_t kHour = 3600 * kSecondNs, kTrees = 60;
  {
    RunBuilder run(path_);
    run.meta("ended_ns", std::to_string(3 * kHour));
    const std::int64_t p = run.process(5, "/bin/server");
    const auto span = [&](std::int64_t id, std::int64_t parent, std::int64_t from, std::int64_t ns) {
      run.insert("span", {p, id, parent, run.name(parent == 0 ? "outer" : "inner"), from, from + ns, std::int64_t{1},
                          std::int64_t{1}, "{}"});
    };
    for (std::int64_t i = 0; i < kTrees; ++i) {  // all within the first of three hours, each longer than the one before
      span(2 * i + 1, 0, i * kSecondNs, (i + 1) * 1000);
      span(2 * i + 2, 2 * i + 1, i * kSecondNs + 1, 10);
    }
    span(1001, 0, 2 * kHour + 5, 1);  // and one in the last
    run.finish();
  }
  run::Reader run = open();
  const ChosenSpans everything = chosen_spans(run, all());
  EXPECT_EQ(everything.spans.size(), 2u * kTrees + 1);
  EXPECT_EQ(everything.left_out, 0u);

  const ChosenSpans chosen = chosen_spans(run, all(), 31);  // a third of which is for each hour
  ASSERT_EQ(chosen.spans.size(), 11u);
  EXPECT_EQ(chosen.left_out, 2u * kTrees - 10);
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_EQ(chosen.spans[i].span, 2 * (kTrees - 5) + 1 + static_cast<std::int64_t>(i));
  EXPECT_EQ(chosen.spans.back().span, 1001);
  EXPECT_EQ(note_of_spans(11, 110),
            "11 of 121 spans are in it, the slowest with all inside them; choose a shorter range to have all");
  EXPECT_EQ(note_of_spans(121, 0), "");
}

// A session of two hours with ten thousand spans inside it: it stands for itself, and the slowest of what is in it are
// chosen by themselves. A tree that alone is too large is cut to what began first.
TEST_F(SpanTracksTest, OneSpanAroundEverythingDoesNotBringEverything) {
  constexpr std::int64_t kHour = 3600 * kSecondNs, kInside = 10'000;
  {
    RunBuilder run(path_);
    run.meta("ended_ns", std::to_string(2 * kHour));
    const std::int64_t p = run.process(5, "/bin/server");
    const std::int64_t session = run.name("session"), request = run.name("request"), batch = run.name("batch");
    const auto span = [&](std::int64_t id, std::int64_t parent, std::int64_t name, std::int64_t from, std::int64_t ns) {
      run.insert("span", {p, id, parent, name, from, from + ns, std::int64_t{1}, std::int64_t{1}, "{}"});
    };
    span(1, 0, session, 0, kHour - 1);
    for (std::int64_t i = 0; i < kInside; ++i)
      span(2 + i, 1, request, 1000 + i * kSecondNs / 4, 100 + (i * 37) % kInside);
    span(50'000, 0, batch, kHour, kSecondNs);  // the second hour: one tree
    for (std::int64_t i = 0; i < kInside; ++i) span(50'001 + i, 50'000, request, kHour + 1 + i, 5);
    run.finish();
  }
  run::Reader run = open();
  const ChosenSpans chosen = chosen_spans(run, all(), 200);
  ASSERT_EQ(chosen.spans.size(), 200u);
  EXPECT_EQ(chosen.left_out, 2u * kInside + 2 - 200);
  EXPECT_EQ(chosen.spans[0].span, 1);
  std::int64_t fastest = kInside + 100;
  for (std::size_t i = 1; i < 100; ++i)
    fastest = std::min(fastest, chosen.spans[i].ended_ns - chosen.spans[i].began_ns);
  EXPECT_EQ(fastest, 100 + kInside - 99);  // each time from 100 on stands there once
  for (std::size_t i = 100; i < 200; ++i) EXPECT_EQ(chosen.spans[i].span, 50'000 + static_cast<std::int64_t>(i) - 100);
}

// Whatever is let go early must not take the place of what comes late.
TEST_F(SpanTracksTest, TheSlowestAreChosenWhereverInThePartTheyLie) {
  constexpr std::int64_t kSpans = 3000;
  {
    RunBuilder run(path_);
    run.meta("ended_ns", std::to_string(kSpans * kSecondNs));
    const std::int64_t p = run.process(5, "/bin/server");
    for (std::int64_t i = 0; i < kSpans; ++i)  // 1,009 is a prime: slow ones lie everywhere
      run.insert("span", {p, i + 1, std::int64_t{0}, run.name("request"), i * kSecondNs,
                          i * kSecondNs + 1000 + (i * 1009) % kSpans, std::int64_t{1}, std::int64_t{1}, "{}"});
    run.finish();
  }
  run::Reader run = open();
  const ChosenSpans chosen = chosen_spans(run, all(), 64);
  ASSERT_EQ(chosen.spans.size(), 64u);
  for (std::size_t i = 0; i < chosen.spans.size(); ++i) {
    EXPECT_GE(chosen.spans[i].ended_ns - chosen.spans[i].began_ns, 1000 + kSpans - 64);
    if (i > 0) {
      EXPECT_LT(chosen.spans[i - 1].began_ns, chosen.spans[i].began_ns);
    }
  }
}

}  // namespace
}  // namespace camprobe::exporters
