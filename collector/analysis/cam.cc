// collector/analysis/cam.cc
//
// CAM's own figures from the spans and attributes of a run, or of parts of it. All spans count, not a sample of them.
#include <algorithm>
#include <map>

#include "collector/analysis/from_run.h"

namespace camprobe::analysis {

run::ReportQuantiles quantiles_of(const run::Histogram& histogram) {
  run::ReportQuantiles q;
  q.count = histogram.count();
  const auto ms = [&](double share) -> std::optional<double> {
    const auto ns = histogram.quantile(share);
    return ns ? std::optional(static_cast<double>(*ns) / 1e6) : std::nullopt;
  };
  q.p50 = ms(0.5), q.p95 = ms(0.95), q.p99 = ms(0.99), q.max = ms(1);
  return q;
}

run::ReportCam cam_figures(run::Reader& reader, const std::vector<run::Slice>& slices) {
  struct Sum {
    std::int64_t spans = 0, changes = 0;
    double sum = 0;
  };
  run::Histogram arbitration, consensus;
  std::map<std::pair<std::string, std::string>, Sum> attributes;
  std::map<std::string, std::uint64_t> providers;
  std::map<run::ProcessId, std::int64_t> deciding;  // arbitrations with a provider, by process: each has a first one
  for (const run::Slice& slice : slices) {
    for (const run::SpanStat& stat : reader.span_stats(slice)) {
      const std::string& name = reader.name(stat.name);
      if (name != "cam.arbitration" && name != "cam.consensus") continue;
      if (auto histogram = run::Histogram::from_json(stat.latency))
        (name == "cam.arbitration" ? arbitration : consensus).merge(*histogram);
    }
    for (const run::SpanAttribute& a : reader.span_attributes(slice)) {
      Sum& sum = attributes[{reader.name(a.name), reader.name(a.key)}];
      sum.spans += a.spans;
      sum.changes += a.changes;
      sum.sum += a.sum;
      if (reader.name(a.name) == "cam.arbitration" && reader.name(a.key) == "provider") {
        providers[a.text] += static_cast<std::uint64_t>(std::max<std::int64_t>(a.spans, 0));
        deciding[a.process] += a.spans;
      }
    }
  }
  run::ReportCam cam;
  if (!arbitration.empty()) cam.arbitration = quantiles_of(arbitration);
  if (!consensus.empty()) cam.consensus = quantiles_of(consensus);
  const Sum& provider = attributes[{"cam.arbitration", "provider"}];
  const std::int64_t pairs = provider.spans - static_cast<std::int64_t>(deciding.size());
  if (pairs > 0) cam.provider_switch_rate = static_cast<double>(provider.changes) / static_cast<double>(pairs);
  double cost = 0, baseline = 0;
  for (const auto& [key, sum] : attributes) {
    if (key.second != "baseline_cost" || sum.sum <= 0) continue;
    const auto paid = attributes.find({key.first, "cost"});
    if (paid == attributes.end()) continue;
    cost += paid->second.sum;
    baseline += sum.sum;
  }
  if (baseline > 0) cam.cost_optimization_rate = 1 - cost / baseline;
  cam.providers.assign(providers.begin(), providers.end());
  std::stable_sort(cam.providers.begin(), cam.providers.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return cam;
}

}  // namespace camprobe::analysis
