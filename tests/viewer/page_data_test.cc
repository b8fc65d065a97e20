// tests/viewer/page_data_test.cc: what the page is told, and that it stays small; browser.mjs tests what it makes of
// it.
#include "viewer/page_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "run/histogram.h"
#include "tests/exporters/synthetic_run.h"
#include "viewer/html.h"

namespace camprobe::viewer {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using tests::kSecondNs;
using tests::RunBuilder;

class PageDataTest : public testing::Test {
 protected:
  PageDataTest()
      : path_(std::filesystem::temp_directory_path() / ("camprobe-page-" + std::to_string(::getpid()) + ".camrun")) {}
  ~PageDataTest() override { std::filesystem::remove(path_); }

  json page(const PageLimits& limits = {}, const json& report = nullptr) {
    auto run = run::Reader::open(path_.string());
    EXPECT_TRUE(run.ok()) << (run.ok() ? "" : run.error());
    return page_data(*run, report, limits);
  }
  static json series(const json& page, const std::string& name, const json& process = nullptr) {
    for (const json& s : page["timeline"]["series"]) {
      if (s["name"] == name && s["process"] == process) return s;
    }
    return nullptr;
  }
  static json profile(const json& page, const std::string& what) {
    for (const json& p : page["profiles"]) {
      if (p["what"] == what) return p;
    }
    return nullptr;
  }
  static double weight_of(const json& profile) {
    double sum = 0;
    for (const json& layer : profile["layers"]) {
      for (const json& weight : layer["weight"]) sum += weight.get<double>() * profile["scale"].get<double>();
    }
    return sum;
  }

  std::filesystem::path path_;
};

TEST_F(PageDataTest, CountersBecomeRatesAndProcessesAddUp) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "6000000000");
    const std::int64_t a = run.process(1, "/bin/a");
    const std::int64_t b = run.process(2, "/bin/b");
    const std::int64_t cpu = run.metric("process_cpu_user_ns", "ns", "counter");
    const std::int64_t rss = run.metric("process_resident_bytes", "bytes", "gauge");
    for (std::int64_t s = 0; s < 6; ++s) {
      run.point(cpu, a, s, 5e8 * static_cast<double>(s));
      if (s >= 2) run.point(cpu, b, s, s == 4 ? 0 : 1e9 * static_cast<double>(s));  // begins late, and once anew
      run.point(rss, a, s, 1000);
      if (s >= 2) run.point(rss, b, s, 500);
      run.point(rss, 0, s, 7);
    }
    run.finish();
  }
  const json data = page();
  EXPECT_EQ(series(data, "process_cpu_user_ns")["unit"], "ns_per_second");
  EXPECT_EQ(series(data, "process_cpu_user_ns")["values"], json::parse("[null, 5e8, 5e8, 1.5e9, 5e8, 5.5e9]"));
  EXPECT_EQ(series(data, "process_resident_bytes")["values"], json::parse("[1000, 1000, 1500, 1500, 1500, 1500]"));
  EXPECT_EQ(series(data, "process_resident_bytes", 0)["values"], json::parse("[7, 7, 7, 7, 7, 7]"));
  EXPECT_EQ(data["profiles"].size(), 4u);
  EXPECT_FALSE(profile(data, "cpu")["absent"].get<std::string>().empty());
}

