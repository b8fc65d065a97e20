#include "push/run_metrics.h"

#include <algorithm>
#include <array>
#include <utility>

#include "collector/metrics.h"
#include "collector/serve/span_totals.h"
#include "run/histogram.h"
#include "run/text.h"

namespace camprobe::push {
namespace {

constexpr double kNsInASecond = 1e9;

// Series that become one metric as they are, or divided.
struct Mapped {
  const run::Metric* from;
  serve::MetricName to;
  double divisor = 1;
  const char* label = nullptr;
  const char* value = nullptr;
};

const std::array kMapped = {
    Mapped{&metrics::kResidentBytes, serve::names::kStandardProcessResidentMemoryBytes},
    Mapped{&metrics::kOpenFds, serve::names::kStandardProcessOpenFds},
    Mapped{&metrics::kCpuUser, serve::names::kProcessCpuSecondsTotal, kNsInASecond, "mode", "user"},
    Mapped{&metrics::kCpuSystem, serve::names::kProcessCpuSecondsTotal, kNsInASecond, "mode", "system"},
    Mapped{&metrics::kThreads, serve::names::kProcessThreads},
    Mapped{&metrics::kMinorFaults, serve::names::kProcessPageFaultsTotal, 1, "kind", "minor"},
    Mapped{&metrics::kMajorFaults, serve::names::kProcessPageFaultsTotal, 1, "kind", "major"},
    Mapped{&metrics::kSwapBytes, serve::names::kProcessSwapBytes},
    Mapped{&metrics::kStorageReadBytes, serve::names::kProcessStorageBytesTotal, 1, "direction", "read"},
    Mapped{&metrics::kStorageWriteBytes, serve::names::kProcessStorageBytesTotal, 1, "direction", "write"},
    Mapped{&metrics::kHeapAllocations, serve::names::kHeapAllocationsTotal},
    Mapped{&metrics::kHeapFrees, serve::names::kHeapFreesTotal},
    Mapped{&metrics::kHeapAllocatedBytes, serve::names::kHeapAllocatedBytesTotal},
    Mapped{&metrics::kHeapLiveBytes, serve::names::kHeapLiveBytes},
    Mapped{&metrics::kHeapLiveObjects, serve::names::kHeapLiveObjects},
    Mapped{&metrics::kMappedBytes, serve::names::kHeapMappedBytes},
    Mapped{&metrics::kProbeNanoseconds, serve::names::kProbeSecondsTotal, kNsInASecond},
};

std::string label_text(std::string_view text) {
  constexpr std::size_t kMostBytes = 96;
  std::string safe = run::valid_utf8(text.substr(0, kMostBytes));
  for (char& c : safe)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  return safe;
}

// "socket_read" is ("socket", "read"); nothing of what is no flow of bytes.
std::optional<std::pair<std::string, std::string>> flow_of(const std::string& kind) {
  for (const char* direction : {"read", "write"})
    if (kind.ends_with(std::string("_") + direction))
      return std::pair{kind.substr(0, kind.rfind('_')), std::string(direction)};
  return std::nullopt;
}

constexpr const char* kLost = "lost.";
constexpr const char* kIo = "io.";
constexpr const char* kMostOther = "(other)";

}  // namespace

RunMetrics::RunMetrics(run::Reader& run)
    : processes_(run.processes()),
      started_s_(static_cast<double>(run.meta().started_realtime_ns) / kNsInASecond),
      load_latency_(std::make_unique<Histogram>(serve::kSpanBounds)) {
  read_points(run);
  read_sums(run);
  const auto by_second = [](const auto& a, const auto& b) { return a.second < b.second; };
  std::stable_sort(steps_.begin(), steps_.end(), by_second);
  std::stable_sort(durations_.begin(), durations_.end(), by_second);
}

void RunMetrics::read_points(run::Reader& run) {
  for (const Mapped& mapped : kMapped)
    for (const run::Point& point : run.series(mapped.from->name))
      steps_.push_back({point.second + point.width, &numbers_[{point.process, mapped.from->name}], point.value, false});
}

void RunMetrics::add_latency(std::int64_t second, Histogram& histogram, const std::string& latency, double sum) {
  const auto read = run::Histogram::from_json(latency);
  if (!read) return;
  const double whole = sum < 0 ? static_cast<double>(read->sum()) / kNsInASecond : sum;
  durations_.push_back({second, &histogram, 0, 0, whole});
  read->each_bucket([&](std::uint32_t bucket, std::uint64_t count) {
    const double longest = static_cast<double>(run::Histogram::bucket_high(bucket) - 1) / kNsInASecond;
    durations_.push_back({second, &histogram, longest, static_cast<double>(count), 0});
  });
}

void RunMetrics::read_sums(run::Reader& run) {
  const auto add = [&](run::ProcessId process, std::int64_t second, const std::string& name, std::int64_t value) {
    steps_.push_back({second, &numbers_[{process, name}], static_cast<double>(value), true});
  };
  for (const run::IoRow& row : run.io()) {
    const std::string name = kIo + row.kind;
    add(row.process, row.second + row.width, name + ".ops", row.ops);
    add(row.process, row.second + row.width, name + ".bytes", row.bytes);
    add(row.process, row.second + row.width, name + ".errors", row.errors);
    add(row.process, row.second + row.width, name + ".ns", row.ns);
  }
  for (const run::Lost& row : run.lost()) add(row.process, row.second + row.width, kLost + row.kind, row.records);
  std::map<run::ProcessId, std::size_t> names;  // bounded as in serve
  for (const run::SpanStat& row : run.span_stats()) {
    Key key{row.process, label_text(run.name(row.name))};
    if (!spans_.contains(key) && ++names[row.process] > serve::SpanTotals::kMostSeries) key.second = kMostOther;
    auto& histogram = spans_[key];
    if (!histogram) histogram = std::make_unique<Histogram>(serve::kSpanBounds);
    add_latency(row.second + row.width, *histogram, row.latency, static_cast<double>(row.total_ns) / kNsInASecond);
  }
  for (const run::LoadBucket& row : run.load_buckets("")) {
    add(run::kMachine, row.second + row.width, "load.requests", row.requests);
    add(run::kMachine, row.second + row.width, "load.errors", row.errors);
    if (row.users)
      steps_.push_back({row.second + row.width, &numbers_[{run::kMachine, "load.users"}], *row.users, false});
    if (row.latency) add_latency(row.second + row.width, *load_latency_, *row.latency, -1);
  }
}

std::optional<double> RunMetrics::find(run::ProcessId process, const std::string& name) const {
  const auto found = numbers_.find({process, name});
  return found == numbers_.end() ? std::nullopt : found->second;
}

void RunMetrics::add_process(serve::FamilySet& set, const run::Process& process) const {
  const std::string& path = process.executable.empty() ? process.command : process.executable;
  const serve::Labels labels{{"process", label_text(path.substr(path.rfind('/') + 1))},
                             {"pid", std::to_string(process.pid)}};
  const auto user = find(process.id, metrics::kCpuUser.name), system = find(process.id, metrics::kCpuSystem.name);
  if (user && system)
    set.counter(serve::names::kStandardProcessCpuSecondsTotal, labels, (*user + *system) / kNsInASecond);
  if (started_s_ > 0)
    set.gauge(serve::names::kStandardProcessStartTimeSeconds, labels,
              started_s_ + static_cast<double>(process.began_ns) / kNsInASecond);
  if (process.memory_limit_bytes)
    set.gauge(serve::names::kProcessMemoryLimitBytes, labels, static_cast<double>(*process.memory_limit_bytes));
  for (const Mapped& mapped : kMapped) {
    const auto value = find(process.id, mapped.from->name);
    if (!value) continue;
    const serve::Labels all = mapped.label == nullptr ? labels : serve::with(labels, {{mapped.label, mapped.value}});
    if (mapped.from->kind == "counter")
      set.counter(mapped.to, all, *value / mapped.divisor);
    else
      set.gauge(mapped.to, all, *value / mapped.divisor);
  }
  add_sums(set, labels, process.id);
}

void RunMetrics::add_sums(serve::FamilySet& set, const serve::Labels& labels, run::ProcessId process) const {
  const std::string io = kIo, lost = kLost;
  for (auto at = numbers_.lower_bound({process, io}); at != numbers_.end() && at->first.first == process; ++at) {
    const std::string& name = at->first.second;
    if (!at->second) continue;
    if (name.starts_with(lost)) {
      set.counter(serve::names::kLostRecordsTotal,
                  serve::with(labels, {{"reason", label_text(name.substr(lost.size()))}}), *at->second);
      continue;
    }
    if (!name.starts_with(io)) continue;
    const std::size_t dot = name.rfind('.');
    const std::string kind = name.substr(io.size(), dot - io.size()), what = name.substr(dot + 1);
    const auto flow = flow_of(kind);
    if (flow) {
      const serve::Labels where = serve::with(labels, {{"kind", flow->first}, {"direction", flow->second}});
      if (what == "ops")
        set.counter(serve::names::kIoOperationsTotal, where, *at->second);
      else if (what == "bytes")
        set.counter(serve::names::kIoBytesTotal, where, *at->second);
      else if (what == "errors")
        set.counter(serve::names::kIoErrorsTotal, where, *at->second);
      else
        set.counter(serve::names::kIoSecondsTotal, where, *at->second / kNsInASecond);
    } else if (kind == "accept" || kind == "connect") {
      const serve::Labels where = serve::with(labels, {{"role", kind == "accept" ? "accepted" : "connected"}});
      if (what == "ops")
        set.counter(serve::names::kSocketConnectionsTotal, where, *at->second);
      else if (what == "errors")
        set.counter(serve::names::kSocketConnectionErrorsTotal, where, *at->second);
    } else if (kind == "wait") {
      if (what == "ops")
        set.counter(serve::names::kWaitsTotal, labels, *at->second);
      else if (what == "ns")
        set.counter(serve::names::kWaitSecondsTotal, labels, *at->second / kNsInASecond);
    }
  }
  for (auto at = spans_.lower_bound({process, ""}); at != spans_.end() && at->first.first == process; ++at) {
    if (at->second->count() == 0) continue;
    set.histogram(serve::names::kSpanDurationSeconds,
                  serve::with(labels, {{"span", at->first.second}, {"provider", ""}}), *at->second);
  }
}

std::vector<prometheus::MetricFamily> RunMetrics::at(std::int64_t from_s, std::int64_t to_s) {
  for (; next_step_ < steps_.size() && steps_[next_step_].second <= to_s; ++next_step_) {
    const Step& step = steps_[next_step_];
    *step.number = step.adds ? step.number->value_or(0) + step.value : step.value;
  }
  for (; next_durations_ < durations_.size() && durations_[next_durations_].second <= to_s; ++next_durations_) {
    const Durations& some = durations_[next_durations_];
    some.histogram->add_some(some.seconds, some.count, some.sum);
  }
  serve::FamilySet set;
  for (const run::Process& process : processes_) {
    const bool has_begun = process.began_ns < to_s * 1'000'000'000;
    const bool had_ended = process.ended_ns && *process.ended_ns <= from_s * 1'000'000'000;
    if (process.id != run::kMachine && has_begun && !had_ended) add_process(set, process);
  }
  if (const auto requests = find(run::kMachine, "load.requests")) {
    set.counter(serve::names::kLoadRequestsTotal, {}, *requests);
    set.counter(serve::names::kLoadErrorsTotal, {}, *find(run::kMachine, "load.errors"));
    if (const auto users = find(run::kMachine, "load.users")) set.gauge(serve::names::kLoadUsers, {}, *users);
    if (load_latency_->count() > 0) set.histogram(serve::names::kLoadLatencySeconds, {}, *load_latency_);
  }
  return std::move(set).take();
}

}  // namespace camprobe::push
