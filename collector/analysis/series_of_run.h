// collector/analysis/series_of_run.h
//
// A recorded run's metrics as levels and as what a counter rose by.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "collector/metrics.h"
#include "run/reader.h"

namespace camprobe::analysis {

// Of all processes together; a process counts while it lives.
std::vector<GaugePoint> sum_of(run::Reader& reader, const run::Metric& metric);
// The last value not later than `until`; 0 where there is none.
double last_value(const std::vector<GaugePoint>& points, Seconds until);
// What a cumulative counter rose by in each second, processes added up; `machine`: of the machine's series instead.
// Points stand for the seconds they begin.
std::map<std::int64_t, double> rises_of(run::Reader& reader, const std::vector<std::string>& names, bool machine);

}  // namespace camprobe::analysis
