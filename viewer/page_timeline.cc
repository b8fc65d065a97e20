// viewer/page_timeline.cc: see page_timeline.h.
#include "viewer/page_timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "run/histogram.h"
#include "viewer/page_values.h"

namespace camprobe::viewer {

using exporters::printable_utf8;
using nlohmann::json;
using run::number;

namespace {

// The mean, over each bucket, of values that hold for stretches of whole seconds.
class Buckets {
 public:
  Buckets(std::int64_t width, std::size_t count) : width_(width), sum_(count), covered_(count) {}

  void add(std::int64_t from, std::int64_t to, double value) {  // value holds over [from, to) seconds
    from = std::max<std::int64_t>(from, 0);
    to = std::min(to, width_ * static_cast<std::int64_t>(sum_.size()));
    while (from < to) {
      const std::int64_t bucket = from / width_;
      const std::int64_t end = std::min(to, (bucket + 1) * width_);
      sum_[static_cast<std::size_t>(bucket)] += value * static_cast<double>(end - from);
      covered_[static_cast<std::size_t>(bucket)] += static_cast<double>(end - from);
      from = end;
    }
  }
  [[nodiscard]] std::optional<double> mean(std::size_t bucket) const {
    if (covered_[bucket] <= 0) return std::nullopt;
    return sum_[bucket] / covered_[bucket];
  }
  [[nodiscard]] std::size_t size() const { return sum_.size(); }

 private:
  std::int64_t width_;
  std::vector<double> sum_;
  std::vector<double> covered_;
};

json values_of(const Buckets& buckets) {
  json values = json::array();
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const auto mean = buckets.mean(i);
    values.push_back(mean ? short_number(*mean) : json());
  }
  return values;
}

json summed_values(const std::vector<const Buckets*>& parts) {
  json values = json::array();
  for (std::size_t i = 0; i < parts.front()->size(); ++i) {
    std::optional<double> sum;
    for (const Buckets* part : parts) {
      if (const auto mean = part->mean(i)) sum = sum.value_or(0) + *mean;
    }
    values.push_back(sum ? short_number(*sum) : json());
  }
  return values;
}

// One metric by process, counters as what they grew by per second.
std::map<run::ProcessId, Buckets> resampled(run::Reader& run, const run::Metric& metric, std::int64_t width,
                                            std::size_t count) {
  std::map<run::ProcessId, Buckets> by_process;
  const run::Point* before = nullptr;
  const std::vector<run::Point> points = run.series(metric.name);
  const auto end_of = [](const run::Point& point) { return point.second + std::max<std::int64_t>(1, point.width); };
  for (const run::Point& point : points) {
    if (!std::isfinite(point.value)) continue;
    Buckets& buckets = by_process.try_emplace(point.process, width, count).first->second;
    if (metric.kind != "counter") {
      buckets.add(point.second, end_of(point), point.value);
      continue;
    }
    // A counter that fell began anew (another process image): what happened in between is not known.
    if (before != nullptr && before->process == point.process && end_of(point) > end_of(*before) &&
        point.value >= before->value) {
      const double rate = (point.value - before->value) / static_cast<double>(end_of(point) - end_of(*before));
      buckets.add(end_of(*before), end_of(point), rate);
    }
    before = &point;
  }
  return by_process;
}

void add_metric_series(run::Reader& run, std::int64_t width, std::size_t count, const PageLimits& limits,
                       json& series) {
  for (const run::Metric& metric : run.metrics()) {
    const std::map<run::ProcessId, Buckets> by_process = resampled(run, metric, width, count);
    const auto add = [&](const json& process, json values) {
      const std::string unit = metric.kind == "counter" ? metric.unit + "_per_second" : metric.unit;
      series.push_back({{"name", printable_utf8(metric.name)},
                        {"unit", printable_utf8(unit)},
                        {"process", process},
                        {"values", std::move(values)}});
    };
    std::vector<const Buckets*> programs;
    for (const auto& [process, buckets] : by_process) {
      if (process != run::kMachine) programs.push_back(&buckets);
    }
    if (!programs.empty()) add(nullptr, summed_values(programs));
    for (const auto& [process, buckets] : by_process) {
      const bool shown_already =
          process != run::kMachine && (programs.size() == 1 || programs.size() > limits.processes_drawn);
      if (!shown_already) add(number(process), values_of(buckets));
    }
  }
}

// What the load tools said, all of them together. Histograms add up; where a tool gave only quantiles, the worst of a
// bucket stands for it, since quantiles of quantiles mean nothing.
// Returns the histograms of latency by bucket.
std::vector<run::Histogram> add_load_series(run::Reader& run, std::int64_t width, std::size_t count, json& series) {
  std::map<run::SourceId, Buckets> requests, errors, users;
  std::vector<run::Histogram> latency(count);
  std::array<std::vector<std::optional<double>>, 3> worst;
  for (auto& values : worst) values.resize(count);
  for (const run::LoadBucket& row : run.load_buckets("")) {
    const std::int64_t span = std::max<std::int64_t>(1, row.width);
    const auto rate = [&](std::int64_t n) { return static_cast<double>(n) / static_cast<double>(span); };
    requests.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, rate(row.requests));
    errors.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, rate(row.errors));
    if (row.users)
      users.try_emplace(row.source, width, count).first->second.add(row.second, row.second + span, *row.users);
    const std::int64_t bucket = row.second / width;
    if (row.second < 0 || bucket >= static_cast<std::int64_t>(count)) continue;
    const auto at = static_cast<std::size_t>(bucket);
    if (row.latency) {
      if (const auto histogram = run::Histogram::from_json(*row.latency)) {
        latency[at].merge(histogram.value());
        continue;
      }
    }
    const std::array<std::optional<double>, 3> given{row.p50_ms, row.p95_ms, row.p99_ms};
    for (std::size_t q = 0; q < given.size(); ++q) {
      if (given[q]) worst[q][at] = std::max(worst[q][at].value_or(*given[q]), *given[q]);
    }
  }
  const auto add = [&](const char* name, const char* unit, json values) {
    series.push_back({{"name", name}, {"unit", unit}, {"process", nullptr}, {"values", std::move(values)}});
  };
  const auto add_sum = [&](const char* name, const char* unit, const std::map<run::SourceId, Buckets>& parts) {
    if (parts.empty()) return;
    std::vector<const Buckets*> list;
    for (const auto& [source, buckets] : parts) list.push_back(&buckets);
    add(name, unit, summed_values(list));
  };
  add_sum("load_requests", "per_second", requests);
  add_sum("load_errors", "per_second", errors);
  add_sum("load_users", "count", users);
  static constexpr std::array<std::pair<const char*, double>, 3> kQuantiles{
      {{"latency_p50_ms", 0.5}, {"latency_p95_ms", 0.95}, {"latency_p99_ms", 0.99}}};
  for (std::size_t q = 0; q < kQuantiles.size(); ++q) {
    json values = json::array();
    bool any = false;
    for (std::size_t i = 0; i < count; ++i) {
      std::optional<double> ms = worst[q][i];
      if (const auto ns = latency[i].quantile(kQuantiles[q].second))
        ms = std::max(ms.value_or(0), static_cast<double>(*ns) / 1e6);
      any = any || ms.has_value();
      values.push_back(ms ? short_number(*ms) : json());
    }
    if (any) add(kQuantiles[q].first, "ms", std::move(values));
  }
  return latency;
}

