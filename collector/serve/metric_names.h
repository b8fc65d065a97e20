// collector/serve/metric_names.h
//
// What every metric is called and what its help says, once: whoever shows it, `camprobe serve` of what runs or
// `camprobe push` of what was recorded, takes it from here. docs/serving.md has the table for people.
//
// Names follow Prometheus' rules: base units, `_total` for counters, and the standard names of a process as they are.
#pragma once

namespace camprobe::serve {

struct MetricName {
  const char* name;
  const char* help;
};

namespace names {

inline constexpr MetricName kStandardProcessCpuSecondsTotal{"process_cpu_seconds_total",
                                                            "Total user and system CPU time spent in seconds."};
inline constexpr MetricName kStandardProcessStartTimeSeconds{"process_start_time_seconds",
                                                             "Start time of the process since unix epoch in seconds."};
inline constexpr MetricName kStandardProcessResidentMemoryBytes{"process_resident_memory_bytes",
                                                                "Resident memory size in bytes."};
inline constexpr MetricName kStandardProcessVirtualMemoryBytes{"process_virtual_memory_bytes",
                                                               "Virtual memory size in bytes."};
inline constexpr MetricName kStandardProcessOpenFds{"process_open_fds", "Number of open file descriptors."};
inline constexpr MetricName kStandardProcessMaxFds{"process_max_fds", "Maximum number of open file descriptors."};
inline constexpr MetricName kProcessCpuSecondsTotal{"camprobe_process_cpu_seconds_total",
                                                    "CPU time by mode, as the kernel accounts it."};
inline constexpr MetricName kProcessThreads{"camprobe_process_threads", "Threads."};
inline constexpr MetricName kProcessPageFaultsTotal{"camprobe_process_page_faults_total",
                                                    "Page faults; major ones waited for storage."};
inline constexpr MetricName kProcessResidentBytes{
    "camprobe_process_resident_bytes", "Resident memory by what it is: anonymous (heap and stacks), of files, shared."};
inline constexpr MetricName kProcessSwapBytes{"camprobe_process_swap_bytes", "Memory in swap."};
inline constexpr MetricName kProcessMemoryLimitBytes{
    "camprobe_process_memory_limit_bytes",
    "The least of the cgroup's limits, the process's own and the machine's memory, when it was found."};
inline constexpr MetricName kProcessStorageBytesTotal{"camprobe_process_storage_bytes_total",
                                                      "Bytes read from and written to storage."};
inline constexpr MetricName kHeapAllocationsTotal{"camprobe_heap_allocations_total", "Allocations, exact."};
inline constexpr MetricName kHeapFreesTotal{"camprobe_heap_frees_total", "Blocks given back, exact."};
inline constexpr MetricName kHeapAllocatedBytesTotal{"camprobe_heap_allocated_bytes_total", "Bytes asked for, exact."};
inline constexpr MetricName kHeapLiveBytes{"camprobe_heap_live_bytes",
                                           "Bytes allocated and not given back, estimated from the live samples."};
inline constexpr MetricName kHeapLiveObjects{"camprobe_heap_live_objects",
                                             "Blocks allocated and not given back, estimated from the live samples."};
inline constexpr MetricName kHeapMappedBytes{"camprobe_heap_mapped_bytes",
                                             "Large mappings of the program's own that it has not unmapped."};
inline constexpr MetricName kHeapFreedBytesTotal{"camprobe_heap_freed_bytes_total",
                                                 "Bytes given back since serving began, estimated from samples."};
inline constexpr MetricName kHeapTemporaryObjectsTotal{
    "camprobe_heap_temporary_objects_total",
    "Blocks given back before their thread's next allocation, since serving began, estimated."};
inline constexpr MetricName kHeapLifetimeSeconds{
    "camprobe_heap_lifetime_seconds",
    "How long blocks lived that were given back since serving began, estimated from samples."};
inline constexpr MetricName kAllocatorBytes{"camprobe_allocator_bytes",
                                            "What the process's allocator says of its memory: in_use by the program, "
                                            "cached and free (kept for reuse), released (given back to the system)."};
inline constexpr MetricName kAllocatorHeldBytes{"camprobe_allocator_held_bytes",
                                                "All that the process's allocator has of the system, as it says."};
inline constexpr MetricName kLeakState{
    "camprobe_leak_state",
    "1 for the state that a level is in: suspected (it grows steadily), settling, inconclusive, none, too_early. A "
    "suspicion; a recording tells whether it is a leak."};
inline constexpr MetricName kMemoryLimitReachedSeconds{
    "camprobe_memory_limit_reached_seconds",
    "Until resident memory reaches its limit at the pace it grows at; +Inf where it does not grow steadily."};
inline constexpr MetricName kIoOperationsTotal{"camprobe_io_operations_total",
                                               "Reads and writes by kind of descriptor, exact."};
inline constexpr MetricName kIoBytesTotal{"camprobe_io_bytes_total",
                                          "Bytes read and written by kind of descriptor, exact."};
inline constexpr MetricName kIoErrorsTotal{"camprobe_io_errors_total",
                                           "Reads and writes that failed, but for those that would have blocked."};
inline constexpr MetricName kIoSecondsTotal{"camprobe_io_seconds_total", "Time spent in reads and writes."};
inline constexpr MetricName kSocketConnectionsTotal{"camprobe_socket_connections_total",
                                                    "Calls that accept or connect, by role."};
inline constexpr MetricName kSocketConnectionErrorsTotal{"camprobe_socket_connection_errors_total",
                                                         "Calls that accept or connect and failed, by role."};
inline constexpr MetricName kSocketPeerOperationsTotal{
    "camprobe_socket_peer_operations_total", "Socket reads and writes by which side connected and where the peer is."};
inline constexpr MetricName kSocketPeerBytesTotal{"camprobe_socket_peer_bytes_total",
                                                  "Socket bytes by which side connected and where the peer is."};
inline constexpr MetricName kWaitsTotal{"camprobe_waits_total",
                                        "Calls that waited (poll, epoll_wait, a blocking read), all threads."};
inline constexpr MetricName kWaitSecondsTotal{"camprobe_wait_seconds_total",
                                              "Time threads spent in them; idle threads wait too."};
inline constexpr MetricName kSpanDurationSeconds{
    "camprobe_span_duration_seconds",
    "How long spans took, by name and provider: the time of decisions, provider calls, consensus."};
inline constexpr MetricName kSpanFailuresTotal{"camprobe_span_failures_total",
                                               "Spans with an attribute error, or a status of 0 or from 400 on."};
inline constexpr MetricName kCostTotal{"camprobe_cost_total", "Cost of what was chosen, in the program's own unit."};
inline constexpr MetricName kBaselineCostTotal{"camprobe_baseline_cost_total",
                                               "Cost of the choice that it is compared with, in the same unit."};
inline constexpr MetricName kCostSaved{"camprobe_cost_saved",
                                       "Baseline cost minus cost since serving began, in the same unit."};
inline constexpr MetricName kProviderSwitchesTotal{"camprobe_provider_switches_total",
                                                   "Spans whose provider is not the one of the span before."};
inline constexpr MetricName kProbeUp{"camprobe_probe_up", "1 while the probe records; 0 where it is loaded but off."};
inline constexpr MetricName kProbeSecondsTotal{"camprobe_probe_seconds_total",
                                               "Time the probe spent in the process: what measuring costs it."};
inline constexpr MetricName kProbeMemoryBytes{"camprobe_probe_memory_bytes",
                                              "Shared memory that the probe has reserved."};
inline constexpr MetricName kProbeHeapIntervalBytes{"camprobe_probe_heap_interval_bytes",
                                                    "Mean bytes between two heap samples; 0: off."};
inline constexpr MetricName kProbeCpuFrequencyHertz{"camprobe_probe_cpu_frequency_hertz",
                                                    "CPU samples a second and thread; 0: off."};
inline constexpr MetricName kHeapSamplesTotal{"camprobe_heap_samples_total", "Allocations sampled."};
inline constexpr MetricName kRecordsTotal{"camprobe_records_total",
                                          "Records of the probe that were read since serving began, by kind."};
inline constexpr MetricName kLostRecordsTotal{
    "camprobe_lost_records_total", "What could not be recorded or was overwritten before it was read, by reason."};
inline constexpr MetricName kInfo{"camprobe_info", "1; which camprobe shows this, and the tier it was told (--tier)."};
inline constexpr MetricName kTargets{"camprobe_targets", "Processes with the probe that are served."};
inline constexpr MetricName kTargetsLeftOut{"camprobe_targets_left_out",
                                            "Processes with the probe beyond --max-targets."};
inline constexpr MetricName kExporterCpuSecondsTotal{"camprobe_exporter_cpu_seconds_total",
                                                     "CPU time of camprobe serve itself."};
inline constexpr MetricName kExporterResidentMemoryBytes{"camprobe_exporter_resident_memory_bytes",
                                                         "Resident memory of camprobe serve itself."};
inline constexpr MetricName kExporterCollectSeconds{"camprobe_exporter_collect_seconds",
                                                    "What the collection before this one took."};
inline constexpr MetricName kExporterRequestsTotal{"camprobe_exporter_requests_total", "Requests by outcome."};
inline constexpr MetricName kExporterSeriesLimit{"camprobe_exporter_series_limit",
                                                 "The most series this can ever show."};
inline constexpr MetricName kExporterSeries{"camprobe_exporter_series", "Series shown, this one included."};
inline constexpr MetricName kLoadRequestsTotal{"camprobe_load_requests_total",
                                               "Requests that the load tool made, by when they were sent or answered."};
inline constexpr MetricName kLoadErrorsTotal{"camprobe_load_errors_total", "Those of them that failed."};
inline constexpr MetricName kLoadUsers{"camprobe_load_users", "Virtual users or connections of the load tool."};
inline constexpr MetricName kLoadLatencySeconds{"camprobe_load_latency_seconds",
                                                "Latency as the load tool measured it."};
inline constexpr MetricName kPushRequestsTotal{"camprobe_push_requests_total", "Requests by what became of them."};
inline constexpr MetricName kPushFailedAttemptsTotal{"camprobe_push_failed_attempts_total",
                                                     "Attempts that reached nobody, or were put off by the receiver."};
inline constexpr MetricName kPushWaitingBytes{"camprobe_push_waiting_bytes", "What waits for the receiver."};

}  // namespace names
}  // namespace camprobe::serve
