// collector/compare/history.h
//
// Runs one after another, for a chart of how a program has gone from build to build.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "collector/compare/run_summary.h"

namespace camprobe::compare {

// A list, oldest run first, of {file, started_at, requests_per_second, confirmed_findings, figures: [{metric, unit,
// value, low, high}]}. Figures are those over all endpoints, in their own unit (collector/gates/metric.h), with the 95
// % interval that windows within the run give; where nothing is known of the error, low and high are the value.
nlohmann::json history(std::vector<RunSummary> runs);

}  // namespace camprobe::compare
