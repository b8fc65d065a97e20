// collector/analysis/analyse.cc
//
// One run, judged and summed up: the report.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "collector/analysis/findings.h"
#include "collector/analysis/from_run.h"
#include "collector/analysis/memory_split.h"
#include "collector/analysis/sampling.h"
#include "collector/analysis/window_load.h"
#include "collector/metrics.h"
#include "run/rfc3339.h"
#include "run/units.h"

namespace camprobe::analysis {

namespace {

std::uint64_t unsigned_of(std::int64_t n) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0));
}

void describe_run(run::Reader& reader, run::Report& report) {
  const run::Meta meta = reader.meta();
  report.run.file = reader.path();
  report.run.run_id = meta.run_id;
  report.run.camprobe_version = meta.camprobe_version;
  report.run.state = meta.state;
  report.run.started_realtime_ns = meta.started_realtime_ns;
  report.run.ended_ns = reader.duration_ns();
  report.run.started_at = run::rfc3339(meta.started_realtime_ns);
  report.run.host = meta.host;
  report.run.kernel = meta.kernel;
  report.run.load_command = meta.load_command;
  report.run.command = meta.command;
  report.run.seconds = seconds_of(reader.duration_ns());
  report.run.cpus = meta.cpus;
  report.run.memory_bytes = meta.memory_bytes;

  std::map<run::ProcessId, double> peak, last, cpu;
  for (const run::Point& p : reader.series(metrics::kResidentBytes.name)) {
    peak[p.process] = std::max(peak[p.process], p.peak);
    last[p.process] = p.value;
  }
  for (const auto& name : {metrics::kCpuUser.name, metrics::kCpuSystem.name}) {
    std::map<run::ProcessId, double> highest;
    for (const run::Point& p : reader.series(name)) highest[p.process] = std::max(highest[p.process], p.value);
    for (const auto& [process, ns] : highest) cpu[process] += ns / 1e9;
  }
  const auto found = [](const std::map<run::ProcessId, double>& in, run::ProcessId id) -> std::optional<double> {
    const auto at = in.find(id);
    return at == in.end() ? std::nullopt : std::optional(at->second);
  };
  const std::map<run::ProcessId, run::ReportMemory> memory = memory_at_the_end(reader);
  for (const run::Process& p : reader.processes()) {
    if (p.id == run::kMachine) continue;
    run::ReportProcess out;
    out.id = run::number(p.id);
    out.pid = p.pid;
    out.executable = p.executable;
    out.command = p.command;
    out.began_s = seconds_of(p.began_ns);
    if (p.ended_ns) out.ended_s = seconds_of(*p.ended_ns);
    out.ended_how = p.ended_how;
    out.exit_status = p.exit_status;
    out.probe_state = p.probe_state;
    out.note = p.note;
    out.peak_rss_bytes = found(peak, p.id);
    out.last_rss_bytes = found(last, p.id);
    out.cpu_seconds = found(cpu, p.id);
    if (const auto split = memory.find(p.id); split != memory.end()) out.memory = split->second;
    if (p.memory_limit_bytes) out.memory_limit_bytes = static_cast<double>(*p.memory_limit_bytes);
    report.processes.push_back(std::move(out));
  }
}

