// exporters/report_json.h
//
// A report as the JSON document of docs/report.schema.json, for programs.
#pragma once

#include <string>

#include "run/report.h"

namespace camprobe::exporters {

// Ends with a newline. Text that is not valid UTF-8 is made so; `indent` < 0 gives one line.
std::string report_json(const run::Report& report, int indent = 2);

// The gates alone: {"schema": "camprobe.gates-result/1", "passed": ..., "run": ..., "gates": [as in the report]}.
std::string gates_json(const run::Report& report, int indent = 2);

}  // namespace camprobe::exporters
