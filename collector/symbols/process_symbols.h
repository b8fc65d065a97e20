// collector/symbols/process_symbols.h
//
// Stacks of one process into frames: the door to this directory.
//
//   ModuleSymbols cache;                              // one for all targets
//   ProcessSymbols process(cache, {.pid = pid, .uid = uid});
//   process.add_module({.path = ..., .build_id = ..., .base = ..., .low = ..., .high = ...}, opened_ns);
//   std::vector<Frame> frames = process.resolve({.addresses = stack});
//
// An address is looked up in the modules that were open when the stack was taken, then in the JIT's perf map. JIT code
// moves and its addresses are used again, so stacks should be resolved soon after they were taken.
//
// Errors do not leave this class: what cannot be named becomes a frame of kind unknown that says what is known, and
// problems() says why in sentences.
//
// Thread-compatible: one owner, one thread at a time, and likewise for the ModuleSymbols shared by several. The cache
// must outlive the process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collector/symbols/frame.h"
#include "collector/symbols/module_symbols.h"
#include "collector/symbols/perf_map.h"
#include "collector/symbols/source_map.h"
#include "collector/symbols/target_files.h"

namespace camprobe::symbols {

struct TargetProcess {
  pid_t pid = 0;  // 0: no longer there (a region read post mortem after its pid went to another)
  uid_t uid = 0;  // whose files it may have written
};

struct RawStack {
  std::span<const std::uint64_t> addresses;  // leaf first
  bool leaf_is_exact = true;  // addresses[0] is an interrupted pc; otherwise a return address, as all others are
  std::uint64_t taken_ns = std::numeric_limits<std::uint64_t>::max();  // when, on the clock of add_module()
};

class ProcessSymbols {
 public:
  ProcessSymbols(ModuleSymbols& cache, TargetProcess process);
  ProcessSymbols(const ProcessSymbols&) = delete;
  ProcessSymbols& operator=(const ProcessSymbols&) = delete;

  // Returns the module's number, for close_module(). A module may be added again after it was closed.
  std::size_t add_module(RecordedModule module, std::uint64_t opened_ns = 0);
  void close_module(std::size_t number, std::uint64_t closed_ns);

  // Frames of the whole stack, leaf first, at least one for each address.
  std::vector<Frame> resolve(const RawStack& stack);

  // Names the addresses of many stacks in the order they lie in their files, for resolve() to find in the cache.
  void look_up(std::span<const RawStack> stacks);

  // Reads what the JIT has written since. resolve() does so by itself when an address is not known, and otherwise at
  // most every 50 ms.
  void refresh_jit();

  const PerfMapFile& jit() const { return jit_; }

  // One sentence for each module whose file could not be used, and why.
  std::vector<std::string> problems() const;

 private:
  struct Module {
    RecordedModule recorded;
    std::uint64_t opened_ns = 0;
    std::uint64_t closed_ns = std::numeric_limits<std::uint64_t>::max();
    bool looked_for = false;
    ModuleSymbols::Found found;
    std::string shown;  // Frame::module
  };

  Module* module_at(std::uint64_t address, std::uint64_t taken_ns);
  const std::shared_ptr<ModuleFile>& file_of(Module& module);
  const JitCode* jit_code_at(std::uint64_t address);
  // Appends the frames at one address; says whether the next one was interrupted there rather than having called.
  bool append_frames(std::uint64_t address, bool exact, std::uint64_t taken_ns, std::vector<Frame>& frames);
  Frame jit_frame(const JitCode& code, std::uint64_t address);

  ModuleSymbols& cache_;
  TargetFiles files_;
  PerfMapFile jit_;
  SourceMaps source_maps_;
  std::vector<Module> modules_;
  std::chrono::steady_clock::time_point jit_read_{};
};

}  // namespace camprobe::symbols
