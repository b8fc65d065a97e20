// collector/symbols/plt_stubs.h
//
// Names of the linker's call stubs: "malloc@plt".
//
// A stub has no symbol. It jumps through one slot of the global offset table, and the relocation of that slot names the
// function; so each stub's jump is decoded and its slot looked up, which holds for .plt, .plt.sec, .plt.got and any
// order of relocations. x86-64 only: elsewhere stubs stay without a name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collector/symbols/elf_file.h"
#include "collector/symbols/interval_index.h"

namespace camprobe::symbols {

class PltStubs {
 public:
  explicit PltStubs(const ElfFile& file);

  // The function the stub at `address` calls, mangled, or nothing. Text lives as long as the ElfFile.
  std::optional<std::string_view> find(std::uint64_t address) const;

  std::size_t size() const { return stubs_.size(); }

 private:
  IntervalIndex<const char*> stubs_;
};

}  // namespace camprobe::symbols
