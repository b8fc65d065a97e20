// collector/gates/measure.cc
#include "collector/gates/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "collector/analysis/trend.h"
#include "collector/analysis/window_load.h"
#include "collector/metrics.h"

namespace camprobe::gates {

using analysis::GaugePoint;
using analysis::LatencyPoint;
using analysis::LatencySeries;
using analysis::Seconds;

namespace {

constexpr int kPeakSeconds = 5;
constexpr double kExpectedInASecond = 10;  // so many requests should have finished: none is an outage

Measured missing(std::string why) {
  return {std::nullopt, std::nullopt, std::move(why)};
}
Measured value(double number) {
  return {number, std::nullopt, ""};
}

bool within(const TimeSpans& spans, Seconds at) {
  return std::any_of(spans.begin(), spans.end(), [&](const auto& s) { return at >= s.first && at < s.second; });
}

// Windows of several load tools may overlap: each instant counts once.
TimeSpans united(TimeSpans spans) {
  std::sort(spans.begin(), spans.end());
  TimeSpans merged;
  for (const auto& span : spans) {
    if (!merged.empty() && span.first <= merged.back().second)
      merged.back().second = std::max(merged.back().second, span.second);
    else
      merged.push_back(span);
  }
  return merged;
}

// Without the seconds at their edges, which neighbours have a part of; as they are where nothing else is left.
TimeSpans whole_seconds_of(const TimeSpans& spans) {
  TimeSpans whole;
  for (const auto& [from, to] : spans) {
    if (std::floor(to) > std::ceil(from)) whole.emplace_back(std::ceil(from), std::floor(to));
  }
  return whole.empty() ? spans : whole;
}

double length_of(const TimeSpans& spans) {
  double seconds = 0;
  for (const auto& [from, to] : spans) seconds += to - from;
  return seconds;
}

std::string known(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < 8; ++i) list += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > 8) list += fmt::format(" and {} more", names.size() - 8);
  return list.empty() ? "there are none" : "there are " + list;
}

const run::Metric* level_of(std::string_view name) {
  if (name.starts_with("rss_")) return &metrics::kResidentBytes;
  if (name.starts_with("heap_")) return &metrics::kHeapLiveBytes;
  if (name.starts_with("fds_")) return &metrics::kOpenFds;
  if (name.starts_with("threads_")) return &metrics::kThreads;
  return nullptr;
}

}  // namespace

// What the load tool (or the root spans) counted in a scope.
struct Measurements::Sum {
  bool known = false;  // the endpoint and the window exist
  double requests = 0, errors = 0;
  run::Histogram latency;
  // Of buckets with quantiles only, weighted by requests.
  double weighted_p50 = 0, weighted_p95 = 0, weighted_p99 = 0, weight = 0;
};

Measurements::Measurements(run::Reader& reader, const analysis::RunInput& input, const run::Report& report)
    : reader_(reader), input_(input), report_(report), load_windows_(reader.load_windows()) {}

std::vector<std::string> Measurements::endpoints() const {
  std::vector<std::string> names;
  for (const LatencySeries& series : input_.service.endpoints) names.push_back(series.endpoint);
  return names;
}

