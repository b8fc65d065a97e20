// tests/analysis/leaks_test.cc
//
// From judged stacks to findings: what is one leak is one finding, what are two are two, and the innocent neighbours of
// a leak in the same function stay out of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "collector/analysis/early.h"
#include "collector/analysis/leaks.h"
#include "collector/analysis/load_rises.h"
#include "collector/analysis/proof.h"
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

// Eight steps of ever more clients, each with its own connections; a pool to three providers that has as many as were
// ever wanted at a time, with some extremes coming late; and, where it leaks, one request in a thousand that never
// closes its own.
struct Staircase : Case {
  std::vector<Life> accepted;
  explicit Staircase(std::uint64_t seed) : random_(seed) {
    Population& pool = stack(7);
    pool.resource = Resource::kDescriptors;
    for (int step = 0; step < kSteps; ++step) {
      const double from = kLength * step / kSteps, to = kLength * (step + 1) / kSteps;
      const int clients = 10 << step;
      for (int i = 0; i < clients; ++i) accepted.push_back({from + 0.001 * i, to - 0.01, 1, 1});
      // Half of the increase at once, the rest as extremes of what is under way at a time: ever more seldom.
      const int more = clients / (step == 0 ? 1 : 2);
      for (int i = 0; i < more; ++i) {
        const double u = std::uniform_real_distribution<double>(0, 1)(random_);
        pool.lives.push_back({from + (i % 2 == 0 ? 0.001 * i : 0.3 * std::pow(u, 3) * (to - from)), kAlive, 1, 1});
      }
    }
    pool.records = records_of(accepted);
    pool.concurrency = 3 * pool.records.back().clients;
  }
  Population& pool() { return populations.front(); }
  void leak(Population& into, int connections) {
    for (int i = 0; i < connections; ++i)
      into.lives.push_back({std::uniform_real_distribution<double>(0, kLength)(random_), kAlive, 1, 1});
  }
  static constexpr int kSteps = 8;

 private:
  Random random_;
};

TEST(FindLeaks, DoesNotTakeAPoolThatGrowsWithTheLoadForALeak) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Staircase c(seed);
    EXPECT_TRUE(leaks_in(c.find()).empty()) << seed;
    c.pool().records.clear();
    EXPECT_EQ(leaks_in(c.find()).size(), 1u) << "by survival alone it is one, " << seed;
  }
}

// A pool is filled from two places of one function, of which one happens to see as many at each step.
TEST(FindLeaks, DoesNotConvictAPartOfSuchAPool) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const std::uint64_t site : {7u, 8u}) {
      Staircase c(seed);
      Population part = c.pool();
      part.site = site;
      part.lives.clear();
      std::vector<Life> rest;
      std::vector<int> taken(Staircase::kSteps, 0);
      for (const Life& life : c.pool().lives) {
        const auto step = static_cast<std::size_t>(life.born / kLength * Staircase::kSteps);
        if (taken[step]++ % 2 == 0 && taken[step] < 20) {
          part.lives.push_back(life);
          part.lives.back().born += kLength / Staircase::kSteps * taken[step] / 20;
        } else {
          rest.push_back(life);
        }
      }
      c.pool().lives = rest;
      c.populations.push_back(part);
      EXPECT_EQ(leaks_in(c.find()).size(), site == 7 ? 0u : 1u) << seed << ": of another function it would be a leak";
    }
  }
}

TEST(FindLeaks, StillFindsALeakUnderALoadThatRises) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Staircase c(seed);
    Population& leaky = c.stack(8);
    leaky.resource = Resource::kDescriptors;
    leaky.records = c.pool().records;
    leaky.concurrency = c.pool().concurrency;
    c.leak(leaky, 100);
    const auto leaks = leaks_in(c.find());
    ASSERT_EQ(leaks.size(), 1u) << seed;
    EXPECT_EQ(leaks[0].populations, std::vector<std::size_t>{1});
  }
}

TEST(FindLeaks, DoesNotAcquitAPoolThatLeaksAsWell) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Staircase c(seed);
    c.leak(c.pool(), 300);
    const LeakAnalysis analysis = c.find();
    ASSERT_FALSE(analysis.findings.empty()) << seed;
    EXPECT_TRUE(analysis.findings[0].verdict.verdict == Verdict::kLeaks ||
                analysis.findings[0].verdict.verdict == Verdict::kInconclusive)
        << seed << " " << to_string(analysis.findings[0].verdict.verdict);
  }
}

