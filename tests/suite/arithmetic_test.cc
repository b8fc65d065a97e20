// What a suite computes by itself: recovery after a surge, scaling laws, what the load tool printed.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "suite/effect.h"
#include "suite/journal.h"
#include "suite/phase_load.h"
#include "suite/reconcile.h"
#include "suite/recovery.h"
#include "suite/scaling.h"
#include "suite/timelines.h"

namespace camprobe::suite {
namespace {

std::vector<LoadSecond> seconds(const std::vector<double>& p95) {
  std::vector<LoadSecond> list;
  for (std::size_t i = 0; i < p95.size(); ++i) list.push_back({static_cast<double>(i), p95[i], false});
  return list;
}

// Seconds [from, to) are the surge.
std::optional<Recovery> around(const std::vector<LoadSecond>& all, std::ptrdiff_t from, std::ptrdiff_t to) {
  return recovery_after({all.begin(), all.begin() + from}, {all.begin() + from, all.begin() + to},
                        {all.begin() + to, all.end()}, static_cast<double>(to));
}

RequestCounts counts(std::int64_t tool, std::int64_t done, std::int64_t server, std::int64_t probe,
                     std::uint64_t lost) {
  return {tool, done, done, 0, server, probe, lost};
}

TEST(Counts, WhereTheServerDoesNotCountTheProbeTellsWhatReachedIt) {
  RequestCounts some = counts(1000, 990, 0, 996, 0);
  some.server.reset();
  EXPECT_EQ(reconciled(some).reconciled, true);
  some.probe = 989;
  EXPECT_EQ(reconciled(some).reconciled, false);
}

TEST(Counts, AToolThatLeavesOutWhatIsUnderWayIsExcusedForAsMany) {
  RequestCounts some = counts(1000, 1000, 1005, 1005, 0);
  EXPECT_EQ(reconciled(some).reconciled, false);
  some.most_under_way = 5;
  EXPECT_EQ(reconciled(some).reconciled, true);
  some.server = some.probe = 1006;
  EXPECT_EQ(reconciled(some).reconciled, false);
  some.server = some.probe = 999;
  EXPECT_EQ(reconciled(some).reconciled, false) << "it saw an answer that the server does not know of";
}

TEST(Counts, LostRecordsExcuseAsManyMissingSpansAndNoMore) {
  EXPECT_EQ(reconciled(counts(1000, 1000, 1000, 1000, 0)).reconciled, true);
  EXPECT_TRUE(reconciled(counts(1000, 1000, 1000, 1000, 7)).differences.empty());
  EXPECT_EQ(reconciled(counts(1000, 1000, 1000, 960, 40)).reconciled, true);
  const Reconciliation beyond = reconciled(counts(1000, 1000, 1000, 959, 40));
  EXPECT_EQ(beyond.reconciled, false);
  ASSERT_EQ(beyond.differences.size(), 1u);
  EXPECT_EQ(beyond.differences[0],
            "the probe saw 41 fewer requests than the server counted, and only 40 records were lost: 1 spans are "
            "missing without a reason");
  EXPECT_EQ(reconciled(counts(1000, 1000, 1000, 1001, 40)).reconciled, false) << "nothing excuses too many";
}

TEST(Counts, RequestsUnderWayExcuseAsManyThatTheServerDoesNotHave) {
  EXPECT_EQ(reconciled(counts(1000, 990, 990, 990, 0)).reconciled, true);
  EXPECT_EQ(reconciled(counts(1000, 990, 995, 995, 0)).reconciled, true);
  EXPECT_EQ(reconciled(counts(1000, 990, 989, 989, 0)).reconciled, false);
  EXPECT_EQ(reconciled(counts(1000, 990, 1001, 1001, 0)).reconciled, false);
}

TEST(Recovery, IsTheFirstOfThreeSecondsAsQuickAsBefore) {
  const auto found = around(seconds({10, 11, 10, 10, 90, 95, 60, 12, 40, 12, 11, 12, 10}), 4, 6);
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->usual_ms, 10);
  EXPECT_DOUBLE_EQ(found->worst_ms, 95);
  ASSERT_TRUE(found->seconds);
  EXPECT_DOUBLE_EQ(*found->seconds, 3);  // second 9 is the first of 9, 10 and 11
}

TEST(Recovery, IsNotClaimedWhereItWasNotSeen) {
  EXPECT_FALSE(around(seconds({10, 10, 10, 90, 90, 50, 50, 10, 10}), 3, 5)->seconds);
  EXPECT_FALSE(around(seconds({10, 90, 90, 10, 10, 10}), 1, 3));
  auto failing = seconds({10, 10, 10, 90, 10, 10, 10, 10});
  for (std::size_t i = 4; i < failing.size(); ++i) failing[i].has_errors = true;
  EXPECT_FALSE(around(failing, 3, 4)->seconds);
}

// Five seconds of calm, a surge from the middle of a second on to the middle of another, and calm again.
RunOutcome calm_surge_calm(bool by_process) {
  constexpr std::int64_t kEpoch = 1'800'000'000, kNs = 1'000'000'000;
  const auto at = [](double s) { return kEpoch * kNs + static_cast<std::int64_t>(s * 1e9); };
  RunOutcome outcome;
  outcome.from_ns = at(0);
  std::vector<Part> parts;
  std::vector<load::LoadPhase> phases;
  const auto phase = [&](const char* name, const char* kind, double from, double to, std::uint64_t rate, double ms) {
    const int index = static_cast<int>(outcome.phases.size());
    outcome.phases.push_back({name, kind, at(from), at(to), to - from, 1, std::nullopt, 0, 0});
    phases.push_back(
        {name, kind, load::WallTime{load::Nanoseconds{at(from)}}, load::WallTime{load::Nanoseconds{at(to)}}});
    load::LoadTimeline timeline;
    timeline.requests = 0;
    timeline.errors = 0;
    for (double s = std::floor(from); s < to; ++s) {
      const double share = std::min(s + 1, to) - std::max(s, from);
      load::LoadBucket bucket{load::WallTime{load::Nanoseconds{at(s)}}, std::chrono::seconds(1), {}, {}};
      for (int i = 0; i < static_cast<int>(static_cast<double>(rate) * share); ++i) {
        ++bucket.all.requests;
        bucket.all.latency.record(static_cast<std::uint64_t>(ms * 1e6));
      }
      *timeline.requests += bucket.all.requests;
      timeline.latency.merge(bucket.all.latency);
      timeline.buckets.push_back(bucket);
    }
    parts.push_back({std::move(timeline), by_process ? index : -1});
  };
  phase("before", "steady", 0, 4.5, 100, 10);
  phase("surge", "spike", 4.5, 8.6, 2000, 200);
  phase("after", "steady", 8.6, 14, 100, 10);
  outcome.by_phase = by_phase(parts, phases);
  std::vector<load::LoadTimeline> all;
  for (Part& part : parts) all.push_back(std::move(part.timeline));
  outcome.timeline = joined(std::move(all), std::move(phases));
  return outcome;
}

TEST(Phases, HaveTheirOwnRequestsWhereAProcessOfTheLoadToolRanForEach) {
  const RunOutcome outcome = calm_surge_calm(true);
  const auto before = phase_load(outcome, 0), surge = phase_load(outcome, 1), after = phase_load(outcome, 2);
  EXPECT_EQ(before["requests"], 450);
  EXPECT_EQ(surge["requests"], 1000 + 3 * 2000 + 1199);  // 0.6 of a second is a little less in doubles
  EXPECT_EQ(after["requests"], 540);
  EXPECT_NEAR(before["throughput_rps"].get<double>(), 100, 0.5);
  EXPECT_NEAR(before["latency_p99_ms"].get<double>(), 10, 0.3);
  EXPECT_NEAR(after["latency_p99_ms"].get<double>(), 10, 0.3);
  EXPECT_NEAR(surge["latency_p50_ms"].get<double>(), 200, 5);
  const auto recovery = recovery_json(outcome);
  EXPECT_NEAR(recovery[0]["usual_p95_ms"].get<double>(), 10, 0.3);
  EXPECT_DOUBLE_EQ(recovery[0]["recovery_s"].get<double>(), 0) << "the surge's own answers are not the calm's";
}

TEST(Phases, OfAToolThatRunsThroughThemHaveTheLatenciesOfSecondsThatAreTheirsAlone) {
  const RunOutcome outcome = calm_surge_calm(false);
  EXPECT_TRUE(outcome.by_phase.alone.empty());
  EXPECT_NEAR(phase_load(outcome, 0)["latency_p99_ms"].get<double>(), 10, 0.3);
  EXPECT_NEAR(phase_load(outcome, 1)["latency_p50_ms"].get<double>(), 200, 5);
  EXPECT_NEAR(phase_load(outcome, 2)["latency_p99_ms"].get<double>(), 10, 0.3);
  const std::uint64_t all = phase_load(outcome, 0)["requests"].get<std::uint64_t>() +
                            phase_load(outcome, 1)["requests"].get<std::uint64_t>() +
                            phase_load(outcome, 2)["requests"].get<std::uint64_t>();
  EXPECT_EQ(all, *outcome.timeline.requests) << "each request is in one phase";
}

// SPEC SDM91 on a Sun SPARCcenter 2000, from N. Gunther, Guerrilla Capacity Planning (2007), as the R package usl has
// it (specsdm91); its vignette gives alpha 0.0277295, beta 0.0001044 and gamma 89.995 for the least-squares fit.
TEST(Scaling, TheUniversalLawHasThePublishedAnswer) {
  const std::vector<ScalePoint> points{{1, 64.9},     {18, 995.9},   {36, 1652.4}, {72, 1853.2},
                                       {108, 1828.9}, {144, 1775.0}, {216, 1702.2}};
  const auto fit = fit_usl(points);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->contention, 0.02773, 0.0001);
  EXPECT_NEAR(fit->coherency, 0.0001044, 0.0000005);
  EXPECT_NEAR(fit->single, 89.995, 0.05);
  ASSERT_TRUE(fit->peak_at);
  EXPECT_NEAR(*fit->peak_at, 96.5, 0.2);
  EXPECT_LT(fit->contention_low, fit->contention);
  EXPECT_GT(fit->contention_high, fit->contention);
}

