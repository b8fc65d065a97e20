// tests/gates/gates_file_test.cc: what gates.yaml may hold, and what is said of what it may not. The documentation is
// held against the code here too.
#include "collector/gates/gates_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "collector/gates/limit.h"
#include "collector/gates/metric.h"
#include "collector/gates/nearest_name.h"
#include "collector/gates/tiers.h"
#include "tests/run/scratch.h"

namespace camprobe::gates {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string docs(const std::string& name) {
  return std::string(CAMPROBE_SOURCE_DIR) + "/docs/" + name;
}

TEST(GatesFile, ReadsTierDefaultsAndGates) {
  const auto gates = gates_of_text(
      "schema: camprobe.gates/1\n"
      "tier: professional\n"
      "when_missing: pass\n"
      "gates:\n"
      "  - metric: latency_p99_ms\n"
      "    name: checkout is quick\n"
      "    endpoint: POST /checkout\n"
      "    window: steady\n"
      "    max: 0.25 s\n"
      "  - {metric: cpu_average_cores, max: 150 %, when_missing: fail}\n"
      "  - {metric: throughput_rps, min: 100, max: 900/s}\n",
      "gates.yaml");
  ASSERT_TRUE(gates) << gates.error();
  ASSERT_EQ(gates->size(), 8u);
  EXPECT_EQ((*gates)[0].metric->name, "latency_p95_ms");
  EXPECT_EQ(*(*gates)[0].max, 100);
  EXPECT_FALSE((*gates)[0].missing_passes);  // the default is for the file's own gates
  const Gate& checkout = (*gates)[5];
  EXPECT_EQ(checkout.name, "checkout is quick");
  EXPECT_EQ(checkout.endpoint, "POST /checkout");
  EXPECT_EQ(checkout.window, "steady");
  EXPECT_EQ(*checkout.max, 250);
  EXPECT_FALSE(checkout.min.has_value());
  EXPECT_TRUE(checkout.missing_passes);
  EXPECT_EQ(*(*gates)[6].max, 1.5);
  EXPECT_FALSE((*gates)[6].missing_passes);
  EXPECT_EQ(*(*gates)[7].min, 100);
  EXPECT_EQ(*(*gates)[7].max, 900);
}

TEST(GatesFile, SaysWhereAndWhatToDo) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"gates:\n  - metric: latency_p59_ms\n    max: 1\n",
       "g.yaml:2:13: there is no metric latency_p59_ms; did you mean latency_p95_ms?"},
      {"gates:\n  - metric: throughput\n    min: 1\n",
       "g.yaml:2:13: there is no metric throughput; did you mean throughput_rps?"},
      {"gates:\n  - metric: bananas\n    min: 1\n", "g.yaml:2:13: there is no metric bananas;"},
      {"gates:\n  - metric: rss_peak_bytes\n    maximum: 1\n",
       "g.yaml:3:5: there is no key maximum; did you mean max?"},
      {"gates:\n  - metric: rss_peak_bytes\n", "g.yaml:2:5: the gate on rss_peak_bytes has no limit; add max"},
      {"gates:\n  - metric: throughput_rps\n", "has no limit; add min"},
      {"gates:\n  - max: 3\n", "g.yaml:2:5: this gate has no metric; add one"},
      {"gates:\n  - {metric: rss_peak_bytes, max: 64 MeB}\n",
       "g.yaml:2:35: \"64 MeB\" is no limit: give a number (bytes)"},
      {"gates:\n  - {metric: error_rate, max: 5}\n", "g.yaml:2:31: 5 is no share: write \"5 %\" or 0.05"},
      {"gates:\n  - {metric: error_rate, max: .nan}\n", "is no limit"},
      {"gates:\n  - {metric: error_rate, max: [1]}\n", "max must be a text or a number"},
      {"gates:\n  - {metric: requests, min: 3, max: 2}\n", "min is above max"},
      {"gates:\n  - {metric: leaks, max: 0, window: steady}\n", "leaks is of the whole run; leave window out"},
      {"gates:\n  - {metric: rss_peak_bytes, max: 0, endpoint: /x}\n", "not known of single endpoints"},
      {"gates:\n  - {metric: leaks, max: 0, max: 1}\n", "max stands here a second time"},
      {"gates:\n  - {metric: leaks, max: 0, when_missing: ignore}\n", "when_missing is pass or fail, not ignore"},
      {"tier: gold\n", "g.yaml:1:7: there is no tier gold; choose one of community, professional, enterprise"},
      {"schema: camprobe.gates/9\n", "reads camprobe.gates/1"},
      {"gate:\n  - {metric: leaks, max: 0}\n", "g.yaml:1:1: there is no key gate; did you mean gates?"},
      {"gates: 3\n", "gates must be a list"},
      {"gates:\n  - latency_p95_ms\n", "a gate is a map"},
      {"gates: []\n", "there is no gate in this file"},
      {"", "the file must begin with gates:"},
      {"- 1\n", "the file must begin with gates:"},
      {"gates:\n  - {metric: leaks\n    max: 0\n", "this is not YAML"},
      {"gates:\n\t- x\n", "g.yaml:2:"},
  };
  for (const auto& [text, sentence] : wrong) {
    const auto gates = gates_of_text(text, "g.yaml");
    ASSERT_FALSE(gates) << text;
    EXPECT_THAT(gates.error(), StartsWith("g.yaml:")) << text;
    EXPECT_THAT(gates.error(), HasSubstr(sentence)) << text;
    EXPECT_EQ(gates.error().find('\n'), std::string::npos) << gates.error();
  }
}

