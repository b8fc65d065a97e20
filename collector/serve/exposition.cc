#include "collector/serve/exposition.h"

#include <prometheus/text_serializer.h>

#include <sstream>

#include "collector/version.h"

namespace camprobe::serve {
namespace {

constexpr double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

void add_process(FamilySet& set, const Labels& labels, const Target& target) {
  const ProcessFigures& p = target.process();
  // The standard names, which mean the same for every program that shows them.
  set.counter({"process_cpu_seconds_total", "Total user and system CPU time spent in seconds."}, labels,
              p.cpu_user_seconds + p.cpu_system_seconds);
  set.gauge({"process_start_time_seconds", "Start time of the process since unix epoch in seconds."}, labels,
            target.started_at());
  if (p.memory) {
    set.gauge({"process_resident_memory_bytes", "Resident memory size in bytes."}, labels,
              static_cast<double>(p.memory->anonymous + p.memory->file + p.memory->shared));
    set.gauge({"process_virtual_memory_bytes", "Virtual memory size in bytes."}, labels,
              static_cast<double>(p.memory->virtual_bytes));
  }
  if (p.open_descriptors)
    set.gauge({"process_open_fds", "Number of open file descriptors."}, labels,
              static_cast<double>(*p.open_descriptors));
  if (p.descriptor_limit)
    set.gauge({"process_max_fds", "Maximum number of open file descriptors."}, labels,
              static_cast<double>(*p.descriptor_limit));

  const MetricName cpu{"camprobe_process_cpu_seconds_total", "CPU time by mode, as the kernel accounts it."};
  set.counter(cpu, with(labels, {{"mode", "user"}}), p.cpu_user_seconds);
  set.counter(cpu, with(labels, {{"mode", "system"}}), p.cpu_system_seconds);
  set.gauge({"camprobe_process_threads", "Threads."}, labels, p.threads);
  const MetricName faults{"camprobe_process_page_faults_total", "Page faults; major ones waited for storage."};
  set.counter(faults, with(labels, {{"kind", "minor"}}), p.minor_faults);
  set.counter(faults, with(labels, {{"kind", "major"}}), p.major_faults);
  if (p.memory) {
    const MetricName part{"camprobe_process_resident_bytes",
                          "Resident memory by what it is: anonymous (heap and stacks), of files, shared."};
    set.gauge(part, with(labels, {{"part", "anonymous"}}), static_cast<double>(p.memory->anonymous));
    set.gauge(part, with(labels, {{"part", "file"}}), static_cast<double>(p.memory->file));
    set.gauge(part, with(labels, {{"part", "shared"}}), static_cast<double>(p.memory->shared));
    set.gauge({"camprobe_process_swap_bytes", "Memory in swap."}, labels, static_cast<double>(p.memory->swap));
  }
  if (p.memory_limit_bytes)
    set.gauge({"camprobe_process_memory_limit_bytes",
               "The least of the cgroup's limits, the process's own and the machine's memory, when it was found."},
              labels, static_cast<double>(*p.memory_limit_bytes));
  if (p.io) {
    const MetricName storage{"camprobe_process_storage_bytes_total", "Bytes read from and written to storage."};
    set.counter(storage, with(labels, {{"direction", "read"}}), static_cast<double>(p.io->read_bytes));
    set.counter(storage, with(labels, {{"direction", "write"}}), static_cast<double>(p.io->write_bytes));
  }
}

void add_heap(FamilySet& set, const Labels& labels, const Target& target) {
  set.counter({"camprobe_heap_allocations_total", "Allocations, exact."}, labels, target.counters().allocations);
  set.counter({"camprobe_heap_frees_total", "Blocks given back, exact."}, labels, target.counters().frees);
  set.counter({"camprobe_heap_allocated_bytes_total", "Bytes asked for, exact."}, labels,
              target.counters().allocated_bytes);
  if (const auto& heap = target.heap()) {
    set.gauge({"camprobe_heap_live_bytes", "Bytes allocated and not given back, estimated from the live samples."},
              labels, heap->live_bytes);
    set.gauge({"camprobe_heap_live_objects", "Blocks allocated and not given back, estimated from the live samples."},
              labels, heap->live_objects);
    set.gauge({"camprobe_heap_mapped_bytes", "Large mappings of the program's own that it has not unmapped."}, labels,
              heap->mapped_bytes);
  }
  set.counter({"camprobe_heap_freed_bytes_total", "Bytes given back since serving began, estimated from samples."},
              labels, target.freed_bytes());
  set.counter({"camprobe_heap_temporary_objects_total",
               "Blocks given back before their thread's next allocation, since serving began, estimated."},
              labels, target.temporary_objects());
  set.histogram({"camprobe_heap_lifetime_seconds",
                 "How long blocks lived that were given back since serving began, estimated from samples."},
                labels, target.lifetimes());
}

void add_allocator(FamilySet& set, const Labels& labels, const Target& target) {
  const auto& allocator = target.status().allocator;
  if (!allocator || allocator->is_too_dear) return;
  constexpr const char* kNames[] = {"unknown", "glibc", "tcmalloc", "jemalloc", "mimalloc"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(shm::AllocatorKind::kKinds));
  const Labels of = with(labels, {{"allocator", kNames[static_cast<std::size_t>(allocator->kind)]}});
  const shm::AllocatorFigures& figures = allocator->figures;
  const MetricName bytes{
      "camprobe_allocator_bytes",
      "What the process's allocator says of its memory: in_use by the program, cached and free (kept "
      "for reuse), released (given back to the system)."};
  for (const auto& [state, value] : {std::pair{"in_use", figures.in_use},
                                     {"cached", figures.cached},
                                     {"free", figures.free},
                                     {"released", figures.released}})
    if (value != shm::kUnknownBytes) set.gauge(bytes, with(of, {{"state", state}}), static_cast<double>(value));
  if (figures.held != shm::kUnknownBytes)
    set.gauge({"camprobe_allocator_held_bytes", "All that the process's allocator has of the system, as it says."}, of,
              static_cast<double>(figures.held));
}

void add_leaks(FamilySet& set, const Labels& labels, const Target& target) {
  const MetricName state{"camprobe_leak_state",
                         "1 for the state that a level is in: suspected (it grows steadily), settling, inconclusive, "
                         "none, too_early. A suspicion; a recording tells whether it is a leak."};
  for (std::size_t resource = 0; resource < kLeakResources; ++resource) {
    const LeakState is = target.leaks().state(static_cast<LeakResource>(resource));
    const Labels of = with(labels, {{"resource", text_of(static_cast<LeakResource>(resource))}});
    for (std::size_t i = 0; i < kLeakStates; ++i)
      set.gauge(state, with(of, {{"state", text_of(static_cast<LeakState>(i))}}),
                is == static_cast<LeakState>(i) ? 1 : 0);
  }
  set.gauge({"camprobe_memory_limit_reached_seconds",
             "Until resident memory reaches its limit at the pace it grows at; +Inf where it does not grow steadily."},
            labels, target.leaks().seconds_to_limit());
}

void add_io(FamilySet& set, const Labels& labels, const Target& target) {
  struct Flow {
    shm::IoKind kind;
    const char *what, *direction;
  };
  constexpr Flow kFlows[] = {
      {shm::IoKind::kSocketRead, "socket", "read"}, {shm::IoKind::kSocketWrite, "socket", "write"},
      {shm::IoKind::kFileRead, "file", "read"},     {shm::IoKind::kFileWrite, "file", "write"},
      {shm::IoKind::kOtherRead, "other", "read"},   {shm::IoKind::kOtherWrite, "other", "write"},
  };
  for (const Flow& flow : kFlows) {
    const shm::IoCounter& io = target.counters().io[static_cast<std::size_t>(flow.kind)];
    const Labels where = with(labels, {{"kind", flow.what}, {"direction", flow.direction}});
    set.counter({"camprobe_io_operations_total", "Reads and writes by kind of descriptor, exact."}, where,
                static_cast<double>(io.ops));
    set.counter({"camprobe_io_bytes_total", "Bytes read and written by kind of descriptor, exact."}, where,
                static_cast<double>(io.bytes));
    set.counter({"camprobe_io_errors_total", "Reads and writes that failed, but for those that would have blocked."},
                where, static_cast<double>(io.errors));
    set.counter({"camprobe_io_seconds_total", "Time spent in reads and writes."}, where, seconds(io.ns));
  }
  for (const auto& [kind, role] : {std::pair{shm::IoKind::kAccept, "accepted"}, {shm::IoKind::kConnect, "connected"}}) {
    const shm::IoCounter& io = target.counters().io[static_cast<std::size_t>(kind)];
    const Labels where = with(labels, {{"role", role}});
    set.counter({"camprobe_socket_connections_total", "Calls that accept or connect, by role."}, where,
                static_cast<double>(io.ops));
    set.counter({"camprobe_socket_connection_errors_total", "Calls that accept or connect and failed, by role."}, where,
                static_cast<double>(io.errors));
  }
  for (std::size_t role = 0; role < PeerTotals::kRoles; ++role) {
    for (std::size_t network = 0; network < PeerTotals::kNetworks; ++network) {
      const SocketTotals& totals =
          target.peers().of(PeerRole{static_cast<std::uint8_t>(role)}, PeerNetwork{static_cast<std::uint8_t>(network)});
      if (totals.opened == 0 && totals.read_ops == 0 && totals.write_ops == 0) continue;
      const Labels peer = with(labels, {{"role", text_of(PeerRole{static_cast<std::uint8_t>(role)})},
                                        {"network", text_of(PeerNetwork{static_cast<std::uint8_t>(network)})}});
      const MetricName operations{"camprobe_socket_peer_operations_total",
                                  "Socket reads and writes by which side connected and where the peer is."};
      const MetricName bytes{"camprobe_socket_peer_bytes_total",
                             "Socket bytes by which side connected and where the peer is."};
      set.counter(operations, with(peer, {{"direction", "read"}}), totals.read_ops);
      set.counter(operations, with(peer, {{"direction", "write"}}), totals.write_ops);
      set.counter(bytes, with(peer, {{"direction", "read"}}), totals.read_bytes);
      set.counter(bytes, with(peer, {{"direction", "write"}}), totals.write_bytes);
    }
  }
  const shm::IoCounter& wait = target.counters().io[static_cast<std::size_t>(shm::IoKind::kWait)];
  set.counter({"camprobe_waits_total", "Calls that waited (poll, epoll_wait, a blocking read), all threads."}, labels,
              static_cast<double>(wait.ops));
  set.counter({"camprobe_wait_seconds_total", "Time threads spent in them; idle threads wait too."}, labels,
              seconds(wait.ns));
}

void add_spans(FamilySet& set, const Labels& labels, const Target& target) {
  for (const auto& [names, totals] : target.spans().totals()) {
    const Labels span = with(labels, {{"span", names.first}, {"provider", names.second}});
    set.histogram({"camprobe_span_duration_seconds",
                   "How long spans took, by name and provider: the time of decisions, provider calls, consensus."},
                  span, totals.durations);
    set.counter({"camprobe_span_failures_total", "Spans with an attribute error, or a status of 0 or from 400 on."},
                span, totals.failed);
    if (!totals.has_cost) continue;
    set.counter({"camprobe_cost_total", "Cost of what was chosen, in the program's own unit."}, span, totals.cost);
    set.counter({"camprobe_baseline_cost_total", "Cost of the choice that it is compared with, in the same unit."},
                span, totals.baseline_cost);
    set.gauge({"camprobe_cost_saved", "Baseline cost minus cost since serving began, in the same unit."}, span,
              totals.baseline_cost - totals.cost);
  }
  for (const auto& [name, switches] : target.spans().switches())
    set.counter({"camprobe_provider_switches_total", "Spans whose provider is not the one of the span before."},
                with(labels, {{"span", name}}), switches);
}

void add_probe(FamilySet& set, const Labels& labels, const Target& target) {
  const shm::RegionStatus& status = target.status();
  set.gauge({"camprobe_probe_up", "1 while the probe records; 0 where it is loaded but off."}, labels,
            status.state == shm::RegionState::kOff ? 0 : 1);
  set.counter({"camprobe_probe_seconds_total", "Time the probe spent in the process: what measuring costs it."}, labels,
              seconds(status.probe_ns));
  set.gauge({"camprobe_probe_memory_bytes", "Shared memory that the probe has reserved."}, labels,
            static_cast<double>(status.reserved_bytes));
  set.gauge({"camprobe_probe_heap_interval_bytes", "Mean bytes between two heap samples; 0: off."}, labels,
            static_cast<double>(status.heap_interval));
  set.gauge({"camprobe_probe_cpu_frequency_hertz", "CPU samples a second and thread; 0: off."}, labels,
            static_cast<double>(status.cpu_hz));
  set.counter({"camprobe_heap_samples_total", "Allocations sampled."}, labels,
              static_cast<double>(status.samples_taken));
  struct Kind {
    shm::RecordKind kind;
    const char* text;
  };
  constexpr Kind kKinds[] = {{shm::RecordKind::kAlloc, "allocation"}, {shm::RecordKind::kFree, "free"},
                             {shm::RecordKind::kCpu, "cpu"},          {shm::RecordKind::kWait, "wait"},
                             {shm::RecordKind::kSpan, "span"},        {shm::RecordKind::kOpen, "open"},
                             {shm::RecordKind::kClose, "close"}};
  for (const Kind& kind : kKinds)
    set.counter({"camprobe_records_total", "Records of the probe that were read since serving began, by kind."},
                with(labels, {{"kind", kind.text}}), target.records()[static_cast<std::size_t>(kind.kind)]);
  const MetricName lost{"camprobe_lost_records_total",
                        "What could not be recorded or was overwritten before it was read, by reason."};
  set.counter(lost, with(labels, {{"reason", "lapped"}}), target.lapped());
  set.counter(lost, with(labels, {{"reason", "torn"}}), target.torn());
  constexpr const char* kLosses[] = {"no_lane",   "stack_full",     "live_full",        "name_full", "module_full",
                                     "span_full", "attribute_full", "descriptor_range", "no_room",   "reentrant"};
  static_assert(std::size(kLosses) == static_cast<std::size_t>(shm::Loss::kLosses));
  for (std::size_t i = 0; i < std::size(kLosses); ++i)
    set.counter(lost, with(labels, {{"reason", kLosses[i]}}), static_cast<double>(status.lost[i]));
}

}  // namespace

void add_target(FamilySet& set, const Target& target) {
  const Labels labels{{"process", target.program()}, {"pid", std::to_string(target.pid())}};
  add_process(set, labels, target);
  add_heap(set, labels, target);
  add_allocator(set, labels, target);
  add_leaks(set, labels, target);
  add_io(set, labels, target);
  add_spans(set, labels, target);
  add_probe(set, labels, target);
}

std::vector<prometheus::MetricFamily> metric_families(const std::vector<const Target*>& targets,
                                                      const ExporterFigures& exporter) {
  FamilySet set;
  set.gauge({"camprobe_info", "1; which camprobe serves, and the tier it was told (--tier)."},
            {{"version", kVersion}, {"tier", exporter.tier}}, 1);
  set.gauge({"camprobe_targets", "Processes with the probe that are served."}, {}, static_cast<double>(targets.size()));
  set.gauge({"camprobe_targets_left_out", "Processes with the probe beyond --max-targets."}, {},
            static_cast<double>(exporter.targets_left_out));
  for (const Target* target : targets) add_target(set, *target);
  set.counter({"camprobe_exporter_cpu_seconds_total", "CPU time of camprobe serve itself."}, {}, exporter.cpu_seconds);
  set.gauge({"camprobe_exporter_resident_memory_bytes", "Resident memory of camprobe serve itself."}, {},
            exporter.resident_bytes);
  set.gauge({"camprobe_exporter_collect_seconds", "What the collection before this one took."}, {},
            exporter.collect_seconds);
  const MetricName requests{"camprobe_exporter_requests_total", "Requests by outcome."};
  set.counter(requests, {{"outcome", "answered"}}, exporter.answered);
  set.counter(requests, {{"outcome", "refused"}}, exporter.refused);
  set.gauge({"camprobe_exporter_series_limit", "The most series this can ever show."}, {},
            static_cast<double>(exporter.most_targets * kMostSeriesOfATarget + 16));
  set.gauge({"camprobe_exporter_series", "Series shown, this one included."}, {},
            static_cast<double>(set.series() + 1));
  return std::move(set).take();
}

std::string exposition_text(const std::vector<prometheus::MetricFamily>& families) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace camprobe::serve
