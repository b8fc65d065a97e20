// exporters/timeline.cc: see timeline.h.
#include "exporters/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "exporters/safe_text.h"
#include "run/histogram.h"

namespace camprobe::exporters {

namespace {

std::string unit_of_rate(const std::string& unit) {
  return unit == "ns" ? "cores" : unit + " per second";
}

// A cumulative series as its rate: from each point to the next what was added between them, per second.
std::vector<std::pair<std::int64_t, double>> rates_of(const std::vector<run::Point>& points, bool is_ns) {
  std::vector<std::pair<std::int64_t, double>> rates;
  for (std::size_t i = 1; i < points.size(); ++i) {
    const double seconds = static_cast<double>(points[i].second) - static_cast<double>(points[i - 1].second);
    if (seconds <= 0) continue;
    const double added = points[i].value - points[i - 1].value;
    rates.emplace_back(ns_of_second(points[i].second), added / seconds / (is_ns ? 1e9 : 1));
  }
  return rates;
}

using UseCounter = std::function<void(const Counter&)>;

void each_metric(run::Reader& run, const Filter& filter, const UseCounter& use) {
  for (const run::Metric& metric : run.metrics()) {
    std::map<run::ProcessId, std::vector<run::Point>> by_process;
    for (const run::Point& point : run.series(metric.name)) {
      if (filter.has(point.process)) by_process[point.process].push_back(point);
    }
    for (const auto& [process, points] : by_process) {
      Counter counter{process, printable_utf8(metric.name), printable_utf8(metric.unit), {}};
      if (metric.kind == "counter") {
        counter.unit = unit_of_rate(counter.unit);
        counter.points = rates_of(points, metric.unit == "ns");
      } else {
        for (const run::Point& point : points) counter.points.emplace_back(ns_of_second(point.second), point.value);
      }
      std::erase_if(counter.points, [&](const auto& point) { return !filter.has_time(point.first); });
      if (!counter.points.empty()) use(counter);
    }
  }
}

void each_load_counter(run::Reader& run, const Filter& filter, const UseCounter& use) {
  Counter requests{run::kMachine, "load requests", "per second", {}},
      errors{run::kMachine, "load errors", "per second", {}}, users{run::kMachine, "load users", "count", {}},
      p95{run::kMachine, "load p95", "ms", {}};
  for (const run::LoadBucket& bucket : run.load_buckets("")) {
    const std::int64_t at_ns = ns_of_second(bucket.second);
    if (!filter.has_time(at_ns)) continue;
    const double width = static_cast<double>(std::max<std::int64_t>(1, bucket.width));
    const auto put = [&](Counter& counter, double value) { counter.points.emplace_back(at_ns, value); };
    put(requests, static_cast<double>(bucket.requests) / width);
    put(errors, static_cast<double>(bucket.errors) / width);
    if (bucket.users) put(users, *bucket.users);
    std::optional<double> ms = bucket.p95_ms;
    if (bucket.latency) {
      if (const auto histogram = run::Histogram::from_json(*bucket.latency)) {
        if (const auto ns = histogram->quantile(0.95)) ms = static_cast<double>(*ns) / 1e6;
      }
    }
    if (ms) put(p95, *ms);
  }
  for (Counter* counter : {&requests, &errors, &users, &p95}) {
    if (counter->points.empty()) continue;
    std::stable_sort(counter->points.begin(), counter->points.end());
    use(*counter);
  }
}

void add_windows(run::Reader& run, const Filter& filter, Timeline& out) {
  std::vector<std::int64_t> lane_ends;
  for (run::LoadWindow window : run.load_windows()) {
    const TimeRange outer = filter.outer();
    window.from_ns = std::clamp(window.from_ns, outer.from_ns, outer.to_ns);
    window.to_ns = std::clamp(window.to_ns, outer.from_ns, outer.to_ns);
    if (window.from_ns >= window.to_ns) continue;
    const auto free = std::find_if(lane_ends.begin(), lane_ends.end(),
                                   [&](std::int64_t ends_ns) { return ends_ns <= window.from_ns; });
    const auto lane = static_cast<std::uint32_t>(free - lane_ends.begin());
    if (free == lane_ends.end()) lane_ends.push_back(0);
    lane_ends[lane] = window.to_ns;
    out.windows.push_back({std::move(window), lane});
  }
}

void add_instants(run::Reader& run, const Filter& filter, Timeline& out) {
  const auto add = [&](std::int64_t at_ns, run::ProcessId process, std::string text) {
    if (filter.has_time(at_ns)) out.instants.push_back({at_ns, process, printable_utf8(text)});
  };
  for (const run::Mark& mark : run.marks()) add(mark.at_ns, run::kMachine, mark.text);
  for (const auto& [id, process] : out.processes) {
    if (id == run::kMachine || !filter.has(id)) continue;
    add(process.began_ns, id, "process began");
    if (process.ended_ns) add(*process.ended_ns, id, "process " + process.ended_how);
  }
  std::stable_sort(out.instants.begin(), out.instants.end(),
                   [](const Instant& a, const Instant& b) { return a.at_ns < b.at_ns; });
}

// A series belongs to no thread and no span.
bool has_series(const Filter& filter) {
  return !filter.threads && !filter.span;
}

}  // namespace

void each_counter(run::Reader& run, const Filter& filter, const UseCounter& use) {
  if (!has_series(filter)) return;
  each_metric(run, filter, use);
  if (!filter.processes) each_load_counter(run, filter, use);
}

Timeline timeline_of(run::Reader& run, const Filter& filter) {
  Timeline out;
  for (run::Process& process : run.processes()) out.processes.emplace(process.id, std::move(process));
  for (run::Thread& thread : run.threads()) out.threads.emplace(thread.id, std::move(thread));
  out.spans = span_tracks(run, filter);
  out.cpu = cpu_sampling(run, filter);
  if (has_series(filter)) {
    if (!filter.processes) add_windows(run, filter, out);
    add_instants(run, filter, out);
  }
  bool is_empty = out.spans.spans.empty() && out.windows.empty() && out.instants.empty() && out.cpu.taken == 0;
  if (is_empty) each_counter(run, filter, [&](const Counter&) { is_empty = false; });
  if (run.error()) throw SliceError(run.error()->sentence);
  if (is_empty) {
    throw SliceError(fmt::format("{}: nothing to export {}: {}", run.path(), filter.words,
                                 has_series(filter) ? "no span, sample, series or mark lies there"
                                                    : "the program began no span and no CPU sample was taken there"));
  }
  return out;
}

std::vector<std::string> notes_of(const Timeline& timeline) {
  std::vector<std::string> notes;
  if (timeline.spans.left_out > 0) notes.push_back(note_of_spans(timeline.spans.spans.size(), timeline.spans.left_out));
  if (timeline.cpu.one_of > 1)
    notes.push_back(
        fmt::format("of the CPU samples one of {} is in it; choose a shorter range to have all", timeline.cpu.one_of));
  return notes;
}

std::string track_name(const std::map<run::ThreadId, run::Thread>& threads, const SpanTrack& track) {
  const auto found = threads.find(track.thread);
  std::string name = "thread";
  if (found != threads.end()) {
    name =
        found->second.name.empty() ? fmt::format("thread {}", found->second.tid) : printable_utf8(found->second.name);
  }
  return track.lane == 0 ? name : fmt::format("{} ({})", name, track.lane + 1);
}

}  // namespace camprobe::exporters