void describe_load(run::Reader& reader, const RunInput& input, run::Report& report) {
  run::ReportLoad& load = report.load;
  load.latency_basis = input.latency_from == "spans" ? "spans" : "none";
  switch (input.clock.source()) {
    case WorkSource::kLoadTool:
      load.counted_by = "load tool";
      break;
    case WorkSource::kSpans:
      load.counted_by = "spans";
      break;
    case WorkSource::kSockets:
      load.counted_by = "sockets";
      break;
    case WorkSource::kTime:
      load.counted_by = "nothing";
      break;
  }
  std::set<std::string> tools;
  for (const run::LoadSource& source : reader.load_sources()) {
    // A tool that was started for each phase is one tool.
    if (tools.insert(source.tool).second) load.tool += (load.tool.empty() ? "" : ", ") + source.tool;
    if (input.latency_from == "load tool") load.latency_basis = source.latency_basis;
    load.skipped_rows += unsigned_of(source.skipped);
    if (!source.skipped_why.empty()) load.skipped_why += (load.skipped_why.empty() ? "" : "; ") + source.skipped_why;
  }
  const auto sum_up = [](const LatencySeries& series, Seconds from, Seconds to, std::uint64_t& requests,
                         std::uint64_t& errors) {
    run::Histogram all;
    double n = 0, failed = 0;
    for (const LatencyPoint& p : series.points) {
      if (p.at < from || p.at >= to) continue;
      n += p.requests;
      failed += p.errors;
      all.merge(p.latency);
    }
    requests = static_cast<std::uint64_t>(n);
    errors = static_cast<std::uint64_t>(failed);
    return quantiles_of(all);
  };
  load.latency = sum_up(input.service.all, 0, kAlive, load.requests, load.errors);
  if (load.requests == 0 && input.clock.counts_requests()) {
    load.requests = static_cast<std::uint64_t>(input.clock.at(report.run.seconds) - input.clock.at(0));
  }
  const std::vector<run::LoadWindow> windows = reader.load_windows();
  for (const run::LoadWindow& w : windows) {
    run::ReportLoadWindow out{w.name, w.kind, seconds_of(w.from_ns), seconds_of(w.to_ns), 0, 0, {}};
    const auto own = input.latency_from == "load tool" ? load_of_windows(reader, {w}, windows, "") : std::nullopt;
    out.latency = own ? sum_up(*own, -kAlive, kAlive, out.requests, out.errors)
                      : sum_up(input.service.all, std::floor(out.from_s),
                               std::max(std::floor(out.from_s) + 1, out.to_s), out.requests, out.errors);
    load.windows.push_back(std::move(out));
  }
  for (const LatencySeries& series : input.service.endpoints) {
    run::ReportEndpoint out{series.endpoint, 0, 0, {}};
    out.latency = sum_up(series, 0, kAlive, out.requests, out.errors);
    load.endpoints.push_back(std::move(out));
  }
  std::stable_sort(load.endpoints.begin(), load.endpoints.end(),
                   [](const auto& a, const auto& b) { return a.requests > b.requests; });
}

// The table of spans. Sums over all spans, exact.
void describe_spans(run::Reader& reader, run::Report& report) {
  std::map<run::NameId, run::Histogram> latency;
  std::map<run::NameId, double> total;
  for (const run::SpanStat& stat : reader.span_stats()) {
    if (auto histogram = run::Histogram::from_json(stat.latency)) latency[stat.name].merge(*histogram);
    total[stat.name] += static_cast<double>(stat.total_ns) / 1e9;
  }
  for (const auto& [id, histogram] : latency)
    report.spans.push_back({reader.name(id), quantiles_of(histogram), total[id]});
  std::stable_sort(report.spans.begin(), report.spans.end(),
                   [](const auto& a, const auto& b) { return a.total_seconds > b.total_seconds; });
  report.cam = cam_figures(reader, {run::Slice{}});
}

// `end`: of the load. What a server closes as it shuts down was open when it mattered.
void describe_sockets(run::Reader& reader, Seconds end, run::Report& report) {
  const auto is_socket = [](const std::string& kind) {
    return kind == "accept" || kind == "connect" || kind == "socket";
  };
  std::map<std::pair<std::string, std::string>, run::ReportPeer> peers;
  const auto entry = [&](const std::string& kind, const std::string& peer) -> run::ReportPeer& {
    // A client's port tells nothing; a service's does.
    const std::string name = peer.empty() ? "(not connected)" : peer;
    return peers.try_emplace({kind, name}, run::ReportPeer{name, kind, 0, 0, 0, 0, 0, 0}).first->second;
  };
  for (const run::Descriptor& d : reader.descriptors()) {
    if (!is_socket(d.kind)) continue;
    run::ReportPeer& p = entry(d.kind, d.kind == "accept" ? d.peer.substr(0, d.peer.rfind(':')) : d.peer);
    ++p.opened;
    p.still_open += d.closed_ns && seconds_of(*d.closed_ns) < end ? 0 : 1;
    p.read_ops += unsigned_of(d.read_ops);
    p.read_bytes += unsigned_of(d.read_bytes);
    p.write_ops += unsigned_of(d.write_ops);
    p.write_bytes += unsigned_of(d.write_bytes);
  }
  for (const run::DescriptorSum& d : reader.descriptor_sums()) {
    if (!is_socket(d.kind)) continue;
    run::ReportPeer& p = entry(d.kind, d.peer);
    p.opened += unsigned_of(d.opened);
    p.read_ops += unsigned_of(d.read_ops);
    p.read_bytes += unsigned_of(d.read_bytes);
    p.write_ops += unsigned_of(d.write_ops);
    p.write_bytes += unsigned_of(d.write_bytes);
  }
  for (auto& [key, peer] : peers) report.sockets.push_back(std::move(peer));
  std::stable_sort(report.sockets.begin(), report.sockets.end(), [](const auto& a, const auto& b) {
    return a.read_bytes + a.write_bytes > b.read_bytes + b.write_bytes;
  });
  if (report.sockets.size() > 50) report.sockets.resize(50);
}

