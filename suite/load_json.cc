#include "suite/load_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/phase_load.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// By the middles of the histogram's buckets; population, not sample: all requests are in it.
double deviation_of(const run::Histogram& latency, double mean_ms) {
  double squares = 0;
  latency.each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
    const double middle = (static_cast<double>(run::Histogram::bucket_low(bucket)) +
                           static_cast<double>(run::Histogram::bucket_high(bucket))) /
                          2e6;
    squares += static_cast<double>(count) * (middle - mean_ms) * (middle - mean_ms);
  });
  return std::sqrt(squares / static_cast<double>(latency.count()));
}

Json quantiles_json(const load::LoadTimeline& timeline) {
  const auto given = timeline.quantiles();
  if (!given) return nullptr;
  Json out{{"p50", or_null(given->p50_ms)},
           {"p95", or_null(given->p95_ms)},
           {"p99", or_null(given->p99_ms)},
           {"max", or_null(given->max_ms)},
           {"mean", nullptr},
           {"deviation", nullptr}};
  if (!timeline.latency.empty()) {
    const double mean = *timeline.latency.mean() / 1e6;
    out["mean"] = mean;
    out["deviation"] = deviation_of(timeline.latency, mean);
  }
  return out;
}

// The first and the last second are cut where the load begins and ends: their requests are those of so much of them.
Json seconds_json(const RunOutcome& outcome) {
  constexpr double kLeast = 0.25;  // of a second: a rate of less is a coincidence
  Json list = Json::array();
  for (const load::LoadBucket& bucket : outcome.timeline.buckets) {
    const std::int64_t begins = bucket.from.time_since_epoch().count();
    const std::int64_t from = std::max(begins, outcome.from_ns),
                       to = std::min<std::int64_t>(begins + bucket.width.count(), outcome.to_ns);
    const double width = static_cast<double>(to - from) / 1e9;
    if (width < kLeast) continue;
    const auto p95 = bucket.all.latency.quantile(0.95);
    list.push_back({{"at_s", static_cast<double>(from - outcome.from_ns) / 1e9},
                    {"rps", static_cast<double>(bucket.all.requests) / width},
                    {"errors", bucket.all.errors},
                    {"p95_ms", p95 ? Json(static_cast<double>(*p95) / 1e6) : Json(nullptr)}});
  }
  return list;
}

// Requests in each second by latency: rows of the load-distribution heat map, from 0.1 ms up in octaves.
Json heat_json(const RunOutcome& outcome) {
  constexpr std::size_t kMostColumns = 120, kRows = 18;
  const auto& buckets = outcome.timeline.buckets;
  if (outcome.timeline.latency.empty() || buckets.empty()) return nullptr;
  // A column is a stretch of time: where nothing was sent there is one without requests.
  const std::int64_t first = buckets.front().from.time_since_epoch().count(),
                     width_ns = std::max<std::int64_t>(1, buckets.front().width.count());
  const auto place = [&](const load::LoadBucket& bucket) {
    return static_cast<std::size_t>((bucket.from.time_since_epoch().count() - first) / width_ns);
  };
  const std::size_t seconds = place(buckets.back()) + 1, each = (seconds + kMostColumns - 1) / kMostColumns;
  std::vector<std::vector<std::uint64_t>> columns((seconds + each - 1) / each, std::vector<std::uint64_t>(kRows));
  for (const load::LoadBucket& from : buckets) {
    from.all.latency.each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
      const double ms = static_cast<double>(run::Histogram::bucket_low(bucket)) / 1e6;
      const auto row =
          static_cast<std::size_t>(std::clamp(std::floor(std::log2(std::max(ms, 1e-9) / 0.1)) + 1, 0.0, kRows - 1.0));
      columns[place(from) / each][row] += count;
    });
  }
  return Json{{"lowest_ms", 0.1},
              {"from_s", static_cast<double>(first - outcome.from_ns) / 1e9},
              {"seconds_a_column", static_cast<double>(each) * static_cast<double>(width_ns) / 1e9},
              {"columns", columns}};
}

Json error_kinds_json(const load::LoadTimeline& timeline) {
  Json list = Json::array();
  for (const load::ErrorKind& kind : timeline.error_kinds) list.push_back({{"kind", kind.kind}, {"count", kind.count}});
  return list;
}

// The phases that are neither warm-up nor ramp, together. Null where there is none, or what each was sent is not known.
Json measured_json(const RunOutcome& outcome) {
  Json names = Json::array();
  double seconds = 0, requests = 0;
  run::Histogram latency;
  for (std::size_t i = 0; i < outcome.phases.size(); ++i) {
    const PhaseSpan& phase = outcome.phases[i];
    if (phase.kind == "warm-up" || phase.kind == "ramp") continue;
    const Json own = phase_load(outcome, i);
    if (!own["requests"].is_number()) return nullptr;
    names.push_back(phase.name);
    requests += own["requests"].get<double>();
    seconds += static_cast<double>(phase.to_ns - phase.from_ns) / 1e9;
    for (const load::LoadBucket& bucket : buckets_of_phase(outcome, i)) latency.merge(bucket.all.latency);
  }
  if (seconds <= 0) return nullptr;
  Json quantiles = nullptr;
  if (!latency.empty()) {
    const auto ms = [&](double share) { return static_cast<double>(*latency.quantile(share)) / 1e6; };
    quantiles = {{"p50", ms(0.5)}, {"p95", ms(0.95)}, {"p99", ms(0.99)}};
  } else if (names.size() == outcome.phases.size()) {
    quantiles = quantiles_json(outcome.timeline);
  } else if (names.size() == 1) {
    for (std::size_t i = 0; i < outcome.phases.size(); ++i) {
      if (outcome.phases[i].name != names[0]) continue;
      const Json own = phase_load(outcome, i);
      quantiles = {{"p50", own["latency_p50_ms"]}, {"p95", own["latency_p95_ms"]}, {"p99", own["latency_p99_ms"]}};
    }
  }
  return Json{{"phases", names},
              {"seconds", seconds},
              {"requests", requests},
              {"throughput_rps", requests / seconds},
              {"latency_ms", quantiles}};
}

}  // namespace

Json load_json(const std::string& tool, const RunOutcome& outcome) {
  const double seconds = static_cast<double>(outcome.to_ns - outcome.from_ns) / 1e9;
  const auto requests = outcome.timeline.requests.value_or(0);
  const auto& errors = outcome.timeline.errors;
  return Json{{"tool", tool},
              {"seconds", seconds},
              {"requests", requests},
              {"errors", errors ? Json(*errors) : Json(nullptr)},
              {"throughput_rps", seconds > 0 ? static_cast<double>(requests) / seconds : 0.0},
              {"error_rate", errors && requests > 0 ? Json(static_cast<double>(*errors) / static_cast<double>(requests))
                                                    : Json(nullptr)},
              {"error_kinds", error_kinds_json(outcome.timeline)},
              {"latency_ms", quantiles_json(outcome.timeline)},
              {"latency_counts_from", load::to_string(outcome.timeline.latency_basis)},
              {"measured", measured_json(outcome)},
              {"by_second", seconds_json(outcome)},
              {"heat", heat_json(outcome)}};
}

}  // namespace camprobe::suite