TEST_F(PageDataTest, LatencyOfABucketComesFromAllItsHistograms) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "4000000000");
    for (const std::int64_t source : {1, 2}) {
      run.insert("load_source", {source, "k6", nullptr, nullptr, nullptr, nullptr, std::int64_t{0}, nullptr, "sent"});
      // 90 requests of 1 ms from the first tool, 10 of 100 ms from the second.
      const std::string histogram = source == 1
                                        ? "{\"" + std::to_string(run::Histogram::bucket_of(1'000'000)) + "\":90}"
                                        : "{\"" + std::to_string(run::Histogram::bucket_of(100'000'000)) + "\":10}";
      const std::int64_t requests = source == 1 ? 90 : 10;
      run.insert("load_bucket", {source, std::int64_t{1}, std::int64_t{1}, "", requests, std::int64_t{source - 1},
                                 histogram, nullptr, nullptr, nullptr, nullptr, nullptr});
      run.insert("load_bucket", {source, std::int64_t{2}, std::int64_t{2}, "", requests, std::int64_t{0}, nullptr,
                                 5.0 * static_cast<double>(source), nullptr, nullptr, nullptr, nullptr});
      run.insert("load_bucket", {source, std::int64_t{1}, std::int64_t{1}, "GET /", requests, std::int64_t{0},
                                 histogram, nullptr, nullptr, nullptr, nullptr, nullptr});
    }
    run.finish();
  }
  const json data = page();
  EXPECT_EQ(series(data, "load_requests")["values"], json::parse("[null, 100, 50, 50]"));
  EXPECT_EQ(series(data, "load_errors")["values"], json::parse("[null, 1, 0, 0]"));
  const json p50 = series(data, "latency_p50_ms")["values"];
  EXPECT_NEAR(p50[1].get<double>(), 1, 0.02);
  EXPECT_EQ(p50[2], 10);
  EXPECT_NEAR(series(data, "latency_p99_ms")["values"][1].get<double>(), 100, 2);

  // The same histograms are the heat map: every request in the row that holds its latency.
  const json& heat = data["timeline"]["latency_heat"];
  std::map<std::int64_t, std::uint64_t> by_row;
  const double lowest = heat["lowest_ms"], rows_per_octave = heat["rows_per_octave"];
  std::uint64_t requests_drawn = 0;
  for (const json& column : heat["counts"]) {
    for (std::size_t row = 0; row < column.size(); ++row) {
      by_row[static_cast<std::int64_t>(row)] += column[row].get<std::uint64_t>();
      requests_drawn += column[row].get<std::uint64_t>();
    }
  }
  const auto row_of = [&](double ms) {
    return static_cast<std::int64_t>(std::floor(rows_per_octave * std::log2(ms / lowest) + 1e-9));
  };
  EXPECT_GT(by_row[row_of(100.5)], 0U);
  EXPECT_EQ(by_row.rbegin()->first, row_of(100.5));
  EXPECT_EQ(requests_drawn, 100U);
}

TEST_F(PageDataTest, ALongRunIsFoldedWithoutLosingWeight) {
  tests::large_run(path_, 3000, 12);
  const PageLimits limits{
      .timeline_buckets = 100, .profile_entries = 5000, .stack_nodes = 4000, .table_rows = 5, .processes_drawn = 2};
  const json data = page(limits);
  EXPECT_LE(data["timeline"]["buckets"], 100);
  EXPECT_LE(data["nodes"]["parent"].size(), 4000u);
  for (const json& p : data["profiles"]) {
    std::size_t entries = 0;
    for (const json& layer : p["layers"]) {
      entries += layer["at"].size();
      ASSERT_EQ(layer["at"].size(), layer["node"].size());
      ASSERT_EQ(layer["at"].size(), layer["weight"].size());
      for (const json& node : layer["node"]) ASSERT_LT(node.get<std::size_t>(), data["nodes"]["parent"].size());
    }
    EXPECT_LE(entries, 5000u) << p["what"];
  }
  const json& parent = data["nodes"]["parent"];
  for (std::size_t i = 1; i < parent.size(); ++i) ASSERT_LT(parent[i].get<std::size_t>(), i);
  EXPECT_THAT(data["notes"].dump(), HasSubstr("light stacks are shown only down to the callers"));
  // 100 samples a minute at 99 Hz, however folded.
  EXPECT_NEAR(weight_of(profile(data, "cpu")), 12 * 60 * 100 * 1e9 / 99, 1e7);
}