// By function: where the time is spent, or, for memory, the program's own function that asked for it. The stack is that
// of the heaviest of its stacks (`weights` come heaviest first).
std::vector<run::ReportStack> heaviest(run::Reader& reader, const std::vector<run::StackWeight>& weights, bool memory) {
  // A C++ server has hundreds of functions with stacks of tens of kilobytes of names each: only those shown are put
  // together.
  struct Function {
    run::StackId stack{};  // its heaviest
    double weight = 0;
    std::optional<double> objects;
  };
  const auto frames_of = [&](run::StackId stack) {
    if (memory) return report_stack(reader, stack);
    std::vector<run::ReportFrame> frames;
    for (const run::FrameId id : reader.stack(stack).frames) {
      const run::Frame& frame = reader.frame(id);
      frames.push_back({frame.function, frame.file, frame.line, frame.module});
    }
    return frames;
  };
  std::map<std::string, Function> functions;
  double total = 0;
  for (const run::StackWeight& w : weights) {
    total += w.weight;
    const std::vector<run::ReportFrame> frames = frames_of(w.stack);
    Function& function =
        functions.try_emplace(frames.empty() ? "" : frames.front().function, Function{w.stack, 0, {}}).first->second;
    function.weight += w.weight;
    if (memory) function.objects = function.objects.value_or(0) + w.objects;
  }
  std::vector<Function> top;
  for (const auto& [name, function] : functions) top.push_back(function);
  std::stable_sort(top.begin(), top.end(), [](const auto& a, const auto& b) { return a.weight > b.weight; });
  if (top.size() > 10) top.resize(10);
  std::vector<run::ReportStack> out;
  for (const Function& function : top) {
    run::ReportStack stack;
    stack.stack = frames_of(function.stack);
    stack.weight = function.weight;
    stack.objects = function.objects;
    stack.share = total > 0 ? function.weight / total : 0;
    out.push_back(std::move(stack));
  }
  return out;
}

void describe_recording(run::Reader& reader, run::Report& report) {
  std::map<std::string, std::uint64_t> lost;
  for (const run::Lost& row : reader.lost()) lost[row.kind] += unsigned_of(row.records);
  for (const auto& [kind, records] : lost) {
    if (records > 0) report.lost.push_back({kind, records});
  }
  std::map<std::string, run::ReportSetting> settings;
  for (const run::Setting& s : reader.settings()) {
    const auto [found, is_new] = settings.try_emplace(s.name, run::ReportSetting{s.name, s.value, s.value, 0});
    if (!is_new && s.value != found->second.last) ++found->second.changes;
    found->second.last = s.value;
  }
  for (const auto& [name, setting] : settings) report.sampling.push_back(setting);
}

// Zeros of a time in which nothing was recorded must not be read as figures.
void say_what_was_off(const run::Report& report, std::vector<std::string>& sentences) {
  constexpr std::size_t kMostSentences = 8;
  std::size_t said = 0;
  for (const run::ReportProcess& process : report.processes) {
    std::map<std::pair<double, double>, std::string> families;
    for (const run::ReportGap& gap : process.not_recorded) {
      std::string& list = families[{gap.from_s, gap.to_s}];
      list += (list.empty() ? "" : ", ") + gap.family;
    }
    for (const auto& [when, list] : families) {
      if (++said > kMostSentences) return;
      sentences.push_back(fmt::format(
          "Not recorded in pid {} from {} to {}: {}. What is missing there was not counted, which is not zero.",
          process.pid, run::at_time(when.first), run::at_time(when.second), list));
    }
  }
}

