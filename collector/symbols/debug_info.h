// collector/symbols/debug_info.h
//
// DWARF of one ELF file: from an address to the functions inlined there, each with its file and line.
//
// Why not dwarf_addrdie and dwarf_getscopes: the first trusts .debug_aranges, which Clang and Rust do not write, and
// the second walks a whole compilation unit for every address, which in a unit of some megabytes costs tens of
// milliseconds. Here units are indexed by their ranges once, and the functions of a unit when an address first falls
// into it; an address then costs two binary searches and a walk of one function. Nothing else of the DWARF is read, so
// memory follows the code that was hit, not the size of the file; bytes() says how much, roughly.
//
// Hostile DWARF: DIEs must come at rising offsets (a DW_AT_sibling that points back would loop), nesting is bounded,
// and ranges outside the file's code are ignored (the linker leaves those of discarded functions at 0).
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/symbols/elf_file.h"
#include "collector/symbols/interval_index.h"

namespace camprobe::symbols {

class DebugInfo {
 public:
  struct Function {
    std::string name;              // demangled, qualified; empty: DWARF does not say
    bool has_linkage_name = true;  // false: put together from the source's names, so without arguments
    std::string file;              // where this frame is: the line running, or the call of the frame before
    std::uint32_t line = 0;
    std::uint64_t entry = 0;  // first address of a function that is not inlined, 0 if not known
    bool inlined = false;
  };

  // `file` must outlive this object.
  explicit DebugInfo(ElfFile& file);

  // Innermost first; the last one is not inlined, but its name may be empty (assembly has lines without functions).
  // Empty: nothing known about this address.
  std::vector<Function> find(std::uint64_t address);

  bool available() const { return dwarf_ != nullptr; }
  std::size_t units() const { return units_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Unit {
    Dwarf_Die die;      // where the ranges and lines are (the skeleton, for split DWARF)
    Dwarf_Die content;  // where the functions are
    bool functions_read = false;
    bool lines_read = false;
    IntervalIndex<Dwarf_Off> functions;
  };
  struct Named {
    std::string name;
    bool has_linkage = true;
  };

  void read_units();
  void read_functions(Unit& unit);
  void collect_functions(Unit& unit, Dwarf_Die* parent, int depth);
  template <typename Add>
  void each_range(Dwarf_Die* die, Add add);
  bool inlined_path(Dwarf_Die* parent, std::uint64_t pc, std::vector<Dwarf_Die>& path, int depth);
  const Named& name_of(Unit& unit, Dwarf_Die* die);
  std::string source_path(Unit& unit, const char* name);
  void line_at(Unit& unit, std::uint64_t pc, Function& into);

  ElfFile& file_;
  Dwarf* dwarf_ = nullptr;
  std::uint64_t bias_ = 0;
  bool units_read_ = false;
  std::vector<std::unique_ptr<Unit>> units_;
  IntervalIndex<std::uint32_t> unit_ranges_;
  std::unordered_map<const void*, Named> names_;  // by the DIE's place in memory, which names it across files
  std::size_t bytes_ = 0;
};

}  // namespace camprobe::symbols
