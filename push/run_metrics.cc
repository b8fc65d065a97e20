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
    Mapped{&metrics::kResidentBytes, {"process_resident_memory_bytes", "Resident memory size in bytes."}},
    Mapped{&metrics::kOpenFds, {"process_open_fds", "Number of open file descriptors."}},
    Mapped{&metrics::kCpuUser,
           {"camprobe_process_cpu_seconds_total", "CPU time by mode, as the kernel accounts it."},
           kNsInASecond,
           "mode",
           "user"},
    Mapped{&metrics::kCpuSystem,
           {"camprobe_process_cpu_seconds_total", "CPU time by mode, as the kernel accounts it."},
           kNsInASecond,
           "mode",
           "system"},
    Mapped{&metrics::kThreads, {"camprobe_process_threads", "Threads."}},
    Mapped{&metrics::kMinorFaults,
           {"camprobe_process_page_faults_total", "Page faults; major ones waited for storage."},
           1,
           "kind",
           "minor"},
    Mapped{&metrics::kMajorFaults,
           {"camprobe_process_page_faults_total", "Page faults; major ones waited for storage."},
           1,
           "kind",
           "major"},
    Mapped{&metrics::kSwapBytes, {"camprobe_process_swap_bytes", "Memory in swap."}},
    Mapped{&metrics::kStorageReadBytes,
           {"camprobe_process_storage_bytes_total", "Bytes read from and written to storage."},
           1,
           "direction",
           "read"},
    Mapped{&metrics::kStorageWriteBytes,
           {"camprobe_process_storage_bytes_total", "Bytes read from and written to storage."},
           1,
           "direction",
           "write"},
    Mapped{&metrics::kHeapAllocations, {"camprobe_heap_allocations_total", "Allocations, exact."}},
    Mapped{&metrics::kHeapFrees, {"camprobe_heap_frees_total", "Blocks given back, exact."}},
    Mapped{&metrics::kHeapAllocatedBytes, {"camprobe_heap_allocated_bytes_total", "Bytes asked for, exact."}},
    Mapped{&metrics::kHeapLiveBytes,
           {"camprobe_heap_live_bytes", "Bytes allocated and not given back, estimated from the live samples."}},
    Mapped{&metrics::kHeapLiveObjects,
           {"camprobe_heap_live_objects", "Blocks allocated and not given back, estimated from the live samples."}},
    Mapped{&metrics::kMappedBytes,
           {"camprobe_heap_mapped_bytes", "Large mappings of the program's own that it has not unmapped."}},
    Mapped{&metrics::kProbeNanoseconds,
           {"camprobe_probe_seconds_total", "Time the probe spent in the process: what measuring costs it."},
           kNsInASecond},
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
    set.counter({"process_cpu_seconds_total", "Total user and system CPU time spent in seconds."}, labels,
                (*user + *system) / kNsInASecond);
  if (started_s_ > 0)
    set.gauge({"process_start_time_seconds", "Start time of the process since unix epoch in seconds."}, labels,
              started_s_ + static_cast<double>(process.began_ns) / kNsInASecond);
  if (process.memory_limit_bytes)
    set.gauge({"camprobe_process_memory_limit_bytes",
               "The least of the cgroup's limits, the process's own and the machine's memory, when it was found."},
              labels, static_cast<double>(*process.memory_limit_bytes));
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
      set.counter({"camprobe_lost_records_total",
                   "What could not be recorded or was overwritten before it was read, by reason."},
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
        set.counter({"camprobe_io_operations_total", "Reads and writes by kind of descriptor, exact."}, where,
                    *at->second);
      else if (what == "bytes")
        set.counter({"camprobe_io_bytes_total", "Bytes read and written by kind of descriptor, exact."}, where,
                    *at->second);
      else if (what == "errors")
        set.counter(
            {"camprobe_io_errors_total", "Reads and writes that failed, but for those that would have blocked."}, where,
            *at->second);
      else
        set.counter({"camprobe_io_seconds_total", "Time spent in reads and writes."}, where,
                    *at->second / kNsInASecond);
    } else if (kind == "accept" || kind == "connect") {
      const serve::Labels where = serve::with(labels, {{"role", kind == "accept" ? "accepted" : "connected"}});
      if (what == "ops")
        set.counter({"camprobe_socket_connections_total", "Calls that accept or connect, by role."}, where,
                    *at->second);
      else if (what == "errors")
        set.counter({"camprobe_socket_connection_errors_total", "Calls that accept or connect and failed, by role."},
                    where, *at->second);
    } else if (kind == "wait") {
      if (what == "ops")
        set.counter({"camprobe_waits_total", "Calls that waited (poll, epoll_wait, a blocking read), all threads."},
                    labels, *at->second);
      else if (what == "ns")
        set.counter({"camprobe_wait_seconds_total", "Time threads spent in them; idle threads wait too."}, labels,
                    *at->second / kNsInASecond);
    }
  }
  for (auto at = spans_.lower_bound({process, ""}); at != spans_.end() && at->first.first == process; ++at) {
    if (at->second->count() == 0) continue;
    set.histogram({"camprobe_span_duration_seconds",
                   "How long spans took, by name and provider: the time of decisions, provider calls, consensus."},
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
    set.counter(
        {"camprobe_load_requests_total", "Requests that the load tool made, by when they were sent or answered."}, {},
        *requests);
    set.counter({"camprobe_load_errors_total", "Those of them that failed."}, {}, *find(run::kMachine, "load.errors"));
    if (const auto users = find(run::kMachine, "load.users"))
      set.gauge({"camprobe_load_users", "Virtual users or connections of the load tool."}, {}, *users);
    if (load_latency_->count() > 0)
      set.histogram({"camprobe_load_latency_seconds", "Latency as the load tool measured it."}, {}, *load_latency_);
  }
  return std::move(set).take();
}

}  // namespace camprobe::push
