// collector/metrics.h
//
// The time series a run holds, by their stable names: what docs/run-file.md lists, the viewer draws and the analysis
// reads. A counter is cumulative (its rate is the difference of two points); a gauge is how things stand at the end of
// its second.
#pragma once

#include "run/rows.h"

namespace camprobe::metrics {

// Of a process, from /proc.
inline const run::Metric kResidentBytes{0, "process_resident_bytes", "bytes", "gauge"};
inline const run::Metric kPssBytes{0, "process_pss_bytes", "bytes", "gauge"};
inline const run::Metric kPrivateBytes{0, "process_private_bytes", "bytes", "gauge"};
inline const run::Metric kAnonymousBytes{0, "process_anonymous_bytes", "bytes", "gauge"};
inline const run::Metric kStackBytes{0, "process_stack_bytes", "bytes", "gauge"};
inline const run::Metric kSharedBytes{0, "process_shared_bytes", "bytes", "gauge"};
inline const run::Metric kSwapBytes{0, "process_swap_bytes", "bytes", "gauge"};
inline const run::Metric kOpenFds{0, "process_open_fds", "count", "gauge"};
inline const run::Metric kThreads{0, "process_threads", "count", "gauge"};
inline const run::Metric kCpuUser{0, "process_cpu_user_ns", "ns", "counter"};
inline const run::Metric kCpuSystem{0, "process_cpu_system_ns", "ns", "counter"};
inline const run::Metric kIoReadBytes{0, "process_io_read_bytes", "bytes", "counter"};
inline const run::Metric kIoWriteBytes{0, "process_io_write_bytes", "bytes", "counter"};
inline const run::Metric kStorageReadBytes{0, "process_storage_read_bytes", "bytes", "counter"};
inline const run::Metric kStorageWriteBytes{0, "process_storage_write_bytes", "bytes", "counter"};
inline const run::Metric kVoluntarySwitches{0, "process_context_switches_voluntary", "count", "counter"};
inline const run::Metric kInvoluntarySwitches{0, "process_context_switches_involuntary", "count", "counter"};
inline const run::Metric kMinorFaults{0, "process_page_faults_minor", "count", "counter"};
inline const run::Metric kMajorFaults{0, "process_page_faults_major", "count", "counter"};
inline const run::Metric kCgroupMemoryBytes{0, "cgroup_memory_bytes", "bytes", "gauge"};
inline const run::Metric kCgroupMemoryLimitBytes{0, "cgroup_memory_limit_bytes", "bytes", "gauge"};

// Of a process, from the probe.
inline const run::Metric kHeapLiveBytes{0, "heap_live_bytes", "bytes", "gauge"};
inline const run::Metric kHeapLiveObjects{0, "heap_live_objects", "count", "gauge"};
inline const run::Metric kHeapAllocatedBytes{0, "heap_allocated_bytes", "bytes", "counter"};
inline const run::Metric kHeapAllocations{0, "heap_allocations", "count", "counter"};
inline const run::Metric kHeapFrees{0, "heap_frees", "count", "counter"};
inline const run::Metric kMappedBytes{0, "mapped_live_bytes", "bytes", "gauge"};
inline const run::Metric kProbeNanoseconds{0, "probe_ns", "ns", "counter"};

// Of a process, from its allocator by way of the probe (docs/memory.md).
inline const run::Metric kAllocatorKind{0, "allocator", "kind", "gauge"};  // shm::AllocatorKind
inline const run::Metric kAllocatorInUse{0, "allocator_in_use_bytes", "bytes", "gauge"};
inline const run::Metric kAllocatorCached{0, "allocator_cached_bytes", "bytes", "gauge"};
inline const run::Metric kAllocatorFree{0, "allocator_free_bytes", "bytes", "gauge"};
inline const run::Metric kAllocatorHeld{0, "allocator_held_bytes", "bytes", "gauge"};
inline const run::Metric kAllocatorReleased{0, "allocator_released_bytes", "bytes", "gauge"};

// Of the machine (process 0).
inline const run::Metric kMachineCpuUser{0, "machine_cpu_user_ns", "ns", "counter"};
inline const run::Metric kMachineCpuSystem{0, "machine_cpu_system_ns", "ns", "counter"};
inline const run::Metric kMachineIdle{0, "machine_idle_ns", "ns", "counter"};
inline const run::Metric kMachineIoWait{0, "machine_iowait_ns", "ns", "counter"};
inline const run::Metric kMachineSteal{0, "machine_steal_ns", "ns", "counter"};
inline const run::Metric kMachineMemoryAvailable{0, "machine_memory_available_bytes", "bytes", "gauge"};
inline const run::Metric kPsiCpuSome{0, "psi_cpu_some_ns", "ns", "counter"};
inline const run::Metric kPsiMemorySome{0, "psi_memory_some_ns", "ns", "counter"};
inline const run::Metric kPsiMemoryFull{0, "psi_memory_full_ns", "ns", "counter"};
inline const run::Metric kPsiIoSome{0, "psi_io_some_ns", "ns", "counter"};
inline const run::Metric kPsiIoFull{0, "psi_io_full_ns", "ns", "counter"};

// Of the collector itself (process 0): what recording costs.
inline const run::Metric kCollectorCpu{0, "collector_cpu_ns", "ns", "counter"};
inline const run::Metric kCollectorRecords{0, "collector_records", "count", "counter"};
inline const run::Metric kCollectorResident{0, "collector_resident_bytes", "bytes", "gauge"};

}  // namespace camprobe::metrics
