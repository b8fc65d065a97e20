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
  set.counter(names::kStandardProcessCpuSecondsTotal, labels, p.cpu_user_seconds + p.cpu_system_seconds);
  set.gauge(names::kStandardProcessStartTimeSeconds, labels, target.started_at());
  if (p.memory) {
    set.gauge(names::kStandardProcessResidentMemoryBytes, labels,
              static_cast<double>(p.memory->anonymous + p.memory->file + p.memory->shared));
    set.gauge(names::kStandardProcessVirtualMemoryBytes, labels, static_cast<double>(p.memory->virtual_bytes));
  }
  if (p.open_descriptors) set.gauge(names::kStandardProcessOpenFds, labels, static_cast<double>(*p.open_descriptors));
  if (p.descriptor_limit) set.gauge(names::kStandardProcessMaxFds, labels, static_cast<double>(*p.descriptor_limit));

  set.counter(names::kProcessCpuSecondsTotal, with(labels, {{"mode", "user"}}), p.cpu_user_seconds);
  set.counter(names::kProcessCpuSecondsTotal, with(labels, {{"mode", "system"}}), p.cpu_system_seconds);
  set.gauge(names::kProcessThreads, labels, p.threads);
  set.counter(names::kProcessPageFaultsTotal, with(labels, {{"kind", "minor"}}), p.minor_faults);
  set.counter(names::kProcessPageFaultsTotal, with(labels, {{"kind", "major"}}), p.major_faults);
  if (p.memory) {
    set.gauge(names::kProcessResidentBytes, with(labels, {{"part", "anonymous"}}),
              static_cast<double>(p.memory->anonymous));
    set.gauge(names::kProcessResidentBytes, with(labels, {{"part", "file"}}), static_cast<double>(p.memory->file));
    set.gauge(names::kProcessResidentBytes, with(labels, {{"part", "shared"}}), static_cast<double>(p.memory->shared));
    set.gauge(names::kProcessSwapBytes, labels, static_cast<double>(p.memory->swap));
  }
  if (p.memory_limit_bytes)
    set.gauge(names::kProcessMemoryLimitBytes, labels, static_cast<double>(*p.memory_limit_bytes));
  if (p.io) {
    set.counter(names::kProcessStorageBytesTotal, with(labels, {{"direction", "read"}}),
                static_cast<double>(p.io->read_bytes));
    set.counter(names::kProcessStorageBytesTotal, with(labels, {{"direction", "write"}}),
                static_cast<double>(p.io->write_bytes));
  }
}

void add_heap(FamilySet& set, const Labels& labels, const Target& target) {
  set.counter(names::kHeapAllocationsTotal, labels, target.counters().allocations);
  set.counter(names::kHeapFreesTotal, labels, target.counters().frees);
  set.counter(names::kHeapAllocatedBytesTotal, labels, target.counters().allocated_bytes);
  if (const auto& heap = target.heap()) {
    set.gauge(names::kHeapLiveBytes, labels, heap->live_bytes);
    set.gauge(names::kHeapLiveObjects, labels, heap->live_objects);
    set.gauge(names::kHeapMappedBytes, labels, heap->mapped_bytes);
  }
  set.counter(names::kHeapFreedBytesTotal, labels, target.freed_bytes());
  set.counter(names::kHeapTemporaryObjectsTotal, labels, target.temporary_objects());
  set.histogram(names::kHeapLifetimeSeconds, labels, target.lifetimes());
}

