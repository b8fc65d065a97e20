// collector/compare/effects.h
//
// For each metric that is compared: on which scale, how small a change is none, and how much runs of the same program
// usually differ in it. All of it under one version, printed in docs/comparing.md, where a test holds it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace camprobe::compare {

struct Effect {
  std::string_view metric;  // of collector/gates/metric.h
  bool is_ratio;            // compared by logarithms; else by differences
  double minimum;           // 0.05: changes below 5 % (below 0.05 of the unit) count as none
  double usual_deviation;   // between runs of one program, in the same terms
  bool depends_on_load;     // means nothing at another load
};

const std::vector<Effect>& all_effects();
const Effect* effect_on(std::string_view metric);  // nullptr: not compared
std::string effects_table();                       // Markdown

}  // namespace camprobe::compare
