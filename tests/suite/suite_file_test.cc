// The suite's file: what is read, and how mistakes are told.
#include "suite/suite_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "suite/conduct.h"
#include "suite/variables.h"

namespace camprobe::suite {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSmall = R"(name: small
target: {command: [server, "--port", "${port}"]}
load: {tool: h2load, base: "http://127.0.0.1:${port}"}
scenarios:
  - {name: one, requests: ["/a", {path: /b, method: POST, body: "x", weight: 3}]}
phases:
  - {name: ramp, kind: ramp, duration: 10 s, users_from: 1, users: 10}
  - {name: steady, duration: 2 m, users: 10, rate: 50}
)";

std::string error_of(const std::string& text) {
  const auto suites = suites_of_text(text, "s.yaml");
  return suites ? "" : suites.error();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(SuiteFile, IsReadWithItsPhasesAndRequests) {
  const auto suites = suites_of_text(kSmall, "s.yaml");
  ASSERT_TRUE(suites) << suites.error();
  ASSERT_EQ(suites->size(), 1u);
  const Suite& suite = suites->front();
  EXPECT_EQ(suite.phases[0].users_from, 1);
  EXPECT_DOUBLE_EQ(suite.phases[1].duration_s, 120);
  EXPECT_EQ(suite.scenarios[0].requests[0].method, "GET");
  EXPECT_EQ(suite.scenarios[0].requests[1].weight, 3u);
}

TEST(SuiteFile, AMistakeIsToldWithLineColumnAndWhatWasMeant) {
  EXPECT_THAT(error_of(replaced(kSmall, "duration: 2 m", "duraton: 2 m")),
              HasSubstr("s.yaml:8:20: a phase has no key duraton; did you mean duration?"));
  EXPECT_THAT(error_of(replaced(kSmall, "h2load", "h2laod")),
              HasSubstr("s.yaml:3:14: there is no tool h2laod; did you mean h2load?"));
  EXPECT_THAT(error_of(replaced(kSmall, "2 m", "soon")),
              HasSubstr("duration is a time: write 30 s, 5 m or 2 h, not soon"));
  EXPECT_THAT(error_of(replaced(kSmall, "\"/a\"", "\"a\"")), HasSubstr("begins with a slash"));
  EXPECT_THAT(error_of("name: [1, 2"), HasSubstr("this is not YAML"));
  EXPECT_THAT(error_of(replaced(kSmall, "name: small\n", "name: small\nname: other\n")),
              HasSubstr("s.yaml:2:1: name stands here a second time"));
  EXPECT_THAT(error_of(std::string(kSmall) + "gates: [{metric: latency_p95, max: 1}]\n"), HasSubstr("latency_p95"));
}

TEST(SuiteFile, EverySuiteOfTheExamplesIsRead) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CAMPROBE_SOURCE_DIR "/examples/suites")) {
    const auto suites = read_suite_file(entry.path());
    EXPECT_TRUE(suites) << suites.error();
    ++files;
  }
  EXPECT_GT(files, 4);
}

TEST(Times, AreReadAsPeopleWriteThem) {
  EXPECT_EQ(seconds_of("90"), 90);
  EXPECT_EQ(seconds_of("5m"), 300);
  EXPECT_EQ(seconds_of("2 h"), 7200);
  EXPECT_EQ(seconds_of("500 ms"), 0.5);
  EXPECT_EQ(seconds_of("5 parsecs"), std::nullopt);
  EXPECT_EQ(seconds_of("-1"), std::nullopt);
}

TEST(Wishes, ScaleUsersTimesAndRatesInProportion) {
  Suite suite = suites_of_text(kSmall, "s.yaml")->front();
  Wishes wishes;
  wishes.users = 100;
  wishes.duration_s = 13;
  wishes.rate = 500;
  const auto told = apply(wishes, suite);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->size(), 3u);
  EXPECT_EQ(suite.phases[0].users_from, 10);
  EXPECT_EQ(suite.phases[1].users, 100);
  EXPECT_DOUBLE_EQ(suite.phases[0].duration_s, 1);
  EXPECT_DOUBLE_EQ(suite.phases[1].duration_s, 12);
  EXPECT_DOUBLE_EQ(*suite.phases[1].rate, 500);
  wishes.scenario = "two";
  EXPECT_THAT(apply(wishes, suite).error(), HasSubstr("it has one"));
}

TEST(Runs, EachRepeatHoldsEveryVariantOnceInAnOrderThatTheSeedSets) {
  Suite suite = suites_of_text(kSmall, "s.yaml")->front();
  suite.repeats = 6;
  for (const char* name : {"nginx", "haproxy"}) suite.baselines.push_back({name, false, {}, {}, "", {}, {}, "", ""});
  const auto plans = runs_of(suite, "/d");
  ASSERT_EQ(plans.size(), 18u);
  bool all_alike = true;
  for (std::size_t repeat = 0; repeat < 6; ++repeat) {
    std::vector<std::string> block;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(plans[repeat * 3 + i].repeat, static_cast<int>(repeat + 1));
      block.push_back(plans[repeat * 3 + i].variant);
      all_alike &= plans[repeat * 3 + i].variant == plans[i].variant;
    }
    EXPECT_THAT(block, ::testing::UnorderedElementsAre("", "nginx", "haproxy"));
  }
  EXPECT_FALSE(all_alike);
  EXPECT_EQ(runs_of(suite, "/d")[7].name, plans[7].name);
}

TEST(Variables, PortsAreTheSameWhereTheirNameIsAndDifferElsewhere) {
  Variables variables;
  const auto text = variables.fill("${port} ${port:a} ${port} ${port:b} $${port}");
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, variables.port("") + " " + variables.port("a") + " " + variables.port("") + " " +
                       variables.port("b") + " ${port}");
  EXPECT_NE(variables.port("a"), variables.port("b"));
  EXPECT_THAT(variables.fill("${prot}").error(), HasSubstr("there is no variable ${prot}"));
  EXPECT_EQ(
      variables.fill_file("server 127.0.0.1:${each_port};", 2).value(),
      "server 127.0.0.1:" + variables.port("instance1") + ";\nserver 127.0.0.1:" + variables.port("instance2") + ";\n");
}

}  // namespace
}  // namespace camprobe::suite
