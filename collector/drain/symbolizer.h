// collector/drain/symbolizer.h
//
// Stacks into what is written of them, on a thread of its own and at a low priority, so that reading maps and DWARF
// never holds up the draining of rings.
//
// While a run is recorded a stack is kept by its addresses. Only what its process alone can tell, and only while it
// lives, is asked at once: where JIT code lay, which moves. The files of its modules are opened, so that they can be
// read later whatever becomes of their paths. Names from files come in one go (name_all): at the end, and in a long
// recording now and then, where that fits into a share of a core.
//
// Jobs are done in the order given; what a job needs (which modules were open, which process) is given before it in the
// same order. Everything here but the constructor may be called from one thread only, the session's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/drain/run_clock.h"
#include "run/reader.h"
#include "run/rows.h"
#include "run/writer.h"

namespace camprobe::drain {

class Symbolizer {
 public:
  struct ModuleAt {
    std::string path, build_id;
    std::uint64_t base = 0, low = 0, high = 0, opened_ns = 0;
  };
  struct Named {
    run::StackId stack{};
    std::vector<run::Frame> leaf_first;
  };
  // By addresses. jit: what a JIT had at some of them, by depth.
  struct Unnamed {
    run::StackId stack{};
    bool leaf_is_exact = false;
    std::uint64_t taken_ns = 0;
    std::vector<std::uint64_t> leaf_first;
    std::vector<std::pair<std::size_t, run::Frame>> jit;
  };
  struct Results {
    std::vector<Unnamed> unnamed;
    std::vector<Named> named;
  };

  Symbolizer();
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  // Gives the process's number here. pid 0: its pid belongs to somebody else by now.
  std::size_t add_process(run::ProcessId process, pid_t pid, uid_t uid);
  // Modules of a process are numbered in the order they are added.
  void add_module(std::size_t process, ModuleAt module);
  void close_module(std::size_t process, std::size_t number, std::uint64_t closed_ns);
  void add_stack(std::size_t process, run::StackId stack, std::vector<std::uint64_t> leaf_first, bool leaf_is_exact,
                 std::uint64_t taken_ns);

  // No more stacks of this process will come: what is kept for it goes, once those before are done.
  void end_process(std::size_t process);

  // Names all of these stacks that the run's file has unnamed, beside the recording and after the jobs before it. It
  // waits where a few megabytes of names have not been taken.
  void name_all(const std::string& run_path, run::StacksOf which = run::StacksOf::kEverything);
  // The same in the caller's own thread and at its own priority, as somebody waits; no job may be waiting. `take` is
  // called for each and says whether to go on.
  void name_all_now(const std::string& run_path, const std::function<bool(Named)>& take);
  // CPU time that this took so far, and whether it is going on.
  std::chrono::nanoseconds naming_time() const;
  bool is_naming() const;

  // What has come of the jobs since the last call.
  Results take();
  std::size_t waiting() const;
  // Waits until all jobs are done. False: time ran out, or names are to be taken before it can go on.
  bool finish(std::chrono::milliseconds limit);
  // One sentence for each file that could not be used for a name; a bounded number.
  std::vector<std::string> problems();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Into the run: by address, or named.
void write(const Symbolizer::Results& results, RunClock clock, run::Writer& writer);

}  // namespace camprobe::drain
