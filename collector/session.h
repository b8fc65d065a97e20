// collector/session.h
//
// The ways to make a run, from beginning to end: start a program (with a load beside it), attach to processes that run,
// take what a dead one left, or what a running one has at this instant. Each prints what the user must know to standard
// error, one line a fact, and gives the exit code of the command: 2 for what the user can put right.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collector/load/timeline.h"
#include "run/result.h"

namespace camprobe {

struct Outcome {
  int exit_code = 0;
  std::string run;  // the file, where there is one to report on
};

struct RunOptions {
  std::vector<std::string> program;  // with its arguments
  std::string run;                   // the file; empty: PROGRAM-YYYYmmdd-HHMMSS.camrun here
  bool may_replace = false;          // an older run of that name
  bool resumes = false;              // goes on with `run`: the program is another process of it
  std::string allocator;             // tcmalloc, jemalloc or mimalloc instead of the program's; empty: the program's
  std::string load;                  // a shell command
  std::string load_results;          // a file that it writes
  std::optional<std::chrono::seconds> duration;
  std::chrono::seconds load_wait{30};  // how long to wait for the program to listen
  std::chrono::seconds grace{10};      // between SIGTERM and SIGKILL
  // The active proof of a leak: the load runs twice, and the program is idle for so long after each.
  std::optional<std::chrono::seconds> prove_idle;
  bool escalates = true;  // sample the heap more densely late in the run, where suspicions have too few samples
  bool is_quiet = false;
  // Where the caller drives the load itself: what it was, asked when the program has ended, with our clock.
  std::function<run::Result<std::vector<load::LoadTimeline>>()> load_timelines{};
  std::function<void()> before_exec{};  // in the program's process, before it begins: system calls only
};

Outcome record_program(const RunOptions& options);

struct AttachOptions {
  pid_t pid = 0;         // 0: all
  bool resumes = false;  // goes on with `run`; pid is followed too, where it is not 0
  std::string run;
  bool may_replace = false;
  std::string load_results;  // taken in at the end
  std::optional<std::chrono::seconds> duration;
  bool is_quiet = false;
  // For one that takes the place of a collector that had started the program, and was killed: the first signal to end
  // goes on to the program, which is killed when this time is over; the recording ends with it.
  std::optional<std::chrono::seconds> grace{};
  std::function<run::Result<std::vector<load::LoadTimeline>>()>
      load_timelines{};  // as in RunOptions; `load` is its command
  std::string load{};
};

Outcome record_running(const AttachOptions& options);

struct SnapshotOptions {
  pid_t pid = 0;
  std::string run;
  bool may_replace = false;
  bool is_quiet = false;
};

// Neither the process nor a collector that records it notices.
Outcome take_snapshot(const SnapshotOptions& options);

}  // namespace camprobe
