// collector/proc/proc_text.h
//
// What the texts under /proc and /sys/fs/cgroup say. Pure functions from text to numbers: no file is opened here, so
// that odd ones (a command named "a) R 1 (b", a missing field, a cgroup without a limit) are tested as text. A text
// that does not hold what it should yields nothing, never a guess.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace camprobe::proc {

// /proc/<pid>/stat
struct ProcessStat {
  std::string name;  // at most 15 bytes, may hold spaces and parentheses
  char state = '?';
  std::int64_t parent_pid = 0;
  std::uint64_t minor_faults = 0, major_faults = 0;
  std::uint64_t user_ticks = 0, system_ticks = 0;
  std::int64_t threads = 0;
  std::uint64_t start_ticks = 0;  // field 22: with the pid, the process's name for ever
};
std::optional<ProcessStat> parse_stat(std::string_view text);

// /proc/<pid>/statm: pages in memory, and those of them that are shared or of a file.
struct Statm {
  std::uint64_t resident_pages = 0, shared_pages = 0;
};
std::optional<Statm> parse_statm(std::string_view text);

// /proc/<pid>/smaps_rollup, bytes.
struct SmapsRollup {
  std::uint64_t resident = 0, pss = 0, private_bytes = 0, shared = 0, anonymous = 0, swap = 0;
};
std::optional<SmapsRollup> parse_smaps_rollup(std::string_view text);

// /proc/<pid>/status, bytes: what the process's resident memory is made of (the kernel keeps these sums, so that unlike
// smaps_rollup they cost nothing to read), and the rest of its size.
struct MemoryParts {
  std::uint64_t anonymous = 0, file = 0, shared = 0;  // add up to what is resident
  std::uint64_t swap = 0, virtual_bytes = 0;
};
std::optional<MemoryParts> parse_memory_parts(std::string_view text);

// /proc/<pid>/io
struct ProcessIo {
  std::uint64_t read_chars = 0, write_chars = 0;  // through system calls, whatever the kind of file
  std::uint64_t read_bytes = 0, write_bytes = 0;  // from and to storage
};
std::optional<ProcessIo> parse_io(std::string_view text);

// /proc/<pid>/status
struct ContextSwitches {
  std::uint64_t voluntary = 0, involuntary = 0;
};
std::optional<ContextSwitches> parse_context_switches(std::string_view text);

// /proc/<pid>/smaps: resident bytes of stacks: the main thread's, which the kernel names, and those of threads, which
// are private mappings of no file right behind a guard page (glibc and musl make them so), or are named by glibc.
// Nothing where the text does not end with a whole line.
std::optional<std::uint64_t> parse_stack_bytes(std::string_view text);

// /proc/<pid>/limits: soft limits in bytes, none where unlimited.
struct MemoryRlimits {
  std::optional<std::uint64_t> address_space, data;
};
std::optional<MemoryRlimits> parse_limits(std::string_view text);

// /proc/<pid>/limits: how many descriptors the process may have open; none where unlimited.
std::optional<std::uint64_t> parse_descriptor_limit(std::string_view text);

// /proc/<pid>/cgroup: where the process is in the v2 tree and in v1's memory controller. Paths begin with '/'.
struct CgroupPaths {
  std::optional<std::string> v2, v1_memory;
};
CgroupPaths parse_cgroup(std::string_view text);

// "oom_kill N" in memory.events (v2), memory.oom_control (v1) or /proc/vmstat.
std::optional<std::uint64_t> parse_oom_kills(std::string_view text);

// /proc/<pid>/status: the process's number in the innermost of its pid namespaces.
std::optional<pid_t> parse_innermost_pid(std::string_view text);

// A cgroup's limit or use: one number, or "max" (v2) and numbers near 2^63 (v1) for "none".
std::optional<std::uint64_t> parse_cgroup_bytes(std::string_view text);

// /proc/stat, first line: ticks of all processors since boot.
struct MachineTicks {
  std::uint64_t user = 0, system = 0, idle = 0, io_wait = 0, steal = 0;
};
std::optional<MachineTicks> parse_machine_stat(std::string_view text);

// /proc/meminfo, bytes.
struct MachineMemory {
  std::uint64_t total = 0, available = 0;
};
std::optional<MachineMemory> parse_meminfo(std::string_view text);

// /proc/pressure/*: microseconds that some, or all, tasks were held up since boot.
struct Pressure {
  std::uint64_t some_us = 0, full_us = 0;
};
std::optional<Pressure> parse_pressure(std::string_view text);

// /proc/net/tcp and tcp6: inodes of sockets that listen.
std::vector<std::uint64_t> parse_listening_inodes(std::string_view text);

}  // namespace camprobe::proc
