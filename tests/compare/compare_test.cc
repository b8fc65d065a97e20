// tests/compare/compare_test.cc: whole comparisons of recorded runs, and baselines that are read as they were written.
#include "collector/compare/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "collector/compare/baseline.h"
#include "collector/compare/effects.h"
#include "collector/gates/metric.h"
#include "exporters/comparison.h"
#include "exporters/difference.h"
#include "exporters/flamegraph_svg.h"
#include "tests/gates/measured_run.h"
#include "tests/run/scratch.h"

namespace camprobe::compare {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using tests::MeasuredRun;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Compare : public testing::Test {
 protected:
  RunSummary run(MeasuredRun what) {
    what.seed = ++seed_;
    const std::string path = scratch_ / ("run" + std::to_string(seed_) + ".camrun");
    tests::measured_run(path, what);
    auto reader = run::Reader::open(path);
    if (!reader) throw std::runtime_error(reader.error());
    return summary_of(*reader);
  }
  std::vector<RunSummary> runs(int n, MeasuredRun what) {
    std::vector<RunSummary> side;
    for (int i = 0; i < n; ++i) side.push_back(run(what));
    return side;
  }
  static std::string verdict_of(const run::Comparison& c, const std::string& metric, const std::string& endpoint = "") {
    for (const run::ComparedFigure& f : c.figures) {
      if (f.metric == metric && f.endpoint == endpoint) return f.verdict;
    }
    return "not compared";
  }
  void expect_valid(const std::string& schema, const std::string& json) {
    std::ofstream(scratch_ / "document.json") << json;
    const std::string command =
        "python3 -c 'import json, sys, jsonschema\n"
        "schema = json.load(open(sys.argv[1]))\n"
        "jsonschema.Draft202012Validator.check_schema(schema)\n"
        "jsonschema.Draft202012Validator(schema).validate(json.load(open(sys.argv[2])))' '" +
        std::string(CAMPROBE_SOURCE_DIR) + "/docs/" + schema + "' '" + (scratch_ / "document.json") + "' >'" +
        (scratch_ / "log") + "' 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << content(scratch_ / "log");
  }

