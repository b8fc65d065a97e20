// collector/symbols/module_file.h
//
// One ELF file of the ModuleSymbols cache: symbols, stubs and DWARF read when first asked for, and dropped when told
// to.
//
// Keeps its descriptor, so that a file deleted since can be read again. Private to ModuleSymbols and its tests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/symbols/debug_info.h"
#include "collector/symbols/elf_file.h"
#include "collector/symbols/frame.h"
#include "collector/symbols/plt_stubs.h"
#include "collector/symbols/symbol_table.h"
#include "collector/symbols/unique_fd.h"

namespace camprobe::symbols {

class ModuleFile {
 public:
  // Null if it is no ELF file; `error` says why.
  static std::shared_ptr<ModuleFile> open(UniqueFd fd, const std::string& path, std::uint64_t serial,
                                          std::string& error);

  // Innermost first, at least one frame.
  std::vector<Frame> resolve(std::uint64_t address);
  bool is_signal_return(std::uint64_t address);

  std::uint64_t serial() const { return serial_; }
  std::size_t bytes() const;
  // Gives back the pages of the file that are in memory, and keeps what was made of them.
  void drop_pages() const {
    if (content_) content_->elf->drop_pages();
  }
  // Gives back what resolve() has read.
  void unload() { content_.reset(); }

  std::uint64_t last_use = 0;  // ModuleSymbols' clock

 private:
  struct Content {
    std::unique_ptr<ElfFile> elf;
    std::optional<SymbolTable> symbols;
    std::optional<PltStubs> stubs;
    std::optional<DebugInfo> debug;
  };

  ModuleFile(UniqueFd fd, std::string path, std::uint64_t serial)
      : fd_(std::move(fd)), path_(std::move(path)), serial_(serial) {}
  UniqueFd another_descriptor() const;
  bool load(std::string& error);

  UniqueFd fd_;
  std::string path_;
  std::uint64_t serial_;
  std::unique_ptr<Content> content_;
};

}  // namespace camprobe::symbols
