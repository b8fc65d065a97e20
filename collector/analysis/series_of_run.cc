#include "collector/analysis/series_of_run.h"

#include <algorithm>

namespace camprobe::analysis {

std::vector<GaugePoint> sum_of(run::Reader& reader, const run::Metric& metric) {
  std::map<std::int64_t, double> seconds;
  for (const run::Point& p : reader.series(metric.name)) {
    if (p.process == run::kMachine) continue;
    seconds[p.second] += p.value;
  }
  std::vector<GaugePoint> points;
  for (const auto& [second, value] : seconds) points.push_back({static_cast<double>(second), value});
  return points;
}

double last_value(const std::vector<GaugePoint>& points, Seconds until) {
  double value = 0;
  for (const auto& p : points) {
    if (p.at <= until) value = p.value;
  }
  return value;
}

std::map<std::int64_t, double> rises_of(run::Reader& reader, const std::vector<std::string>& names, bool machine) {
  std::map<std::int64_t, double> rises;
  for (const std::string& name : names) {
    std::map<run::ProcessId, run::Point> previous;
    for (const run::Point& p : reader.series(name)) {
      if ((p.process == run::kMachine) != machine) continue;
      if (const auto before = previous.find(p.process); before != previous.end()) {
        // A bucket's value is the one of its last second.
        const auto last = [](const run::Point& point) { return point.second + point.width - 1; };
        const auto seconds = last(p) - last(before->second);
        const double rise = std::max(0.0, p.value - before->second.value);
        // Over a gap, or a bucket folded to more than a second, evenly.
        for (std::int64_t s = last(before->second) + 1; s <= last(p); ++s)
          rises[s] += rise / static_cast<double>(seconds);
      }
      previous[p.process] = p;
    }
  }
  return rises;
}

}  // namespace camprobe::analysis
