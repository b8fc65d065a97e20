// exporters/series_rows.cc: see series_rows.h.
#include "exporters/series_rows.h"

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

class Table {
 public:
  Table(run::Reader& run, const Filter& filter, const std::function<void(const SeriesRow&)>& use)
      : run_(run), filter_(filter), use_(use), started_ns_(bounded_ns(run.meta().started_realtime_ns)) {
    for (const run::Process& p : run.processes()) pids_[p.id] = p.pid;
  }

  std::size_t write() {
    metrics();
    if (!filter_.processes) load();
    spans();
    lifetimes();
    io();
    descriptors();
    lost();
    events();
    return rows_;
  }

 private:
  bool wanted(run::ProcessId process, std::int64_t at_ns) const {
    return filter_.has_time(at_ns) && filter_.has(process);
  }

  void row(std::int64_t at_ns, std::int64_t width, run::ProcessId process, std::string_view kind, std::string_view name,
           std::string_view of, std::optional<double> value, std::string_view unit) {
    const auto pid = pids_.find(process);
    SeriesRow row{static_cast<double>(at_ns) / kNsInASecond,
                  run::rfc3339(started_ns_ > 0 ? started_ns_ + bounded_ns(at_ns) : 0),
                  width,
                  {},
                  kind,
                  printable_utf8(name),
                  printable_utf8(of),
                  value,
                  printable_utf8(unit)};
    if (process != run::kMachine && pid != pids_.end()) row.pid = pid->second;
    ++rows_;
    use_(row);
  }

  static std::int64_t ns_of(std::int64_t second) { return ns_of_second(second); }

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
      row(ns_of(s.second), s.width, s.process, "span", "spans", name, static_cast<double>(s.spans), "count");
      row(ns_of(s.second), s.width, s.process, "span", "total_ns", name, static_cast<double>(s.total_ns), "ns");
      if (const auto histogram = run::Histogram::from_json(s.latency))
        quantiles(s.second, s.width, s.process, "span", name, *histogram);
    }
    for (const run::SpanAttribute& a : run_.span_attributes()) {
      if (!wanted(a.process, ns_of(a.second))) continue;
      const std::string of = run_.name(a.name) + "." + run_.name(a.key) + (a.text.empty() ? "" : "=" + a.text);
      row(ns_of(a.second), a.width, a.process, "span", "attribute_spans", of, static_cast<double>(a.spans), "count");
      if (a.text.empty()) row(ns_of(a.second), a.width, a.process, "span", "attribute_sum", of, a.sum, "");
      if (!a.text.empty())
        row(ns_of(a.second), a.width, a.process, "span", "attribute_changes", of, static_cast<double>(a.changes),
            "count");
    }
  }

  void io() {
    for (const run::IoRow& r : run_.io()) {
      if (!wanted(r.process, ns_of(r.second))) continue;
      const auto number = [&](std::string_view name, std::int64_t value, std::string_view unit) {
        row(ns_of(r.second), r.width, r.process, "io", name, r.kind, static_cast<double>(value), unit);
      };
      number("operations", r.ops, "count");
      number("bytes", r.bytes, "bytes");
      number("errors", r.errors, "count");
      number("ns", r.ns, "ns");
    }
  }

  // Deaths of sampled objects by age: "of" is where the octave begins, in microseconds.
  void lifetimes() {
    for (const run::Lifetime& l : run_.lifetimes()) {
      if (!wanted(l.process, ns_of(l.second))) continue;
      const std::string of = fmt::format("{} us", std::int64_t{1} << std::clamp<std::int64_t>(l.octave, 0, 62));
      row(ns_of(l.second), l.width, l.process, "lifetime", "objects", of, l.objects, "count");
      row(ns_of(l.second), l.width, l.process, "lifetime", "bytes", of, l.bytes, "bytes");
    }
  }

  void descriptors() {
    for (const run::DescriptorSum& d : run_.descriptor_sums()) {
      if (!wanted(d.process, ns_of(d.second))) continue;
      const std::string of = d.peer.empty() ? d.kind : d.kind + " " + d.peer;
      const auto number = [&](std::string_view name, std::int64_t value, std::string_view unit) {
        row(ns_of(d.second), d.width, d.process, "descriptor", name, of, static_cast<double>(value), unit);
      };
      number("opened", d.opened, "count");
      number("closed", d.closed, "count");
      number("read_bytes", d.read_bytes, "bytes");
      number("write_bytes", d.write_bytes, "bytes");
    }
  }

  void lost() {
    for (const run::Lost& l : run_.lost()) {
      if (wanted(l.process, ns_of(l.second)))
        row(ns_of(l.second), l.width, l.process, "lost", "records", l.kind, static_cast<double>(l.records), "count");
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
    for (const run::Thread& t : run_.threads()) {
      const std::string of = t.name.empty() ? std::to_string(t.tid) : fmt::format("{} ({})", t.name, t.tid);
      all.push_back({t.began_ns, t.process, "thread began", of, std::nullopt});
      if (t.ended_ns) all.push_back({*t.ended_ns, t.process, "thread ended", of, std::nullopt});
    }
    for (const run::Descriptor& d : run_.descriptors()) {
      const std::string of = d.peer.empty() ? d.kind : d.kind + " " + d.peer;
      all.push_back({d.opened_ns, d.process, "descriptor opened", of, static_cast<double>(d.fd)});
      if (d.closed_ns) all.push_back({*d.closed_ns, d.process, "descriptor closed", of, static_cast<double>(d.fd)});
    }
    for (const run::LoadWindow& w : run_.load_windows()) {
      const std::string of = w.name.empty() || w.name == w.kind ? w.kind : w.name + " (" + w.kind + ")";
      all.push_back({w.from_ns, run::kMachine, "load window began", of, std::nullopt});
      all.push_back({w.to_ns, run::kMachine, "load window ended", of, std::nullopt});
    }
    for (const run::Mark& m : run_.marks()) all.push_back({m.at_ns, run::kMachine, "mark", m.text, std::nullopt});
    for (const run::Setting& s : run_.settings()) all.push_back({s.at_ns, s.process, "setting", s.name, s.value});
    std::stable_sort(all.begin(), all.end(), [](const Event& a, const Event& b) { return a.at_ns < b.at_ns; });
    const std::int64_t duration_ns = run_.duration_ns();
    for (const Event& e : all) {
      // What was there before the run began, and what ended with it, belong to it.
      const std::int64_t within = std::clamp(e.at_ns, std::int64_t{0}, std::max<std::int64_t>(duration_ns - 1, 0));
      if (wanted(e.process, within)) row(e.at_ns, 0, e.process, "event", e.name, e.of, e.value, "");
    }
  }

  run::Reader& run_;
  const Filter& filter_;
  const std::function<void(const SeriesRow&)>& use_;
  std::int64_t started_ns_;
  std::map<run::ProcessId, std::int64_t> pids_;
  std::size_t rows_ = 0;
};

}  // namespace

void each_series_row(run::Reader& run, const Filter& filter, const std::function<void(const SeriesRow&)>& use) {
  if (filter.threads) throw SliceError("--thread: series and events are not recorded by thread; leave it out");
  if (filter.span) throw SliceError("--span: series and events are not recorded by span; leave it out");
  const std::size_t rows = Table(run, filter, use).write();
  if (run.error()) throw SliceError(run.error()->sentence);
  if (rows == 0)
    throw SliceError(
        fmt::format("{}: nothing to export {}: no series and no event lies there", run.path(), filter.words));
}

}  // namespace camprobe::exporters
