// collector/proc/process_series.h
//
// The /proc series of one process, and of the machine. What may not be read is noted once and left out from then on; a
// process that is gone ends its series. Context switches are counted by thread (the process's own file has those of its
// main thread only), and added up here as they grow, so that the sum outlives its threads.
//
// Three readings cost what the process makes them cost: smaps_rollup and smaps have the kernel walk all page tables
// (milliseconds for a large process), and the switches are a file a thread. Each is timed and read so seldom that it
// takes at most a five-thousandth of a core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/proc/proc_files.h"
#include "run/writer.h"

namespace camprobe::proc {

class ProcessSeries {
 public:
  static constexpr std::int64_t kRollupEverySeconds = 5;  // at most; and the switches every second

  explicit ProcessSeries(ProcessFiles files);

  const ProcessFiles& files() const { return files_; }
  // Writes the points of this second. False once the process is gone.
  bool sample(run::Writer& writer, run::ProcessId process, std::int64_t second);
  // What could not be read, and why; each file once.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  enum File { kStatm, kIo, kStatus, kRollup, kSmaps, kFds, kFiles };
  std::optional<std::string> read(File file, const char* name);
  void refuse(File file, const char* name);
  void sample_context_switches(run::Writer& writer, run::ProcessId process, std::int64_t second);
  void sample_rollup(run::Writer& writer, run::ProcessId process, std::int64_t second);
  void sample_stacks(run::Writer& writer, run::ProcessId process, std::int64_t second);

  ProcessFiles files_;
  // When a costly reading is due, by what it took the last time.
  struct Pace {
    std::int64_t next = 0;
    void took(std::int64_t second, std::int64_t at_least_seconds, std::uint64_t cpu_ns);
  };
  Pace rollup_pace_, stacks_pace_, switches_pace_;
  std::unordered_map<pid_t, ContextSwitches> switches_;  // of each thread when it was last looked at
  ContextSwitches switched_;
  bool refused_[kFiles] = {};
  std::vector<std::string> notes_;
  std::string cgroup_current_, cgroup_limit_;  // paths, empty: none
};

// The smallest of the process's cgroup limits (its own and its parents'), RLIMIT_AS, RLIMIT_DATA and the machine's
// memory.
std::optional<std::uint64_t> memory_limit(const ProcessFiles& process);

// Whether the kernel's out-of-memory killer has struck in the process's cgroup since this was made: what a process that
// ended by SIGKILL died of. Where there is no such group, on the machine.
class OutOfMemoryWatch {
 public:
  explicit OutOfMemoryWatch(const ProcessFiles& process);
  bool has_struck() const;

 private:
  std::optional<std::uint64_t> kills() const;
  std::string path_;
  std::optional<std::uint64_t> before_;
};

class MachineSeries {
 public:
  void sample(run::Writer& writer, std::int64_t second) const;
};

}  // namespace camprobe::proc
