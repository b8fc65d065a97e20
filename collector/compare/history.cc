// collector/compare/history.cc: see history.h.
#include "collector/compare/history.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "collector/compare/effects.h"
#include "collector/gates/metric.h"

namespace camprobe::compare {

using nlohmann::json;

namespace {

constexpr double kNormal95 = 1.96;

json row(const Figure& figure) {
  const gates::Metric* metric = gates::metric_named(figure.metric);
  const Effect* effect = effect_on(figure.metric);
  const bool is_log = effect != nullptr && effect->is_ratio;
  const auto shown = [&](double level) { return is_log ? std::exp(level) : level; };
  const double half = figure.level.effective >= 3 ? kNormal95 * figure.level.error : 0;
  return {{"metric", figure.metric},
          {"unit", metric == nullptr ? "" : std::string(metric->unit)},
          {"value", shown(figure.level.value)},
          {"low", shown(figure.level.value - half)},
          {"high", shown(figure.level.value + half)}};
}

}  // namespace

json history(std::vector<RunSummary> runs) {
  std::stable_sort(runs.begin(), runs.end(),
                   [](const RunSummary& a, const RunSummary& b) { return a.started_at < b.started_at; });
  json list = json::array();
  for (const RunSummary& run : runs) {
    json figures = json::array();
    for (const Figure& figure : run.figures) {
      if (figure.endpoint.empty() && std::isfinite(figure.level.value)) figures.push_back(row(figure));
    }
    list.push_back({{"file", run.file.substr(run.file.rfind('/') + 1)},
                    {"started_at", run.started_at},
                    {"requests_per_second", run.requests_per_second},
                    {"confirmed_findings", std::count_if(run.findings.begin(), run.findings.end(),
                                                         [](const SummedFinding& f) { return f.confirmed; })},
                    {"figures", std::move(figures)}});
  }
  return list;
}

}  // namespace camprobe::compare