TEST_F(PageDataTest, SpansHaveTheQuantilesOfAllTheirSeconds) {
  tests::server_run(path_);
  const json data = page();
  for (const json& span : data["spans"]) {
    if (span["name"] != "cam.arbitration") continue;
    EXPECT_EQ(span["spans"], 24000);
    EXPECT_NEAR(span["p50_ms"].get<double>(), 0.42, 0.02);
    EXPECT_NEAR(span["p99_ms"].get<double>(), 0.42 * std::exp(0.5 * 2.326), 0.1);
    return;
  }
  FAIL() << "no arbitration among the spans";
}

TEST_F(PageDataTest, NamesOfDeepTemplatesKeepTheirShape) {
  std::string argument = "int";
  for (int i = 0; i < 200; ++i) argument = "boost::asio::any<" + argument + ">";
  const std::vector<std::string> names{
      "void work<" + argument + ">::operator()(" + argument + ")",
      "std::ostream& operator<< <" + argument + ">(" + argument + ")",
      "not < a template " + std::string(5000, 'x'),
      "std::vector<int>::at(unsigned long)",
  };
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "4000000000");
    const std::int64_t p = run.process(1, "/bin/a");
    for (const std::string& name : names) run.cpu(p, 1, run.stack(p, {{name}}), 1, 1e9);
    run.finish();
  }
  std::vector<std::string> shown = page()["frames"]["function"];
  EXPECT_THAT(shown, testing::Contains("void work<\xE2\x80\xA6>::operator()(boost::asio::any<\xE2\x80\xA6>)"));
  EXPECT_THAT(shown, testing::Contains("std::ostream& operator<< <\xE2\x80\xA6>(boost::asio::any<\xE2\x80\xA6>)"));
  EXPECT_THAT(shown, testing::Contains(testing::StartsWith("not < a template xxx")));
  EXPECT_THAT(shown, testing::Contains("std::vector<int>::at(unsigned long)"));
  for (const std::string& name : shown) EXPECT_LE(name.size(), 2010u);
}

TEST_F(PageDataTest, AcceptedPeersAreAddressesAndConnectedOnesPorts) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", "4000000000");
    const std::int64_t p = run.process(1, "/bin/a");
    const std::int64_t stack = run.stack(p, {{"main"}, {"open"}});
    std::int64_t id = 0;
    for (const char* peer : {"10.0.0.9:4001", "10.0.0.9:4002", "[::1]:5001", "unix:/run/x"}) {
      run.insert("descriptor",
                 {++id, p, id, std::int64_t{1}, "accept", peer, stack, kSecondNs, nullptr, std::int64_t{1},
                  std::int64_t{10}, std::int64_t{0}, std::int64_t{0}, std::int64_t{1}, std::int64_t{1}});
    }
    run.insert("descriptor",
               {++id, p, id, std::int64_t{1}, "connect", "10.0.0.9:443", stack, kSecondNs, 2 * kSecondNs,
                std::int64_t{1}, std::int64_t{10}, std::int64_t{0}, std::int64_t{0}, std::int64_t{1}, std::int64_t{1}});
    run.insert("descriptor", {++id, p, id, std::int64_t{1}, "file", nullptr, stack, kSecondNs, nullptr, std::int64_t{1},
                              std::int64_t{10}, std::int64_t{0}, std::int64_t{0}, std::int64_t{1}, std::int64_t{1}});
    run.finish();
  }
  const json data = page();
  std::map<std::string, std::pair<int, int>> peers;
  for (const json& s : data["sockets"]) peers[s["peer"]] = {s["opened"], s["open"]};
  EXPECT_EQ(peers, (std::map<std::string, std::pair<int, int>>{
                       {"10.0.0.9", {2, 2}}, {"[::1]", {1, 1}}, {"unix:/run/x", {1, 1}}, {"10.0.0.9:443", {1, 0}}}));
}