// What could not be told, a sentence each; and whether that is enough to withhold an innocent verdict.
bool judge_the_evidence(const RunInput& input, const LeakAnalysis& leaks, const Degradation& degradation,
                        const Thresholds& k, run::Report& report) {
  auto& sentences = report.analysis.not_judged;
  if (report.run.state == "snapshot") {
    sentences.push_back(
        "Leaks and degradation: a snapshot shows what is held, not how it changes; record with camprobe run or attach "
        "to "
        "have it judged.");
    say_what_was_off(report, sentences);
    return false;
  }
  bool enough = true;
  const double length = input.stretch.end - input.stretch.begin;
  if (leaks.too_short) {
    enough = false;
    sentences.push_back(
        fmt::format("Leaks: {} under load and {} requests are too little to tell; {} and {} requests are the least.",
                    run::in_seconds(length),
                    run::in_count(input.clock.counts_requests()
                                      ? input.clock.at(input.stretch.end) - input.clock.at(input.stretch.begin)
                                      : 0),
                    run::in_seconds(k.min_seconds), run::in_count(k.min_requests)));
  }
  const bool any_probe = std::any_of(report.processes.begin(), report.processes.end(),
                                     [](const auto& p) { return p.probe_state == "sampling"; });
  if (!any_probe) {
    enough = false;
    sentences.push_back("Leaks: the probe sampled no process of this run; only what /proc shows was judged.");
  } else if (input.heap_interval <= 0) {
    enough = false;
    sentences.push_back("Heap: no allocations were sampled.");
  }
  if (input.heap_lost_share > k.lost_share) {
    enough = false;
    sentences.push_back(fmt::format("Heap: {} of the records were lost; what leaks little may have gone with them.",
                                    run::in_percent(input.heap_lost_share)));
  }
  constexpr double kTooMuch = 0.1;
  if (const double off = share_not_recorded(report, "heap", input.stretch.begin, input.stretch.end); off > kTooMuch) {
    enough = false;
    sentences.push_back(fmt::format(
        "Heap: it was not sampled for {} of the time judged; what leaked then was not seen.", run::in_percent(off)));
  }
  say_what_was_off(report, sentences);
  for (const std::string& note : input.notes) sentences.push_back(note);
  if (input.service.all.points.empty()) {
    sentences.push_back(
        "Latency and CPU per request: no requests with a time were recorded (give the load tool's results with "
        "--load-results).");
  } else if (!degradation.same_load) {
    sentences.push_back(fmt::format(
        "Latency and CPU per request: the load rose by {} during the run, so early and late cannot be compared.",
        run::in_percent(degradation.load_change)));
  }
  if (degradation.mix_changed)
    sentences.push_back("Latency over all endpoints and CPU per request: the mix of requests changed during the run.");
  std::map<std::string, std::string> open;
  for (const CostChange& change : degradation.changes) {
    if (change.confirmed || change.verdict != Verdict::kInconclusive || !degradation.same_load) continue;
    std::string& list = open[change.why];
    list += (list.empty() ? "" : ", ") + std::string(to_string(change.kind)) +
            (change.endpoint.empty() ? "" : " of " + change.endpoint);
    if (change.ratio_interval.high > 0) {
      list += fmt::format(" ({:+.0f} %; 95 %: {:+.0f} to {:+.0f} %)", 100 * (change.ratio - 1),
                          100 * (change.ratio_interval.low - 1), 100 * (change.ratio_interval.high - 1));
    }
  }
  for (const auto& [why, what] : open) sentences.push_back(what + ": " + why + ".");
  if (report.load.latency_basis == "sent") {
    sentences.push_back("Latency is counted from when the load tool sent a request: waits before that are not in it.");
  }
  return enough;
}

std::string headline(const run::Report& report, bool may_be_slower) {
  std::vector<std::string> leaks, slower;
  std::size_t open = 0;
  for (const run::Finding& f : report.findings) {
    if (f.confirmed) (f.kind == "leak" ? leaks : slower).push_back(f.title);
    if (f.verdict == "inconclusive") ++open;
  }
  const auto joined = [](const std::vector<std::string>& titles) {
    std::string text = titles.front();
    if (titles.size() == 2) text += "; " + titles[1];
    if (titles.size() > 2) text += fmt::format("; and {} more", titles.size() - 1);
    return text;
  };
  if (!leaks.empty() && !slower.empty())
    return fmt::format("{} {}: {}. Also: {}.", leaks.size(), leaks.size() == 1 ? "leak" : "leaks", joined(leaks),
                       joined(slower));
  if (!leaks.empty())
    return fmt::format("{} {}: {}.", leaks.size(), leaks.size() == 1 ? "leak" : "leaks", joined(leaks));
  if (!slower.empty()) return joined(slower) + ".";
  if (report.run.state == "snapshot") return "A snapshot of one instant: nothing is judged.";
  if (report.verdict == "inconclusive") {
    if (may_be_slower && open == 0)
      return "No leak and no degradation shown, but it may have got slower: see what could not be told.";
    if (open > 0)
      return fmt::format("No leak and no degradation shown, but {} could not be told from one.",
                         open == 1 ? "one thing" : std::to_string(open) + " things");
    return "Too little was seen to judge.";
  }
  return "No leak and no degradation found.";
}

