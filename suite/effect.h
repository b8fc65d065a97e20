// suite/effect.h
//
// One figure of repeated runs of two variants: by what factor they differ, with an interval, and how large that is
// beside the runs' own spread. On logarithms, since times and rates differ by factors: Welch's interval of the
// difference of means; Hedges' g (the difference over the pooled deviation, corrected for few runs).
#pragma once

#include <optional>
#include <vector>

namespace camprobe::suite {

struct Effect {
  double ratio = 1, low = 1, high = 1;  // of the first to the second; 95 %
  double hedges_g = 0;
};

// Nothing where a side has fewer than two runs or a value that is not above zero.
std::optional<Effect> effect_of(const std::vector<double>& first, const std::vector<double>& second);

// Of figures that may be zero, such as shares that fail: how much the first is above the second, by Welch's interval.
struct Difference {
  double value = 0, low = 0, high = 0;  // 95 %
  double hedges_g = 0;
};

// Nothing where a side has fewer than two runs.
std::optional<Difference> difference_of(const std::vector<double>& first, const std::vector<double>& second);

}  // namespace camprobe::suite
