#include "suite/phase_load.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t middle_of(const load::LoadBucket& bucket) {
  return (bucket.from.time_since_epoch() + bucket.width / 2).count();
}

bool is_in(const load::LoadBucket& bucket, const PhaseSpan& phase) {
  return middle_of(bucket) >= phase.from_ns && middle_of(bucket) < phase.to_ns;
}

// Artillery's pieces of ten seconds may hold several short phases: what each of them had is not known then.
bool is_known_of(const load::LoadBucket& bucket, const PhaseSpan& phase) {
  if (bucket.width <= std::chrono::seconds(1)) return true;
  const std::int64_t from = bucket.from.time_since_epoch().count(), to = from + bucket.width.count();
  const auto overlap = static_cast<double>(std::min(to, phase.to_ns) - std::max(from, phase.from_ns));
  if (!is_in(bucket, phase)) return overlap <= 0.25 * static_cast<double>(phase.to_ns - phase.from_ns);
  return overlap >= 0.75 * static_cast<double>(to - from) || 10 * (to - from) < phase.to_ns - phase.from_ns;
}

}  // namespace

std::vector<load::LoadBucket> buckets_of_phase(const RunOutcome& outcome, std::size_t phase) {
  const auto own = outcome.by_phase.alone.find(phase);
  if (own != outcome.by_phase.alone.end()) return own->second.buckets;
  std::vector<load::LoadBucket> list;
  std::copy_if(outcome.timeline.buckets.begin(), outcome.timeline.buckets.end(), std::back_inserter(list),
               [&](const load::LoadBucket& bucket) { return is_in(bucket, outcome.phases[phase]); });
  return list;
}

Json phase_load(const RunOutcome& outcome, std::size_t index) {
  const PhaseSpan& phase = outcome.phases[index];
  const bool is_known = outcome.by_phase.alone.contains(index) ||
                        std::all_of(outcome.timeline.buckets.begin(), outcome.timeline.buckets.end(),
                                    [&](const load::LoadBucket& bucket) { return is_known_of(bucket, phase); });
  if (!is_known)
    return Json{{"requests", nullptr},       {"errors", nullptr},         {"throughput_rps", nullptr},
                {"latency_p50_ms", nullptr}, {"latency_p95_ms", nullptr}, {"latency_p99_ms", nullptr}};
  const std::vector<load::LoadBucket> buckets = buckets_of_phase(outcome, index);
  const auto is_whole = [&](const load::LoadBucket& bucket) {
    const std::int64_t from = bucket.from.time_since_epoch().count();
    return from >= phase.from_ns && from + bucket.width.count() <= phase.to_ns;
  };
  // A second that two phases share holds the latencies of both: those within the phase tell, where there are any.
  const bool only_whole =
      !outcome.by_phase.alone.contains(index) && std::any_of(buckets.begin(), buckets.end(), is_whole);
  std::uint64_t requests = 0, errors = 0;
  run::Histogram latency;
  std::optional<load::Quantiles> given;
  for (const load::LoadBucket& bucket : buckets) {
    requests += bucket.all.requests;
    errors += bucket.all.errors;
    if (only_whole && !is_whole(bucket)) continue;
    latency.merge(bucket.all.latency);
    if (bucket.all.given) given = bucket.all.given;
  }
  const double seconds = static_cast<double>(phase.to_ns - phase.from_ns) / 1e9;
  const bool errors_are_known = outcome.timeline.errors.has_value();
  Json out{{"requests", requests},
           {"errors", errors_are_known ? Json(errors) : Json(nullptr)},
           {"throughput_rps", seconds > 0 ? static_cast<double>(requests) / seconds : 0.0}};
  const auto set = [&](const char* key, double share, std::optional<double> load::Quantiles::*field) {
    out[key] = nullptr;
    if (!latency.empty())
      out[key] = static_cast<double>(*latency.quantile(share)) / 1e6;
    else if (given && (*given).*field)
      out[key] = *((*given).*field);
  };
  set("latency_p50_ms", 0.5, &load::Quantiles::p50_ms);
  set("latency_p95_ms", 0.95, &load::Quantiles::p95_ms);
  set("latency_p99_ms", 0.99, &load::Quantiles::p99_ms);
  return out;
}

}  // namespace camprobe::suite
