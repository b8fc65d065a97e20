// run/report.cc
#include "run/report.h"

#include <cmath>

namespace camprobe::run {

using Json = nlohmann::ordered_json;

namespace {

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

// JSON has no infinity; what is not a number is not known.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<T, double>) {
    return number(*value);
  } else {
    return *value;
  }
}

Json to_json(const Estimate& e) {
  return {{"value", number(e.value)}, {"low", number(e.low)}, {"high", number(e.high)}, {"unit", e.unit}};
}

Json to_json(const ReportFrame& frame) {
  return {{"function", frame.function},
          {"file", text_or_null(frame.file)},
          {"line", or_null(frame.line)},
          {"module", text_or_null(frame.module)}};
}

Json to_json(const std::vector<ReportFrame>& stack) {
  Json frames = Json::array();
  for (const ReportFrame& frame : stack) frames.push_back(to_json(frame));
  return frames;
}

Json to_json(const ReportSince& since) {
  return {{"at_ns", static_cast<std::int64_t>(std::llround(since.at_s * 1e9))},
          {"at_s", number(since.at_s)},
          {"low_s", number(since.low_s)},
          {"high_s", number(since.high_s)},
          {"from_start", since.from_start},
          {"until_s", or_null(since.until_s)},
          {"window", text_or_null(since.window)}};
}

Json to_json(const ReportForecast& forecast) {
  return {{"limit", forecast.limit},
          {"limit_value", number(forecast.limit_value)},
          {"seconds_to_limit", or_null(forecast.seconds_to_limit)},
          {"seconds_low", or_null(forecast.seconds_low)},
          {"seconds_high", or_null(forecast.seconds_high)},
          {"text", forecast.text}};
}

Json to_json(const ReportQuantiles& q) {
  return {{"count", q.count},
          {"p50", or_null(q.p50)},
          {"p95", or_null(q.p95)},
          {"p99", or_null(q.p99)},
          {"max", or_null(q.max)}};
}

template <typename T>
Json object_or_null(const std::optional<T>& value) {
  return value ? to_json(*value) : Json(nullptr);
}

Json to_json(const Finding& f) {
  Json evidence = Json::array();
  for (const ReportEvidence& e : f.evidence) {
    evidence.push_back({{"what", e.what}, {"text", e.text}, {"value", or_null(e.value)}});
  }
  return {{"id", f.id},
          {"kind", f.kind},
          {"resource", f.resource},
          {"verdict", f.verdict},
          {"confirmed", f.confirmed},
          {"title", f.title},
          {"where",
           {{"stack", to_json(f.where.stack)},
            {"process", or_null(f.where.process)},
            {"span", text_or_null(f.where.span)},
            {"endpoint", text_or_null(f.where.endpoint)},
            {"peer", text_or_null(f.where.peer)}}},
          {"since", object_or_null(f.since)},
          {"per_1000_requests", object_or_null(f.per_1000_requests)},
          {"per_hour", object_or_null(f.per_hour)},
          {"before", object_or_null(f.before)},
          {"after", object_or_null(f.after)},
          {"forecast", object_or_null(f.forecast)},
          {"confidence", number(f.confidence)},
          {"needs_seconds", or_null(f.needs_seconds)},
          {"evidence", evidence},
          {"advice", f.advice}};
}

Json stacks(const std::vector<ReportStack>& top, const char* unit) {
  Json list = Json::array();
  for (const ReportStack& s : top) {
    list.push_back({{"weight", number(s.weight)},
                    {"unit", unit},
                    {"share", number(s.share)},
                    {"objects", or_null(s.objects)},
                    {"stack", to_json(s.stack)}});
  }
  return list;
}

Json probe(const ReportProcess& p) {
  Json settings = Json::array(), gaps = Json::array();
  std::size_t left_out = 0;
  for (const ReportHeld& held : p.settings) {
    left_out += held.left_out;
    for (const ReportStretch& s : held.stretches) {
      settings.push_back(
          {{"name", held.name}, {"value", number(s.value)}, {"from_s", number(s.from_s)}, {"to_s", number(s.to_s)}});
    }
  }
  for (const ReportGap& gap : p.not_recorded)
    gaps.push_back({{"family", gap.family}, {"from_s", number(gap.from_s)}, {"to_s", number(gap.to_s)}});
  return {{"cpu_share", or_null(p.probe_cpu_share)},
          {"budget", or_null(p.probe_budget)},
          {"settings", settings},
          {"settings_left_out", left_out},
          {"not_recorded", gaps}};
}

Json memory(const std::optional<ReportMemory>& m) {
  if (!m) return nullptr;
  return {{"allocator", text_or_null(m->allocator)}, {"resident_bytes", number(m->resident)},
          {"live_bytes", or_null(m->live)},          {"retained_bytes", or_null(m->retained)},
          {"retained_is_told", m->retained_is_told}, {"mapping_bytes", or_null(m->mappings)},
          {"stack_bytes", or_null(m->stacks)},       {"rest_bytes", or_null(m->rest)}};
}

Json processes(const Report& report) {
  Json list = Json::array();
  for (const ReportProcess& p : report.processes) {
    list.push_back({{"id", p.id},
                    {"pid", p.pid},
                    {"executable", p.executable},
                    {"command", p.command},
                    {"began_s", number(p.began_s)},
                    {"ended_s", or_null(p.ended_s)},
                    {"ended_how", text_or_null(p.ended_how)},
                    {"exit_status", or_null(p.exit_status)},
                    {"probe_state", p.probe_state},
                    {"note", text_or_null(p.note)},
                    {"peak_rss_bytes", or_null(p.peak_rss_bytes)},
                    {"last_rss_bytes", or_null(p.last_rss_bytes)},
                    {"cpu_seconds", or_null(p.cpu_seconds)},
                    {"memory_limit_bytes", or_null(p.memory_limit_bytes)},
                    {"memory", memory(p.memory)},
                    {"probe", probe(p)}});
  }
  return list;
}

