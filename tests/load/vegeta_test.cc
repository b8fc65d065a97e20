// tests/load/vegeta_test.cc: one attack in three encodings is one timeline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

class Vegeta : public testing::TestWithParam<const char*> {};

TEST_P(Vegeta, EveryEncodingGivesTheSame) {
  const LoadTimeline timeline = must_read(text_of(fixture(GetParam())));
  EXPECT_EQ(timeline.tool, "vegeta");
  EXPECT_EQ(timeline.requests, 60u);
  EXPECT_EQ(timeline.errors, 13u);
  EXPECT_EQ(timeline.latency.count(), 48u);  // twelve were refused
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-27T23:49:06.779Z");
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-27T23:49:10.128Z");
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("GET /work", "GET /slow", "GET /refused"));  // without ?id=
  ASSERT_EQ(timeline.error_kinds.size(), 2u);
  EXPECT_THAT(timeline.error_kinds[0].kind, testing::HasSubstr("connection refused"));
  EXPECT_EQ(timeline.error_kinds[0].count, 12u);
  EXPECT_EQ(timeline.error_kinds[1].kind, "HTTP 503");
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent);
  EXPECT_EQ(timeline.skipped.rows, 0u);
  const LoadTimeline gob = must_read(text_of(fixture("vegeta_gob/mix.gob")));
  EXPECT_EQ(timeline.latency.to_json(), gob.latency.to_json());
  EXPECT_EQ(timeline.start, gob.start);
}

TEST_P(Vegeta, ACutOffResultIsLeftOutAndNamed) {
  std::string text = text_of(fixture(GetParam()));
  text.resize(text.size() - 5);
  const LoadTimeline timeline = must_read(text);
  EXPECT_EQ(timeline.requests, 59u);
  EXPECT_EQ(timeline.skipped.rows, 1u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre(testing::HasSubstr("cut off")));
}

INSTANTIATE_TEST_SUITE_P(Encodings, Vegeta,
                         testing::Values("vegeta_gob/mix.gob", "vegeta_json/mix.ndjson", "vegeta_csv/mix.csv"));

TEST(VegetaGob, TwoDumpsAfterOneAnotherAreRead) {
  const std::string one = text_of(fixture("vegeta_gob/mix.gob"));
  const LoadTimeline timeline = must_read(one + one);
  EXPECT_EQ(timeline.requests, 120u);
  EXPECT_EQ(timeline.skipped.rows, 0u);
}

TEST(VegetaGob, AMessageThatMakesNoSenseIsPassedOver) {
  const std::string one = text_of(fixture("vegeta_gob/mix.gob"));
  const LoadTimeline timeline = must_read(one + std::string("\x03\xff\x7f\x01\x02", 4) + one);
  EXPECT_EQ(timeline.requests, 120u);
  EXPECT_GE(timeline.skipped.rows, 1u);
}

TEST(VegetaJson, KeysComeInAnyOrderAndDamageIsNamed) {
  const LoadTimeline timeline = must_read(
      "{\"attack\":\"\",\"seq\":0,\"code\":200,\"timestamp\":\"2026-11-23T14:38:30.967711328Z\",\"latency\":4887369}\n"
      "{\"latency\":1000,\"timestamp\":\"2026-11-23T16:38:30+02:00\",\"error\":\"a \\\"b\\\"\",\"code\":0,\"seq\":1}\n"
      "{\"attack\":\"\",\"seq\":0,\"code\":200,\"timestamp\":\"2026-11-23T14:38:30Z\",\"latency\":1.5}\n"
      "{\"attack\":\"\",\"seq\":0}\n{\"attack\":\n[1]\n"
      "{\"attack\":\"\",\"seq\":0,\"code\":200,\"timestamp\":\"2026-11-23T14:38:30Z\",\"latency\":1} x\n");
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_EQ(timeline.errors, 1u);
  EXPECT_EQ(timeline.error_kinds.front().kind, "a \"b\"");
  EXPECT_EQ(timeline.skipped.rows, 5u);
}

TEST(VegetaLarge, ARealAttackAgreesWithItsReport) {
  const auto path = large_fixture("vegeta/results.gob.bin");
  SKIP_WITHOUT(path);
  for (const char* name : {"vegeta/results.gob.bin", "vegeta/results.json", "vegeta/results.csv"}) {
    const LoadTimeline timeline = must_read(text_of(large_fixture(name)), 1 << 16);
    EXPECT_EQ(timeline.requests, 400u) << name;
    EXPECT_EQ(timeline.errors, 136u) << name;
    EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T14:38:40.944Z") << name;
    EXPECT_EQ(timeline.latency.max(), 54'316'043u) << name;
  }
}

}  // namespace
}  // namespace camprobe::load
