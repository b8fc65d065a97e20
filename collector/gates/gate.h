// collector/gates/gate.h
//
// A gate: a metric, where it is taken, and what it must not be beyond. Judged, it is a run::ReportGate: passed,
// crossed, or missing where the run cannot tell, which fails too unless the gate says otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collector/gates/measure.h"

namespace camprobe::gates {

struct Gate {
  std::string name;  // "" = made from the rest
  const Metric* metric = nullptr;
  std::string endpoint, window;  // may be patterns with *, ? and [..]: a gate for each that matches; "" = the whole
  std::optional<double> min, max;
  bool missing_passes = false;
  bool prefers_steady = false;  // taken of the load's steady windows where it has any: a ramp is no promise
};

// In the order of the gates; one with a pattern gives as many as there are matches.
std::vector<run::ReportGate> judge(const std::vector<Gate>& gates, Measurements& measurements);

// Analyses the run and judges the gates: what crosses one counts against the run, in the verdict and in the headline.
run::Report analyse_with_gates(run::Reader& reader, const std::vector<Gate>& gates,
                               const analysis::Thresholds& thresholds = {});

bool all_passed(const run::Report& report);

}  // namespace camprobe::gates
