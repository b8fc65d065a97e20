// collector/drain/symbolizer.h
//
// Stacks into frames, on a thread of its own and at a low priority, so that reading DWARF never holds up the draining
// of rings. Jobs are done in the order given; what a job needs (which modules were open, which process) is given before
// it in the same order. JIT code moves, so stacks are resolved while the target runs, not at the end.
//
// Everything here but the constructor may be called from one thread only, the session's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "run/rows.h"

namespace camprobe::drain {

class Symbolizer {
 public:
  struct ModuleAt {
    std::string path, build_id;
    std::uint64_t base = 0, low = 0, high = 0, opened_ns = 0;
  };
  struct Resolved {
    run::StackId stack{};
    std::vector<run::Frame> leaf_first;
  };

  Symbolizer();
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  // Gives the process's number here. pid 0: its pid belongs to somebody else by now.
  std::size_t add_process(pid_t pid, uid_t uid);
  // Modules of a process are numbered in the order they are added.
  void add_module(std::size_t process, ModuleAt module);
  void close_module(std::size_t process, std::size_t number, std::uint64_t closed_ns);
  void resolve(std::size_t process, run::StackId stack, std::vector<std::uint64_t> leaf_first, bool leaf_is_exact,
               std::uint64_t taken_ns);

  // No more stacks of this process will come: what is kept for it goes, once those before are resolved.
  void end_process(std::size_t process);

  // What has been resolved since the last call.
  std::vector<Resolved> take();
  std::size_t waiting() const;
  // Waits until all jobs are done. False: time ran out.
  bool finish(std::chrono::milliseconds limit);
  // One sentence for each file that could not be used by a process that was ended; a bounded number.
  std::vector<std::string> problems();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace camprobe::drain
