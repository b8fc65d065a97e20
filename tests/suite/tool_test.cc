// One scenario in each load tool's own words.
#include "suite/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace camprobe::suite {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Work work() {
  Work made;
  made.base = "http://127.0.0.1:8080";
  made.directory = "/d";
  made.requests = {{"GET", "/a", "", {}, 2}, {"POST", "/b", "{\"x\": 1}", {{"Content-Type", "application/json"}}, 1}};
  made.stages = {{"steady", "steady", 10, 30, 30, 60.0, 60.0}};
  return made;
}

std::string after(const std::vector<std::string>& arguments, const std::string& flag) {
  const auto at = std::find(arguments.begin(), arguments.end(), flag);
  return at == arguments.end() || at + 1 == arguments.end() ? "" : *(at + 1);
}

TEST(InTurn, MixesRequestsEvenlyByWeight) {
  std::string order;
  for (const Request& request : in_turn({{"GET", "/a", "", {}, 30}, {"GET", "/b", "", {}, 10}}))
    order += request.path[1];
  EXPECT_EQ(order.size(), 4u);
  EXPECT_EQ(std::count(order.begin(), order.end(), 'a'), 3);
}

TEST(Stages, ARampBecomesStairsWhereAToolHasNone) {
  const std::vector<Phase> phases{{"ramp", "ramp", 100, 50, 10, 100.0, 20.0, {}}};
  const auto stairs = stages_of(phases, 0.1, false);
  ASSERT_EQ(stairs.size(), 5u);
  EXPECT_EQ(stairs.back().users, 50);
  EXPECT_EQ(stairs.front().users, 18);
  EXPECT_DOUBLE_EQ(stairs.front().duration_s, 2);
  EXPECT_DOUBLE_EQ(*stairs.back().rate, 100);
  EXPECT_EQ(stages_of(phases, 1, true).size(), 1u);
  EXPECT_DOUBLE_EQ(stages_of(phases, 1e-4, true)[0].duration_s, 1);
}

TEST(H2load, RunsAProcessForEachBodyAndSharesUsersAndRate) {
  const auto out = kH2loadTool.translate(work());
  ASSERT_TRUE(out);
  ASSERT_EQ(out->steps.size(), 1u);
  ASSERT_EQ(out->steps[0].together.size(), 2u);
  const auto& get = out->steps[0].together[0].arguments;
  const auto& post = out->steps[0].together[1].arguments;
  EXPECT_EQ(after(get, "-c"), "20");
  EXPECT_EQ(after(post, "-c"), "10");
  EXPECT_EQ(after(get, "--rps"), "2.0000");  // 60/s, of which two thirds, by 20 users
  EXPECT_EQ(after(get, "-d"), "");
  EXPECT_EQ(after(post, "-d"), "/d/h2load-1-2.body");
  EXPECT_THAT(out->notes, Contains(HasSubstr("coordinated omission")));
  Work other = work();
  other.requests[0].method = "DELETE";
  EXPECT_THAT(kH2loadTool.translate(other).error(), HasSubstr("no DELETE"));
}

TEST(H2load, UsersWhoKeepARateDoNotAllAskAtTheSameMoment) {
  Work thousand = work();
  thousand.requests = {{"GET", "/a", "", {}, 1}};
  thousand.stages = {{"steady", "steady", 30, 1000, 1000, 2000.0, 2000.0}};
  const auto out = kH2loadTool.translate(thousand);
  ASSERT_TRUE(out);
  const auto& together = out->steps[0].together;
  ASSERT_EQ(together.size(), 20u);
  int users = 0;
  for (std::size_t i = 0; i < together.size(); ++i) {
    users += std::stoi(after(together[i].arguments, "-c"));
    EXPECT_EQ(after(together[i].arguments, "--rps"), "2.0000");
    EXPECT_DOUBLE_EQ(together[i].starts_after_s, 0.5 * static_cast<double>(i) / 20);  // a user asks twice a second
    EXPECT_EQ(together[i].files.empty(), i != 0) << "the first writes what all read";
  }
  EXPECT_EQ(users, 1000);
  thousand.stages[0].rate = thousand.stages[0].rate_from = std::nullopt;
  EXPECT_EQ(kH2loadTool.translate(thousand)->steps[0].together.size(), 1u) << "without a rate nobody waits";
}

TEST(Autocannon, TakesRequestsFromAHarFile) {
  const auto out = kAutocannonTool.translate(work());
  ASSERT_TRUE(out);
  const Invocation& one = out->steps[0].together[0];
  EXPECT_EQ(after(one.arguments, "-R"), "60");
  EXPECT_THAT(one.arguments, Contains("-C"));  // without it the tool's quantiles are biased, and are not taken
  EXPECT_THAT(out->notes, Contains(HasSubstr("coordinated omission")));
  EXPECT_THAT(one.files[0].second, HasSubstr("\"url\": \"http://127.0.0.1:8080/b\""));
  EXPECT_TRUE(one.results_are_stdout);
}

TEST(Tools, SayWhatTheyCannotDo) {
  EXPECT_THAT(kWrkTool.translate(work()).error(), HasSubstr("wrk cannot keep a rate"));
  Work free = work();
  free.stages[0].rate = free.stages[0].rate_from = std::nullopt;
  EXPECT_TRUE(kWrkTool.translate(free));
  EXPECT_THAT(kVegetaTool.translate(free).error(), HasSubstr("give phase steady a rate"));
  EXPECT_THAT(kArtilleryTool.translate(free).error(), HasSubstr("give phase steady a rate"));
  for (const Tool* tool : all_tools()) {
    const auto out = tool->translate(tool == &kWrkTool ? free : work());
    ASSERT_TRUE(out) << tool->name << ": " << out.error();
    EXPECT_FALSE(out->notes.empty()) << tool->name;
  }
}

TEST(K6, AStageIsAScenarioThatBeginsWhenTheOneBeforeEnds) {
  Work two = work();
  two.stages.push_back({"ramp", "ramp", 5, 40, 10, std::nullopt, std::nullopt});
  const auto out = kK6Tool.translate(two);
  ASSERT_TRUE(out);
  const std::string& script = out->steps[0].together[0].files[0].second;
  EXPECT_THAT(script, HasSubstr("\"executor\": \"ramping-arrival-rate\""));
  EXPECT_THAT(script, HasSubstr("\"startTime\": \"10000ms\""));
  EXPECT_THAT(script, HasSubstr("\"startVUs\": 10"));
  two.file = "mine.js";
  const auto own = kK6Tool.translate(two);
  EXPECT_TRUE(own->steps[0].together[0].files.empty());
  EXPECT_EQ(own->steps[0].together[0].arguments.back(), "mine.js");
}

TEST(Wrk, LuaTextsHoldAnyByte) {
  Work odd = work();
  odd.stages[0].rate = odd.stages[0].rate_from = std::nullopt;
  odd.requests = {{"POST", "/a", "say \"no\"\n", {}, 1}};
  const auto out = kWrkTool.translate(odd);
  EXPECT_THAT(out->steps[0].together[0].files[0].second, HasSubstr(R"("say \034no\034\010")"));
}

}  // namespace
}  // namespace camprobe::suite