TEST(GatesFile, HostileTextIsAnErrorAndNothingElse) {
  std::string deep(5000, '[');
  EXPECT_FALSE(gates_of_text("gates: " + deep, "g.yaml"));
  EXPECT_FALSE(gates_of_text(std::string("gates:\n  - {metric: \"\x01\xff\\n\\0\", max: 1}\n"), "g.yaml"));
  // An alias that expands to a billion nodes: never walked.
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) bomb += std::string(i > 0 ? "," : "") + "*" + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  EXPECT_FALSE(gates_of_text(bomb, "g.yaml"));
  const auto many = [] {
    std::string text = "gates:\n";
    for (int i = 0; i < 1001; ++i) text += "  - {metric: leaks, max: 0}\n";
    return text;
  }();
  EXPECT_THAT(gates_of_text(many, "g.yaml").error(), HasSubstr("1001 gates are too many"));
  EXPECT_THAT(read_gates_file("/no/such/gates.yaml").error(), HasSubstr("/no/such/gates.yaml: cannot be read"));
  EXPECT_THAT(read_gates_file("/").error(), HasSubstr("is a directory"));
}

TEST(GatesFile, LimitsTakeTheUnitsPeopleWrite) {
  EXPECT_EQ(*limit_of("200", "ms"), 200);
  EXPECT_EQ(*limit_of("1.5 s", "ms"), 1500);
  EXPECT_EQ(*limit_of("64 MiB", "bytes"), 64.0 * 1024 * 1024);
  EXPECT_EQ(*limit_of("64MB/h", "bytes per hour"), 64e6);
  EXPECT_EQ(*limit_of("8 MiB", "bytes per hour"), 8.0 * 1024 * 1024);
  EXPECT_EQ(*limit_of("-3/h", "per hour"), -3);
  EXPECT_DOUBLE_EQ(*limit_of("0.05 %", "ratio"), 0.0005);
  EXPECT_EQ(*limit_of("2 cores", "cores"), 2);
  EXPECT_EQ(*limit_of("500 rps", "per second"), 500);
  for (const char* wrong : {"", "x", "5 parsecs", "inf", "1e999", "5 5"}) EXPECT_FALSE(limit_of(wrong, "ms")) << wrong;
}

TEST(NearestName, IsTheOneMeantOrNone) {
  const std::vector<std::string_view> names = {"latency_p95_ms", "latency_p99_ms", "error_rate"};
  EXPECT_EQ(nearest_name("latency_p95", names), "latency_p95_ms");
  EXPECT_EQ(nearest_name("eror_rate", names), "error_rate");
  EXPECT_EQ(nearest_name("latnecy_p99_ms", names), "latency_p99_ms");
  EXPECT_EQ(nearest_name("rss", names), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), names), "");
}

TEST(Tiers, AreCamsThree) {
  const auto limits = [](std::string_view tier) {
    const auto gates = gates_of_tier(tier);
    return std::vector<double>{*(*gates)[0].max, *(*gates)[1].min, *(*gates)[2].max, *(*gates)[3].max,
                               *(*gates)[4].max};
  };
  EXPECT_EQ(limits("community"), (std::vector<double>{200, 100, 0.001, 0, 0}));
  EXPECT_EQ(limits("professional"), (std::vector<double>{100, 500, 0.0005, 0, 0}));
  EXPECT_EQ(limits("enterprise"), (std::vector<double>{50, 2000, 0.0001, 0, 0}));
  EXPECT_FALSE(gates_of_tier("gold").has_value());
}

TEST(GatesDocs, ListExactlyTheMetricsThereAre) {
  EXPECT_THAT(content(docs("gates.md")), HasSubstr(metrics_table()));
  const auto schema = nlohmann::json::parse(content(docs("gates.schema.json")));
  std::set<std::string> documented, known;
  for (const auto& name : schema["$defs"]["metric"]["enum"]) documented.insert(name);
  for (const Metric& metric : all_metrics()) known.insert(std::string(metric.name));
  EXPECT_EQ(documented, known);
}

TEST(GatesDocs, ExamplesAreReadAndValid) {
  // Each block of YAML in docs/gates.md goes through the reader here and the schema in Python's implementation.
  const std::string page = content(docs("gates.md"));
  run::Scratch scratch;
  int examples = 0;
  for (std::size_t at = page.find("```yaml\n"); at != std::string::npos; at = page.find("```yaml\n", at)) {
    at += 8;
    const std::string text = page.substr(at, page.find("```", at) - at);
    const auto gates = gates_of_text(text, "gates.md");
    EXPECT_TRUE(gates) << gates.error() << text;
    std::ofstream(scratch / ("example" + std::to_string(++examples) + ".yaml")) << text;
  }
  EXPECT_GE(examples, 2);
  std::ofstream(scratch / "bad.yaml") << "gates:\n  - {metric: bananas, max: 3}\n";
  std::ofstream(scratch / "bad2.yaml") << "gates:\n  - {metric: leaks}\n";
  const std::string command =
      "python3 -c 'import glob, json, sys, yaml, jsonschema\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft202012Validator.check_schema(schema)\n"
      "v = jsonschema.Draft202012Validator(schema)\n"
      "good = glob.glob(sys.argv[2] + \"/example*.yaml\")\n"
      "[v.validate(yaml.safe_load(open(f))) for f in good]\n"
      "assert not v.is_valid(yaml.safe_load(open(sys.argv[2] + \"/bad.yaml\")))\n"
      "assert not v.is_valid(yaml.safe_load(open(sys.argv[2] + \"/bad2.yaml\")))' '" +
      docs("gates.schema.json") + "' '" + scratch.path() + "' >'" + (scratch / "log") + "' 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << content(scratch / "log");
}

}  // namespace
}  // namespace camprobe::gates
