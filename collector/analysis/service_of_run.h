// collector/analysis/service_of_run.h
//
// How a recorded run served: latency by endpoint, CPU by function, and what other programs took of the machine.
#pragma once

#include <string>
#include <vector>

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

// Fills service, latency_from, neighbours and idle; needs the clock, work_span and the stretch. `load_results`: whether
// the load tool's are to be used.
void read_service(run::Reader& reader, bool load_results, RunInput& input);

// Buckets of one endpoint as a series: those of one second, of several load sources, are added up.
LatencySeries latency_series(const std::string& endpoint, const std::vector<run::LoadBucket>& buckets);

}  // namespace camprobe::analysis
