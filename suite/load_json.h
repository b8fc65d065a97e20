// suite/load_json.h
//
// What the load tool saw of a run, as the suite's report has it: totals, quantiles, seconds, the heat map, kinds of
// errors, and what is held against other runs: the load without its warm-up and ramps.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "suite/engine.h"

namespace camprobe::suite {

nlohmann::ordered_json load_json(const std::string& tool, const RunOutcome& outcome);

}  // namespace camprobe::suite
