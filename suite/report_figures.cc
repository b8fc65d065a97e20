#include "suite/report_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "run/units.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

struct Named {
  const char* part;  // of a run: a member that is an object
  const char* key;
  const char* words;
  const char* unit;  // as run/units.h has it
};

constexpr Named kFigures[] = {
    {"latency_ms", "mean", "latency, mean", "ms"},
    {"latency_ms", "p50", "latency, median", "ms"},
    {"latency_ms", "p95", "latency, p95", "ms"},
    {"latency_ms", "p99", "latency, p99", "ms"},
    {"latency_ms", "max", "latency, longest", "ms"},
    {"latency_ms", "deviation", "latency, standard deviation", "ms"},
    {"load", "throughput_rps", "requests per second", "per second"},
    {"load", "error_rate", "error rate", "ratio"},
    {"metrics", "availability", "availability (seconds in which most requests were answered)", "ratio"},
    {"metrics", "arbitration_p50_ms", "decision time, median", "ms"},
    {"metrics", "arbitration_p95_ms", "decision time, p95", "ms"},
    {"metrics", "arbitration_p99_ms", "decision time, p99", "ms"},
    {"metrics", "provider_switch_rate", "provider switch rate", "ratio"},
    {"metrics", "cost_optimization_rate", "cost optimization rate", "ratio"},
    {"metrics", "consensus_p50_ms", "consensus time, median", "ms"},
    {"metrics", "consensus_p95_ms", "consensus time, p95", "ms"},
    {"metrics", "cpu_average_cores", "CPU, average", "cores"},
    {"metrics", "cpu_peak_cores", "CPU, peak (of five seconds)", "cores"},
    {"metrics", "cpu_per_request_ms", "CPU per request", "ms"},
    {"metrics", "rss_peak_bytes", "resident memory, peak", "bytes"},
    {"resources", "heap_peak_bytes", "heap, live at its peak (estimated from samples)", "bytes"},
    {"resources", "heap_held_peak_bytes", "heap, held by the allocator at its peak", "bytes"},
    {"resources", "non_heap_peak_bytes", "resident memory beside the heap, peak", "bytes"},
    {"resources", "network_in_bytes", "network, read from sockets", "bytes"},
    {"resources", "network_out_bytes", "network, written to sockets", "bytes"},
    {"resources", "disk_read_bytes", "disk, read", "bytes"},
    {"resources", "disk_write_bytes", "disk, written", "bytes"},
    {"metrics", "fds_peak", "descriptors, peak", "count"},
    {"metrics", "threads_peak", "threads, peak", "count"},
};

constexpr Named kOfPhases[] = {
    {"", "users", "users", "count"},
    {"", "asked_rps", "asked_rps", "per second"},
    {"", "requests", "requests", "count"},
    {"", "errors", "errors", "count"},
    {"", "throughput_rps", "throughput_rps", "per second"},
    {"", "latency_p50_ms", "latency_p50_ms", "ms"},
    {"", "latency_p95_ms", "latency_p95_ms", "ms"},
    {"", "latency_p99_ms", "latency_p99_ms", "ms"},
    {"", "cpu_average_cores", "cpu_average_cores", "cores"},
    {"", "cpu_peak_cores", "cpu_peak_cores", "cores"},
    {"", "rss_peak_bytes", "rss_peak_bytes", "bytes"},
    {"", "heap_peak_bytes", "heap_peak_bytes", "bytes"},
    {"", "fds_peak", "fds_peak", "count"},
    {"", "threads_peak", "threads_peak", "count"},
    {"", "generator_cpus", "generator_cpus", "cores"},
    {"", "machine_cpus", "machine_cpus", "cores"},
};

const Json* value_of(const Json& run, const Named& named) {
  const std::string part = named.part;
  const Json* in = nullptr;
  if (part == "latency_ms")
    in = &run["load"]["latency_ms"];
  else if (run.contains(part))
    in = &run[part];
  if (in == nullptr || !in->is_object() || !in->contains(named.key) || !(*in)[named.key].is_number()) return nullptr;
  return &(*in)[named.key];
}

const Json* span_named(const Json& run, const std::string& name) {
  if (!run.contains("spans")) return nullptr;
  for (const Json& span : run["spans"]) {
    if (span["name"] == name) return &span;
  }
  return nullptr;
}

