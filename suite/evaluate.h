// suite/evaluate.h
//
// A run's outcome as the part of the suite's report that tells of it: what the load saw, what the target took for it,
// what must hold and whether it did, what was counted by whom, and what explains it. Writes the run's own reports
// beside it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "suite/engine.h"

namespace camprobe::suite {

nlohmann::ordered_json evaluated(const Suite& suite, const RunOutcome& outcome);

}  // namespace camprobe::suite
