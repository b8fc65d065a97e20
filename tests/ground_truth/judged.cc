// tests/ground_truth/judged.cc
#include "tests/ground_truth/judged.h"

#include <algorithm>
#include <cmath>

#include "collector/analysis/leaks.h"

namespace camprobe::ground_truth {

using analysis::Verdict;

namespace {

bool contains(const analysis::Interval& interval, double value) {
  return interval.low <= value && value <= interval.high;
}

void score_size(const Scenario& scenario, const analysis::LeakFinding& finding, Row& row) {
  const analysis::SurvivalVerdict& v = finding.verdict;
  if (scenario.truth.bytes_per_request > 0 && finding.populations.size() == 1) {
    ++row.rates;
    row.rates_covered += contains(v.per_request_interval, scenario.truth.bytes_per_request);
    row.rate_error += std::abs(v.per_request / scenario.truth.bytes_per_request - 1);
  }
  if (scenario.truth.since > 0) {
    ++row.onsets;
    row.onsets_within_tenth += std::abs(v.since - scenario.truth.since) <= 0.1 * scenario.stretch.end;
    row.onsets_covered += contains(v.since_interval, scenario.truth.since);
  }
  if (scenario.truth.until > 0) {
    ++row.ends;
    row.ends_within_tenth += v.ended && std::abs(v.until - scenario.truth.until) <= 0.1 * scenario.stretch.end;
  }
}

// Growth of RSS that no part of it explains is a leak of something that is not watched.
void judge_levels(const Scenario& scenario, const analysis::Thresholds& thresholds, Row& row, bool& false_leak) {
  const analysis::MemoryVerdict memory = analysis::judge_memory(scenario.memory, scenario.stretch, thresholds);
  const bool untracked =
      memory.mainly == analysis::MemoryGrowth::kOther || memory.mainly == analysis::MemoryGrowth::kMappings;
  const bool leaks = memory.rss.verdict == Verdict::kLeaks && untracked;
  const bool retained = memory.rss.verdict == Verdict::kLeaks && memory.mainly == analysis::MemoryGrowth::kRetention;
  ++row.verdicts[leaks ? "leaks" : retained ? "retention" : to_string(memory.rss.verdict)];
  if (scenario.memory_leaks) {
    ++row.leaky;
    row.found += leaks;
  } else {
    false_leak |= leaks;
  }
}

}  // namespace

void judge(const Scenario& scenario, const analysis::Thresholds& thresholds, Row& row) {
  ++row.runs;
  row.ambiguous = scenario.truth.ambiguous;
  bool false_leak = false;
  if (!scenario.memory.rss.points.empty()) judge_levels(scenario, thresholds, row, false_leak);
  const analysis::WorkClock clock(scenario.work, analysis::WorkSource::kLoadTool);
  const analysis::LeakAnalysis result = analysis::find_leaks(scenario.populations, scenario.stretch, clock, thresholds);
  std::map<std::size_t, const analysis::LeakFinding*> of;
  for (const auto& finding : result.findings) {
    for (const std::size_t p : finding.populations) of[p] = &finding;
    if (finding.verdict.verdict != Verdict::kLeaks) continue;
    for (const std::size_t p : finding.populations) false_leak |= !scenario.leaky[p];
  }
  row.with_false_leak += false_leak;
  for (std::size_t p = 0; p < scenario.populations.size(); ++p) {
    const auto found = of.find(p);
    const Verdict verdict = found == of.end() ? Verdict::kNone : found->second->verdict.verdict;
    if (scenario.leaky[p] || scenario.populations.size() == 1) {
      ++row.verdicts[to_string(verdict)];
      if (found != of.end()) {
        ++row.reasons[std::string(to_string(verdict)) + ": " + to_string(found->second->verdict.reason)];
      }
    }
    if (!scenario.leaky[p]) continue;
    ++row.leaky;
    if (verdict != Verdict::kLeaks) continue;
    ++row.found;
    score_size(scenario, *found->second, row);
  }
}

Row play(const Shape& shape, const Size& size, int runs, std::uint64_t seed, const analysis::Thresholds& thresholds) {
  Row row;
  for (int i = 0; i < runs; ++i) {
    Random random(seed + static_cast<std::uint64_t>(i) * 7919);
    judge(shape.make(size, random), thresholds, row);
  }
  return row;
}

Scenario until(const Scenario& scenario, double seconds) {
  Scenario seen = scenario;
  seen.stretch.end = seconds;
  seen.stretch.warm_up = 0.1 * seconds;
  for (analysis::Population& population : seen.populations) {
    std::erase_if(population.lives, [&](const auto& life) { return life.born >= seconds; });
    for (analysis::Life& life : population.lives) {
      if (life.died >= seconds) life.died = analysis::kAlive;
    }
    const auto parts = static_cast<std::size_t>(std::ceil(seconds / population.activity_width));
    if (population.activity.size() > parts) population.activity.resize(parts);
  }
  std::erase_if(seen.work, [&](const auto& point) { return point.at > seconds; });
  for (analysis::Gauge* gauge : {&seen.memory.rss, &seen.memory.live_heap, &seen.memory.retained}) {
    std::erase_if(gauge->points, [&](const auto& point) { return point.at > seconds; });
  }
  return seen;
}

}  // namespace camprobe::ground_truth
