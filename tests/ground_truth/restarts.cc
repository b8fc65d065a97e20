// tests/ground_truth/restarts.cc
#include "tests/ground_truth/restarts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "collector/analysis/leaks.h"
#include "collector/analysis/own_stretches.h"

namespace camprobe::ground_truth {

namespace {

// The same that much later.
void shift(analysis::Population& population, double seconds) {
  for (analysis::Life& life : population.lives) {
    life.born += seconds;
    life.died += seconds;
  }
  for (analysis::ClientRecord& record : population.records) record.at += seconds;
  for (analysis::SamplingDensity& density : population.density) density.from += seconds;
  const auto parts = static_cast<std::size_t>(std::lround(seconds / population.activity_width));
  if (!population.activity.empty()) population.activity.insert(population.activity.begin(), parts, 0.0);
}

bool any_leak(const analysis::LeakAnalysis& result) {
  return std::any_of(result.findings.begin(), result.findings.end(), [](const analysis::LeakFinding& finding) {
    return finding.verdict.verdict == analysis::Verdict::kLeaks;
  });
}

}  // namespace

Restarted restarted(const Shape& shape, const Size& size, Random& random, const analysis::Thresholds& thresholds) {
  const double share = std::uniform_real_distribution<double>(0.2, 0.8)(random);
  const double at = share * size.seconds;
  const auto life = [&](double part) {
    Size own = size;
    own.seconds *= part;
    own.survivors *= part;
    own.births *= part;
    return shape.make(own, random);
  };
  Restarted run{life(share), {}};
  Scenario& whole = run.scenario;
  for (analysis::Population& population : whole.populations) {
    for (analysis::Life& one : population.lives) one.died = std::min(one.died, at);
  }
  Scenario second = life(1 - share);
  const double work = whole.work.back().total;
  for (const analysis::WorkPoint& point : second.work) whole.work.push_back({point.at + at, point.total + work});
  whole.stretch.end = size.seconds;
  whole.stretch.warm_up = thresholds.warm_up_share * size.seconds;

  std::vector<run::Process> processes(2);
  processes[0].id = run::ProcessId{1};
  processes[0].ended_ns = static_cast<std::int64_t>(at * 1e9);
  processes[1].id = run::ProcessId{2};
  processes[1].began_ns = *processes[0].ended_ns;
  const analysis::WorkClock clock(whole.work, analysis::WorkSource::kLoadTool);
  run.stretches = {whole.stretch};
  std::size_t number_of[2] = {0, 0};
  for (const analysis::OwnStretch& own : analysis::own_stretches(processes, whole.stretch, clock, thresholds)) {
    for (const run::ProcessId process : own.processes)
      number_of[process == processes[0].id ? 0 : 1] = run.stretches.size();
    run.stretches.push_back(own.stretch);
  }
  for (analysis::Population& population : whole.populations) population.stretch = number_of[0];
  for (std::size_t i = 0; i < second.populations.size(); ++i) {
    analysis::Population population = std::move(second.populations[i]);
    shift(population, at);
    population.stretch = number_of[1];
    whole.populations.push_back(std::move(population));
    whole.leaky.push_back(second.leaky[i]);
  }
  return run;
}

RestartRow play_restarted(const Shape& shape, const Size& size, int runs, std::uint64_t seed,
                          const analysis::Thresholds& thresholds) {
  RestartRow row;
  for (int i = 0; i < runs; ++i) {
    Random random(seed + static_cast<std::uint64_t>(i) * 7919);
    Restarted run = restarted(shape, size, random, thresholds);
    const analysis::WorkClock clock(run.scenario.work, analysis::WorkSource::kLoadTool);
    const auto by_lives = analysis::find_leaks(run.scenario.populations, run.stretches, clock, thresholds);
    ++row.runs;
    row.accused += any_leak(by_lives);
    for (analysis::Population& population : run.scenario.populations) population.stretch = 0;
    const auto as_one = analysis::find_leaks(run.scenario.populations, run.scenario.stretch, clock, thresholds);
    row.accused_as_one += any_leak(as_one);
  }
  return row;
}

}  // namespace camprobe::ground_truth
