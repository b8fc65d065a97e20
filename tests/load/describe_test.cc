// tests/load/describe_test.cc: what `camprobe load` shows, and the command itself.
#include "collector/load/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/load.h"
#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

using nlohmann::ordered_json;

TEST(DescribeJson, HasTheAgreedMembersFirst) {
  const ordered_json json = describe_json(must_read(text_of(fixture("k6_json/two_scenarios.ndjson"))));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              testing::ElementsAre("tool", "requests", "errors", "start", "end", "latency_ms", "phases", "skipped",
                                   "latency_basis", "latency_source", "duration_s", "error_kinds", "notes"));
  EXPECT_EQ(json["latency_source"], "histogram");
  EXPECT_EQ(json["error_kinds"].dump(),
            "[{\"kind\":\"dial: connection refused\",\"count\":2},{\"kind\":\"HTTP 503\",\"count\":1}]");
  EXPECT_EQ(json["tool"], "k6");
  EXPECT_EQ(json["requests"], 10);
  EXPECT_EQ(json["errors"], 3);
  EXPECT_EQ(json["start"], "2026-11-23T10:00:00.301Z");
  EXPECT_EQ(json["end"], "2026-11-23T10:00:04.800Z");
  EXPECT_EQ(json["latency_ms"]["max"], 1300.5);
  EXPECT_EQ(json["latency_ms"].size(), 4u);
  ASSERT_EQ(json["phases"].size(), 2u);
  EXPECT_EQ(json["phases"][0].dump(),
            "{\"name\":\"ramp\",\"kind\":\"ramp\",\"from\":\"2026-11-23T10:00:00.301Z\",\"to\":\"2026-11-23T10:00:03."
            "250Z\"}");
  EXPECT_EQ(json["skipped"].dump(), "{\"rows\":0,\"why\":[]}");
}

TEST(DescribeJson, WhatIsNotKnownIsNull) {
  const ordered_json biased = describe_json(must_read(text_of(fixture("autocannon/rate.json"))));
  EXPECT_TRUE(biased["latency_ms"].is_null());
  EXPECT_EQ(biased["skipped"]["why"].size(), 1u);
  const ordered_json closed = describe_json(must_read(text_of(fixture("autocannon/closed.json"))));
  EXPECT_TRUE(closed["latency_ms"]["p95"].is_null());
  const ordered_json nothing = describe_json(LoadTimeline{});
  for (const char* key : {"requests", "errors", "start", "end", "latency_ms"})
    EXPECT_TRUE(nothing[key].is_null()) << key;
  EXPECT_TRUE(nothing["phases"].is_array());
}

TEST(DescribeJson, NamesThatAreNoUtf8StayJson) {
  LoadTimeline timeline;
  timeline.phases.push_back({"\xff\xfe", "load", {}, {}});
  timeline.skipped.row("line 1: \xc3");
  EXPECT_TRUE(nlohmann::json::accept(describe_json(timeline).dump()));
}

TEST(DescribeText, SaysWhatCountsAndWhatIsUnknown) {
  const std::string text = describe_text(must_read(text_of(fixture("k6_json/two_scenarios.ndjson"))));
  EXPECT_THAT(text, testing::HasSubstr("requests    10\n"));
  EXPECT_THAT(text, testing::HasSubstr("errors      3 (30.00 %)\n"));
  EXPECT_THAT(text, testing::HasSubstr("bid: 4 requests, 1 errors"));
  EXPECT_THAT(text, testing::HasSubstr("peak: 2026-11-23T10:00:00.984Z to "));
  EXPECT_THAT(describe_text(LoadTimeline{}), testing::HasSubstr("latency     unknown\n"));
}

TEST(DescribeText, ForeignNamesCannotMoveTheTerminal) {
  LoadTimeline timeline;
  timeline.phases.push_back({"\x1b[2Jgone", "load", {}, {}});
  EXPECT_EQ(describe_text(timeline).find('\x1b'), std::string::npos);
}

struct Outcome {
  int code;
  std::string out, err;
};

Outcome run(std::vector<std::string> arguments) {
  CLI::App app;
  int code = 0;
  cli::add_load_command(app, code);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError&) {
    code = 2;
  }
  const std::string out = testing::internal::GetCapturedStdout();
  return {code, out, testing::internal::GetCapturedStderr()};
}

TEST(LoadSubcommand, PrintsTextOrJson) {
  const std::string file = fixture("h2load/work.tsv");
  const Outcome text = run({"load", file});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, testing::StartsWith("tool        h2load\n"));
  const Outcome json = run({"load", "--format", "json", file});
  EXPECT_EQ(json.code, 0);
  EXPECT_EQ(nlohmann::json::parse(json.out)["requests"], 120);
}

TEST(LoadSubcommand, TakesH2loadsSummary) {
  const Outcome outcome =
      run({"load", fixture("h2load/drop.tsv"), "--h2load-summary", fixture("h2load/drop.txt"), "--format", "json"});
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["errors"], 3);
  const Outcome wrong =
      run({"load", fixture("autocannon/closed.json"), "--h2load-summary", fixture("h2load/drop.txt")});
  EXPECT_EQ(wrong.code, 2);
}

TEST(LoadSubcommand, UnusableFilesEndWithTwoAndOneLine) {
  const std::string none = "/no/such/file", directory = CAMPROBE_SOURCE_DIR, other = fixture("README.md"),
                    empty = "/dev/null";
  for (const std::string& file : {none, directory, other, empty}) {
    const Outcome outcome = run({"load", file});
    EXPECT_EQ(outcome.code, 2) << file;
    EXPECT_EQ(outcome.out, "") << file;
    EXPECT_THAT(outcome.err, testing::StartsWith("camprobe load: load results " + file + ": ")) << file;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << file;
  }
  EXPECT_EQ(run({"load"}).code, 2);
  EXPECT_EQ(run({"load", fixture("h2load/work.tsv"), "--format", "xml"}).code, 2);
}

}  // namespace
}  // namespace camprobe::load
