// tests/load/gatling_test.cc: one run in the text forms of several versions and in the binary one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

class Gatling : public testing::TestWithParam<const char*> {};

TEST_P(Gatling, EveryFormGivesTheSame) {
  const LoadTimeline timeline = must_read(text_of(fixture(GetParam())));
  EXPECT_EQ(timeline.tool, "gatling");
  EXPECT_EQ(timeline.requests, 202u);
  EXPECT_EQ(timeline.errors, 10u);
  EXPECT_EQ(timeline.latency.count(), 201u);  // one had a time-out: no answer
  EXPECT_EQ(to_rfc3339(*timeline.start), "2026-11-23T14:26:40.000Z");
  EXPECT_EQ(to_rfc3339(*timeline.end), "2026-11-23T14:27:40.700Z");
  ASSERT_EQ(timeline.endpoints.size(), 4u);
  EXPECT_EQ(timeline.endpoints[1], "auction / GET work");
  EXPECT_THAT(timeline.endpoints[2], testing::StartsWith("auction / inner / GET slow"));
  ASSERT_EQ(timeline.error_kinds.size(), 2u);
  EXPECT_EQ(timeline.error_kinds[0].kind, "status.find.in(200,304), found 503");
  EXPECT_EQ(timeline.error_kinds[0].count, 9u);
  EXPECT_EQ(timeline.skipped.rows, 0u);
  const LoadBucket* bucket = bucket_at(timeline, "2026-11-23T14:26:44Z");
  ASSERT_NE(bucket, nullptr);
  EXPECT_EQ(bucket->all.users, 6.0);  // six began, half a second apart
  EXPECT_EQ(timeline.buckets.back().all.users, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Forms, Gatling,
                         testing::Values("gatling_text/mix_3.10.log", "gatling_text/mix_3.3.log",
                                         "gatling_binary/mix_3.12.log"));

TEST(GatlingText, TheOldestFormHasItsKindThirdAndFourTimes) {
  const LoadTimeline timeline = must_read(
      "a.Sim\tsim\tRUN\t1462831084072\t \t2.0\n"
      "Sim.Put\t16014-0\tUSER\tSTART\t1462831084084\t0\n"
      "Sim.Put\t16014-0\tREQUEST\t\tput\t1462831084129\t1462831084130\t1462831084140\t1462831084151\tOK\t \n"
      "Sim.Put\t16014-0\tUSER\tEND\t1462831084084\t1462831084160\n");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.latency.max(), 22'000'000u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("put"));
}

TEST(GatlingText, AnEndBeforeTheStartIsNoDuration) {
  const LoadTimeline timeline = must_read(
      "RUN\ta.Sim\tsim\t1795444000000\t \t3.10.5\n"
      "REQUEST\t\ta\t1795444000120\t1795444000020\tOK\t \nREQUEST\t\ta\t1795444000120\t-9223372036854775808\tKO\tx\n");
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_TRUE(timeline.latency.empty());
  EXPECT_EQ(timeline.errors, 1u);
}

TEST(GatlingText, BadLinesAreNamedAndTheRestIsKept) {
  const LoadTimeline timeline = must_read(
      "RUN\ta.Sim\tsim\t1795444000000\t \t3.10.5\nREQUEST\t\ta\t1795444000120\t1795444000126\tMAYBE\t \n"
      "REQUEST\t\ta\t1000\t2000\tOK\t \nNONSENSE\nREQUEST\t\ta\t1795444000120\t1795444000126\tOK\t "
      "\nREQUEST\t\ta\t17954");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.skipped.rows, 4u);
  EXPECT_THAT(timeline.skipped.why[0], testing::StartsWith("line 2: "));
  EXPECT_THAT(timeline.skipped.why[3], testing::StartsWith("line 6: cut off"));
}

TEST(GatlingBinary, ACutOffRecordEndsTheReadingAndIsNamed) {
  std::string text = text_of(fixture("gatling_binary/mix_3.12.log"));
  const LoadTimeline timeline = must_read(text.substr(0, text.size() / 2));
  EXPECT_GT(*timeline.requests, 80u);
  EXPECT_LT(*timeline.requests, 202u);
  EXPECT_EQ(timeline.skipped.rows, 1u);
  EXPECT_THAT(timeline.skipped.why.front(), testing::HasSubstr("cut off"));
}

TEST(GatlingBinary, AnUnknownRecordIsSaidWithItsPlace) {
  const std::string text = text_of(fixture("gatling_binary/mix_3.12.log"));
  const LoadTimeline timeline = must_read(text + "\x77 and more");
  EXPECT_EQ(timeline.requests, 202u);
  EXPECT_THAT(timeline.skipped.why, testing::ElementsAre(testing::HasSubstr("at byte " + std::to_string(text.size()) +
                                                                            ": its kind of record")));
}

TEST(GatlingBinary, ATextThatARecordDefinesTwiceIsNotReadAfterItIsGone) {
  const auto i32 = [](std::uint32_t n) {
    return std::string{static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                       static_cast<char>(n)};
  };
  const auto text = [&](const std::string& bytes) {
    return i32(static_cast<std::uint32_t>(bytes.size())) + bytes + std::string(1, '\0');
  };
  const std::string run = std::string(1, '\0') + text("3.12.0") + text("S") +
                          std::string("\0\0\x01\xa2\x08\x9f\x6d\x00", 8) + i32(0) + i32(0) + i32(0);
  const std::string request = "\x01" + i32(0) + i32(1) + text(std::string(100, 'a')) + i32(10) + i32(20) +
                              std::string(1, '\0') + i32(1) + text(std::string(100, 'b'));
  const LoadTimeline timeline = must_read(run + request);
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.errors, 1u);
}

TEST(GatlingLarge, FilesOfRealRunsAreRead) {
  const auto path = large_fixture("gatling/simulation_v3.12.1.binary.log");
  SKIP_WITHOUT(path);
  const LoadTimeline binary = must_read(text_of(path));
  EXPECT_EQ(binary.requests, 105u);
  EXPECT_EQ(binary.errors, 1u);
  EXPECT_EQ(binary.skipped.rows, 0u);
  const LoadTimeline oldest = must_read(text_of(large_fixture("gatling/simulation_2.x_text_johnaohara.log")));
  EXPECT_EQ(oldest.requests, 122u);
  EXPECT_EQ(oldest.skipped.rows, 0u);
}

}  // namespace
}  // namespace camprobe::load