// A quantile of few is next to nothing: how many there were belongs beside it.
std::string with_count(const Json& run, const Named& named, std::string shown) {
  const std::string key = named.key;
  const Json* span = key.starts_with("consensus_")     ? span_named(run, "cam.consensus")
                     : key.starts_with("arbitration_") ? span_named(run, "cam.arbitration")
                                                       : nullptr;
  if (span == nullptr) return shown;
  return shown + ", of " + run::in_count((*span)["latency_ms"]["count"].get<double>());
}

std::string shown(const Json& run, const Named& named) {
  const Json* value = value_of(run, named);
  return value == nullptr ? "-" : run::in_unit(value->get<double>(), named.unit);
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace

void what_it_took(Document& page, const Json& report) {
  constexpr const char* kKeys[] = {"cpu_average_cores",  "cpu_peak_cores",       "rss_peak_bytes",
                                   "arbitration_p95_ms", "provider_switch_rate", "cost_optimization_rate",
                                   "consensus_p95_ms"};
  std::vector<std::vector<std::string>> rows;
  for (const Json& run : report["runs"]) {
    if (!run.contains("metrics")) continue;
    std::vector<std::string> row{run["name"].get<std::string>()};
    for (const char* key : kKeys) {
      const auto named = std::find_if(std::begin(kFigures), std::end(kFigures),
                                      [&](const Named& one) { return std::string(one.key) == key; });
      row.push_back(with_count(run, *named, shown(run, *named)));
    }
    rows.push_back(std::move(row));
  }
  page.table(
      "What it took",
      {"run", "CPU", "CPU peak", "memory peak", "decision p95", "switch rate", "cost optimization", "consensus p95"},
      rows);
}

void figures_of_run(Document& page, const Json& run) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : run["figures"].items())
    rows.push_back({name, fmt::format("{:.6g}", value.get<double>())});
  for (const Named& named : kFigures) {
    const std::string part = named.part;
    if (part != "latency_ms" && part != "load" && !run.contains(part)) continue;  // not recorded
    rows.push_back({named.words, with_count(run, named, shown(run, named))});
  }
  page.table("Figures", {"figure", "value"}, rows);
  rows.clear();
  if (run.contains("spans")) {
    for (const Json& span : run["spans"]) {
      const Json& latency = span["latency_ms"];
      const auto in_ms = [&](const char* key) {
        return latency.contains(key) && latency[key].is_number() ? run::in_unit(latency[key].get<double>(), "ms") : "-";
      };
      rows.push_back({span["name"].get<std::string>(), run::in_count(latency["count"].get<double>()), in_ms("p50"),
                      in_ms("p95"), in_ms("p99"), in_ms("max"), run::in_seconds(span["total_seconds"].get<double>())});
    }
  }
  page.table("Spans: where the server's time goes", {"span", "how many", "p50", "p95", "p99", "longest", "together"},
             rows);
}

std::string csv_of(const Json& report) {
  std::string out = "run,variant,phase,figure,value,unit\n";
  for (const Json& run : report["runs"]) {
    const std::string start =
        quoted(run["name"].get<std::string>()) + "," + quoted(run["variant"].get<std::string>()) + ",";
    const auto row = [&](const std::string& phase, const std::string& figure, const Json& value, const char* unit) {
      if (value.is_number())
        out += start + quoted(phase) + "," + quoted(figure) + "," + value.dump() + "," + unit + "\n";
    };
    row("", "seconds", run["load"]["seconds"], "s");
    row("", "requests", run["load"]["requests"], "count");
    row("", "errors", run["load"]["errors"], "count");
    for (const Named& named : kFigures) {
      const std::string part = named.part, key = named.key;
      if (const Json* value = value_of(run, named))
        row("", part == "latency_ms" ? "latency_" + key + "_ms" : key, *value, named.unit);
    }
    for (const auto& [name, value] : run["figures"].items()) row("", name, value, "");
    for (const Json& phase : run["phases"]) {
      for (const Named& named : kOfPhases) {
        if (phase.contains(named.key)) row(phase["name"], named.key, phase[named.key], named.unit);
      }
    }
    if (run["recovery"].is_array()) {
      for (const Json& one : run["recovery"]) row(one["phase"], "recovery_s", one["recovery_s"], "s");
    }
    for (const char* who : {"load_tool", "server", "probe"})
      row("", std::string("counted_by_") + who, run["counts"][who], "count");
  }
  return out;
}

}  // namespace camprobe::suite
