// collector/analysis/sampling.h
//
// How a run's processes were sampled: which intervals and rates held from when to when, which families were off (zeros
// of that time are no figures), and what the probe itself took.
#pragma once

#include "run/reader.h"
#include "run/report.h"

namespace camprobe::analysis {

// Fills in the processes that the report has already.
void describe_sampling(run::Reader& reader, run::Report& report);

// The share of [from_s, to_s) in which no process of those that were sampled recorded the family.
double share_not_recorded(const run::Report& report, const std::string& family, double from_s, double to_s);

}  // namespace camprobe::analysis
