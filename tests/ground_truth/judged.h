// tests/ground_truth/judged.h
//
// One scenario through the real judgement, and what it was worth against the truth.
#pragma once

#include <map>
#include <string>

#include "collector/analysis/thresholds.h"
#include "tests/ground_truth/scenarios.h"

namespace camprobe::ground_truth {

// Over many runs of one shape.
struct Row {
  bool ambiguous = false;  // no finite run can tell
  int runs = 0;
  int with_false_leak = 0;                  // anything accused that is innocent
  int leaky = 0, found = 0;                 // populations
  std::map<std::string, int> verdicts;      // of leaky populations; of the only one, on clean shapes
  std::map<std::string, int> reasons;       // the same with their reasons, where listed at all
  int rates = 0, rates_covered = 0;         // 95 % intervals of bytes per request
  double rate_error = 0;                    // sum of |estimate / truth - 1|
  int onsets = 0, onsets_within_tenth = 0;  // of the run
  int onsets_covered = 0;                   // by their 95 % interval
  int ends = 0, ends_within_tenth = 0;      // of leaks that stopped: "leaked until" named, within a tenth of the run
};

void judge(const Scenario& scenario, const analysis::Thresholds& thresholds, Row& row);

// `runs` runs with the seeds seed, seed + 7919, ...
Row play(const Shape& shape, const Size& size, int runs, std::uint64_t seed, const analysis::Thresholds& thresholds);

// What was seen of a scenario up to an instant, as if the run had ended there.
Scenario until(const Scenario& scenario, double seconds);

}  // namespace camprobe::ground_truth