TEST(Scaling, AmdahlsLawIsFoundAgainInItsOwnCurve) {
  std::vector<ScalePoint> points;
  for (const double n : {1.0, 2.0, 4.0, 8.0, 16.0}) points.push_back({n, 100 * n / (1 + 0.05 * (n - 1))});
  const auto fit = fit_amdahl(points);
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->contention, 0.05, 1e-6);
  EXPECT_NEAR(fit->single, 100, 1e-3);
  EXPECT_FALSE(fit_usl({{1, 100}, {2, 190}})) << "two points cannot tell three terms";
}

TEST(Effect, IsARatioWithItsIntervalAndItsSize) {
  const auto effect = effect_of({10, 10.2, 9.9, 10.1, 10}, {20, 20.5, 19.8, 20.1, 20.2});
  ASSERT_TRUE(effect);
  EXPECT_NEAR(effect->ratio, 0.499, 0.01);
  EXPECT_LT(effect->low, effect->ratio);
  EXPECT_GT(effect->high, effect->ratio);
  EXPECT_LT(effect->high, 0.52);
  EXPECT_LT(effect->hedges_g, -5);
  EXPECT_FALSE(effect_of({10}, {20, 21})) << "one run has no interval";
}

TEST(Resuming, LeavesOutWhatIsOverAndARampBeginsWhereItWas) {
  const std::vector<Stage> stages{{"ramp", "ramp", 10, 50, 10, 100, 20}, {"steady", "steady", 60, 50, 50, 100, 100}};
  const std::vector<Stage> left = without_first(stages, 5);
  ASSERT_EQ(left.size(), 2u);
  EXPECT_DOUBLE_EQ(left[0].duration_s, 5);
  EXPECT_EQ(left[0].users_from, 30);
  EXPECT_EQ(left[0].users, 50);
  EXPECT_DOUBLE_EQ(*left[0].rate_from, 60);
  EXPECT_DOUBLE_EQ(left[1].duration_s, 60);
  const std::vector<Stage> last = without_first(stages, 30);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_DOUBLE_EQ(last[0].duration_s, 40);
  EXPECT_TRUE(without_first(stages, 70).empty());
}