std::vector<std::string> Measurements::windows() const {
  std::vector<std::string> names;
  for (const run::LoadWindow& w : load_windows_) {
    const std::string& name = w.name.empty() ? w.kind : w.name;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::vector<run::LoadWindow> Measurements::windows_named(const std::string& window) const {
  const bool is_name =
      std::any_of(load_windows_.begin(), load_windows_.end(), [&](const auto& w) { return w.name == window; });
  std::vector<run::LoadWindow> list;
  for (const run::LoadWindow& w : load_windows_) {
    if ((is_name ? w.name : w.kind) == window) list.push_back(w);
  }
  return list;
}

TimeSpans Measurements::spans_of(const std::string& window) const {
  TimeSpans spans;
  for (const run::LoadWindow& w : windows_named(window)) {
    // Whole seconds, as buckets are.
    const double from = std::floor(static_cast<double>(w.from_ns) / 1e9);
    spans.emplace_back(from, std::max(from + 1, std::ceil(static_cast<double>(w.to_ns) / 1e9)));
  }
  return united(std::move(spans));
}

TimeSpans Measurements::exact_spans_of(const std::string& window) const {
  TimeSpans spans;
  for (const run::LoadWindow& w : windows_named(window))
    spans.emplace_back(static_cast<double>(w.from_ns) / 1e9, static_cast<double>(w.to_ns) / 1e9);
  return united(std::move(spans));
}

const LatencySeries* Measurements::series_of(const std::string& endpoint) const {
  if (endpoint.empty()) return &input_.service.all;
  for (const LatencySeries& one : input_.service.endpoints) {
    if (one.endpoint == endpoint) return &one;
  }
  return nullptr;
}

const std::optional<LatencySeries>& Measurements::own_load(const Scope& scope) {
  const auto [found, is_new] = own_loads_.try_emplace(scope);
  if (is_new && !scope.window.empty() && input_.latency_from == "load tool")
    found->second = analysis::load_of_windows(reader_, windows_named(scope.window), load_windows_, scope.endpoint);
  return found->second;
}

TimeSpans Measurements::load_spans(const Scope& scope) const {
  if (!scope.window.empty()) return spans_of(scope.window);
  return {{input_.stretch.begin, input_.stretch.end}};
}

const std::vector<GaugePoint>& Measurements::level(const run::Metric& metric) {
  const auto [found, is_new] = levels_.try_emplace(metric.name);
  if (!is_new) return found->second;
  std::map<std::int64_t, double> seconds;
  for (const run::Point& p : reader_.series(metric.name)) {
    if (p.process != run::kMachine) seconds[p.second] += p.value;
  }
  for (const auto& [second, sum] : seconds) found->second.push_back({static_cast<double>(second), sum});
  return found->second;
}

std::optional<double> Measurements::rise(const run::Metric& counter, Seconds from, Seconds to) {
  const auto [found, is_new] = counters_.try_emplace(counter.name);
  if (is_new) found->second = reader_.series(counter.name);
  double sum = 0;
  bool any = false;
  const run::Point* before = nullptr;
  for (const run::Point& p : found->second) {
    if (p.process == run::kMachine) continue;
    // A point is how the counter stood when its bucket ended.
    const auto ends = [](const run::Point& point) { return static_cast<double>(point.second + point.width); };
    if (before != nullptr && before->process == p.process) {
      const double begin = ends(*before), end = ends(p);
      const double overlap = std::min(to, end) - std::max(from, begin);
      if (overlap > 0) any = true, sum += std::max(0.0, p.value - before->value) * overlap / (end - begin);
    }
    before = &p;
  }
  return any ? std::optional(sum) : std::nullopt;
}

Measurements::Sum Measurements::sum_of(const Scope& scope) {
  Sum sum;
  const auto& own = own_load(scope);
  const LatencySeries* series = own ? &*own : series_of(scope.endpoint);
  if (series == nullptr) return sum;
  const TimeSpans spans =
      scope.window.empty() || own ? TimeSpans{{-analysis::kAlive, analysis::kAlive}} : spans_of(scope.window);
  sum.known = !spans.empty();
  // A second at the window's edge holds its neighbour's latencies too: those that lie within it tell, if there are any.
  const TimeSpans exact = own || scope.window.empty() ? TimeSpans{} : exact_spans_of(scope.window);
  const auto is_whole = [&](const LatencyPoint& p) {
    return std::any_of(exact.begin(), exact.end(),
                       [&](const auto& s) { return p.at >= s.first && p.at + std::max(p.width, 1.0) <= s.second; });
  };
  const bool has_whole = std::any_of(series->points.begin(), series->points.end(), is_whole);
  for (const LatencyPoint& p : series->points) {
    if (!within(spans, p.at)) continue;
    sum.requests += p.requests;
    sum.errors += p.errors;
    if (has_whole && !is_whole(p)) continue;
    if (!p.latency.empty()) {
      sum.latency.merge(p.latency);
    } else if (p.p50_ms > 0) {
      sum.weight += p.requests;
      sum.weighted_p50 += p.p50_ms * p.requests;
      sum.weighted_p95 += p.p95_ms * p.requests;
      sum.weighted_p99 += p.p99_ms * p.requests;
    }
  }
  return sum;
}

Measured Measurements::latency(std::string_view name, const Scope& scope) {
  const Sum sum = sum_of(scope);
  const double share = name == "latency_p50_ms" ? 0.5 : name == "latency_p95_ms" ? 0.95 : 0.99;
  if (!sum.latency.empty()) {
    const auto ns = name == "latency_max_ms" ? sum.latency.max() : sum.latency.quantile(share);
    return value(static_cast<double>(*ns) / 1e6);
  }
  if (name == "latency_max_ms" || sum.weight <= 0) return missing("no latencies were recorded");
  const double weighted = share == 0.5 ? sum.weighted_p50 : share == 0.95 ? sum.weighted_p95 : sum.weighted_p99;
  return weighted > 0 ? value(weighted / sum.weight) : missing("the load tool does not give this quantile");
}

Measured Measurements::of_requests(std::string_view name, const Scope& scope) {
  if (input_.service.all.points.empty()) return missing("no requests were counted (give --load-results)");
  const Sum sum = sum_of(scope);
  if (name == "requests") return value(sum.requests);
  if (name == "error_rate") {
    if (input_.latency_from != "load tool") return missing("only a load tool's results tell errors");
    return sum.requests > 0 ? value(sum.errors / sum.requests) : missing("no request finished");
  }
  const TimeSpans spans = scope.window.empty() ? load_spans(scope) : exact_spans_of(scope.window);
  const double seconds = length_of(spans);
  // The body is known to the second of a bucket, and where it is all of the load, its windows tell better.
  if (scope.window.empty() && !load_windows_.empty() && !spans.empty()) {
    std::int64_t from = load_windows_.front().from_ns, to = load_windows_.front().to_ns;
    for (const run::LoadWindow& w : load_windows_) from = std::min(from, w.from_ns), to = std::max(to, w.to_ns);
    const double began = static_cast<double>(from) / 1e9, ended = static_cast<double>(to) / 1e9;
    if (ended > began && std::abs(began - spans.front().first) <= 1 && std::abs(ended - spans.back().second) <= 1)
      return value(sum.requests / (ended - began));
  }
  if (seconds <= 0) return missing("the load took no time");
  if (own_load(scope)) return value(sum.requests / seconds);
  const LatencySeries* series = series_of(scope.endpoint);
  if (series == nullptr) series = &input_.service.all;
  double requests = 0;
  for (const LatencyPoint& p : series->points) {
    for (const auto& [from, to] : spans) {
      const double width = std::max(p.width, 1.0);
      const double overlap = std::min(to, p.at + width) - std::max(from, p.at);
      if (overlap > 0) requests += p.requests * overlap / width;
    }
  }
  return value(requests / seconds);
}

Measured Measurements::availability(const Scope& scope) const {
  if (input_.latency_from != "load tool") return missing("only a load tool's results tell errors");
  const LatencySeries* series = series_of(scope.endpoint);
  if (series == nullptr) series = &input_.service.all;
  const TimeSpans spans = load_spans(scope);
  double answered = 0, seconds = 0, requests = 0;
  std::map<std::int64_t, std::pair<double, double>> by_second;  // requests and errors
  for (const auto& [from, to] : spans) {
    for (auto s = static_cast<std::int64_t>(std::floor(from)); static_cast<double>(s) < to; ++s)
      by_second.try_emplace(s, 0.0, 0.0);
  }
  for (const LatencyPoint& p : series->points) {
    const double width = std::max(p.width, 1.0);
    for (double s = p.at; s < p.at + width; ++s) {
      const auto found = by_second.find(static_cast<std::int64_t>(s));
      if (found == by_second.end()) continue;
      found->second.first += p.requests / width;
      found->second.second += p.errors / width;
      requests += p.requests / width;
    }
  }
  const double mean = by_second.empty() ? 0 : requests / static_cast<double>(by_second.size());
  for (const auto& [second, count] : by_second) {
    const auto& [finished, failed] = count;
    if (finished <= 0 && mean < kExpectedInASecond) continue;  // nothing was asked, as far as one can tell
    ++seconds;
    if (finished > 0 && 2 * failed < finished) ++answered;
  }
  return seconds > 0 ? value(answered / seconds) : missing("no request finished");
}

Measured Measurements::processor(std::string_view name, const Scope& scope) const {
  if (input_.service.cpu.empty()) return missing("no CPU time was recorded");
  const TimeSpans spans = scope.window.empty() ? load_spans(scope) : whole_seconds_of(exact_spans_of(scope.window));
  double sum = 0, seconds = 0, highest = 0;
  std::map<std::int64_t, double> cores;
  for (const GaugePoint& p : input_.service.cpu) {
    double overlap = 0;  // of its second
    for (const auto& [from, to] : spans) overlap += std::max(0.0, std::min(to, p.at + 1) - std::max(from, p.at));
    if (overlap <= 0) continue;
    sum += p.value * overlap;
    seconds += overlap;
    cores[static_cast<std::int64_t>(p.at)] = p.value / 1e9;
  }
  if (seconds <= 0) return missing("no CPU time was recorded under the load");
  if (name == "cpu_average_cores") return value(sum / 1e9 / seconds);
  if (name == "cpu_peak_cores") {
    // Of shorter stretches, as long as they are.
    const int width = std::min(kPeakSeconds, static_cast<int>(cores.size()));
    for (const auto& [second, busy] : cores) {
      double mean = 0;
      bool whole = true;
      for (int i = 0; i < width; ++i) {
        const auto found = cores.find(second + i);
        if (found == cores.end()) whole = false;
        mean += found == cores.end() ? 0 : found->second / width;
      }
      if (whole) highest = std::max(highest, mean);
    }
    return value(highest);
  }
  double requests = 0;
  for (const auto& [from, to] : spans) requests += input_.clock.at(to) - input_.clock.at(from);
  if (report_.load.counted_by != "load tool" && report_.load.counted_by != "spans")
    return missing("requests were not counted");
  return requests > 0 ? value(sum / 1e6 / requests) : missing("no request finished");
}

Measured Measurements::peak(const run::Metric& metric, const Scope& scope) {
  const TimeSpans spans = scope.window.empty() ? TimeSpans{{-analysis::kAlive, analysis::kAlive}} : load_spans(scope);
  std::optional<double> highest;
  std::map<std::int64_t, double> seconds;
  for (const run::Point& p : reader_.series(metric.name)) {
    if (p.process != run::kMachine) seconds[p.second] += p.peak;
  }
  for (const auto& [second, sum] : seconds) {
    if (within(spans, static_cast<double>(second))) highest = std::max(highest.value_or(sum), sum);
  }
  return highest ? value(*highest) : missing(metric.name + " was not recorded");
}

Measured Measurements::growth(const run::Metric& metric, const Scope& scope) {
  const TimeSpans spans =
      scope.window.empty() ? TimeSpans{{input_.stretch.warm_up, input_.stretch.end}} : load_spans(scope);
  std::vector<GaugePoint> points;
  for (const GaugePoint& p : level(metric)) {
    if (within(spans, p.at)) points.push_back(p);
  }
  if (points.empty()) return missing(metric.name + " was not recorded under the load");
  const analysis::Trend trend = analysis::fit_trend(points, 0.05);
  if (!trend.judged) return missing("too short: its ups and downs are as long as the run");
  return {3600 * trend.slope, analysis::Interval{3600 * trend.interval.low, 3600 * trend.interval.high}, ""};
}

Measured Measurements::per_request(const run::Metric& counter, const Scope& scope) {
  if (report_.load.counted_by != "load tool" && report_.load.counted_by != "spans")
    return missing("requests were not counted");
  double sum = 0, requests = 0;
  bool any = false;
  for (const auto& [from, to] : scope.window.empty() ? load_spans(scope) : exact_spans_of(scope.window)) {
    if (const auto rose = rise(counter, from, to)) {
      any = true;
      sum += *rose;
      requests += input_.clock.at(to) - input_.clock.at(from);
    }
  }
  if (!any) return missing(counter.name + " was not recorded under the load");
  return requests > 0 ? value(sum / requests) : missing("no request finished");
}

Measured Measurements::findings(bool leaks) const {
  double confirmed = 0;
  const run::Finding* open = nullptr;
  for (const run::Finding& f : report_.findings) {
    if ((f.kind == "leak") != leaks || f.kind == "budget") continue;
    if (f.confirmed) ++confirmed;
    if (f.verdict == "inconclusive" && open == nullptr) open = &f;
  }
  if (confirmed > 0) return value(confirmed);
  const bool judged = leaks ? report_.analysis.leaks_judged : report_.analysis.degradation_judged;
  if (!judged) {
    return missing(leaks ? "the run could not be judged for leaks (the report says why)"
                         : "the run could not be judged for degradation (the report says why)");
  }
  if (open != nullptr) return missing("inconclusive: " + open->title);
  return value(0);
}

Measured Measurements::cam(std::string_view name, const Scope& scope) {
  std::vector<run::Slice> slices;
  if (scope.window.empty()) slices.emplace_back();
  for (const auto& [from, to] : scope.window.empty() ? TimeSpans{} : load_spans(scope)) {
    run::Slice slice;
    slice.from_ns = static_cast<std::int64_t>(from * 1e9);
    slice.to_ns = static_cast<std::int64_t>(to * 1e9);
    slices.push_back(slice);
  }
  const run::ReportCam figures = scope.window.empty() ? report_.cam : analysis::cam_figures(reader_, slices);
  const auto or_missing = [](const std::optional<double>& number, const char* why) {
    return number ? value(*number) : missing(why);
  };
  if (name == "provider_switch_rate")
    return or_missing(figures.provider_switch_rate, "no arbitrations with a provider were recorded");
  if (name == "cost_optimization_rate")
    return or_missing(figures.cost_optimization_rate, "no spans with cost and baseline_cost were recorded");
  const bool is_arbitration = name.starts_with("arbitration_");
  const auto& quantiles = is_arbitration ? figures.arbitration : figures.consensus;
  if (!quantiles) return missing(is_arbitration ? "no spans cam.arbitration" : "no spans cam.consensus");
  return or_missing(name.ends_with("p50_ms")   ? quantiles->p50
                    : name.ends_with("p95_ms") ? quantiles->p95
                                               : quantiles->p99,
                    "too few spans");
}

Measured Measurements::measure(const Metric& metric, const Scope& scope) {
  if (!scope.window.empty() && spans_of(scope.window).empty())
    return missing(fmt::format("there is no load window {}: {}", scope.window, known(windows())));
  const std::vector<std::string> all = endpoints();
  if (!scope.endpoint.empty() && std::find(all.begin(), all.end(), scope.endpoint) == all.end())
    return missing(fmt::format("there is no endpoint {}: {}", scope.endpoint, known(all)));
  const std::string_view name = metric.name;
  if (name.starts_with("latency_")) return latency(name, scope);
  if (name == "availability") return availability(scope);
  if (name == "requests" || name == "throughput_rps" || name == "error_rate") return of_requests(name, scope);
  if (name.starts_with("cpu_")) return processor(name, scope);
  if (name == "allocations_per_request") return per_request(metrics::kHeapAllocations, scope);
  if (name == "allocated_bytes_per_request") return per_request(metrics::kHeapAllocatedBytes, scope);
  if (name == "leaks" || name == "degradations") return findings(name == "leaks");
  if (const run::Metric* level = level_of(name)) {
    return name.find("_growth_") == std::string_view::npos ? peak(*level, scope) : growth(*level, scope);
  }
  return cam(name, scope);
}

}  // namespace camprobe::gates