TEST_F(PageDataTest, NothingOutOfARunEndsTheDataBlock) {
  tests::hostile_run(path_);
  json report{{"schema", "camprobe.report/1"}, {"summary", "</script><script>"}};
  report["bytes"] = std::string("\xFF\xC3");
  const std::string html = self_contained_page(page({}, report));
  const std::size_t data = html.find("id=\"camprobe-data\">");
  ASSERT_NE(data, std::string::npos);
  const std::string block = html.substr(data + 19, html.find("</script>", data) - data - 19);
  EXPECT_THAT(block, Not(HasSubstr("<")));
  const json read = json::parse(block);
  EXPECT_EQ(read["report"]["summary"], "</script><script>");
  EXPECT_EQ(read["schema"], "camprobe.page/1");
  EXPECT_THAT(html, HasSubstr("connect-src 'none'"));
  EXPECT_THAT(served_page(), HasSubstr("connect-src 'self'"));
  EXPECT_THAT(served_page(), HasSubstr("id=\"camprobe-data\"></script>"));
}

TEST_F(PageDataTest, TheSlowestTracesAndAsManyAtRandomAreWhole) {
  {
    RunBuilder run(path_);
    run.meta("ended_ns", std::to_string(2000 * kSecondNs));
    const std::int64_t server = run.process(5, "/bin/server"), provider = run.process(6, "/bin/provider");
    const auto span = [&](std::int64_t process, std::int64_t id, std::int64_t parent, const char* name,
                          std::int64_t from, std::int64_t ns, const std::string& attributes) {
      run.insert("span",
                 {process, id, parent, run.name(name), from, from + ns, std::int64_t{1}, std::int64_t{1}, attributes});
    };
    for (std::int64_t i = 0; i < 1000; ++i) {
      const std::int64_t began = i * kSecondNs, ns = 1'000'000 * (1 + i * 7919 % 1000);
      char carried[128];
      std::snprintf(carried, sizeof carried, R"({"traceparent":"00-%032x-%016x-01","cost":0.5})",
                    static_cast<unsigned>(i + 1), static_cast<unsigned>(i + 1));
      span(server, 3 * i + 1, 0, "cam.request", began, ns, "{}");
      span(server, 3 * i + 2, 3 * i + 1, "cam.provider_call", began + ns / 4, ns / 2, carried);
      span(provider, i + 1, 0, "cam.provider", began + ns / 3, ns / 4, carried);
    }
    run.finish();
  }
  PageLimits limits;
  limits.traces = 20;
  const json traces = page(limits)["traces"];
  EXPECT_EQ(traces["recorded"], 2000);
  std::map<std::string, std::vector<double>> ms;
  std::set<std::string> ids;
  for (const json& trace : traces["list"]) {
    ms[trace["chosen"]].push_back(trace["ms"]);
    ids.insert(trace["id"]);
    ASSERT_EQ(trace["spans"].size(), 3u);
    const auto name = [&](int at) { return traces["texts"].at(trace["spans"][at][1].get<std::size_t>()); };
    EXPECT_EQ(json::array({name(0), name(1), name(2)}),
              json::array({"cam.request", "cam.provider_call", "cam.provider"}));
    for (int depth = 0; depth < 3; ++depth) EXPECT_EQ(trace["spans"][depth][0], depth);
    EXPECT_NE(trace["spans"][1][2], trace["spans"][2][2]) << "of another process";
    EXPECT_EQ(trace["spans"][2][6].size(), 1u) << "the traceparent is the tree itself";
  }
  EXPECT_EQ(ids.size(), 40u);
  ASSERT_EQ(ms["slowest"].size(), 20u);
  ASSERT_EQ(ms["random"].size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(ms["slowest"][i], 1000.0 - static_cast<double>(i));
  EXPECT_LT(*std::min_element(ms["random"].begin(), ms["random"].end()), 500);
}

}  // namespace
}  // namespace camprobe::viewer
