// tests/analysis/leaks_test.cc
//
// From judged stacks to findings: what is one leak is one finding, what are two are two, and the innocent neighbours of
// a leak in the same function stay out of it.
#include <gtest/gtest.h>

#include <algorithm>

#include "collector/analysis/leaks.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::analysis {
namespace {

using ground_truth::Random;

constexpr double kLength = 1000;

struct Case {
  std::vector<Population> populations;
  Stretch stretch;
  WorkClock clock{{{0, 0}, {kLength, 1e6}}, WorkSource::kLoadTool};
  Random random{21};

  Case() {
    stretch.end = kLength;
    stretch.warm_up = 0.1 * kLength;
    stretch.rss_bytes = 64e6;
  }

  Population& stack(std::uint64_t site, std::vector<std::uint32_t> frames = {}) {
    Population p;
    p.id = populations.size() + 1;
    p.site = site;
    p.frames = std::move(frames);
    populations.push_back(std::move(p));
    return populations.back();
  }
  // `n` objects born evenly in [from, to), each of 10 objects' worth, gone after `lifetime`.
  void add(Population& p, int n, double from, double to, double lifetime = kAlive) {
    std::uniform_real_distribution<double> when(from, to);
    for (int i = 0; i < n; ++i) {
      const double born = when(random);
      p.lives.push_back({born, born + lifetime, 64e3, 10});
    }
  }
  LeakAnalysis find() { return find_leaks(populations, stretch, clock, Thresholds{}); }
};

std::vector<LeakFinding> leaks_in(const LeakAnalysis& analysis) {
  std::vector<LeakFinding> leaks;
  for (const LeakFinding& f : analysis.findings) {
    if (f.verdict.verdict == Verdict::kLeaks) leaks.push_back(f);
  }
  return leaks;
}

TEST(FindLeaks, ConvictsAFunctionWhoseStacksAreEachTooThin) {
  Case c;
  for (int i = 0; i < 12; ++i) c.add(c.stack(7), 7, 0, kLength);
  const auto leaks = leaks_in(c.find());
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_GE(leaks[0].populations.size(), 11u);
  // 84 x 64 kB over a million requests
  EXPECT_LE(leaks[0].verdict.per_request_interval.low, 84 * 64e3 / 1e6);
  EXPECT_GE(leaks[0].verdict.per_request_interval.high, 84 * 64e3 / 1e6);
}

TEST(FindLeaks, PutsTogetherStacksOfOneFunctionThatAreUsedInTurns) {
  Case c;
  c.add(c.stack(7), 80, 400, kLength);
  c.add(c.stack(7), 60, 450, kLength);
  Population& in_turns = c.stack(7);
  c.add(in_turns, 30, 420, 600);
  c.add(in_turns, 30, 800, kLength);
  const auto leaks = leaks_in(c.find());
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].populations.size(), 3u);
  EXPECT_NEAR(leaks[0].verdict.since, 400, 60);
}

TEST(FindLeaks, KeepsApartLeaksOfOneFunctionThatBeganAtDifferentTimes) {
  Case c;
  c.add(c.stack(7), 100, 0, kLength);
  c.add(c.stack(7), 100, 650, kLength);
  const auto leaks = leaks_in(c.find());
  ASSERT_EQ(leaks.size(), 2u);
  EXPECT_NE(leaks[0].verdict.since_start, leaks[1].verdict.since_start);
}

TEST(FindLeaks, LeavesTheCacheAloneThatAllocatesThroughTheSameFunction) {
  Case c;
  c.add(c.stack(7), 200, 0, kLength);       // leaks
  c.add(c.stack(7), 800, 0, kLength, 150);  // evicts
  const auto leaks = leaks_in(c.find());
  ASSERT_EQ(leaks.size(), 1u);
  EXPECT_EQ(leaks[0].populations, std::vector<std::size_t>{0});
}

TEST(FindLeaks, MergesARecordAndTheTextItHolds) {
  Case c;
  Population& record = c.stack(7, {1, 10, 11, 12});
  c.add(record, 150, 0, kLength);
  Population& text = c.stack(8, {2, 3, 10, 11, 12});
  c.add(text, 150, 0, kLength);
  Population& elsewhere = c.stack(9, {4, 40, 41, 42});
  c.add(elsewhere, 150, 0, kLength);
  const auto leaks = leaks_in(c.find());
  ASSERT_EQ(leaks.size(), 2u);
  EXPECT_EQ(leaks[0].populations.size() + leaks[1].populations.size(), 3u);
  EXPECT_NEAR(std::max(leaks[0].verdict.amount, leaks[1].verdict.amount), 2 * 135 * 64e3, 40 * 64e3);
}

TEST(FindLeaks, TakesConnectionsWithinTheLoadsOwnNumberForGranted) {
  Case c;
  Population& accepted = c.stack(7);
  accepted.resource = Resource::kDescriptors;
  for (int i = 0; i < 60; ++i)
    accepted.lives.push_back({14.0 * i + 120, kAlive, 1, 1});  // the load's users arrive one by one
  EXPECT_EQ(leaks_in(c.find()).size(), 1u);
  c.populations[0].bound = 64;
  EXPECT_TRUE(c.find().findings.empty());
}

// A compiler at run time moved the code: the old stack is left, and what was born on it has been collected.
TEST(FindLeaks, AcquitsAStackThatTookOverFromOneWhoseObjectsDied) {
  for (const bool old_ones_die : {true, false}) {
    Case c;
    Population& before = c.stack(7);
    c.add(before, 300, 0, 600, old_ones_die ? 250 : kAlive);
    c.add(c.stack(7, {1, 2, 3}), 200, 600, kLength);
    c.add(c.stack(8, {4, 5, 6}), 200, 600, kLength);  // another function that began then: no excuse
    const auto leaks = leaks_in(c.find());
    ASSERT_EQ(leaks.size(), old_ones_die ? 1u : 2u);
    if (old_ones_die) {
      EXPECT_EQ(leaks[0].populations, std::vector<std::size_t>{2});
    }
  }
}

TEST(FindLeaks, CallsAFewThatCameAtOnceAStep) {
  Case c;
  Population& reload = c.stack(7);
  for (int i = 0; i < 6; ++i) reload.lives.push_back({400 + 0.01 * i, kAlive, 256e3, 1.01});
  const LeakAnalysis analysis = c.find();
  ASSERT_EQ(analysis.findings.size(), 1u);
  EXPECT_EQ(analysis.findings[0].verdict.verdict, Verdict::kStep);
}

// The last births may not have reached the file, and few are due in an eighth of the run: no levelling off.
TEST(FindLeaks, IsNotToldOfALevellingByAFewMissingBirths) {
  Case c;
  Population& kept = c.stack(7);
  for (int i = 0; i < 36; ++i) kept.lives.push_back({25.0 * i, kAlive, 64e3, 10});
  EXPECT_EQ(leaks_in(c.find()).size(), 1u);
}

TEST(FindLeaks, SaysARunIsTooShort) {
  Case c;
  c.stretch.end = 10;
  c.stretch.warm_up = 1;
  c.add(c.stack(7), 200, 0, 10);
  EXPECT_TRUE(c.find().too_short);
}

TEST(FindLeaks, OfNothingIsNothing) {
  Case c;
  EXPECT_TRUE(c.find().findings.empty());
  c.stack(7);
  c.stretch.end = 0;
  EXPECT_TRUE(c.find().findings.empty());
}

}  // namespace
}  // namespace camprobe::analysis
