#include "collector/analysis/service_of_run.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "collector/analysis/own_frame.h"
#include "collector/analysis/series_of_run.h"

namespace camprobe::analysis {
namespace {

constexpr double kNs = 1e9;

LatencyPoint latency_point(const run::LoadBucket& b) {
  LatencyPoint p;
  p.at = static_cast<double>(b.second);
  p.width = static_cast<double>(std::max<std::int64_t>(b.width, 1));
  p.requests = static_cast<double>(b.requests);
  p.errors = static_cast<double>(b.errors);
  if (b.latency) {
    if (auto histogram = run::Histogram::from_json(*b.latency)) p.latency = std::move(*histogram);
  }
  p.p50_ms = b.p50_ms.value_or(0);
  p.p95_ms = b.p95_ms.value_or(0);
  p.p99_ms = b.p99_ms.value_or(0);
  return p;
}

void add_to(std::map<Seconds, LatencyPoint>& series, LatencyPoint p) {
  const auto [found, is_new] = series.try_emplace(p.at, p);
  if (is_new) return;
  found->second.requests += p.requests;
  found->second.errors += p.errors;
  found->second.latency.merge(p.latency);
}

LatencySeries series_of(const std::string& name, std::map<Seconds, LatencyPoint>&& points) {
  LatencySeries series{name, {}};
  for (auto& [at, p] : points) series.points.push_back(std::move(p));
  return series;
}

// CPU by function with what it calls, for the functions that carry it. Cut into at most a few hundred stretches of
// time, so that a run of days is no larger than one of minutes.
void read_frames(run::Reader& reader, RunInput& input) {
  const Stretch& s = input.stretch;
  const double width = std::max(1.0, std::ceil((s.end - s.begin) / 240));
  std::unordered_map<std::uint64_t, std::map<std::int64_t, double>> by_function;
  struct Function {
    std::string name;
    bool of_library;
  };
  std::unordered_map<std::uint64_t, Function> names;
  std::unordered_map<run::StackId, std::vector<std::uint64_t>> functions;
  const run::Slice slice{
      static_cast<std::int64_t>(s.begin * kNs), static_cast<std::int64_t>(std::ceil(s.end) * kNs), {}, {}, {}};
  reader.each_cpu(slice, [&](const run::CpuRow& row) {
    auto [found, is_new] = functions.try_emplace(row.stack);
    if (is_new) {
      std::set<std::uint64_t> seen;  // recursion counts once
      for (const run::FrameId id : reader.stack(row.stack).frames) {
        const run::Frame& frame = reader.frame(id);
        const std::string& name = frame.function;
        const std::uint64_t key = hash_of_name(name);
        if (seen.insert(key).second) {
          found->second.push_back(key);
          names.try_emplace(key, Function{name, is_library_frame(frame)});
        }
      }
    }
    const auto part = static_cast<std::int64_t>(static_cast<double>(row.second) / width);
    for (const std::uint64_t key : found->second) by_function[key][part] += row.weight_ns;
  });
  std::vector<std::pair<double, std::uint64_t>> heaviest;
  for (const auto& [key, parts] : by_function) {
    double sum = 0;
    for (const auto& [part, ns] : parts) sum += ns;
    heaviest.emplace_back(sum, key);
  }
  std::sort(heaviest.rbegin(), heaviest.rend());
  if (heaviest.size() > 300) heaviest.resize(300);
  for (const auto& [sum, key] : heaviest) {
    const Function& function = names.at(key);
    CpuSeries series{key, function.name, {}, function.of_library};
    for (const auto& [part, ns] : by_function[key])
      series.nanoseconds.push_back({static_cast<double>(part) * width, ns});
    input.service.frames.push_back(std::move(series));
  }
}

// Processor time that went to programs other than the recorded ones, and what a hypervisor took, as a share of the
// machine: late less early.
void read_neighbours(run::Reader& reader, RunInput& input) {
  const auto busy = rises_of(
      reader, {metrics::kMachineCpuUser.name, metrics::kMachineCpuSystem.name, metrics::kMachineSteal.name}, true);
  const auto idle = rises_of(reader, {metrics::kMachineIdle.name, metrics::kMachineIoWait.name}, true);
  if (busy.empty() || idle.empty()) return;
  std::map<std::int64_t, double> ours;
  for (const auto& p : input.service.cpu) ours[static_cast<std::int64_t>(p.at)] = p.value;
  const Stretch& s = input.stretch;
  const double third = (s.end - s.warm_up) / 3;
  double worked = 0, rested = 0;
  for (const auto& [second, ns] : busy) worked += static_cast<double>(second) >= s.end - third ? ns : 0;
  for (const auto& [second, ns] : idle) rested += static_cast<double>(second) >= s.end - third ? ns : 0;
  if (worked + rested > 0) input.idle = rested / (worked + rested);
  const auto share = [&](Seconds from, Seconds to) {
    double others = 0, all = 0;
    for (const auto& [second, ns] : busy) {
      const auto at = static_cast<double>(second);
      if (at < from || at >= to) continue;
      const auto mine = ours.find(second);
      const auto rest = idle.find(second);
      others += std::max(0.0, ns - (mine == ours.end() ? 0 : mine->second));
      all += ns + (rest == idle.end() ? 0 : rest->second);
    }
    return all > 0 ? others / all : 0;
  };
  input.neighbours = share(s.end - third, s.end) - share(s.warm_up, s.warm_up + third);
}

}  // namespace

LatencySeries latency_series(const std::string& endpoint, const std::vector<run::LoadBucket>& buckets) {
  std::map<Seconds, LatencyPoint> points;
  for (const run::LoadBucket& bucket : buckets) add_to(points, latency_point(bucket));
  return series_of(endpoint, std::move(points));
}

void read_service(run::Reader& reader, bool load_results, RunInput& input) {
  std::map<std::string, std::map<Seconds, LatencyPoint>> endpoints;
  for (const run::LoadBucket& bucket : load_results ? reader.load_buckets() : std::vector<run::LoadBucket>{})
    add_to(endpoints[bucket.endpoint], latency_point(bucket));
  if (!endpoints.empty()) {
    input.latency_from = "load tool";
  } else if (input.clock.source() == WorkSource::kSpans) {
    input.latency_from = "spans";
    for (const run::SpanStat& stat : reader.span_stats()) {
      if (reader.name(stat.name) != input.work_span) continue;
      LatencyPoint p;
      p.at = static_cast<double>(stat.second);
      p.width = static_cast<double>(stat.width);
      p.requests = static_cast<double>(stat.spans);
      if (auto histogram = run::Histogram::from_json(stat.latency)) p.latency = std::move(*histogram);
      add_to(endpoints[""], std::move(p));
    }
  }
  for (auto& [name, points] : endpoints) {
    LatencySeries series = series_of(name, std::move(points));
    if (name.empty())
      input.service.all = std::move(series);
    else
      input.service.endpoints.push_back(std::move(series));
  }
  for (const auto& [second, ns] : rises_of(reader, {metrics::kCpuUser.name, metrics::kCpuSystem.name}, false)) {
    input.service.cpu.push_back({static_cast<double>(second), ns});
  }
  read_frames(reader, input);
  read_neighbours(reader, input);
}

}  // namespace camprobe::analysis
