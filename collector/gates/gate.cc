// collector/gates/gate.cc
#include "collector/gates/gate.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "run/units.h"

namespace camprobe::gates {

namespace {

bool is_pattern(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

// The names that a pattern means. A text that is a name itself means that one, whatever is in it; one that is none and
// matches nothing stands for itself, and is then said to be missing.
std::vector<std::string> matches(const std::string& pattern, const std::vector<std::string>& names) {
  if (pattern.empty() || !is_pattern(pattern) || std::find(names.begin(), names.end(), pattern) != names.end())
    return {pattern};
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) found.push_back(name);
  }
  if (found.empty()) found.push_back(pattern);
  return found;
}

std::string limits_of(const Gate& gate) {
  const std::string unit(gate.metric->unit);
  if (gate.min && gate.max)
    return fmt::format("{} to {}", run::in_unit(*gate.min, unit), run::in_unit(*gate.max, unit));
  if (gate.max) return "at most " + run::in_unit(*gate.max, unit);
  return "at least " + run::in_unit(*gate.min, unit);
}

std::string place_of(const Scope& scope) {
  std::string place;
  if (!scope.endpoint.empty()) place += " of " + scope.endpoint;
  if (!scope.window.empty()) place += " in " + scope.window;
  return place;
}

run::ReportGate judge_one(const Gate& gate, const Scope& scope, bool one_of_many, Measurements& measurements) {
  const Measured measured = measurements.measure(*gate.metric, scope);
  const std::string unit(gate.metric->unit), what = std::string(gate.metric->name) + place_of(scope);
  run::ReportGate out;
  out.name = gate.name.empty() ? what + ": " + limits_of(gate) : gate.name + (one_of_many ? place_of(scope) : "");
  out.metric = gate.metric->name;
  out.unit = unit;
  out.endpoint = scope.endpoint;
  out.window = scope.window;
  out.min = gate.min;
  out.max = gate.max;
  out.value = measured.value;
  const auto cannot_tell = [&](const std::string& why) {
    out.state = "missing";
    out.passed = gate.missing_passes;
    out.text = fmt::format("{} could not be evaluated: {}{}", what, why,
                           gate.missing_passes ? "; passed, as the gate says (when_missing: pass)" : "");
  };
  if (!measured.value) {
    cannot_tell(measured.why);
    return out;
  }
  const auto beyond = [&](double value) { return (gate.max && value > *gate.max) || (gate.min && value < *gate.min); };
  if (measured.interval && beyond(*measured.value)) {
    // An estimate crosses a limit only with its whole interval.
    const auto& [low, high] = *measured.interval;
    const bool surely = (gate.max && low > *gate.max) || (gate.min && high < *gate.min);
    if (!surely) {
      cannot_tell(fmt::format("{} (95 %: {} to {}) is beyond {}, but not surely; a longer run would tell",
                              run::in_unit(*measured.value, unit), run::in_unit(low, unit), run::in_unit(high, unit),
                              limits_of(gate)));
      return out;
    }
  }
  out.passed = !beyond(*measured.value);
  out.state = out.passed ? "passed" : "crossed";
  out.text = fmt::format("{} is {}; {} {} allowed", what, run::in_unit(*measured.value, unit), limits_of(gate),
                         gate.min && gate.max ? "are" : "is");
  return out;
}

}  // namespace

std::vector<run::ReportGate> judge(const std::vector<Gate>& gates, Measurements& measurements) {
  std::vector<run::ReportGate> judged;
  for (const Gate& gate : gates) {
    const std::vector<std::string> endpoints = matches(gate.endpoint, measurements.endpoints());
    std::vector<std::string> windows = matches(gate.window, measurements.windows());
    if (gate.prefers_steady && !measurements.spans_of("steady").empty()) windows = {"steady"};
    const bool many = is_pattern(gate.endpoint) || is_pattern(gate.window);
    for (const std::string& endpoint : endpoints) {
      for (const std::string& window : windows)
        judged.push_back(judge_one(gate, {endpoint, window}, many, measurements));
    }
  }
  return judged;
}

bool all_passed(const run::Report& report) {
  return std::all_of(report.gates.begin(), report.gates.end(), [](const auto& gate) { return gate.passed; });
}

run::Report analyse_with_gates(run::Reader& reader, const std::vector<Gate>& gates,
                               const analysis::Thresholds& thresholds) {
  const analysis::RunInput input = analysis::input_from(reader, thresholds);
  run::Report report = analysis::analyse(reader, input, thresholds);
  if (gates.empty()) return report;
  Measurements measurements(reader, input, report);
  report.gates = judge(gates, measurements);
  std::vector<std::string> failed;
  for (const run::ReportGate& gate : report.gates) {
    if (!gate.passed) failed.push_back(gate.name);
  }
  if (failed.empty()) return report;
  report.verdict = "fail";
  std::string names = failed.front();
  if (failed.size() == 2) names += "; " + failed[1];
  if (failed.size() > 2) names += fmt::format("; and {} more", failed.size() - 1);
  report.summary =
      fmt::format("{} of {} gates not passed: {}. {}", failed.size(), report.gates.size(), names, report.summary);
  return report;
}

}  // namespace camprobe::gates
