// suite/diagnosis.h
//
// Why a run was slow, carried too little or grew: the usual suspects (provider time, CPU, pools, unclosed connections,
// cache, the way to the server, the load generator), each accused only with what was measured against it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "run/report.h"
#include "suite/engine.h"

namespace camprobe::suite {

// [{symptom, cause, evidence: [...], advice}]; empty where nothing is wrong. `run` is what evaluated() has of the run
// so far.
nlohmann::ordered_json diagnosed(const Suite& suite, const RunOutcome& outcome, const run::Report& report,
                                 const nlohmann::ordered_json& run);

}  // namespace camprobe::suite