// A thousand clients, fifteen more for a while, and later five: too little more for a record of its own, but the peak.
TEST(RecordsOf, TheLastIsThePeakThoughTheLoadComesBackToLess) {
  std::vector<Life> accepted;
  for (int i = 0; i < 1000; ++i) accepted.push_back({0.001 * i, kAlive, 1, 1});
  for (int i = 0; i < 15; ++i) accepted.push_back({10 + 0.001 * i, 20, 1, 1});
  for (int i = 0; i < 5; ++i) accepted.push_back({30 + 0.001 * i, kAlive, 1, 1});
  const std::vector<ClientRecord> records = records_of(accepted);
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records.back().clients, 1015);
  for (std::size_t i = 1; i < records.size(); ++i) EXPECT_GT(records[i].clients, records[i - 1].clients);
}

// Members that wear out are replaced while the load stays as it is: what comes then is no growth.
TEST(FindLeaks, DoesNotTakeMembersThatReplaceOthersForALeak) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Staircase c(seed);
    std::vector<Life> worn;
    for (Life& life : c.pool().lives) {
      const double until = life.born + std::exponential_distribution<double>(1 / (2 * kLength))(c.random);
      if (until >= kLength) continue;
      life.died = until;
      worn.push_back({until + 0.01, kAlive, 1, 1});
    }
    c.pool().lives.insert(c.pool().lives.end(), worn.begin(), worn.end());
    EXPECT_TRUE(leaks_in(c.find()).empty()) << seed;
  }
}

// Half of forty came in the first tenth and ever fewer since: a pool that grows at records of its use. Forty that
// come evenly leak; and so do they after a start-up that made as many at once.
TEST(JudgeSurvival, AsksTheStartUpWhetherWhatStaysIsAFill) {
  const auto judged = [](const std::vector<double>& births) {
    Case c;
    Population& p = c.stack(7);
    for (const double born : births) p.lives.push_back({born, kAlive, 256e3, 10});
    return judge_survival(p, c.stretch, c.clock, Thresholds{}).verdict;
  };
  std::vector<double> pool, evenly, after_start_up;
  for (int i = 0; i < 40; ++i) pool.push_back(10 * std::pow(98.0, (i + 0.5) / 40));  // as many in each octave
  for (int i = 0; i < 40; ++i) evenly.push_back((i + 0.5) * kLength / 40);
  after_start_up = evenly;
  for (int i = 0; i < 40; ++i) after_start_up.push_back((i + 0.5) * 0.05 * kLength / 40);
  EXPECT_NE(judged(pool), Verdict::kLeaks);
  EXPECT_EQ(judged(evenly), Verdict::kLeaks);
  EXPECT_EQ(judged(after_start_up), Verdict::kLeaks);
}

