// collector/symbols/symbol_table.cc
//
// Reads the symbols libdwfl merges from a file and its debug file, sorts them once.
#include "collector/symbols/symbol_table.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace camprobe::symbols {
namespace {

std::size_t leading_underscores(const char* name) {
  if (std::strncmp(name, "_Z", 2) == 0 || std::strncmp(name, "_R", 2) == 0) return 0;
  return std::strspn(name, "_");
}

// Labels that name no function: local labels, and the mapping symbols of ARM and RISC-V.
bool is_label(const char* name) {
  if (name[0] == '.' && name[1] == 'L') return true;
  return name[0] == '$' && name[1] != '\0' && (name[2] == '\0' || name[2] == '.');
}

}  // namespace

bool SymbolTable::Symbol::operator<(const Symbol& other) const {
  if (begin != other.begin) return begin < other.begin;
  const auto worth = [](const Symbol& s) { return std::tuple(s.end != s.begin, s.function, s.exported); };
  if (worth(*this) != worth(other)) return worth(*this) < worth(other);
  const std::size_t mine = leading_underscores(name);
  const std::size_t theirs = leading_underscores(other.name);
  if (mine != theirs) return mine > theirs;
  const std::size_t my_length = std::strlen(name);
  const std::size_t their_length = std::strlen(other.name);
  if (my_length != their_length) return my_length > their_length;
  return std::strcmp(name, other.name) > 0;
}

SymbolTable::SymbolTable(const ElfFile& file) : file_(file) {
  Dwfl_Module* module = file.dwfl_module();
  const int count = dwfl_module_getsymtab(module);
  // All of a large program's names are tens of megabytes of its file, of which few are looked at again.
  constexpr int kBetweenDrops = 16384;
  for (int i = 1; i < count; ++i) {
    if (i % kBetweenDrops == 0) file.drop_pages();
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section = 0;
    const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, nullptr, nullptr);
    if (name == nullptr || name[0] == '\0' || section == SHN_UNDEF || is_label(name)) continue;
    const int type = GELF_ST_TYPE(symbol.st_info);
    const bool function = type == STT_FUNC || type == STT_GNU_IFUNC;
    if ((!function && type != STT_NOTYPE) || !file.is_code(address)) continue;
    // A size that leads out of the section is a lie; without it the symbol still has its place.
    const bool size_fits = symbol.st_size <= file.section_at(address)->high - address;
    symbols_.push_back({address, size_fits ? address + symbol.st_size : address, name,
                        GELF_ST_BIND(symbol.st_info) != STB_LOCAL, function});
  }
  std::sort(symbols_.begin(), symbols_.end());
  // .dynsym repeats what .symtab has.
  const auto same = [](const Symbol& a, const Symbol& b) {
    return a.begin == b.begin && a.end == b.end && std::strcmp(a.name, b.name) == 0;
  };
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(), same), symbols_.end());
  symbols_.shrink_to_fit();
  if (count > kBetweenDrops) file.drop_pages();
  reach_.reserve(symbols_.size());
  std::uint64_t furthest = 0;
  for (const Symbol& symbol : symbols_) reach_.push_back(furthest = std::max(furthest, symbol.end));
}

std::optional<SymbolTable::Match> SymbolTable::find(std::uint64_t address) const {
  const auto after = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                      [](std::uint64_t wanted, const Symbol& symbol) { return wanted < symbol.begin; });
  if (after == symbols_.begin()) return std::nullopt;
  const auto last = static_cast<std::size_t>(after - symbols_.begin()) - 1;
  const auto match = [](const Symbol& symbol) { return Match{symbol.name, symbol.begin, symbol.exported}; };
  // A label inside a sized function (a loop in assembly) does not take the function's name from it: sized ones first.
  for (std::size_t i = last + 1; i-- > 0 && reach_[i] > address;) {
    if (symbols_[i].end > address) return match(symbols_[i]);
  }
  const Symbol& nearest = symbols_[last];
  if (nearest.end == nearest.begin && file_.section_at(nearest.begin) == file_.section_at(address))
    return match(nearest);
  return std::nullopt;
}

}  // namespace camprobe::symbols
