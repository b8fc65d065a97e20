#include "suite/tool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

namespace camprobe::suite {

const std::vector<const Tool*>& all_tools() {
  static const std::vector<const Tool*> kAll = {&kH2loadTool, &kAutocannonTool, &kWrkTool,    &kArtilleryTool,
                                                &kK6Tool,     &kLocustTool,     &kVegetaTool, &kJmeterTool};
  return kAll;
}

std::vector<std::string> tool_names() {
  std::vector<std::string> names;
  for (const Tool* tool : all_tools()) names.emplace_back(tool->name);
  return names;
}

const Tool* tool_named(std::string_view name) {
  for (const Tool* tool : all_tools()) {
    if (tool->name == name) return tool;
  }
  return nullptr;
}

std::string find_program(const Tool& tool, const std::string& suite_directory) {
  namespace fs = std::filesystem;
  std::error_code none;
  for (fs::path start : {fs::absolute(suite_directory, none), fs::current_path(none)}) {
    for (; !start.empty(); start = start.parent_path()) {
      const fs::path local = start / "node_modules/.bin" / tool.program;
      if (::access(local.c_str(), X_OK) == 0) return local;
      if (start == start.parent_path()) break;
    }
  }
  return tool.program;
}

std::vector<Stage> stages_of(const std::vector<Phase>& phases, double time_scale, bool has_ramps) {
  constexpr int kStairs = 5;
  std::vector<Stage> stages;
  for (const Phase& phase : phases) {
    Stage stage{phase.name,
                phase.kind,
                std::max(1.0, phase.duration_s * time_scale),
                phase.users,
                phase.users_from.value_or(phase.users),
                phase.rate,
                phase.rate_from ? phase.rate_from : phase.rate};
    const bool is_ramp = stage.users_from != stage.users || stage.rate_from != stage.rate;
    if (!is_ramp || has_ramps) {
      stages.push_back(stage);
      continue;
    }
    const int steps = std::clamp(static_cast<int>(stage.duration_s), 1, kStairs);
    for (int i = 1; i <= steps; ++i) {
      Stage stair = stage;
      const double at = static_cast<double>(i) / steps;
      stair.duration_s = stage.duration_s / steps;
      stair.users =
          std::max(1, static_cast<int>(std::lround(stage.users_from + at * (stage.users - stage.users_from))));
      stair.users_from = stair.users;
      if (stage.rate) stair.rate = *stage.rate_from + at * (*stage.rate - *stage.rate_from);
      stair.rate_from = stair.rate;
      stages.push_back(stair);
    }
  }
  return stages;
}

std::vector<Request> in_turn(const std::vector<Request>& requests) {
  unsigned divisor = 0, total = 0;
  for (const Request& request : requests) divisor = std::gcd(divisor, request.weight);
  for (const Request& request : requests) total += request.weight / std::max(1u, divisor);
  std::vector<Request> list;
  std::vector<double> due(requests.size(), 0);
  for (unsigned i = 0; i < total; ++i) {  // the one that is most behind its share comes next
    std::size_t next = 0;
    for (std::size_t k = 0; k < requests.size(); ++k) {
      due[k] += static_cast<double>(requests[k].weight) / divisor / total;
      if (due[k] > due[next]) next = k;
    }
    due[next] -= 1;
    list.push_back(requests[next]);
  }
  return list;
}

std::string number_text(double number) {
  return number == std::floor(number) ? fmt::format("{:.0f}", number) : fmt::format("{:.3f}", number);
}

std::string in_words(const Stage& stage) {
  std::string words = stage.phase + ": ";
  words += stage.users_from == stage.users ? fmt::format("{} users", stage.users)
                                           : fmt::format("{} to {} users", stage.users_from, stage.users);
  if (stage.rate) words += fmt::format(", {} requests/s", number_text(*stage.rate));
  return words + fmt::format(", {} s", number_text(stage.duration_s));
}

}  // namespace camprobe::suite
