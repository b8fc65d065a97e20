// collector/symbols/process_symbols.cc
//
// For each address: which module, exact or return address, and where no module, which JIT code.
#include "collector/symbols/process_symbols.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string_view>
#include <utility>

#include "collector/symbols/jit_name.h"

namespace camprobe::symbols {
namespace {

constexpr auto kJitRefresh = std::chrono::milliseconds(50);
constexpr std::string_view kDeleted = " (deleted)";

bool is_kernel(std::uint64_t address) {
  return address >> 63 != 0;
}

std::string hex(std::uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

// A return address may be the first byte of another function, or of no module at all, when the call was the last
// instruction: the call itself is one byte before.
std::uint64_t looked_up(std::uint64_t address, bool exact) {
  return exact || address == 0 ? address : address - 1;
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

ProcessSymbols::ProcessSymbols(ModuleSymbols& cache, TargetProcess process)
    : cache_(cache), files_(process.pid), jit_(files_, process.uid) {}

std::size_t ProcessSymbols::add_module(RecordedModule module, std::uint64_t opened_ns) {
  Module added;
  added.shown =
      module.path.ends_with(kDeleted) ? module.path.substr(0, module.path.size() - kDeleted.size()) : module.path;
  if (added.shown.starts_with("linux-vdso.so")) added.shown = "[vdso]";
  added.recorded = std::move(module);
  added.opened_ns = opened_ns;
  modules_.push_back(std::move(added));
  return modules_.size() - 1;
}

void ProcessSymbols::close_module(std::size_t number, std::uint64_t closed_ns) {
  if (number < modules_.size()) modules_[number].closed_ns = closed_ns;
}

ProcessSymbols::Module* ProcessSymbols::module_at(std::uint64_t address, std::uint64_t taken_ns) {
  // The one that was open then; failing that (records of open and close may be late) the one opened last.
  Module* last = nullptr;
  for (Module& module : modules_) {
    if (address < module.recorded.low || address >= module.recorded.high) continue;
    const bool open_then = module.opened_ns <= taken_ns && taken_ns <= module.closed_ns;
    const bool last_open_then = last != nullptr && last->opened_ns <= taken_ns && taken_ns <= last->closed_ns;
    if (last == nullptr || open_then > last_open_then ||
        (open_then == last_open_then && module.opened_ns >= last->opened_ns)) {
      last = &module;
    }
  }
  return last;
}

const std::shared_ptr<ModuleFile>& ProcessSymbols::file_of(Module& module) {
  if (!module.looked_for) {
    module.looked_for = true;
    module.found = cache_.find(module.recorded, files_);
  }
  return module.found.file;
}

void ProcessSymbols::open_files() {
  for (Module& module : modules_) file_of(module);
}

void ProcessSymbols::collect(std::span<const RawStack> stacks, ModuleSymbols::AddressesByFile& addresses) {
  for (const RawStack& stack : stacks) {
    bool exact = stack.leaf_is_exact;
    for (const std::uint64_t address : stack.addresses) {
      const std::uint64_t wanted = looked_up(address, exact);
      exact = false;
      Module* module = is_kernel(address) ? nullptr : module_at(wanted, stack.taken_ns);
      if (module == nullptr) continue;
      if (const auto& file = file_of(*module)) addresses[file].push_back(wanted - module->recorded.base);
    }
  }
}

std::vector<std::optional<Frame>> ProcessSymbols::jit_frames(const RawStack& stack) {
  std::vector<std::optional<Frame>> frames;
  bool exact = stack.leaf_is_exact;
  for (std::size_t i = 0; i < stack.addresses.size(); ++i) {
    const std::uint64_t address = stack.addresses[i];
    const std::uint64_t wanted = looked_up(address, exact);
    exact = false;
    if (is_kernel(address)) continue;
    // A JIT may also list code that lies in a module (V8's builtins), which counts where the module has no symbols; but
    // for that its file is not read anew.
    const JitCode* code = module_at(wanted, stack.taken_ns) == nullptr ? jit_code_at(wanted) : jit_.map().find(wanted);
    if (code == nullptr) continue;
    frames.resize(stack.addresses.size());
    frames[i] = jit_frame(*code, wanted);
  }
  return frames;
}

std::vector<Frame> ProcessSymbols::resolve(const RawStack& stack) {
  std::vector<Frame> frames;
  bool exact = stack.leaf_is_exact;
  for (std::size_t i = 0; i < stack.addresses.size(); ++i) {
    const std::optional<Frame>* jit = i < stack.jit.size() ? &stack.jit[i] : nullptr;
    exact = append_frames(stack.addresses[i], exact, stack.taken_ns, jit, frames);
  }
  return frames;
}

bool ProcessSymbols::append_frames(std::uint64_t address, bool exact, std::uint64_t taken_ns,
                                   const std::optional<Frame>* jit, std::vector<Frame>& frames) {
  Frame unknown;
  unknown.function = "[unknown]";
  unknown.address = address;
  if (is_kernel(address)) {
    unknown.function = "[kernel]";
    unknown.module = "[kernel]";
    unknown.kind = FrameKind::kKernel;
    frames.push_back(std::move(unknown));
    return false;
  }

  // The code a signal handler returns to was called by nobody, so there the address itself counts, and what lies below
  // it was interrupted.
  const std::uint64_t wanted = looked_up(address, exact);
  bool signal_return = false;
  Module* module = module_at(wanted, taken_ns);
  std::uint64_t in_module = 0;
  if (module != nullptr) {
    in_module = wanted - module->recorded.base;
    if (const auto& file = file_of(*module)) {
      const ModuleSymbols::Resolved* known = &cache_.resolve(file, in_module);
      signal_return = !exact && known->before_signal_return;
      if (signal_return) known = &cache_.resolve(file, ++in_module);
      if (!known->frames.back().function.empty() || !known->frames.back().file.empty()) {
        for (Frame frame : known->frames) {
          frame.module = module->shown;
          if (frame.function.empty()) frame.function = base_name(module->shown) + "!" + hex(in_module);
          frames.push_back(std::move(frame));
        }
        return signal_return;
      }
    }
  }
  if (jit != nullptr && *jit) {
    frames.push_back(**jit);
    return false;
  }
  if (const JitCode* code = jit != nullptr ? nullptr : jit_code_at(wanted)) {
    frames.push_back(jit_frame(*code, wanted));
    return false;
  }
  unknown.address = wanted;
  if (module != nullptr) {
    unknown.module = module->shown;
    unknown.address = in_module;
    unknown.function = base_name(module->shown) + "!" + hex(in_module);
    if (signal_return) {
      unknown.function = "<signal handler called>";  // as gdb says it; libc's own name for it is rarely in its symbols
      unknown.kind = FrameKind::kNative;
    }
  }
  frames.push_back(std::move(unknown));
  return signal_return;
}

void ProcessSymbols::refresh_jit() {
  jit_read_ = std::chrono::steady_clock::now();
  jit_.refresh();
}

const JitCode* ProcessSymbols::jit_code_at(std::uint64_t address) {
  if (std::chrono::steady_clock::now() - jit_read_ >= kJitRefresh) refresh_jit();
  const JitCode* code = jit_.map().find(address);
  if (code == nullptr) {
    refresh_jit();
    code = jit_.map().find(address);
  }
  return code;
}

Frame ProcessSymbols::jit_frame(const JitCode& code, std::uint64_t address) {
  JitName name = parse_jit_name(code.name);
  Frame frame;
  frame.function = std::move(name.function);
  frame.file = std::move(name.file);
  frame.line = name.line;
  frame.module = "[jit]";
  frame.address = address;
  frame.kind = name.kind;
  if (frame.kind == FrameKind::kJs) {
    if (auto original = source_maps_.find(files_, frame.file, name.line, name.column)) {
      frame.file = std::move(original->file);
      frame.line = original->line;
    }
  }
  return frame;
}

std::vector<std::string> ProcessSymbols::problems() const {
  std::vector<std::string> sentences;
  for (const Module& module : modules_) {
    if (!module.looked_for || module.found.file) continue;
    sentences.push_back(module.recorded.path + ": no symbols, " + module.found.why_not);
  }
  return sentences;
}

}  // namespace camprobe::symbols
