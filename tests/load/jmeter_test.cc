// tests/load/jmeter_test.cc: samples, transactions and nested samples, as CSV and as XML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/reading.h"

namespace camprobe::load {
namespace {

const std::string kHeader =
    "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,allThreads\n";

std::string row(const std::string& time, const std::string& rest) {
  return time + "," + rest + "\n";
}

TEST(JmeterCsv, ARealFileCountsSamplesAndNotTheirTransactions) {
  const LoadTimeline timeline = must_read(text_of(fixture("jmeter_csv/transactions.csv")));
  EXPECT_EQ(timeline.tool, "jmeter");
  EXPECT_EQ(timeline.requests, 40u);  // of 60 rows, 20 are transactions
  EXPECT_EQ(timeline.errors, 0u);
  EXPECT_EQ(timeline.latency.count(), 40u);
  EXPECT_EQ(timeline.latency_basis, LatencyBasis::kSent);
  EXPECT_EQ(requests_in_buckets(timeline), 40u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("GET /arbitrate", "GET /health, quoted \"name\""));
  EXPECT_EQ(timeline.skipped.rows, 0u);
  EXPECT_THAT(timeline.notes, testing::Contains(testing::StartsWith("20 rows are transactions")));
}

TEST(JmeterCsv, FailureIsJmetersOwnJudgementAndKindsAreNamed) {
  const LoadTimeline timeline =
      must_read(kHeader + row("1795444434742", "10,a,500,Oops,t 1-1,text,false,2") +
                row("1795444434743", "11,a,404,,t 1-1,text,true,4") +
                row("1795444434744",
                    "2000,a,Non HTTP response code: java.net.SocketTimeoutException,Read timed out,t 1-1,,false,4"));
  EXPECT_EQ(timeline.requests, 3u);
  EXPECT_EQ(timeline.errors, 2u);  // the 404 was asserted
  EXPECT_EQ(timeline.latency.count(), 2u);
  ASSERT_EQ(timeline.error_kinds.size(), 2u);
  EXPECT_EQ(timeline.error_kinds[0].kind, "HTTP 500");
  EXPECT_EQ(timeline.error_kinds[1].kind, "java.net.SocketTimeoutException");
  EXPECT_NEAR(*timeline.buckets.front().all.users, 10.0 / 3, 1e-9);
}

TEST(JmeterCsv, OnlyTheHeaderSaysWhatColumnsThereAreAndWhatIsBetweenThem) {
  const LoadTimeline timeline = must_read("elapsed\tlabel\tsuccess\ttimeStamp\n25\ta, b\ttrue\t1795444434742\n");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.latency.max(), 25'000'000u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("a, b"));
}

TEST(JmeterCsv, AnAppendedRunBringsAHeaderOfItsOwn) {
  const LoadTimeline timeline = must_read(kHeader + row("1795444434742", "10,a,200,OK,t,text,true,1") +
                                          "timeStamp,elapsed,success\n1795444435742,12,false\n");
  EXPECT_EQ(timeline.requests, 2u);
  EXPECT_EQ(timeline.errors, 1u);
}

TEST(JmeterCsv, AFileOfTransactionsAloneCountsThem) {
  const LoadTimeline timeline = must_read(
      kHeader + row("1795444434742",
                    "10,TX,200,\"Number of samples in transaction : 2, number of failing samples : 0\",t,,true,1"));
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_THAT(timeline.notes, testing::Contains(testing::HasSubstr("only transactions")));
}

TEST(JmeterCsv, WithoutAHeaderItIsRefusedByName) {
  const auto timeline = read_text("1795444434742,10,a,200,OK,t 1-1,text,true,202,10\n");
  ASSERT_FALSE(timeline.ok());
  EXPECT_THAT(timeline.error(), testing::HasSubstr("print_field_names=true"));
}

TEST(JmeterCsv, BadRowsAreNamedAndTheRestIsKept) {
  const LoadTimeline timeline =
      must_read(kHeader + row("2026/11/23 14:33:54", "10,a,200,OK,t,text,true,1") +
                row("1795444434742", "-1,a,200,OK,t,text,true,1") + row("1795444434742", "10,a,200") +
                row("1795444434742", "10,a,200,OK,t,text,true,1") + "1795444434743,10,a,200,OK,t,te");
  EXPECT_EQ(timeline.requests, 1u);
  EXPECT_EQ(timeline.skipped.rows, 4u);
  EXPECT_THAT(timeline.skipped.why,
              testing::ElementsAre(testing::HasSubstr("timestamp_format=ms"), testing::HasSubstr("elapsed"),
                                   testing::HasSubstr("columns"), testing::HasSubstr("line 6: cut off")));
}

TEST(JmeterXml, ARealFileCountsTheSamplesInTransactions) {
  const LoadTimeline timeline = must_read(text_of(fixture("jmeter_xml/transactions.jtl")));
  EXPECT_EQ(timeline.requests, 40u);
  EXPECT_EQ(timeline.errors, 0u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("GET /arbitrate", "GET /health, quoted \"name\""));
  EXPECT_EQ(requests_in_buckets(timeline), 40u);
  EXPECT_EQ(timeline.skipped.rows, 0u);
}

std::string sample(const std::string& element, const std::string& label, const std::string& inner = "") {
  return "<" + element + " t=\"7\" ts=\"1795444508236\" s=\"true\" lb=\"" + label +
         "\" rc=\"200\" rm=\"OK\" na=\"1\">" + inner + "</" + element + ">\n";
}

TEST(JmeterXml, WhatIsInARequestIsPartOfItAndWhatIsInATransactionIsARequest) {
  const LoadTimeline timeline =
      must_read("<?xml version=\"1.0\"?>\n<testResults version=\"1.2\">\n" +
                sample("httpSample", "page", sample("httpSample", "redirect")) +
                sample("sample", "tx", sample("sample", "jdbc") + sample("httpSample", "get")) +
                sample("sample", "alone", "<assertionResult><name>x</name></assertionResult>") + "</testResults>\n");
  EXPECT_EQ(timeline.requests, 4u);
  EXPECT_THAT(timeline.endpoints, testing::ElementsAre("page", "jdbc", "get", "alone"));
}

TEST(JmeterXml, AKilledRunsOpenDocumentLosesNothing) {
  std::string text = text_of(fixture("jmeter_xml/transactions.jtl"));
  text.resize(text.rfind("<httpSample") + 40);
  const LoadTimeline timeline = must_read(text);
  EXPECT_EQ(timeline.requests, 39u);
  EXPECT_EQ(timeline.skipped.rows, 0u);
}

TEST(JmeterXml, ReadingGoesOnBehindDamage) {
  const std::string good = sample("httpSample", "a");
  for (const std::size_t chunk : {3, 1000, 1 << 20}) {
    const LoadTimeline timeline =
        must_read("<?xml version=\"1.0\"?>\n<testResults version=\"1.2\">\n" + good +
                      "<httpSample t=\"7\" ts=\"17954<<\x01 &&\n" + good + good + "</testResults>\n" +
                      "<?xml version=\"1.0\"?>\n<testResults version=\"1.2\">\n" + good,
                  chunk);
    EXPECT_EQ(timeline.requests, 4u) << chunk;
    EXPECT_EQ(timeline.skipped.rows, 2u) << chunk;  // the damage, and the second document behind the first
    EXPECT_THAT(timeline.skipped.why.front(), testing::StartsWith("line 4: ")) << chunk;
  }
}

TEST(JmeterXml, EntitiesAreNotExpanded) {
  const auto timeline = read_text(
      "<?xml version=\"1.0\"?><!DOCTYPE testResults [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>\n"
      "<testResults>\n" +
      sample("httpSample", "&b;") + "</testResults>\n");
  EXPECT_FALSE(timeline.ok());  // neither declared nor used: there is no sample left
}

TEST(JmeterLarge, RealRunsAreReadWhole) {
  const auto path = large_fixture("jmeter/jtl_v5columns.csv");
  SKIP_WITHOUT(path);
  EXPECT_EQ(must_read(text_of(path), 1 << 16).requests, 862u);
  const LoadTimeline xml = must_read(text_of(large_fixture("jmeter/jtl_xml.jtl")), 1 << 16);
  EXPECT_EQ(xml.requests, 870u);
  EXPECT_EQ(xml.errors, 4u);
}

}  // namespace
}  // namespace camprobe::load