void add_allocator(FamilySet& set, const Labels& labels, const Target& target) {
  const auto& allocator = target.status().allocator;
  if (!allocator || allocator->is_too_dear) return;
  constexpr const char* kNames[] = {"unknown", "glibc", "tcmalloc", "jemalloc", "mimalloc"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(shm::AllocatorKind::kKinds));
  const Labels of = with(labels, {{"allocator", kNames[static_cast<std::size_t>(allocator->kind)]}});
  const shm::AllocatorFigures& figures = allocator->figures;
  for (const auto& [state, value] : {std::pair{"in_use", figures.in_use},
                                     {"cached", figures.cached},
                                     {"free", figures.free},
                                     {"released", figures.released}})
    if (value != shm::kUnknownBytes)
      set.gauge(names::kAllocatorBytes, with(of, {{"state", state}}), static_cast<double>(value));
  if (figures.held != shm::kUnknownBytes) set.gauge(names::kAllocatorHeldBytes, of, static_cast<double>(figures.held));
}

void add_leaks(FamilySet& set, const Labels& labels, const Target& target) {
  for (std::size_t resource = 0; resource < kLeakResources; ++resource) {
    const LeakState is = target.leaks().state(static_cast<LeakResource>(resource));
    const Labels of = with(labels, {{"resource", text_of(static_cast<LeakResource>(resource))}});
    for (std::size_t i = 0; i < kLeakStates; ++i)
      set.gauge(names::kLeakState, with(of, {{"state", text_of(static_cast<LeakState>(i))}}),
                is == static_cast<LeakState>(i) ? 1 : 0);
  }
  set.gauge(names::kMemoryLimitReachedSeconds, labels, target.leaks().seconds_to_limit());
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
    set.counter(names::kIoOperationsTotal, where, static_cast<double>(io.ops));
    set.counter(names::kIoBytesTotal, where, static_cast<double>(io.bytes));
    set.counter(names::kIoErrorsTotal, where, static_cast<double>(io.errors));
    set.counter(names::kIoSecondsTotal, where, seconds(io.ns));
  }
  for (const auto& [kind, role] : {std::pair{shm::IoKind::kAccept, "accepted"}, {shm::IoKind::kConnect, "connected"}}) {
    const shm::IoCounter& io = target.counters().io[static_cast<std::size_t>(kind)];
    const Labels where = with(labels, {{"role", role}});
    set.counter(names::kSocketConnectionsTotal, where, static_cast<double>(io.ops));
    set.counter(names::kSocketConnectionErrorsTotal, where, static_cast<double>(io.errors));
  }
  for (std::size_t role = 0; role < PeerTotals::kRoles; ++role) {
    for (std::size_t network = 0; network < PeerTotals::kNetworks; ++network) {
      const SocketTotals& totals =
          target.peers().of(PeerRole{static_cast<std::uint8_t>(role)}, PeerNetwork{static_cast<std::uint8_t>(network)});
      if (totals.opened == 0 && totals.read_ops == 0 && totals.write_ops == 0) continue;
      const Labels peer = with(labels, {{"role", text_of(PeerRole{static_cast<std::uint8_t>(role)})},
                                        {"network", text_of(PeerNetwork{static_cast<std::uint8_t>(network)})}});
      set.counter(names::kSocketPeerOperationsTotal, with(peer, {{"direction", "read"}}), totals.read_ops);
      set.counter(names::kSocketPeerOperationsTotal, with(peer, {{"direction", "write"}}), totals.write_ops);
      set.counter(names::kSocketPeerBytesTotal, with(peer, {{"direction", "read"}}), totals.read_bytes);
      set.counter(names::kSocketPeerBytesTotal, with(peer, {{"direction", "write"}}), totals.write_bytes);
    }
  }
  const shm::IoCounter& wait = target.counters().io[static_cast<std::size_t>(shm::IoKind::kWait)];
  set.counter(names::kWaitsTotal, labels, static_cast<double>(wait.ops));
  set.counter(names::kWaitSecondsTotal, labels, seconds(wait.ns));
}

