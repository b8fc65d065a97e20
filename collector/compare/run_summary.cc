// collector/compare/run_summary.cc
#include "collector/compare/run_summary.h"

#include <algorithm>
#include <cmath>

#include "collector/analysis/from_run.h"
#include "collector/compare/effects.h"
#include "collector/gates/measure.h"
#include "collector/metrics.h"

namespace camprobe::compare {

using analysis::GaugePoint;
using analysis::LatencyPoint;
using analysis::LatencySeries;
using analysis::Seconds;

namespace {

constexpr double kMostWindows = 240;

double share_of(std::string_view metric) {
  return metric.ends_with("p50_ms") ? 0.5 : metric.ends_with("p95_ms") ? 0.95 : 0.99;
}

class Summary {
 public:
  Summary(run::Reader& reader, const analysis::RunInput& input, const run::Report& report)
      : reader_(reader), input_(input), report_(report), measurements_(reader, input, report) {
    const double length = input.stretch.end - input.stretch.warm_up;
    width_ = std::max(1.0, std::ceil(length / kMostWindows));
  }

  RunSummary make() {
    describe();
    for (const Effect& effect : all_effects()) {
      add(effect, "");
      if (gates::metric_named(effect.metric)->scopes != gates::Scopes::kEndpointAndWindow) continue;
      if (input_.service.endpoints.size() < 2) continue;
      for (const LatencySeries& series : input_.service.endpoints) add(effect, series.endpoint);
    }
    add_stacks("cpu", reader_.cpu());
    add_stacks("alloc", reader_.alloc());
    for (const run::Finding& f : report_.findings) summary_.findings.push_back({f.id, f.title, f.confirmed});
    return std::move(summary_);
  }

 private:
  void describe() {
    summary_.file = report_.run.file.substr(report_.run.file.rfind('/') + 1);
    summary_.run_id = report_.run.run_id;
    summary_.started_at = report_.run.started_at;
    summary_.host = report_.run.host;
    summary_.camprobe_version = report_.run.camprobe_version;
    summary_.command = report_.run.command;
    summary_.seconds = report_.run.seconds;
    summary_.requests = static_cast<double>(report_.load.requests);
    summary_.latency_basis = report_.load.latency_basis;
    summary_.leaks_judged = report_.analysis.leaks_judged;
    const auto rate = measurements_.measure(*gates::metric_named("throughput_rps"));
    summary_.requests_per_second = rate.value.value_or(0);
    double all = 0;
    for (const run::ReportEndpoint& e : report_.load.endpoints) all += static_cast<double>(e.requests);
    for (const run::ReportEndpoint& e : report_.load.endpoints) {
      if (all > 0) summary_.mix[e.endpoint] = static_cast<double>(e.requests) / all;
    }
  }

  const LatencySeries* series_of(const std::string& endpoint) const {
    if (endpoint.empty()) return &input_.service.all;
    for (const LatencySeries& series : input_.service.endpoints) {
      if (series.endpoint == endpoint) return &series;
    }
    return nullptr;
  }

  bool judged(const LatencyPoint& p) const {
    return p.at >= input_.stretch.warm_up && p.at + p.width <= input_.stretch.end + 1e-9;
  }

  // Windows as wide as the quantile needs: kTail events beyond it, so that its own error is about a tenth of the tail's
  // spread.
  std::vector<double> quantiles(const std::vector<LatencyPoint>& points, double share) const {
    const double enough = analysis::Thresholds{}.tail_events / (1 - share);
    std::vector<double> logs;
    run::Histogram merged;
    Seconds begin = -1;
    for (const LatencyPoint& p : points) {
      if (!judged(p)) continue;
      if (p.latency.empty()) {
        const double ms = share == 0.5 ? p.p50_ms : share == 0.95 ? p.p95_ms : p.p99_ms;
        if (ms > 0) logs.push_back(std::log(ms));
        continue;
      }
      if (begin < 0) begin = p.at;
      merged.merge(p.latency);
      if (static_cast<double>(merged.count()) < enough || p.at + p.width - begin < width_) continue;
      logs.push_back(std::log(std::max(1e-6, static_cast<double>(*merged.quantile(share)) / 1e6)));
      merged = {};
      begin = -1;
    }
    return logs;
  }

  std::vector<LatencyPoint> span_points(std::string_view name) {
    std::map<std::int64_t, LatencyPoint> seconds;
    for (const run::SpanStat& stat : reader_.span_stats()) {
      if (reader_.name(stat.name) != name) continue;
      LatencyPoint& p = seconds[stat.second];
      p.at = static_cast<double>(stat.second);
      if (auto histogram = run::Histogram::from_json(stat.latency)) p.latency.merge(*histogram);
    }
    std::vector<LatencyPoint> points;
    points.reserve(seconds.size());
    for (auto& [second, p] : seconds) points.push_back(std::move(p));
    return points;
  }

  // value(from, to) of each window, where it has one.
  template <typename Value>
  std::vector<double> over_windows(Value value) const {
    std::vector<double> values;
    const auto& s = input_.stretch;
    for (Seconds from = std::ceil(s.warm_up); from + width_ <= s.end + 1e-9; from += width_) {
      if (const std::optional<double> v = value(from, from + width_)) values.push_back(*v);
    }
    return values;
  }

  static std::optional<double> log_of(double value) {
    return value > 0 ? std::optional(std::log(value)) : std::nullopt;
  }

  std::pair<double, double> counted(const LatencySeries& series, Seconds from, Seconds to) const {
    double requests = 0, errors = 0;
    for (const LatencyPoint& p : series.points) {
      const double width = std::max(p.width, 1.0);
      const double overlap = std::min(to, p.at + width) - std::max(from, p.at);
      if (overlap > 0) requests += p.requests * overlap / width, errors += p.errors * overlap / width;
    }
    return {requests, errors};
  }

