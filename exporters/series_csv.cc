// exporters/series_csv.cc
#include "exporters/series_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "exporters/safe_text.h"
#include "run/histogram.h"
#include "run/rfc3339.h"

namespace camprobe::exporters {

namespace {

constexpr double kNsInASecond = 1e9;

std::string field(std::string_view text) {
  const std::string safe = printable_utf8(text);
  if (safe.find_first_of(",\"") == std::string::npos) return safe;
  std::string quoted = "\"";
  for (const char c : safe) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

class Table {
 public:
  Table(run::Reader& run, TimeRange range, std::optional<std::int64_t> pid)
      : run_(run), range_(range), started_ns_(run.meta().started_realtime_ns) {
    bool found = false;
    for (const run::Process& p : run.processes()) {
      pids_[p.id] = p.pid;
      found |= pid && p.pid == *pid && p.id != run::kMachine;
    }
    if (pid && !found) throw SliceError(fmt::format("--pid {}: no such process in this run", *pid));
    pid_ = pid;
  }

  std::string write() {
    text_ = "time_s,utc,width_s,pid,kind,name,of,value,unit\n";
    metrics();
    if (!pid_) load();
    spans();
    io();
    lost();
    events();
    return std::move(text_);
  }

 private:
  bool wanted(run::ProcessId process, std::int64_t at_ns) const {
    if (at_ns < range_.from_ns || at_ns >= range_.to_ns) return false;
    if (!pid_) return true;
    const auto found = pids_.find(process);
    return process != run::kMachine && found != pids_.end() && found->second == *pid_;
  }

  void row(std::int64_t at_ns, std::int64_t width, run::ProcessId process, std::string_view kind, std::string_view name,
           std::string_view of, std::optional<double> value, std::string_view unit) {
    const auto pid = pids_.find(process);
    text_ += fmt::format("{},{},{},{},{},{},{},{},{}\n", static_cast<double>(at_ns) / kNsInASecond,
                         run::rfc3339(started_ns_ > 0 ? started_ns_ + at_ns : 0), width,
                         process == run::kMachine || pid == pids_.end() ? "" : std::to_string(pid->second), kind,
                         field(name), field(of), value ? fmt::format("{}", *value) : "", unit);
  }

  static std::int64_t ns_of(std::int64_t second) { return second * 1'000'000'000; }

  void metrics() {
    for (const run::Metric& metric : run_.metrics()) {
      for (const run::Point& p : run_.series(metric.name)) {
        if (wanted(p.process, ns_of(p.second)))
          row(ns_of(p.second), p.width, p.process, metric.kind, metric.name, "", p.value, metric.unit);
      }
    }
  }

  void quantiles(std::int64_t second, std::int64_t width, run::ProcessId process, std::string_view kind,
                 std::string_view of, const run::Histogram& histogram) {
    for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1.0}}) {
      if (const auto ns = histogram.quantile(share))
        row(ns_of(second), width, process, kind, name, of, static_cast<double>(*ns) / 1e6, "ms");
    }
  }

  void load() {
    for (const run::LoadBucket& b : run_.load_buckets()) {
      if (!wanted(run::kMachine, ns_of(b.second))) continue;
      const auto number = [&](std::string_view name, std::optional<double> value, std::string_view unit) {
        if (value) row(ns_of(b.second), b.width, run::kMachine, "load", name, b.endpoint, value, unit);
      };
      number("requests", static_cast<double>(b.requests), "count");
      number("errors", static_cast<double>(b.errors), "count");
      number("users", b.users, "count");
      if (b.latency) {
        if (const auto histogram = run::Histogram::from_json(*b.latency))
          quantiles(b.second, b.width, run::kMachine, "load", b.endpoint, *histogram);
      } else {
        number("p50", b.p50_ms, "ms");
        number("p95", b.p95_ms, "ms");
        number("p99", b.p99_ms, "ms");
        number("max", b.max_ms, "ms");
      }
    }
  }

