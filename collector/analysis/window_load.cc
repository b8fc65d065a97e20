#include "collector/analysis/window_load.h"

#include <algorithm>
#include <set>

#include "collector/analysis/service_of_run.h"

namespace camprobe::analysis {

std::optional<LatencySeries> load_of_windows(run::Reader& reader, const std::vector<run::LoadWindow>& windows,
                                             const std::vector<run::LoadWindow>& all, const std::string& endpoint) {
  std::set<std::int64_t> ids;
  std::set<run::SourceId> sources;
  for (const run::LoadWindow& window : windows) {
    if (!window.source) return std::nullopt;
    ids.insert(window.id);
    sources.insert(*window.source);
  }
  const bool is_shared = std::any_of(all.begin(), all.end(), [&](const run::LoadWindow& other) {
    return other.source && sources.contains(*other.source) && !ids.contains(other.id);
  });
  if (sources.empty() || is_shared) return std::nullopt;
  std::vector<run::LoadBucket> own;
  for (run::LoadBucket& bucket : reader.load_buckets(endpoint)) {
    if (sources.contains(bucket.source)) own.push_back(std::move(bucket));
  }
  return latency_series(endpoint, own);
}

}  // namespace camprobe::analysis