TEST(Resuming, AJournalIsReadUpToTheLineThatWasNotFinished) {
  const std::string path = testing::TempDir() + "journal";
  std::ofstream(path) << R"({"attempt":0.0,"at_ns":1000}
{"step":[0,1,2000]}
{"tool":["a.tsv","a.out",2100]}
{"second":[3000,0.5,1.5],"done":1.25}
{"server":40}
{"attempt":1.25,"at_ns":9000}
{"step":[0,0,9100]}
{"tool":["b.tsv","b.out",9200]}
{"second":[9900,0.25,1.0],"done":2.5}
{"event":[9950,"a provider is told to fail"]}
{"ended":true,"done":3.5}
{"second":[12000,0.)";
  const Earlier earlier = Journal::read(path);
  ASSERT_EQ(earlier.attempts.size(), 2u);
  EXPECT_EQ(earlier.from_ns, 1000);
  EXPECT_EQ(earlier.attempts[0].server, 40);
  EXPECT_FALSE(earlier.attempts[0].is_in_recording);
  EXPECT_TRUE(earlier.attempts[1].is_in_recording);
  EXPECT_EQ(earlier.attempts[0].steps.at(0).ended_ns, 3000);
  EXPECT_EQ(earlier.results.size(), 2u);
  EXPECT_EQ(earlier.results_in_recording, 2u);
  EXPECT_DOUBLE_EQ(earlier.done_s, 3.5);
  EXPECT_EQ(earlier.seconds.size(), 2u);
  EXPECT_EQ(earlier.events.at(0).second, "a provider is told to fail");
  EXPECT_TRUE(Journal::read(path + "-of-nobody").attempts.empty());
}

TEST(H2load, TellsWhatItBeganAndWhatItSawTheEndOf) {
  const auto begun = begun_of_h2load(
      "finished in 2s\nrequests: 10043 total, 10093 started, 10043 done, 10043 succeeded, 0 failed, 0 errored, 0 "
      "timeout\n");
  ASSERT_TRUE(begun);
  EXPECT_EQ(begun->began, 10093u);
  EXPECT_EQ(begun->done, 10043u);
  EXPECT_FALSE(begun_of_h2load("h2load: cannot connect"));
}

}  // namespace
}  // namespace camprobe::suite
