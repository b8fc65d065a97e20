#include "suite/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "collector/analysis/from_run.h"
#include "collector/gates/gate.h"
#include "collector/metrics.h"
#include "collector/naming/stack_namer.h"
#include "exporters/report_json.h"
#include "exporters/report_junit.h"
#include "exporters/report_markdown.h"
#include "exporters/report_text.h"
#include "run/reader.h"
#include "run/units.h"
#include "suite/child.h"
#include "suite/diagnosis.h"
#include "suite/load_json.h"
#include "suite/phase_load.h"
#include "suite/reconcile.h"
#include "suite/recovery.h"
#include "suite/tool.h"
#include "viewer/html.h"
#include "viewer/page_data.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <typename Whole>
Json whole_or_null(const std::optional<Whole>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json phases_json(const RunOutcome& outcome, gates::Measurements* measurements) {
  Json list = Json::array();
  for (std::size_t i = 0; i < outcome.phases.size(); ++i) {
    const PhaseSpan& phase = outcome.phases[i];
    Json one{{"name", phase.name},
             {"kind", phase.kind},
             {"from_s", static_cast<double>(phase.from_ns - outcome.from_ns) / 1e9},
             {"to_s", static_cast<double>(phase.to_ns - outcome.from_ns) / 1e9},
             {"users", phase.users},
             {"asked_rps", or_null(phase.rate)},
             {"asked_s", phase.planned_s},
             {"generator_cpus", phase.generator_cpus},
             {"machine_cpus", phase.machine_cpus}};
    one.update(phase_load(outcome, i));
    if (measurements != nullptr) {
      for (const char* name :
           {"cpu_average_cores", "cpu_peak_cores", "rss_peak_bytes", "heap_peak_bytes", "fds_peak", "threads_peak"})
        one[name] = or_null(measurements->measure(*gates::metric_named(name), {"", phase.name}).value);
    }
    list.push_back(one);
  }
  return list;
}

std::string cpus_text(double cpus) {
  return number_text(cpus) + (cpus == 1 ? " CPU" : " CPUs");
}

Json generator_json(const RunOutcome& outcome) {
  double sum = 0, peak = 0, machine = 0;
  for (const Second& second : outcome.seconds) {
    sum += second.generator_cpus;
    peak = std::max(peak, second.generator_cpus);
    machine += second.machine_cpus;
  }
  const double n = std::max<double>(1, static_cast<double>(outcome.seconds.size()));
  const double cpus = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  // By phase, so that an easy one does not hide a hard one.
  double busiest = 0, machine_busiest = 0;
  std::string where;
  bool fell_short = false;
  for (std::size_t i = 0; i < outcome.phases.size(); ++i) {
    const PhaseSpan& phase = outcome.phases[i];
    if (phase.generator_cpus > busiest) where = phase.name;
    busiest = std::max(busiest, phase.generator_cpus);
    machine_busiest = std::max(machine_busiest, phase.machine_cpus);
    if (!phase.rate) continue;
    const Json sent = phase_load(outcome, i)["requests"];
    fell_short |= sent.is_number() && sent.get<double>() < 0.95 * *phase.rate * phase.planned_s;
  }
  const bool was_bottleneck = outcome.generator_capacity > 0 && busiest > 0.85 * outcome.generator_capacity;
  std::string text;
  if (outcome.seconds.empty())
    text = "the load was too short to watch the load generator's CPU time";
  else if (was_bottleneck)
    text = fmt::format(
        "the load generator was the bottleneck: it took {:.2f} of the {} it can use (phase {}); what it measured is "
        "its "
        "own limit, give it more threads or another tool",
        busiest, cpus_text(outcome.generator_capacity), where);
  else if (machine_busiest > 0.95 * cpus)
    text = fmt::format(
        "the load generator took {:.2f} of the {} it can use, but all {} of the machine were busy: load and target "
        "took "
        "time from each other",
        busiest, cpus_text(outcome.generator_capacity), cpus_text(cpus));
  else
    text = fmt::format("the load generator was not the bottleneck: it took at most {:.2f} of the {} it can use",
                       busiest, cpus_text(outcome.generator_capacity));
  return Json{{"mean_cpus", sum / n},
              {"peak_cpus", peak},
              {"capacity_cpus", outcome.generator_capacity},
              {"machine_mean_cpus", machine / n},
              {"was_bottleneck", was_bottleneck},
              {"fell_short", fell_short},
              {"text", text}};
}

// Lost records that may have been a span. Of the others something else is missing: a stack, an attribute, a descriptor.
std::uint64_t lost_that_may_be_spans(const run::Report& report) {
  std::uint64_t lost = 0;
  for (const run::ReportLost& kind : report.lost) {
    for (const char* name : {"lapped", "torn", "span_full", "no_lane", "no_room", "reentrant", "name_full"})
      if (kind.kind == name) lost += kind.records;
  }
  return lost;
}

Json counts_json(const Suite& suite, const RunOutcome& outcome, run::Reader* reader, const run::Report* report) {
  const Counted& counted = outcome.counted;
  RequestCounts counts;
  if (counted.tool_began) counts.tool_began = static_cast<std::int64_t>(*counted.tool_began);
  if (counted.tool_done) counts.tool_done = static_cast<std::int64_t>(*counted.tool_done);
  counts.tool_rows = counted.tool_rows.value_or(static_cast<std::int64_t>(outcome.timeline.requests.value_or(0)));
  counts.most_under_way = counted.most_under_way;
  if (counted.server) counts.server = *counted.server - counted.own_in_between;
  if (reader != nullptr && !suite.span.empty()) {
    if (const auto name = reader->find_name(suite.span)) {
      std::int64_t spans = 0;
      std::set<run::ProcessId> counted_ones;
      const std::int64_t since_ns =
          counted.since_ns == 0 ? INT64_MIN : counted.since_ns - reader->meta().started_realtime_ns;
      for (const run::Process& process : reader->processes()) {
        if (process.began_ns >= since_ns) counted_ones.insert(process.id);
      }
      for (const run::SpanStat& stat : reader->span_stats())
        spans += stat.name == *name && counted_ones.contains(stat.process) ? stat.spans : 0;
      counts.probe = spans - counted.own_in_all;
    }
  }
  if (report != nullptr) counts.lost = lost_that_may_be_spans(*report);
  Reconciliation held = reconciled(counts);
  if (!outcome.before_resumed.empty()) held.differences.insert(held.differences.begin(), outcome.before_resumed);
  return Json{{"load_tool", whole_or_null(counts.tool_began)},
              {"server", whole_or_null(counts.server)},
              {"probe", whole_or_null(counts.probe)},
              {"suite_itself", counted.own_in_all},
              {"reconciled", held.reconciled ? Json(*held.reconciled) : Json(nullptr)},
              {"differences", held.differences}};
}

// Of all processes together.
std::map<std::int64_t, double> by_second(run::Reader& reader, const std::string& metric) {
  std::map<std::int64_t, double> sums;
  for (const run::Point& point : reader.series(metric)) {
    if (point.process != run::kMachine) sums[point.second] += point.value;
  }
  return sums;
}

Json resources_json(run::Reader& reader, gates::Measurements& measurements) {
  Json out = Json::object();
  std::map<std::string, std::int64_t> bytes, operations;
  for (const run::IoRow& row : reader.io()) {
    bytes[row.kind] += row.bytes;
    operations[row.kind] += row.ops;
  }
  const auto rise = [&](const char* name) -> Json {
    std::map<std::int64_t, std::pair<double, double>> by_process;
    bool any = false;
    for (const run::Point& point : reader.series(name)) {
      auto [at, is_new] = by_process.try_emplace(static_cast<std::int64_t>(point.process), point.value, point.value);
      at->second.second = point.value;
      any = true;
    }
    double sum = 0;
    for (const auto& [process, ends] : by_process) sum += ends.second - ends.first;
    return any ? Json(sum) : Json(nullptr);
  };
  out["network_in_bytes"] = bytes["socket_read"];
  out["network_out_bytes"] = bytes["socket_write"];
  out["disk_read_bytes"] = rise("process_storage_read_bytes");
  out["disk_write_bytes"] = rise("process_storage_write_bytes");
  out["heap_peak_bytes"] = or_null(measurements.measure(*gates::metric_named("heap_peak_bytes")).value);
  // Resident memory without the heap's, second by second: the peaks of the two are at different times. The heap is what
  // the allocator holds, used or not; of one that does not tell, what is live.
  const auto held = by_second(reader, metrics::kAllocatorHeld.name),
             live = by_second(reader, metrics::kHeapLiveBytes.name);
  const auto& heap = held.empty() ? live : held;
  std::optional<double> heap_peak, other_peak;
  for (const auto& [second, bytes] : heap) heap_peak = std::max(heap_peak.value_or(0), bytes);
  for (const auto& [second, resident] : by_second(reader, metrics::kResidentBytes.name)) {
    // Of the second itself, or of the last before it: allocators are not asked in every one.
    auto at = heap.upper_bound(second);
    if (at == heap.begin()) continue;
    other_peak = std::max(other_peak.value_or(0), resident - std::min(resident, std::prev(at)->second));
  }
  out["heap_held_peak_bytes"] = held.empty() ? Json(nullptr) : or_null(heap_peak);
  out["non_heap_peak_bytes"] = or_null(other_peak);
  return out;
}

std::string how_it_ended(const run::ReportProcess& process) {
  const std::string how = process.ended_how.empty() ? "ended" : process.ended_how;
  if (!process.exit_status) return how;
  // As a shell has it: 128 and the signal.
  return how + (how == "killed" && *process.exit_status > 128
                    ? " by signal " + std::to_string(*process.exit_status - 128)
                    : " with exit code " + std::to_string(*process.exit_status));
}

void write_reports(const RunOutcome& outcome, run::Reader& reader, const run::Report& report) {
  const std::string stem = outcome.plan.directory + "/run";
  write_all(stem + ".json", exporters::report_json(report));
  write_all(stem + ".txt", exporters::report_text(report));
  write_all(stem + ".md", exporters::report_markdown(report));
  write_all(stem + ".xml", exporters::report_junit(report));
  write_all(stem + ".html", viewer::self_contained_page(viewer::page_data(reader, run::to_json(report))));
}

}  // namespace

