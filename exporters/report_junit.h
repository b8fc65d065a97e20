// exporters/report_junit.h
//
// A report as JUnit XML, which CI systems show as test results: a suite of gates and a suite of findings. A gate that
// was not passed and a finding that counts against the run are failures; what could not be told is skipped, with the
// reason.
#pragma once

#include <string>

#include "run/report.h"

namespace camprobe::exporters {

std::string report_junit(const run::Report& report);
std::string gates_junit(const run::Report& report);  // the gates alone

}  // namespace camprobe::exporters
