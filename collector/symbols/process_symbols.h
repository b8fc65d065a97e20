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
// moves and its addresses are used again, so what the JIT says is to be asked soon after the stack was taken
// (jit_frames); what lies in modules can be named hours later, as long as their files can be had (open_files).
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
  // What jit_frames() said of these addresses when the stack was taken. Empty: the JIT is asked now.
  std::span<const std::optional<Frame>> jit{};
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

  // Opens the files of all modules, so that they can be read even once they were deleted or the process's mount
  // namespace is gone.
  void open_files();

  // What only the process can tell, and only while it lives: the JIT's frame for each address that it has code at.
  // Empty where it has none at any.
  std::vector<std::optional<Frame>> jit_frames(const RawStack& stack);

  // Adds what resolve() will ask of each file, for ModuleSymbols::resolve_all().
  void collect(std::span<const RawStack> stacks, ModuleSymbols::AddressesByFile& addresses);

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
  // `jit`: the JIT's frame, where it was asked already (null: ask now).
  bool append_frames(std::uint64_t address, bool exact, std::uint64_t taken_ns, const std::optional<Frame>* jit,
                     std::vector<Frame>& frames);
  Frame jit_frame(const JitCode& code, std::uint64_t address);

  ModuleSymbols& cache_;
  TargetFiles files_;
  PerfMapFile jit_;
  SourceMaps source_maps_;
  std::vector<Module> modules_;
  std::chrono::steady_clock::time_point jit_read_{};
};

}  // namespace camprobe::symbols