Json evaluated(const Suite& suite, const RunOutcome& outcome) {
  Json out{{"name", outcome.plan.name},
           {"variant", outcome.plan.variant},
           {"repeat", outcome.plan.repeat},
           {"cores", whole_or_null(outcome.plan.cores)},
           {"instances", whole_or_null(outcome.plan.instances)},
           {"state", to_string(outcome.state)},
           {"why", outcome.why}};
  out["load"] = load_json(suite.load.tool, outcome);
  out["generator"] = generator_json(outcome);
  out["figures"] = outcome.figures;
  out["checks"] = Json::array();
  for (const auto& [what, wrong] : outcome.checks)
    out["checks"].push_back({{"name", what}, {"passed", wrong.empty()}, {"text", wrong}});
  out["events"] = Json::array();
  for (const auto& [at, what] : outcome.events)
    out["events"].push_back({{"at_s", static_cast<double>(at - outcome.from_ns) / 1e9}, {"what", what}});
  Json notes = outcome.notes;
  for (const std::string& note : outcome.timeline.notes) notes.push_back(note);
  if (outcome.left_behind > 0)
    notes.push_back(fmt::format("{} processes were left behind and were killed", outcome.left_behind));
  if (outcome.memory_limit)
    out["memory"] = {{"limit_bytes", *outcome.memory_limit},
                     {"peak_bytes", whole_or_null(outcome.memory_peak)},
                     {"oom_kills", whole_or_null(outcome.oom_kills)}};
  out["log_tail"] = outcome.log_tail;
  out["run"] = nullptr;
  auto reader =
      outcome.run_file.empty() ? run::Result<run::Reader>(run::Error{""}) : naming::open_named(outcome.run_file);
  if (reader) {
    out["run"] = outcome.run_file.substr(outcome.run_file.rfind('/', outcome.run_file.rfind('/') - 1) + 1);
    const analysis::Thresholds thresholds;
    const run::Report report = gates::analyse_with_gates(*reader, suite.gates, thresholds);
    const analysis::RunInput input = analysis::input_from(*reader, thresholds);
    gates::Measurements measurements(*reader, input, report);
    out["phases"] = phases_json(outcome, &measurements);
    out["metrics"] = Json::object();
    for (const gates::Metric& metric : gates::all_metrics())
      out["metrics"][std::string(metric.name)] = or_null(measurements.measure(metric).value);
    out["resources"] = resources_json(*reader, measurements);
    out["counts"] = counts_json(suite, outcome, &*reader, &report);
    out["gates"] = Json::array();
    for (const run::ReportGate& gate : report.gates) out["gates"].push_back(run::to_json(gate));
    const Json whole = run::to_json(report);
    out["verdict"] = report.verdict;
    out["summary"] = report.summary;
    out["findings"] = whole["findings"];
    for (const char* key : {"processes", "spans", "top_cpu", "not_judged"}) {
      if (whole.contains(key)) out[key] = whole[key];
    }
    out["diagnosis"] = diagnosed(suite, outcome, report, out);
    for (const run::ReportProcess& process : report.processes) {
      if (outcome.state == State::kTargetEnded && process.ended_s && out["post_mortem"].is_null())
        out["post_mortem"] = fmt::format("{} (pid {}) {}", process.executable, process.pid, how_it_ended(process));
    }
    write_reports(outcome, *reader, report);
  } else {
    if (!outcome.run_file.empty()) notes.push_back(reader.error());
    out["phases"] = phases_json(outcome, nullptr);
    out["counts"] = counts_json(suite, outcome, nullptr, nullptr);
    out["gates"] = Json::array();
    out["findings"] = Json::array();
    out["diagnosis"] = Json::array();
  }
  if (outcome.oom_kills.value_or(0) > 0)
    out["post_mortem"] = fmt::format("the kernel's out-of-memory killer ended the target at its limit of {}",
                                     run::in_bytes(static_cast<double>(outcome.memory_limit.value_or(0))));
  out["recovery"] = recovery_json(outcome);
  out["notes"] = notes;
  return out;
}

}  // namespace camprobe::suite