  void put(std::string_view metric, const std::string& endpoint, const Level& level) {
    summary_.figures.push_back({std::string(metric), endpoint, level});
  }
  void put_windows(std::string_view metric, const std::string& endpoint, const std::vector<double>& values,
                   bool by_mean) {
    if (!values.empty()) put(metric, endpoint, level_of(values, by_mean));
  }

  void add(const Effect& effect, const std::string& endpoint) {
    const std::string_view name = effect.metric;
    const LatencySeries* series = series_of(endpoint);
    if (name.starts_with("latency_")) {
      put_windows(name, endpoint, quantiles(series->points, share_of(name)), false);
    } else if (name.starts_with("arbitration_") || name.starts_with("consensus_")) {
      const auto points = span_points(name.starts_with("arbitration_") ? "cam.arbitration" : "cam.consensus");
      put_windows(name, "", quantiles(points, share_of(name)), false);
    } else if (name == "throughput_rps") {
      if (series->points.empty()) return;
      put_windows(name, endpoint, over_windows([&](Seconds from, Seconds to) {
                    return log_of(counted(*series, from, to).first / (to - from));
                  }),
                  false);
    } else if (name == "error_rate") {
      if (input_.latency_from != "load tool") return;
      put_windows(name, endpoint, over_windows([&](Seconds from, Seconds to) -> std::optional<double> {
                    const auto [requests, errors] = counted(*series, from, to);
                    return requests > 0 ? std::optional(errors / requests) : std::nullopt;
                  }),
                  true);
    } else if (name.starts_with("cpu_")) {
      const bool per_request = name == "cpu_per_request_ms";
      if (per_request && !counts_requests()) return;
      put_windows(name, "", over_windows([&](Seconds from, Seconds to) -> std::optional<double> {
                    double ns = 0;
                    for (const GaugePoint& p : input_.service.cpu) ns += p.at >= from && p.at < to ? p.value : 0;
                    if (!per_request) return log_of(ns / 1e9 / (to - from));
                    const double requests = input_.clock.at(to) - input_.clock.at(from);
                    return requests > 0 ? log_of(ns / 1e6 / requests) : std::nullopt;
                  }),
                  false);
    } else if (name.starts_with("alloc")) {
      if (!counts_requests()) return;
      const run::Metric& counter =
          name == "allocations_per_request" ? metrics::kHeapAllocations : metrics::kHeapAllocatedBytes;
      put_windows(name, "", over_windows([&](Seconds from, Seconds to) -> std::optional<double> {
                    const auto rose = measurements_.rise(counter, from, to);
                    const double requests = input_.clock.at(to) - input_.clock.at(from);
                    return rose && requests > 0 ? log_of(*rose / requests) : std::nullopt;
                  }),
                  false);
    } else {
      add_one_number(effect, endpoint);
    }
  }

  // Peaks, growth, rates of the whole run: known without an error within the run, but for growth.
  void add_one_number(const Effect& effect, const std::string& endpoint) {
    const gates::Measured m = measurements_.measure(*gates::metric_named(effect.metric), {endpoint, ""});
    if (!m.value) return;
    Level level;
    level.effective = analysis::kAlive;
    if (effect.is_ratio) {
      if (*m.value <= 0) return;
      level.value = std::log(*m.value);
    } else {
      level.value = *m.value;
      if (m.interval) level.error = (m.interval->high - m.interval->low) / 4;  // 95 % is about two errors each way
    }
    put(effect.metric, endpoint, level);
  }

  bool counts_requests() const { return report_.load.counted_by == "load tool" || report_.load.counted_by == "spans"; }

  void add_stacks(const std::string& kind, const std::vector<run::StackWeight>& weights) {
    // Stacks are one where their functions are; addresses that have no name differ from run to run.
    std::map<std::vector<std::string>, HeavyStack> merged;
    double total = 0, samples = 0;
    for (const run::StackWeight& w : weights) {
      std::vector<std::string> frames;
      const run::Stack& stack = reader_.stack(w.stack);
      for (auto id = stack.frames.rbegin(); id != stack.frames.rend(); ++id) {
        const run::Frame& frame = reader_.frame(*id);
        const bool nameless = frame.kind == "unknown" || frame.kind == "lost" || frame.function.starts_with("0x");
        frames.push_back(nameless ? "[unknown]" : frame.function);
      }
      HeavyStack& out = merged[frames];
      out.kind = kind;
      out.frames = frames;
      out.weight += w.weight;
      out.samples += w.samples;
      total += w.weight;
      samples += static_cast<double>(w.samples);
    }
    summary_.stack_totals[kind] = samples;
    std::vector<HeavyStack> heavy;
    for (auto& [frames, stack] : merged) {
      if (stack.weight >= kLightest * total) heavy.push_back(std::move(stack));
    }
    std::stable_sort(heavy.begin(), heavy.end(), [](const auto& a, const auto& b) { return a.weight > b.weight; });
    if (heavy.size() > kMostStacks) heavy.resize(kMostStacks);
    summary_.stacks.insert(summary_.stacks.end(), std::make_move_iterator(heavy.begin()),
                           std::make_move_iterator(heavy.end()));
  }

  run::Reader& reader_;
  const analysis::RunInput& input_;
  const run::Report& report_;
  gates::Measurements measurements_;
  double width_ = 1;
  RunSummary summary_;
};

}  // namespace

RunSummary summary_of(run::Reader& reader) {
  const analysis::Thresholds thresholds;
  const analysis::RunInput input = analysis::input_from(reader, thresholds);
  const run::Report report = analysis::analyse(reader, input, thresholds);
  return Summary(reader, input, report).make();
}

}  // namespace camprobe::compare