// A run that is too short convicts nobody.
std::vector<run::Finding> leak_findings_of(run::Reader& reader, const RunInput& input, const LeakAnalysis& leaks,
                                           const Thresholds& k) {
  std::vector<run::Finding> findings = leak_findings(reader, input, leaks, k);
  for (run::Finding& f : findings) {
    if (!leaks.too_short || !f.confirmed) continue;
    f.confirmed = false;
    f.verdict = "inconclusive";
    f.confidence = 0.5;
    f.needs_seconds = 2 * k.min_seconds;
  }
  return findings;
}

}  // namespace

std::vector<run::Finding> leaks_in(run::Reader& reader, const Thresholds& k) {
  const RunInput input = input_from(reader, k, false);
  return leak_findings_of(reader, input, find_leaks(input.populations, all_stretches(input), input.clock, k), k);
}

run::Report analyse(run::Reader& reader, const Thresholds& k) {
  return analyse(reader, input_from(reader, k), k);
}

run::Report analyse(run::Reader& reader, const RunInput& input, const Thresholds& k) {
  run::Report report;
  describe_run(reader, report);
  // Whoever is alive at one instant is a survivor: everything would look like a leak.
  const bool is_snapshot = report.run.state == "snapshot";
  const std::vector<Population> nobody;
  describe_load(reader, input, report);
  describe_spans(reader, report);
  describe_sockets(reader, input.stretch.end, report);
  report.top_cpu = heaviest(reader, reader.cpu(), false);
  report.top_allocated = heaviest(reader, reader.alloc(), true);
  report.top_live = heaviest(reader, reader.live(static_cast<std::int64_t>(input.stretch.end * 1e9)), true);
  describe_recording(reader, report);
  describe_sampling(reader, report);

  const LeakAnalysis leaks = find_leaks(is_snapshot ? nobody : input.populations, all_stretches(input), input.clock, k);
  Degradation degradation;
  if (!input.service.all.points.empty() && !leaks.too_short && !is_snapshot)
    degradation = find_degradation(input.service, input.stretch, k);
  const MemoryVerdict memory = judge_memory(input.memory, input.stretch, k);

  report.findings = leak_findings_of(reader, input, leaks, k);
  for (run::Finding& f : degradation_findings(reader, input, degradation, k)) report.findings.push_back(std::move(f));
  if (!leaks.too_short && !is_snapshot) {
    for (run::Finding& f : memory_findings(input, memory, report.findings, k)) report.findings.push_back(std::move(f));
  }
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const auto& a, const auto& b) { return a.confirmed > b.confirmed; });

  auto& analysis = report.analysis;
  analysis.thresholds_version = k.version;
  analysis.thresholds = as_list(k);
  analysis.from_s = input.stretch.begin;
  analysis.to_s = input.stretch.end;
  analysis.warm_up_s = input.stretch.warm_up;
  analysis.stacks = leaks.populations;
  analysis.candidates = leaks.candidates;
  analysis.comparisons = degradation.judged;
  const double requests =
      input.clock.counts_requests() ? input.clock.at(input.stretch.end) - input.clock.at(input.stretch.warm_up) : 0;
  if (input.heap_interval > 0 && requests > 0) {
    // As many expected survivors as the table in docs/analysis.md finds rarely (16), mostly (32) and nearly always
    // (64).
    const double one = input.heap_interval / requests * 1000;
    analysis.smallest_leak_per_1000_requests = run::Estimate{32 * one, 16 * one, 64 * one, "bytes"};
  }
  const bool enough = judge_the_evidence(input, leaks, degradation, k, report);
  const bool any_confirmed =
      std::any_of(report.findings.begin(), report.findings.end(), [](const auto& f) { return f.confirmed; });
  const bool any_open = std::any_of(report.findings.begin(), report.findings.end(),
                                    [](const auto& f) { return f.kind != "budget" && f.verdict == "inconclusive"; });
  const bool may_be_slower = std::any_of(degradation.changes.begin(), degradation.changes.end(),
                                         [](const auto& change) { return change.open; });
  analysis.leaks_judged = enough;
  analysis.degradation_judged =
      !input.service.all.points.empty() && !leaks.too_short && degradation.same_load && !may_be_slower;
  report.verdict = any_confirmed ? "fail" : !enough || any_open || may_be_slower ? "inconclusive" : "pass";
  report.summary = headline(report, may_be_slower);
  return report;
}

}  // namespace camprobe::analysis
