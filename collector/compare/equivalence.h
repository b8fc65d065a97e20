// collector/compare/equivalence.h
//
// Two groups of runs: is a figure the same, better, worse, or can it not be told? A test of equivalence: "same" is a
// claim like the others, and needs the whole interval within the minimum effect; "not significant" is "cannot tell".
//
// Within a run neighbouring windows are alike, so a figure's error comes from the effective number of windows
// (analysis/trend.h). Between runs of the same program figures differ as well, by more than any error within
// one: memory lies elsewhere, the machine is in another state. Several runs a side show by how much; of a single one
// nobody knows. So the variance between runs is a mean of what is usual for the metric (`usual_deviation`, worth
// kPriorRuns runs) and of what these runs show, as in moderated t-tests (Smyth, SAGMB 3 (2004)).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "collector/analysis/poisson.h"

namespace camprobe::compare {

inline constexpr double kPriorRuns = 6;

// A figure of one run, on the scale it is compared on (logarithm, or as it is).
struct Level {
  double value = 0;
  double error = 0;      // standard error within the run; 0 where it is one number
  double effective = 0;  // windows behind it; below 3 nothing is known of its error
};

// The median of window values (their mean where `by_mean`: shares that are mostly zero), with its error.
Level level_of(const std::vector<double>& windows, bool by_mean);

enum class Outcome { kSame, kBetter, kWorse, kCannotTell };
const char* to_string(Outcome);

struct Judgement {
  Outcome outcome = Outcome::kCannotTell;
  double change = 0;            // other less base
  analysis::Interval interval;  // 95 %
  Level base, other;            // means of the sides; their errors hold between runs too
  double degrees = 0;
  std::string why;
};

// `sign` 1: higher is worse; -1: lower is worse. `minimum` and `usual_deviation` on the scale of the levels.
Judgement judge(const std::vector<Level>& base, const std::vector<Level>& other, double sign, double minimum,
                double usual_deviation);

}  // namespace camprobe::compare
