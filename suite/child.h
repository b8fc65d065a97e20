// suite/child.h
//
// A process of the suite's own: a dependency, a target, a load tool, or a part of this program in a process of its own.
// Each is the leader of a process group, so that it ends with all it started, and dies with the suite if that is
// killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/result.h"

namespace camprobe::suite {

// What is set in a process before its program begins. The function runs between fork and exec: system calls only.
struct ProcessLimits {
  std::uint64_t data_bytes = 0;  // RLIMIT_DATA; 0: as it is
  std::uint64_t open_files = 0;  // RLIMIT_NOFILE
  int cores = 0;                 // the first so many of the CPUs we may use
  std::string cgroup_procs;      // a cgroup.procs file to enter
  std::function<void()> as_function() const;
};

class Child {
 public:
  struct Start {
    std::string name;                      // for messages
    std::vector<std::string> command;      // looked up in PATH; or
    std::function<int()> body;             // runs in the child, which ends with what it gives
    std::vector<std::string> environment;  // added to ours: NAME=value
    std::string output, errors;            // files for its streams; errors "": into output
    std::function<void()> before_exec;     // ProcessLimits::as_function()
  };
  static run::Result<Child> start(const Start& what);

  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  // kills what still runs

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool is_running();
  int wait_status() const { return status_; }
  std::string how_it_ended() const;  // "exit code 3", "killed by signal 9, Killed"
  bool ended_well() const;

  void signal(int number) const;  // to the leader
  void signal_group(int number) const;
  // SIGTERM to the group, SIGKILL when the grace is over. Waits; true where it ended by itself.
  bool stop(double grace_s);

  // CPU time of the whole group so far, in seconds: what runs, and what it has waited for.
  double cpu_seconds();

 private:
  Child(std::string name, pid_t pid) : name_(std::move(name)), pid_(pid) {}
  std::string name_;
  pid_t pid_ = 0;
  bool has_ended_ = false;
  int status_ = 0;
  double cpu_at_end_ = 0, cpu_seen_ = 0;
};

bool process_lives(pid_t pid);  // one that is not waited for yet does not

// Processes whose parent ended become ours (become_reaper, once); ends them. Gives how many there were.
void become_reaper();
int end_orphans();

// SIGINT and SIGTERM, counted instead of ending us; 0 before any.
void watch_for_interrupts();
int interrupts();
void nap(double seconds);  // returns early when interrupted

double machine_busy_seconds();  // CPU time of all CPUs together, idle left out
std::string tail_of(const std::string& path, std::size_t most_bytes = 2000);  // a log's last lines
std::string read_all(const std::string& path);
bool write_all(const std::string& path, const std::string& text);

}  // namespace camprobe::suite
