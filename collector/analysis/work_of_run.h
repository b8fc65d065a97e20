// collector/analysis/work_of_run.h
//
// The clock of a recorded run: by what the work done is counted. The load tool's requests, where its results are of the
// whole load; else the server's own root spans; else its socket reads; else time.
#pragma once

#include <string>
#include <vector>

#include "collector/analysis/clock.h"
#include "collector/analysis/thresholds.h"
#include "run/reader.h"

namespace camprobe::analysis {

struct WorkOfRun {
  WorkClock clock;
  std::string span;                // where the clock counts spans: which
  bool load_results_kept = true;   // false: they are not of the load, and nothing of them is to be believed
  std::vector<std::string> notes;  // sentences for the report
};

WorkOfRun work_of(run::Reader& reader, const Thresholds& thresholds);

}  // namespace camprobe::analysis