Json load(const ReportLoad& l) {
  Json windows = Json::array();
  for (const ReportLoadWindow& w : l.windows) {
    windows.push_back({{"name", w.name},
                       {"kind", w.kind},
                       {"from_s", number(w.from_s)},
                       {"to_s", number(w.to_s)},
                       {"requests", w.requests},
                       {"errors", w.errors},
                       {"latency_ms", to_json(w.latency)}});
  }
  Json endpoints = Json::array();
  for (const ReportEndpoint& e : l.endpoints) {
    endpoints.push_back(
        {{"endpoint", e.endpoint}, {"requests", e.requests}, {"errors", e.errors}, {"latency_ms", to_json(e.latency)}});
  }
  return {{"tool", text_or_null(l.tool)},     {"counted_by", l.counted_by},
          {"latency_basis", l.latency_basis}, {"windows", windows},
          {"requests", l.requests},           {"errors", l.errors},
          {"latency_ms", to_json(l.latency)}, {"endpoints", endpoints},
          {"skipped_rows", l.skipped_rows},   {"skipped_why", text_or_null(l.skipped_why)}};
}

Json cam(const ReportCam& c) {
  Json providers = Json::object();
  for (const auto& [provider, chosen] : c.providers) providers[provider] = chosen;
  return {{"arbitration_ms", object_or_null(c.arbitration)},
          {"consensus_ms", object_or_null(c.consensus)},
          {"provider_switch_rate", or_null(c.provider_switch_rate)},
          {"cost_optimization_rate", or_null(c.cost_optimization_rate)},
          {"providers", providers}};
}

}  // namespace

Json to_json(const ReportGate& g) {
  return {{"name", g.name},
          {"passed", g.passed},
          {"state", g.state},
          {"text", g.text},
          {"metric", g.metric},
          {"unit", g.unit},
          {"endpoint", text_or_null(g.endpoint)},
          {"window", text_or_null(g.window)},
          {"value", or_null(g.value)},
          {"min", or_null(g.min)},
          {"max", or_null(g.max)}};
}

Json to_json(const Report& r) {
  Json findings = Json::array(), spans = Json::array(), sockets = Json::array(), gates = Json::array(),
       lost_kinds = Json::array(), sampling = Json::array(), thresholds = Json::object();
  for (const Finding& f : r.findings) findings.push_back(to_json(f));
  for (const ReportSpan& s : r.spans) {
    spans.push_back({{"name", s.name}, {"latency_ms", to_json(s.latency)}, {"total_seconds", number(s.total_seconds)}});
  }
  for (const ReportPeer& p : r.sockets) {
    sockets.push_back({{"peer", p.peer},
                       {"kind", p.kind},
                       {"opened", p.opened},
                       {"still_open", p.still_open},
                       {"read_ops", p.read_ops},
                       {"read_bytes", p.read_bytes},
                       {"write_ops", p.write_ops},
                       {"write_bytes", p.write_bytes}});
  }
  for (const ReportGate& g : r.gates) gates.push_back(to_json(g));
  std::uint64_t lost = 0;
  for (const ReportLost& l : r.lost) {
    lost += l.records;
    lost_kinds.push_back({{"kind", l.kind}, {"records", l.records}});
  }
  for (const ReportSetting& s : r.sampling) {
    sampling.push_back(
        {{"name", s.name}, {"first", number(s.first)}, {"last", number(s.last)}, {"changes", s.changes}});
  }
  for (const auto& [name, value] : r.analysis.thresholds) thresholds[name] = number(value);
  return {{"schema", kReportSchema},
          {"verdict", r.verdict},
          {"summary", r.summary},
          {"run",
           {{"file", r.run.file},
            {"run_id", r.run.run_id},
            {"camprobe_version", r.run.camprobe_version},
            {"state", r.run.state},
            {"started_at", text_or_null(r.run.started_at)},
            {"started_realtime_ns", r.run.started_realtime_ns},
            {"ended_ns", r.run.ended_ns},
            {"seconds", number(r.run.seconds)},
            {"command", r.run.command},
            {"load_command", text_or_null(r.run.load_command)},
            {"host", r.run.host},
            {"kernel", r.run.kernel},
            {"cpus", r.run.cpus},
            {"memory_bytes", r.run.memory_bytes}}},
          {"processes", processes(r)},
          {"load", load(r.load)},
          {"findings", findings},
          {"cam", cam(r.cam)},
          {"spans", spans},
          {"sockets", sockets},
          {"top",
           {{"cpu", stacks(r.top_cpu, "ns")},
            {"allocated", stacks(r.top_allocated, "bytes")},
            {"live", stacks(r.top_live, "bytes")}}},
          {"gates", gates},
          {"lost", {{"records", lost}, {"kinds", lost_kinds}}},
          {"sampling", sampling},
          {"analysis",
           {{"from_s", number(r.analysis.from_s)},
            {"to_s", number(r.analysis.to_s)},
            {"warm_up_s", number(r.analysis.warm_up_s)},
            {"stacks", r.analysis.stacks},
            {"candidates", r.analysis.candidates},
            {"comparisons", r.analysis.comparisons},
            {"smallest_leak_per_1000_requests", object_or_null(r.analysis.smallest_leak_per_1000_requests)},
            {"not_judged", r.analysis.not_judged},
            {"leaks_judged", r.analysis.leaks_judged},
            {"degradation_judged", r.analysis.degradation_judged},
            {"thresholds_version", r.analysis.thresholds_version},
            {"thresholds", thresholds}}}};
}

}  // namespace camprobe::run
