// collector/analysis/service_of_run.h
//
// How a recorded run served: latency by endpoint, CPU by function, and what other programs took of the machine.
#pragma once

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

// Fills service, latency_from, neighbours and idle; needs the clock, work_span and the stretch. `load_results`: whether
// the load tool's are to be used.
void read_service(run::Reader& reader, bool load_results, RunInput& input);

}  // namespace camprobe::analysis
