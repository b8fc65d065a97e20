// collector/symbols/symbol_table.h
//
// The code symbols of one ELF file: .symtab of the file or of its debug file, .dynsym, and .gnu_debugdata.
//
// An address has a name only if a symbol says so: it lies inside the symbol's size, or the symbol has no size
// (hand-written assembly), begins in the same section, and is the nearest one before it. Nearest alone would put the
// name of the last exported function on every static one behind it.
//
// Sorted once, because libdwfl's own lookup walks all symbols each time (300,000 of them in a node binary).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "collector/symbols/elf_file.h"

namespace camprobe::symbols {

class SymbolTable {
 public:
  struct Match {
    const char* name;     // mangled; lives as long as the ElfFile
    std::uint64_t begin;  // the symbol's own address
    bool exported;        // global or weak
  };

  explicit SymbolTable(const ElfFile& file);

  // Of several symbols on one address: with a size before without, exported before local, then fewest leading
  // underscores
  // (`read` before `__GI___libc_read`), then the shortest.
  std::optional<Match> find(std::uint64_t address) const;

  std::size_t size() const { return symbols_.size(); }
  std::size_t bytes() const { return symbols_.capacity() * sizeof(Symbol) + reach_.capacity() * sizeof(std::uint64_t); }

 private:
  struct Symbol {
    std::uint64_t begin;
    std::uint64_t end;  // == begin: no size
    const char* name;
    bool exported;
    bool function;
    bool operator<(const Symbol& other) const;  // by begin; the preferred name last
  };

  const ElfFile& file_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> reach_;
};

}  // namespace camprobe::symbols