void add_spans(FamilySet& set, const Labels& labels, const Target& target) {
  for (const auto& [names, totals] : target.spans().totals()) {
    const Labels span = with(labels, {{"span", names.first}, {"provider", names.second}});
    set.histogram(names::kSpanDurationSeconds, span, totals.durations);
    set.counter(names::kSpanFailuresTotal, span, totals.failed);
    if (!totals.has_cost) continue;
    set.counter(names::kCostTotal, span, totals.cost);
    set.counter(names::kBaselineCostTotal, span, totals.baseline_cost);
    set.gauge(names::kCostSaved, span, totals.baseline_cost - totals.cost);
  }
  for (const auto& [name, switches] : target.spans().switches())
    set.counter(names::kProviderSwitchesTotal, with(labels, {{"span", name}}), switches);
}

void add_probe(FamilySet& set, const Labels& labels, const Target& target) {
  const shm::RegionStatus& status = target.status();
  set.gauge(names::kProbeUp, labels, status.state == shm::RegionState::kOff ? 0 : 1);
  set.counter(names::kProbeSecondsTotal, labels, seconds(status.probe_ns));
  set.gauge(names::kProbeMemoryBytes, labels, static_cast<double>(status.reserved_bytes));
  set.gauge(names::kProbeHeapIntervalBytes, labels, static_cast<double>(status.heap_interval));
  set.gauge(names::kProbeCpuFrequencyHertz, labels, static_cast<double>(status.cpu_hz));
  set.counter(names::kHeapSamplesTotal, labels, static_cast<double>(status.samples_taken));
  struct Kind {
    shm::RecordKind kind;
    const char* text;
  };
  constexpr Kind kKinds[] = {{shm::RecordKind::kAlloc, "allocation"}, {shm::RecordKind::kFree, "free"},
                             {shm::RecordKind::kCpu, "cpu"},          {shm::RecordKind::kWait, "wait"},
                             {shm::RecordKind::kSpan, "span"},        {shm::RecordKind::kOpen, "open"},
                             {shm::RecordKind::kClose, "close"}};
  for (const Kind& kind : kKinds)
    set.counter(names::kRecordsTotal, with(labels, {{"kind", kind.text}}),
                target.records()[static_cast<std::size_t>(kind.kind)]);
  set.counter(names::kLostRecordsTotal, with(labels, {{"reason", "lapped"}}), target.lapped());
  set.counter(names::kLostRecordsTotal, with(labels, {{"reason", "torn"}}), target.torn());
  constexpr const char* kLosses[] = {"no_lane",   "stack_full",     "live_full",        "name_full", "module_full",
                                     "span_full", "attribute_full", "descriptor_range", "no_room",   "reentrant"};
  static_assert(std::size(kLosses) == static_cast<std::size_t>(shm::Loss::kLosses));
  for (std::size_t i = 0; i < std::size(kLosses); ++i)
    set.counter(names::kLostRecordsTotal, with(labels, {{"reason", kLosses[i]}}), static_cast<double>(status.lost[i]));
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
  set.gauge(names::kInfo, {{"version", kVersion}, {"tier", exporter.tier}}, 1);
  set.gauge(names::kTargets, {}, static_cast<double>(targets.size()));
  set.gauge(names::kTargetsLeftOut, {}, static_cast<double>(exporter.targets_left_out));
  for (const Target* target : targets) add_target(set, *target);
  set.counter(names::kExporterCpuSecondsTotal, {}, exporter.cpu_seconds);
  set.gauge(names::kExporterResidentMemoryBytes, {}, exporter.resident_bytes);
  set.gauge(names::kExporterCollectSeconds, {}, exporter.collect_seconds);
  set.counter(names::kExporterRequestsTotal, {{"outcome", "answered"}}, exporter.answered);
  set.counter(names::kExporterRequestsTotal, {{"outcome", "refused"}}, exporter.refused);
  set.gauge(names::kExporterSeriesLimit, {}, static_cast<double>(exporter.most_targets * kMostSeriesOfATarget + 16));
  set.gauge(names::kExporterSeries, {}, static_cast<double>(set.series() + 1));
  return std::move(set).take();
}

std::string exposition_text(const std::vector<prometheus::MetricFamily>& families) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace camprobe::serve