// 1 MiB an hour is the least that matters; births before the warm-up ended, or too late to be old, are no evidence, but
// a leak of a fifth more must not be lost for them.
TEST(JudgeSurvival, MeasuresTheSizeAgainstTheTimeThatWasCounted) {
  for (const double mebibytes_an_hour : {0.5, 1.2}) {
    Case c;
    c.stretch.rss_bytes = 1e9;
    Population& p = c.stack(7);
    const int n = 200;
    for (int i = 0; i < n; ++i) {
      const double born = (i + 0.5) * kLength / n;
      p.lives.push_back({born, kAlive, mebibytes_an_hour * 1024 * 1024 * kLength / 3600 / n, 1});
      for (int j = 0; j < 3; ++j) p.lives.push_back({born, born + 120, 100, 1});  // a survivor must be older than these
    }
    const SurvivalVerdict verdict = judge_survival(p, c.stretch, c.clock, Thresholds{});
    EXPECT_EQ(verdict.verdict, mebibytes_an_hour > 1 ? Verdict::kLeaks : Verdict::kNone);
    EXPECT_LE(verdict.amount, 0.9 * mebibytes_an_hour * 1024 * 1024 * kLength / 3600);
  }
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

// Load, idle, the same load, idle, of 100 seconds each.
struct ProvedCase : Case {
  Proof prove() const {
    std::vector<WorkPoint> points;
    for (const double at : {0.0, 100.0, 200.0, 300.0, 400.0}) {
      points.push_back({at, at < 100 ? 0 : at < 300 ? 1e5 : 2e5});
    }
    const WorkClock requests(std::move(points), WorkSource::kLoadTool);
    const ProofPhases phases{{0, 100}, {100, 200}, {200, 300}, {300, 400}};
    return judge_proof({&populations.front()}, phases, requests, Thresholds{});
  }
};

TEST(JudgeProof, ConfirmsWhatBothLoadsLeaveAlike) {
  ProvedCase c;
  Population& kept = c.stack(7);
  c.add(kept, 60, 0, 100);
  c.add(kept, 60, 200, 300);
  c.add(kept, 400, 0, 100, 2);  // and churn beside
  const Proof proof = c.prove();
  EXPECT_EQ(proof.verdict, ProofVerdict::kConfirmed);
  EXPECT_LE(proof.ratio_interval.low, 1);
  EXPECT_GE(proof.ratio_interval.high, 1);
}

TEST(JudgeProof, ClearsACacheThatTheFirstLoadFilled) {
  ProvedCase c;
  Population& cache = c.stack(7);
  c.add(cache, 100, 0, 100);
  c.add(cache, 3, 200, 300);
  EXPECT_EQ(c.prove().verdict, ProofVerdict::kCleared);
}

TEST(JudgeProof, ClearsAFullCacheWhoseOldEntriesGiveWay) {
  ProvedCase c;
  Population& cache = c.stack(7);
  c.add(cache, 100, 0, 100, 200);  // evicted one by one while the second load brings its own
  c.add(cache, 100, 200, 300);
  EXPECT_EQ(c.prove().verdict, ProofVerdict::kCleared);
}

TEST(JudgeProof, ClearsSessionsThatEndInTheIdle) {
  ProvedCase c;
  Population& sessions = c.stack(7);
  c.add(sessions, 60, 0, 100, 90);
  c.add(sessions, 60, 200, 300, 90);
  EXPECT_EQ(c.prove().verdict, ProofVerdict::kCleared);
}

TEST(JudgeProof, LeavesOpenWhatIsTooLittleOrNeither) {
  ProvedCase few;
  few.add(few.stack(7), 5, 0, 100);
  few.add(few.populations[0], 5, 200, 300);
  EXPECT_EQ(few.prove().verdict, ProofVerdict::kOpen);

  ProvedCase half;  // a cache that the second load fills up: half of the first's entries are evicted by it
  half.add(half.stack(7), 50, 0, 100);
  half.add(half.populations[0], 50, 0, 100, 230);
  half.add(half.populations[0], 100, 200, 300);
  EXPECT_EQ(half.prove().verdict, ProofVerdict::kOpen);
}

TEST(EarlyLooks, AreAtHalfAndThreeQuartersOfAKnownLengthAndDoubleOtherwise) {
  const Thresholds k;
  const auto first = next_look(0, 3600, k);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->at, 1800);
  EXPECT_EQ(first->error_share, 0);  // convicts nobody
  const auto second = next_look(first->at, 3600, k);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->at, 2700);
  EXPECT_GT(second->error_share, 0);
  EXPECT_FALSE(next_look(second->at, 3600, k));
  EXPECT_FALSE(next_look(0, 20, k));  // too short to look into
  const auto unknown = next_look(700, 0, k);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->at, 1200);
  EXPECT_EQ(unknown->error_share, 0);
}

// At three quarters a stack that keeps all it makes may still be a cache; one that keeps a part of it is none.
TEST(EarlyLooks, ConvictOnlyWhereMostOfWhatAStackMakesDies) {
  const Thresholds early = for_look(Thresholds{}, {0.75 * kLength, 0.3});
  for (const bool churns : {false, true}) {
    Case c;
    Population& kept = c.stack(7);
    c.add(kept, 120, 0, kLength);
    if (churns) c.add(kept, 500, 0, kLength, 5);
    const auto at_end = leaks_in(c.find());
    EXPECT_EQ(at_end.size(), 1u);
    EXPECT_EQ(leaks_in(find_leaks(c.populations, c.stretch, c.clock, early)).size(), churns ? 1u : 0u);
  }
}

}  // namespace
}  // namespace camprobe::analysis
