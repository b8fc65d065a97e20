// collector/proc/proc_files.h
//
// Reading the small files of /proc: of one process through a descriptor of its directory, which goes stale with the
// process and never leads to a later one of the same pid.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collector/proc/proc_text.h"

namespace camprobe::proc {

inline constexpr std::size_t kMostOfAFile = 1 << 20;  // what is longer is cut

// A whole small file; nothing where it cannot be read (errno says why).
std::optional<std::string> read_file(const std::string& path);

class ProcessFiles {
 public:
  // Nothing where there is no such process, or (start_ticks not 0) where the pid belongs to a later one. With its start
  // time a process in another pid namespace is found by its number there; pid() then is its number here.
  static std::optional<ProcessFiles> open(pid_t pid, std::uint64_t start_ticks = 0);
  ProcessFiles(ProcessFiles&& other) noexcept;
  ProcessFiles& operator=(ProcessFiles&& other) noexcept;
  ~ProcessFiles();

  pid_t pid() const { return pid_; }
  std::uint64_t start_ticks() const { return start_ticks_; }
  std::optional<std::string> read(const char* name) const;
  std::optional<ProcessStat> stat() const;
  // Gone, or dead and not yet waited for. One cheap system call: asked of every process ten times a second, where
  // /proc/<pid>/stat would have the kernel add up the times of all its threads.
  bool is_dead() const;

  std::string executable() const;            // where /proc/<pid>/exe points, "" where that is not allowed
  std::string directory() const;             // its working directory, likewise
  std::vector<std::string> command() const;  // arguments
  std::optional<uid_t> owner() const;
  std::optional<std::int64_t> count_descriptors() const;
  std::vector<std::uint64_t> socket_inodes() const;  // of its descriptors
  std::vector<pid_t> threads() const;

 private:
  ProcessFiles(pid_t pid, int directory) : pid_(pid), directory_(directory) {}
  void watch();
  static std::optional<ProcessFiles> open_here(pid_t pid, std::uint64_t start_ticks);
  static std::optional<ProcessFiles> find_in_namespaces(pid_t pid, std::uint64_t start_ticks);
  std::string link_target(const char* name) const;
  pid_t pid_;
  int directory_;
  int pidfd_ = -1;  // -1: the kernel has none (before 5.3, or a sandbox forbids it)
  std::uint64_t start_ticks_ = 0;
};

// Whether the process has a TCP socket that listens, in its own network namespace.
bool is_listening(const ProcessFiles& process);

// Children of a process by /proc/<pid>/task/*/children; empty where the kernel does not say.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace camprobe::proc