  run::Scratch scratch_;
  std::uint64_t seed_ = 0;
};

const MeasuredRun kUsual{.seconds = 60, .requests_per_second = 200, .noise = 0.02, .with_burst = false};

TEST_F(Compare, TheSameProgramIsTheSameOrNotTold) {
  const run::Comparison c = compare(runs(2, kUsual), runs(2, kUsual));
  EXPECT_NE(c.verdict, "worse") << exporters::comparison_text(c);
  EXPECT_TRUE(c.same_load);
  EXPECT_TRUE(c.new_stacks.empty());
  EXPECT_TRUE(c.vanished_stacks.empty());
  EXPECT_EQ(verdict_of(c, "allocations_per_request"), "same");
  EXPECT_EQ(verdict_of(c, "latency_p50_ms"), "same") << exporters::comparison_text(c);
}

TEST_F(Compare, ASlowerProgramIsWorseWhereItIsAndSaysByHowMuch) {
  MeasuredRun slower = kUsual;
  slower.cpu_factor = 1.2, slower.slower = 1.3;
  const run::Comparison c = compare(runs(2, kUsual), runs(2, slower));
  EXPECT_EQ(c.verdict, "worse");
  EXPECT_EQ(verdict_of(c, "cpu_per_request_ms"), "worse");
  EXPECT_EQ(verdict_of(c, "latency_p50_ms"), "worse");
  EXPECT_EQ(verdict_of(c, "latency_p50_ms", "/chat"), "worse");
  EXPECT_EQ(verdict_of(c, "allocations_per_request"), "same");
  EXPECT_EQ(c.figures.front().verdict, "worse");
  for (const run::ComparedFigure& f : c.figures) {
    if (f.metric != "latency_p50_ms" || !f.endpoint.empty()) continue;
    EXPECT_NEAR(f.change->value, 0.3, 0.03);
    EXPECT_LE(f.change->low, 0.3);
    EXPECT_GE(f.change->high, 0.3);
    EXPECT_NEAR(f.base->value, 10, 0.3);
  }
  // And the other way round it is better.
  const run::Comparison back = compare(runs(2, slower), runs(2, kUsual));
  EXPECT_EQ(verdict_of(back, "cpu_per_request_ms"), "better");
  EXPECT_EQ(verdict_of(back, "latency_p50_ms"), "better");
  EXPECT_NE(back.verdict, "worse");
  EXPECT_THAT(back.summary, HasSubstr("Better: "));
}

TEST_F(Compare, MoreAllocationsAreFoundInOneRunASide) {
  MeasuredRun more = kUsual;
  more.allocations = 55;
  EXPECT_EQ(verdict_of(compare(runs(1, kUsual), runs(1, more)), "allocations_per_request"), "worse");
}

TEST_F(Compare, AnotherLoadIsSaidAndExplainsNothingAway) {
  MeasuredRun busier = kUsual;
  busier.requests_per_second = 300, busier.slower = 1.5;
  const run::Comparison c = compare(runs(2, kUsual), runs(2, busier));
  EXPECT_FALSE(c.same_load);
  EXPECT_THAT(c.load, HasSubstr("The load differs"));
  EXPECT_EQ(verdict_of(c, "latency_p50_ms"), "cannot tell");  // more load, more latency
  EXPECT_NE(c.verdict, "worse");
  EXPECT_NE(verdict_of(c, "throughput_rps"), "better");  // the load asked for more
  MeasuredRun calmer = kUsual;
  calmer.requests_per_second = 150, calmer.slower = 1.5;
  const run::Comparison worse = compare(runs(2, kUsual), runs(2, calmer));
  EXPECT_EQ(verdict_of(worse, "latency_p50_ms"), "worse");  // less load and more latency
  EXPECT_EQ(verdict_of(worse, "throughput_rps"), "worse");  // a closed loop of a slower server
}

TEST_F(Compare, NamesNewAndVanishedStacks) {
  MeasuredRun audited = kUsual;
  audited.with_new_stack = true;
  const run::Comparison c = compare(runs(1, kUsual), runs(1, audited));
  ASSERT_EQ(c.new_stacks.size(), 1u);
  EXPECT_THAT(c.new_stacks[0].frames, ElementsAre("main", "handle()", "audit()"));
  EXPECT_NEAR(c.new_stacks[0].share, 0.1, 0.03);
  EXPECT_TRUE(c.vanished_stacks.empty());
  EXPECT_EQ(compare(runs(1, audited), runs(1, kUsual)).vanished_stacks.size(), 1u);
}

TEST_F(Compare, ItsPicturesAreValidAndFit) {
  MeasuredRun slower = kUsual;
  slower.slower = 1.3, slower.with_new_stack = true;
  const run::Comparison c = compare(runs(1, kUsual), runs(1, slower));
  expect_valid("comparison.schema.json", exporters::comparison_json(c));
  const std::string markdown = exporters::comparison_markdown(c);
  EXPECT_LT(markdown.size(), 65000u);
  EXPECT_THAT(markdown, AllOf(HasSubstr("## "), HasSubstr("latency_p50_ms"), HasSubstr("audit()")));
  EXPECT_THAT(exporters::comparison_text(c), AllOf(HasSubstr("latency_p50_ms"), Not(HasSubstr("\x1b["))));
}

TEST_F(Compare, ABaselineComparesAsTheRunsItIsMadeOf) {
  MeasuredRun slower = kUsual;
  slower.slower = 1.3, slower.with_new_stack = true;
  const auto base = runs(2, kUsual), other = runs(1, slower);
  const std::string text = baseline_text(base);
  expect_valid("baseline.schema.json", text);
  const auto read = baseline_of_text(text, "main.json");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(baseline_text(*read), text);  // written again: the same bytes
  EXPECT_LT(text.size(), 100'000u);
  const run::Comparison direct = compare(base, other), kept = compare(*read, other);
  EXPECT_EQ(kept.verdict, direct.verdict);
  EXPECT_EQ(kept.new_stacks.size(), direct.new_stacks.size());
  ASSERT_EQ(kept.figures.size(), direct.figures.size());
  for (std::size_t i = 0; i < kept.figures.size(); ++i) {
    EXPECT_EQ(kept.figures[i].metric, direct.figures[i].metric);
    EXPECT_EQ(kept.figures[i].verdict, direct.figures[i].verdict) << kept.figures[i].metric;
  }
}

TEST_F(Compare, TheStoreKeepsListsAndRefuses) {
  const std::string store = scratch_ / "store";
  const auto base = runs(1, kUsual);
  EXPECT_TRUE(save_baseline(store, "main", base, false));
  EXPECT_TRUE(save_baseline(store, "a.b-c_1", base, false));
  EXPECT_THAT(baseline_names(store), ElementsAre("a.b-c_1", "main"));
  EXPECT_THAT(save_baseline(store, "main", base, false).error(), HasSubstr("--overwrite"));
  EXPECT_TRUE(save_baseline(store, "main", base, true));
  for (const char* name : {"", "../x", "a/b", ".hidden", "-x", "a b"})
    EXPECT_THAT(save_baseline(store, name, base, true).error(), HasSubstr("a baseline's name is")) << name;
  const auto loaded = load_side(baseline_path(store, "main"));
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_EQ(loaded->front().file, base.front().file);
  EXPECT_TRUE(load_side(scratch_ / "run1.camrun"));
  EXPECT_FALSE(load_side(scratch_ / "none"));
}

TEST(Baseline, RubbishIsOneSentence) {
  for (const char* text :
       {"{", "{}", "[]", R"({"schema":"camprobe.baseline/9","runs":[]})",
        R"({"schema":"camprobe.baseline/1","runs":[]})", R"({"schema":"camprobe.baseline/1","runs":[3]})",
        R"({"schema":"camprobe.baseline/1","runs":[{"figures":[{"metric":"latency_p50_ms"}]}]})",
        R"({"schema":"camprobe.baseline/1","runs":[{"figures":[],"functions":[],"stacks":[{"frames":[7]}]}]})"}) {
    const auto read = baseline_of_text(text, "x.json");
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error(), HasSubstr("x.json: is no baseline: ")) << text;
    EXPECT_EQ(read.error().find('\n'), std::string::npos);
  }
}

TEST(Effects, AreAllOnMetricsThatExist) {
  for (const Effect& effect : all_effects())
    EXPECT_NE(camprobe::gates::metric_named(effect.metric), nullptr) << effect.metric;
}

TEST(Difference, HoldsBothSidesAndWhatIsInOneOnly) {
  run::Scratch scratch;
  std::vector<exporters::Slice> before, after;
  for (const bool with_new_stack : {false, true}) {
    const std::string path = scratch / (with_new_stack ? "b.camrun" : "a.camrun");
    tests::measured_run(path, {.seconds = 60, .with_new_stack = with_new_stack});
    auto reader = run::Reader::open(path);
    ASSERT_TRUE(reader);
    (with_new_stack ? after : before)
        .push_back(
            exporters::read_slice(*reader, exporters::What::kCpu, exporters::TimeRange{0, reader->duration_ns()}));
  }
  const exporters::Slice difference = exporters::difference_of(before, after, 1);
  EXPECT_NEAR(difference.total, 0.5 * (before[0].total + after[0].total), 1);
  const std::string folded = exporters::to_folded_difference(difference);
  std::istringstream lines(folded);
  double sum_before = 0, sum_after = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t second = line.rfind(' '), first = line.rfind(' ', second - 1);
    const double was = std::stod(line.substr(first)), is = std::stod(line.substr(second));
    sum_before += was, sum_after += is;
    if (line.find("audit()") != std::string::npos) {
      EXPECT_EQ(was, 0);
      EXPECT_GT(is, 0);
    }
  }
  EXPECT_NEAR(sum_before, before[0].total, 2);
  EXPECT_NEAR(sum_after, after[0].total, 2);
  const std::string svg = exporters::to_flamegraph_svg(difference);
  EXPECT_THAT(svg, AllOf(HasSubstr("audit()"), HasSubstr("before 0 ns, after "), HasSubstr("cpu: what changed"),
                         HasSubstr("red grew, blue fell")));
  // Without a common measure of work only shares count.
  const exporters::Slice shares = exporters::difference_of(before, after, 0);
  double was = 0;
  for (const auto& stack : shares.stacks) was += stack.before;
  EXPECT_NEAR(was, after[0].total, 2);
}

}  // namespace
}  // namespace camprobe::compare
