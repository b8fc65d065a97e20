// collector/gates/metric.cc
#include "collector/gates/metric.h"

#include <fmt/format.h>

namespace camprobe::gates {

const std::vector<Metric>& all_metrics() {
  using enum Better;
  using enum Scopes;
  static const std::vector<Metric> kMetrics = {
      {"latency_p50_ms", "ms", kLower, kEndpointAndWindow,
       "Median of the load tool's latencies (histograms added up; where the tool gives only quantiles per period, "
       "their "
       "mean weighted by requests); without a load tool, of the server's root spans."},
      {"latency_p95_ms", "ms", kLower, kEndpointAndWindow, "As latency_p50_ms, 95 %."},
      {"latency_p99_ms", "ms", kLower, kEndpointAndWindow, "As latency_p50_ms, 99 %."},
      {"latency_max_ms", "ms", kLower, kEndpointAndWindow,
       "The longest latency; unknown where the tool gives only quantiles per period."},
      {"requests", "count", kHigher, kEndpointAndWindow,
       "Requests finished, as the load tool or the root spans count."},
      {"throughput_rps", "per second", kHigher, kEndpointAndWindow,
       "Requests finished per second, over the body of the load (what trickles before and after is left out) or the "
       "window."},
      {"error_rate", "ratio", kLower, kEndpointAndWindow, "Failed requests over all, as the load tool counts them."},
      {"availability", "ratio", kHigher, kEndpointAndWindow,
       "Share of the load's seconds in which the server answered. It did not where half of the requests or more "
       "failed, "
       "or none finished although ten would have at the mean rate."},
      {"cpu_average_cores", "cores", kLower, kWindow,
       "CPU time of all recorded processes over the load's time: 1 is one processor kept busy."},
      {"cpu_peak_cores", "cores", kLower, kWindow, "The highest mean of five seconds in a row of the same."},
      {"cpu_per_request_ms", "ms", kLower, kWindow, "CPU time of all recorded processes per request, under load."},
      {"rss_peak_bytes", "bytes", kLower, kWindow, "Highest resident memory of all recorded processes together."},
      {"rss_growth_bytes_per_hour", "bytes per hour", kLower, kWindow,
       "Theil-Sen slope of the same from the end of warm-up to the end of the load. A limit is crossed only where the "
       "whole 95 % interval is beyond it."},
      {"heap_peak_bytes", "bytes", kLower, kWindow, "Highest live heap, estimated from allocation samples."},
      {"heap_growth_bytes_per_hour", "bytes per hour", kLower, kWindow, "Slope of the live heap, as for RSS."},
      {"fds_peak", "count", kLower, kWindow, "Most open descriptors of all recorded processes together."},
      {"fds_growth_per_hour", "per hour", kLower, kWindow, "Slope of the open descriptors, as for RSS."},
      {"threads_peak", "count", kLower, kWindow, "Most threads of all recorded processes together."},
      {"threads_growth_per_hour", "per hour", kLower, kWindow, "Slope of the threads, as for RSS."},
      {"allocations_per_request", "count", kLower, kWindow, "Allocations (counted exactly) per request, under load."},
      {"allocated_bytes_per_request", "bytes", kLower, kWindow,
       "Bytes asked of the allocator per request, under load."},
      {"leaks", "count", kLower, kRun,
       "Confirmed leaks. Not known where none is confirmed and the run could not be judged or something is "
       "inconclusive."},
      {"degradations", "count", kLower, kRun, "Confirmed degradations, in the same way."},
      {"arbitration_p50_ms", "ms", kLower, kWindow, "Median decision time: spans named cam.arbitration."},
      {"arbitration_p95_ms", "ms", kLower, kWindow, "Decision time, 95 %."},
      {"arbitration_p99_ms", "ms", kLower, kWindow, "Decision time, 99 %."},
      {"consensus_p50_ms", "ms", kLower, kWindow, "Median consensus time: spans named cam.consensus."},
      {"consensus_p95_ms", "ms", kLower, kWindow, "Consensus time, 95 %."},
      {"consensus_p99_ms", "ms", kLower, kWindow, "Consensus time, 99 %."},
      {"provider_switch_rate", "ratio", kLower, kWindow,
       "Arbitrations that chose another provider than the one before them."},
      {"cost_optimization_rate", "ratio", kHigher, kWindow,
       "1 - cost / baseline_cost, both summed over the spans that carry them."},
  };
  return kMetrics;
}

const Metric* metric_named(std::string_view name) {
  for (const Metric& metric : all_metrics()) {
    if (metric.name == name) return &metric;
  }
  return nullptr;
}

std::string metrics_table() {
  std::string table = "| metric | unit | better | of an endpoint | of a window | how it is computed |\n";
  table += "|---|---|---|---|---|---|\n";
  for (const Metric& m : all_metrics()) {
    table += fmt::format(
        "| `{}` | {} | {} | {} | {} | {} |\n", m.name, m.unit, m.better == Better::kLower ? "lower" : "higher",
        m.scopes == Scopes::kEndpointAndWindow ? "yes" : "no", m.scopes == Scopes::kRun ? "no" : "yes", m.how);
  }
  return table;
}

}  // namespace camprobe::gates
