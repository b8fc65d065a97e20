#include "collector/proc/process_series.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "collector/metrics.h"

namespace camprobe::proc {
namespace {

double tick_ns() {
  static const double ns = 1e9 / static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  return ns;
}

double page_bytes() {
  static const double bytes = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

// CPU time, not time: on a busy machine a reading may be interrupted for long, which costs nobody anything.
std::uint64_t own_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

struct CgroupFiles {
  std::string current, limit;       // paths of this process's own group
  std::string out_of_memory;        // the file that counts what was killed there
  std::vector<std::string> limits;  // of it and its parents: any of them may bind
};

// Where the memory controller of this process's cgroup is mounted. In a container the path under /sys/fs/cgroup may not
// be the one /proc names (the mount is already the group), so both are tried.
CgroupFiles find_cgroup(const ProcessFiles& process) {
  CgroupFiles found;
  const auto text = process.read("cgroup");
  if (!text) return found;
  const CgroupPaths paths = parse_cgroup(*text);
  const auto look = [&](const std::string& root, std::string path, const char* current, const char* limit,
                        const char* out_of_memory) {
    const auto parent_of = [](const std::string& of) { return of.substr(0, of.rfind('/')); };
    if (path == "/") path.clear();
    for (;; path = parent_of(path)) {
      const std::string directory = root + path + "/";
      if (::access((directory + current).c_str(), R_OK) == 0) {
        if (found.current.empty()) {
          found.current = directory + current;
          found.limit = directory + limit;
          found.out_of_memory = directory + out_of_memory;
        }
        found.limits.push_back(directory + limit);
      }
      if (path.empty()) break;
    }
  };
  if (paths.v1_memory)
    look("/sys/fs/cgroup/memory", *paths.v1_memory, "memory.usage_in_bytes", "memory.limit_in_bytes",
         "memory.oom_control");
  if (found.current.empty() && paths.v2)
    look("/sys/fs/cgroup", *paths.v2, "memory.current", "memory.max", "memory.events");
  return found;
}

std::optional<std::uint64_t> bytes_in(const std::string& path) {
  if (path.empty()) return std::nullopt;
  const auto text = read_file(path);
  return text ? parse_cgroup_bytes(*text) : std::nullopt;
}

}  // namespace

ProcessSeries::ProcessSeries(ProcessFiles files) : files_(std::move(files)) {
  const CgroupFiles cgroup = find_cgroup(files_);
  cgroup_current_ = cgroup.current;
  cgroup_limit_ = cgroup.limit;
}

void ProcessSeries::refuse(File file, const char* name) {
  // ESRCH and ENOENT: the process is ending, which says nothing about what we may read.
  if (errno == ESRCH || errno == ENOENT) return;
  refused_[file] = true;
  notes_.push_back("/proc/" + std::to_string(files_.pid()) + "/" + name + " cannot be read (" + std::strerror(errno) +
                   "): its series are missing");
}

std::optional<std::string> ProcessSeries::read(File file, const char* name) {
  if (refused_[file]) return std::nullopt;
  errno = 0;
  auto text = files_.read(name);
  if (!text) refuse(file, name);
  return text;
}

void ProcessSeries::Pace::took(std::int64_t second, std::int64_t at_least_seconds, std::uint64_t cpu_ns) {
  constexpr std::uint64_t kShare = 5000, kSecondNs = 1'000'000'000;
  constexpr std::int64_t kAtMost = 600;  // a reading that costs more than a tenth of a second all the same
  next = second + std::clamp(static_cast<std::int64_t>(cpu_ns * kShare / kSecondNs), at_least_seconds, kAtMost);
}

void ProcessSeries::sample_context_switches(run::Writer& writer, run::ProcessId process, std::int64_t second) {
  if (second < switches_pace_.next || refused_[kStatus]) return;
  const std::uint64_t began = own_cpu_ns();
  std::unordered_map<pid_t, ContextSwitches> now;
  for (const pid_t tid : files_.threads()) {
    errno = 0;
    const auto text = files_.read(("task/" + std::to_string(tid) + "/status").c_str());
    if (!text) refuse(kStatus, "task/*/status");
    const auto switches = text ? parse_context_switches(*text) : std::nullopt;
    if (!switches) continue;
    const auto before = switches_.find(tid);
    const bool is_same = before != switches_.end() && before->second.voluntary <= switches->voluntary;
    const ContextSwitches from = is_same ? before->second : ContextSwitches{};
    switched_.voluntary += switches->voluntary - from.voluntary;
    switched_.involuntary += switches->involuntary - std::min(from.involuntary, switches->involuntary);
    now.emplace(tid, *switches);
  }
  switches_ = std::move(now);
  switches_pace_.took(second, 1, own_cpu_ns() - began);
  writer.point(metrics::kVoluntarySwitches, process, second, static_cast<double>(switched_.voluntary));
  writer.point(metrics::kInvoluntarySwitches, process, second, static_cast<double>(switched_.involuntary));
}

void ProcessSeries::sample_rollup(run::Writer& writer, run::ProcessId process, std::int64_t second) {
  if (second < rollup_pace_.next) return;
  const std::uint64_t began = own_cpu_ns();
  const auto text = read(kRollup, "smaps_rollup");
  rollup_pace_.took(second, kRollupEverySeconds, own_cpu_ns() - began);
  const auto rollup = text ? parse_smaps_rollup(*text) : std::nullopt;
  if (!rollup) return;
  const auto put = [&](const run::Metric& metric, std::uint64_t value) {
    writer.point(metric, process, second, static_cast<double>(value));
  };
  put(metrics::kPssBytes, rollup->pss);
  put(metrics::kPrivateBytes, rollup->private_bytes);
  put(metrics::kAnonymousBytes, rollup->anonymous);
  put(metrics::kSharedBytes, rollup->shared);
  put(metrics::kSwapBytes, rollup->swap);
}

void ProcessSeries::sample_stacks(run::Writer& writer, run::ProcessId process, std::int64_t second) {
  if (second < stacks_pace_.next) return;
  const std::uint64_t began = own_cpu_ns();
  const auto text = read(kSmaps, "smaps");
  // Of a process with thousands of mappings the text is cut, and nothing is said of its stacks.
  const auto stacks = text && text->size() < kMostOfAFile ? parse_stack_bytes(*text) : std::nullopt;
  stacks_pace_.took(second, kRollupEverySeconds, own_cpu_ns() - began);
  if (stacks) writer.point(metrics::kStackBytes, process, second, static_cast<double>(*stacks));
}

bool ProcessSeries::sample(run::Writer& writer, run::ProcessId process, std::int64_t second) {
  const auto stat = files_.stat();
  if (!stat || stat->state == 'Z' || stat->state == 'X') return false;
  const auto put = [&](const run::Metric& metric, double value) { writer.point(metric, process, second, value); };
  const auto put_count = [&](const run::Metric& metric, std::uint64_t value) {
    put(metric, static_cast<double>(value));
  };

  put(metrics::kThreads, static_cast<double>(stat->threads));
  put(metrics::kCpuUser, static_cast<double>(stat->user_ticks) * tick_ns());
  put(metrics::kCpuSystem, static_cast<double>(stat->system_ticks) * tick_ns());
  put_count(metrics::kMinorFaults, stat->minor_faults);
  put_count(metrics::kMajorFaults, stat->major_faults);
  if (const auto text = read(kStatm, "statm")) {
    if (const auto statm = parse_statm(*text)) {
      put(metrics::kResidentBytes, static_cast<double>(statm->resident_pages) * page_bytes());
    }
  }
  if (const auto text = read(kIo, "io")) {
    if (const auto io = parse_io(*text)) {
      put_count(metrics::kIoReadBytes, io->read_chars);
      put_count(metrics::kIoWriteBytes, io->write_chars);
      put_count(metrics::kStorageReadBytes, io->read_bytes);
      put_count(metrics::kStorageWriteBytes, io->write_bytes);
    }
  }
  sample_context_switches(writer, process, second);
  if (!refused_[kFds]) {
    errno = 0;
    if (const auto fds = files_.count_descriptors())
      put(metrics::kOpenFds, static_cast<double>(*fds));
    else
      refuse(kFds, "fd");
  }
  sample_rollup(writer, process, second);
  sample_stacks(writer, process, second);
  if (const auto bytes = bytes_in(cgroup_current_)) put_count(metrics::kCgroupMemoryBytes, *bytes);
  if (const auto bytes = bytes_in(cgroup_limit_)) put_count(metrics::kCgroupMemoryLimitBytes, *bytes);
  return true;
}

OutOfMemoryWatch::OutOfMemoryWatch(const ProcessFiles& process) : path_(find_cgroup(process).out_of_memory) {
  before_ = kills();
  if (before_) return;
  path_ = "/proc/vmstat";
  before_ = kills();
}

std::optional<std::uint64_t> OutOfMemoryWatch::kills() const {
  const auto text = path_.empty() ? std::nullopt : read_file(path_);
  return text ? parse_oom_kills(*text) : std::nullopt;
}

bool OutOfMemoryWatch::has_struck() const {
  const auto now = kills();
  return before_ && now && *now > *before_;
}

std::optional<std::uint64_t> memory_limit(const ProcessFiles& process) {
  std::optional<std::uint64_t> smallest;
  const auto consider = [&](std::optional<std::uint64_t> limit) {
    if (limit && (!smallest || *limit < *smallest)) smallest = limit;
  };
  if (const auto text = read_file("/proc/meminfo")) {
    if (const auto memory = parse_meminfo(*text)) consider(memory->total);
  }
  if (const auto text = process.read("limits")) {
    if (const auto limits = parse_limits(*text)) {
      consider(limits->address_space);
      consider(limits->data);
    }
  }
  for (const std::string& path : find_cgroup(process).limits) consider(bytes_in(path));
  return smallest;
}

void MachineSeries::sample(run::Writer& writer, std::int64_t second) const {
  const auto put = [&](const run::Metric& metric, double value) { writer.point(metric, run::kMachine, second, value); };
  if (const auto text = read_file("/proc/stat")) {
    if (const auto ticks = parse_machine_stat(*text)) {
      put(metrics::kMachineCpuUser, static_cast<double>(ticks->user) * tick_ns());
      put(metrics::kMachineCpuSystem, static_cast<double>(ticks->system) * tick_ns());
      put(metrics::kMachineIdle, static_cast<double>(ticks->idle) * tick_ns());
      put(metrics::kMachineIoWait, static_cast<double>(ticks->io_wait) * tick_ns());
      put(metrics::kMachineSteal, static_cast<double>(ticks->steal) * tick_ns());
    }
  }
  if (const auto text = read_file("/proc/meminfo")) {
    if (const auto memory = parse_meminfo(*text))
      put(metrics::kMachineMemoryAvailable, static_cast<double>(memory->available));
  }
  // Absent where the kernel has no pressure accounting.
  if (const auto text = read_file("/proc/pressure/cpu")) {
    if (const auto pressure = parse_pressure(*text))
      put(metrics::kPsiCpuSome, static_cast<double>(pressure->some_us) * 1e3);
  }
  if (const auto text = read_file("/proc/pressure/memory")) {
    if (const auto pressure = parse_pressure(*text)) {
      put(metrics::kPsiMemorySome, static_cast<double>(pressure->some_us) * 1e3);
      put(metrics::kPsiMemoryFull, static_cast<double>(pressure->full_us) * 1e3);
    }
  }
  if (const auto text = read_file("/proc/pressure/io")) {
    if (const auto pressure = parse_pressure(*text)) {
      put(metrics::kPsiIoSome, static_cast<double>(pressure->some_us) * 1e3);
      put(metrics::kPsiIoFull, static_cast<double>(pressure->full_us) * 1e3);
    }
  }
}

}  // namespace camprobe::proc