// A row of the heat map is a quarter of an octave: 19 % from one to the next, as fine as a screen shows seven decades.
constexpr double kRowsPerOctave = 4;
constexpr std::size_t kHeatColumns = 240;

std::int64_t heat_row(std::uint64_t ns) {
  return static_cast<std::int64_t>(
      std::floor(kRowsPerOctave * std::log2(static_cast<double>(std::max<std::uint64_t>(1, ns)))));
}

// Requests by column of time and row of latency; null where no load tool gave single latencies. What a slow minority
// does (a second band, a comb of pauses) is seen here and in no quantile.
json latency_heat(const std::vector<run::Histogram>& latency, std::int64_t width) {
  const std::size_t merged = (latency.size() + kHeatColumns - 1) / kHeatColumns;
  std::vector<std::map<std::int64_t, std::uint64_t>> columns((latency.size() + merged - 1) /
                                                             std::max<std::size_t>(1, merged));
  std::int64_t lowest = std::numeric_limits<std::int64_t>::max(), highest = std::numeric_limits<std::int64_t>::min();
  for (std::size_t i = 0; i < latency.size(); ++i) {
    latency[i].each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
      const std::uint64_t low = run::Histogram::bucket_low(bucket);
      const std::int64_t row = heat_row(low + (run::Histogram::bucket_high(bucket) - low) / 2);
      columns[i / merged][row] += count;
      lowest = std::min(lowest, row);
      highest = std::max(highest, row);
    });
  }
  if (lowest > highest) return nullptr;
  json counts = json::array();
  for (const auto& column : columns) {
    json rows = json::array();
    for (std::int64_t row = lowest; row <= highest; ++row) {
      const auto found = column.find(row);
      rows.push_back(found == column.end() ? 0 : found->second);
    }
    counts.push_back(std::move(rows));
  }
  return {{"width_s", width * static_cast<std::int64_t>(merged)},
          {"rows_per_octave", kRowsPerOctave},
          {"lowest_ms", std::exp2(static_cast<double>(lowest) / kRowsPerOctave) / 1e6},
          {"counts", std::move(counts)}};
}

}  // namespace

json timeline(run::Reader& run, const PageLimits& limits, json& notes) {
  const std::int64_t length = std::max<std::int64_t>(1, (run.duration_ns() + kSecond - 1) / kSecond);
  std::int64_t width = 1;
  const auto count_at = [&](std::int64_t w) { return static_cast<std::size_t>((length + w - 1) / w); };
  while (count_at(width) > limits.timeline_buckets) width = wider(width);
  json series = json::array();
  const std::vector<run::Histogram> latency = add_load_series(run, width, count_at(width), series);
  add_metric_series(run, width, count_at(width), limits, series);
  if (width > 1) {
    notes.push_back(
        fmt::format("Each point of the timeline is the mean of {}; where the load tool gave only quantiles, it is the "
                    "worst of them.",
                    width_text(width)));
  }
  return {{"width_s", width},
          {"buckets", count_at(width)},
          {"series", std::move(series)},
          {"latency_heat", latency_heat(latency, width)}};
}

}  // namespace camprobe::viewer