  void spans() {
    for (const run::SpanStat& s : run_.span_stats()) {
      if (!wanted(s.process, ns_of(s.second))) continue;
      const std::string& name = run_.name(s.name);
      row(ns_of(s.second), 1, s.process, "span", "spans", name, static_cast<double>(s.spans), "count");
      row(ns_of(s.second), 1, s.process, "span", "total_ns", name, static_cast<double>(s.total_ns), "ns");
      if (const auto histogram = run::Histogram::from_json(s.latency))
        quantiles(s.second, 1, s.process, "span", name, *histogram);
    }
    for (const run::SpanAttribute& a : run_.span_attributes()) {
      if (!wanted(a.process, ns_of(a.second))) continue;
      const std::string of = run_.name(a.name) + "." + run_.name(a.key) + (a.text.empty() ? "" : "=" + a.text);
      row(ns_of(a.second), 1, a.process, "span", "attribute_spans", of, static_cast<double>(a.spans), "count");
      if (a.text.empty()) row(ns_of(a.second), 1, a.process, "span", "attribute_sum", of, a.sum, "");
      if (!a.text.empty())
        row(ns_of(a.second), 1, a.process, "span", "attribute_changes", of, static_cast<double>(a.changes), "count");
    }
  }

  void io() {
    for (const run::IoRow& r : run_.io()) {
      if (!wanted(r.process, ns_of(r.second))) continue;
      const auto number = [&](std::string_view name, std::int64_t value, std::string_view unit) {
        row(ns_of(r.second), 1, r.process, "io", name, r.kind, static_cast<double>(value), unit);
      };
      number("operations", r.ops, "count");
      number("bytes", r.bytes, "bytes");
      number("errors", r.errors, "count");
      number("ns", r.ns, "ns");
    }
  }

  void lost() {
    for (const run::Lost& l : run_.lost()) {
      if (wanted(l.process, ns_of(l.second)))
        row(ns_of(l.second), 1, l.process, "lost", "records", l.kind, static_cast<double>(l.records), "count");
    }
  }

  void events() {
    struct Event {
      std::int64_t at_ns;
      run::ProcessId process;
      std::string name, of;
      std::optional<double> value;
    };
    std::vector<Event> all;
    for (const run::Process& p : run_.processes()) {
      if (p.id == run::kMachine) continue;
      all.push_back({p.began_ns, p.id, "process began", p.command.empty() ? p.executable : p.command, std::nullopt});
      if (p.ended_ns) {
        std::optional<double> status;
        if (p.exit_status) status = static_cast<double>(*p.exit_status);
        all.push_back({*p.ended_ns, p.id, "process ended", p.ended_how, status});
      }
    }
    for (const run::LoadWindow& w : run_.load_windows()) {
      const std::string of = w.name.empty() || w.name == w.kind ? w.kind : w.name + " (" + w.kind + ")";
      all.push_back({w.from_ns, run::kMachine, "load window began", of, std::nullopt});
      all.push_back({w.to_ns, run::kMachine, "load window ended", of, std::nullopt});
    }
    for (const run::Mark& m : run_.marks()) all.push_back({m.at_ns, run::kMachine, "mark", m.text, std::nullopt});
    for (const run::Setting& s : run_.settings()) all.push_back({s.at_ns, s.process, "setting", s.name, s.value});
    std::stable_sort(all.begin(), all.end(), [](const Event& a, const Event& b) { return a.at_ns < b.at_ns; });
    for (const Event& e : all) {
      // What was there before the run began, and what ended with it, belong to it.
      const std::int64_t within =
          std::clamp(e.at_ns, std::int64_t{0}, std::max<std::int64_t>(run_.duration_ns() - 1, 0));
      if (wanted(e.process, within)) row(e.at_ns, 0, e.process, "event", e.name, e.of, e.value, "");
    }
  }

  run::Reader& run_;
  TimeRange range_;
  std::int64_t started_ns_;
  std::optional<std::int64_t> pid_;
  std::map<run::ProcessId, std::int64_t> pids_;
  std::string text_;
};

}  // namespace

std::string series_csv(run::Reader& run, TimeRange range, std::optional<std::int64_t> pid) {
  return Table(run, range, pid).write();
}

}  // namespace camprobe::exporters
