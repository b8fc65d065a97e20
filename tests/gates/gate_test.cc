// tests/gates/gate_test.cc: gates judged on runs whose figures are known: passed, crossed, and what cannot be told.
#include "collector/gates/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/gates/gates_file.h"
#include "collector/gates/tiers.h"
#include "tests/gates/measured_run.h"
#include "tests/run/scratch.h"

namespace camprobe::gates {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using tests::MeasuredRun;

run::Report judged(const MeasuredRun& what, const std::vector<Gate>& gates) {
  run::Scratch scratch;
  tests::measured_run(scratch / "a.camrun", what);
  auto reader = run::Reader::open(scratch / "a.camrun");
  if (!reader) throw std::runtime_error(reader.error());
  return analyse_with_gates(*reader, gates);
}

run::Report judged(const MeasuredRun& what, const std::string& yaml) {
  const auto gates = gates_of_text(yaml, "test.yaml");
  if (!gates) throw std::runtime_error(gates.error());
  return judged(what, *gates);
}

TEST(Gates, PassWithinAndAreCrossedBeyond) {
  const run::Report report = judged({},
                                    "gates:\n"
                                    "  - {metric: latency_p95_ms, max: 100}\n"
                                    "  - {metric: latency_p95_ms, max: 50}\n"
                                    "  - {metric: throughput_rps, min: 90}\n"
                                    "  - {metric: throughput_rps, min: 500, name: enough of it}\n"
                                    "  - {metric: fds_peak, min: 10, max: 20}\n");
  ASSERT_EQ(report.gates.size(), 5u);
  EXPECT_TRUE(report.gates[0].passed);
  EXPECT_FALSE(report.gates[1].passed);
  EXPECT_EQ(report.gates[1].state, "crossed");
  EXPECT_THAT(report.gates[1].name, StartsWith("latency_p95_ms: at most 50 ms"));
  EXPECT_THAT(report.gates[1].text, HasSubstr("at most 50 ms is allowed"));
  EXPECT_TRUE(report.gates[2].passed);
  EXPECT_FALSE(report.gates[3].passed);
  EXPECT_EQ(report.gates[3].name, "enough of it");
  EXPECT_TRUE(report.gates[4].passed);
  EXPECT_FALSE(all_passed(report));
  EXPECT_EQ(report.verdict, "fail");
  EXPECT_THAT(report.summary, StartsWith("2 of 5 gates not passed: latency_p95_ms: at most 50 ms; enough of it."));
}

TEST(Gates, APatternIsAGateForEachThatMatches) {
  const run::Report report = judged({},
                                    "gates:\n"
                                    "  - {metric: throughput_rps, min: 50, endpoint: \"/c*\", window: \"*\"}\n");
  ASSERT_EQ(report.gates.size(), 4u);  // two endpoints in two windows
  for (const run::ReportGate& gate : report.gates) EXPECT_EQ(gate.passed, gate.endpoint == "/chat") << gate.text;
}

TEST(Gates, WhatCannotBeEvaluatedFailsUnlessToldOtherwise) {
  const run::Report report = judged({.with_load_results = false},
                                    "gates:\n"
                                    "  - {metric: error_rate, max: 0}\n"
                                    "  - {metric: error_rate, max: 0, when_missing: pass}\n"
                                    "  - {metric: requests, min: 1, endpoint: /none}\n");
  EXPECT_FALSE(report.gates[0].passed);
  EXPECT_EQ(report.gates[0].state, "missing");
  EXPECT_THAT(report.gates[0].text, HasSubstr("could not be evaluated: only a load tool's results tell errors"));
  EXPECT_FALSE(report.gates[0].value.has_value());
  EXPECT_TRUE(report.gates[1].passed);
  EXPECT_EQ(report.gates[1].state, "missing");
  EXPECT_FALSE(report.gates[2].passed);
}

TEST(Gates, AGrowthThatIsNotSurelyBeyondItsLimitIsNotCrossed) {
  // 1 kB a second is 3.6 MB an hour, without any noise.
  EXPECT_EQ(
      judged({.rss_per_second = 1000}, "gates:\n  - {metric: rss_growth_bytes_per_hour, max: 3 MB}\n").gates[0].state,
      "crossed");
  EXPECT_TRUE(
      judged({.rss_per_second = 1000}, "gates:\n  - {metric: rss_growth_bytes_per_hour, max: 4 MB}\n").gates[0].passed);
}

TEST(Gates, TheTiersLimitsAreHeldByTheTiers) {
  // 100 requests a second, p95 80 ms, one error in a thousand: what Community asks for, and no more.
  const run::Report community = judged({}, *gates_of_tier("community"));
  for (const run::ReportGate& gate : community.gates) EXPECT_TRUE(gate.passed) << gate.name << ": " << gate.text;
  const run::Report professional = judged({}, *gates_of_tier("professional"));
  EXPECT_TRUE(professional.gates[0].passed);   // 80 ms of 100
  EXPECT_FALSE(professional.gates[1].passed);  // 100 of 500 a second
  EXPECT_FALSE(professional.gates[2].passed);  // 0.1 % of 0.05 %
  const run::Report enterprise = judged({}, *gates_of_tier("enterprise"));
  EXPECT_FALSE(enterprise.gates[0].passed);         // 80 ms of 50
  EXPECT_EQ(enterprise.gates[1].window, "steady");  // the ramp does not count
}

TEST(Gates, NoGatesLeaveTheReportAlone) {
  const run::Report report = judged({}, std::vector<Gate>{});
  EXPECT_TRUE(report.gates.empty());
  EXPECT_NE(report.verdict, "fail");
}

}  // namespace
}  // namespace camprobe::gates
