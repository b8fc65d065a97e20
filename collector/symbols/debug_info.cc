// collector/symbols/debug_info.cc
//
// Units by range, functions by range within a unit, inlined calls by a walk of one function.
#include "collector/symbols/debug_info.h"

#include <dwarf.h>

#include <cstring>
#include <filesystem>

#include "collector/symbols/demangle.h"

namespace camprobe::symbols {
namespace {

constexpr int kMaxNesting = 256;
constexpr int kMaxRangesOfOneDie = 1 << 20;
// What libdw keeps for a unit and for a line, measured on 0.188.
constexpr std::size_t kBytesOfUnit = 3000;  // abbreviations and file names included
constexpr std::size_t kBytesOfLine = 48;

// The next sibling, or nothing if there is none or the file leads backwards.
bool next_sibling(Dwarf_Die* die) {
  const Dwarf_Off before = dwarf_dieoffset(die);
  Dwarf_Die next;
  if (dwarf_siblingof(die, &next) != 0 || dwarf_dieoffset(&next) <= before) return false;
  *die = next;
  return true;
}

bool first_child(Dwarf_Die* parent, Dwarf_Die* child) {
  return dwarf_haschildren(parent) == 1 && dwarf_child(parent, child) == 0 &&
         dwarf_dieoffset(child) > dwarf_dieoffset(parent);
}

bool may_hold_functions(int tag) {
  switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:  // Rust
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
      return true;
    default:
      return false;
  }
}

std::uint64_t unsigned_attribute(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr(die, name, &attribute) == nullptr || dwarf_formudata(&attribute, &value) != 0) return 0;
  return value;
}

std::string linkage_name(Dwarf_Die* die) {
  for (unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(die, name, &attribute) == nullptr) continue;
    const char* text = dwarf_formstring(&attribute);
    if (text != nullptr && text[0] != '\0') return text;
  }
  return {};
}

// The DIE that stands where the function is declared, so that its scopes are the name's scopes.
Dwarf_Die declaration_of(Dwarf_Die die) {
  for (int hops = 0; hops < 16; ++hops) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    const bool refers = dwarf_attr(&die, DW_AT_abstract_origin, &attribute) != nullptr ||
                        dwarf_attr(&die, DW_AT_specification, &attribute) != nullptr;
    if (!refers || dwarf_formref_die(&attribute, &next) == nullptr) break;
    die = next;
  }
  return die;
}

// "outer::inner::" of the namespaces and types around `die`. DIEs lie in memory in the order of a depth-first walk, so
// the way to one leads, on each level, through the last sibling that does not lie behind it.
std::string scopes_of(Dwarf_Die* die) {
  Dwarf_Die level;
  if (dwarf_cu_die(die->cu, &level, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == nullptr) return {};
  const Dwarf_Off wanted = dwarf_dieoffset(die);
  std::string scopes;
  for (int depth = 0; depth < kMaxNesting; ++depth) {
    Dwarf_Die child;
    if (!first_child(&level, &child) || dwarf_dieoffset(&child) > wanted) return scopes;
    Dwarf_Die last = child;
    while (next_sibling(&child) && dwarf_dieoffset(&child) <= wanted) last = child;
    if (dwarf_dieoffset(&last) == wanted) return scopes;
    switch (dwarf_tag(&last)) {
      case DW_TAG_namespace:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type: {
        const char* text = dwarf_diename(&last);
        std::string name = text != nullptr ? text : "";
        const char* own_name = dwarf_diename(die);
        const bool is_call = own_name != nullptr && std::strcmp(own_name, "operator()") == 0;
        if (name.starts_with("<lambda") || (name.empty() && is_call)) name = "{lambda}";
        if (name.empty()) name = dwarf_tag(&last) == DW_TAG_namespace ? "(anonymous namespace)" : "(anonymous)";
        scopes += name + "::";
        break;
      }
      case DW_TAG_subprogram: {  // a local class or a lambda
        const std::string linkage = linkage_name(&last);
        const char* text = dwarf_diename(&last);
        if (!linkage.empty())
          scopes = demangle(linkage) + "::";
        else if (text != nullptr)
          scopes += std::string(text) + "::";
        break;
      }
      default:
        break;
    }
    level = last;
  }
  return {};
}

}  // namespace

DebugInfo::DebugInfo(ElfFile& file) : file_(file), dwarf_(file.dwarf(&bias_)) {
  bytes_ = file.inflated_bytes();
}

// Calls add(low, high), in the file's addresses, for each range of `die` that lies in code.
template <typename Add>
void DebugInfo::each_range(Dwarf_Die* die, Add add) {
  Dwarf_Addr base = 0;
  Dwarf_Addr low = 0;
  Dwarf_Addr high = 0;
  std::ptrdiff_t offset = 0;
  for (int i = 0; i < kMaxRangesOfOneDie && (offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0; ++i) {
    if (low < high && file_.is_code(low + bias_)) add(low + bias_, high + bias_);
  }
}

void DebugInfo::read_units() {
  units_read_ = true;
  Dwarf_CU* cu = nullptr;
  Dwarf_Die die;
  Dwarf_Die content;
  std::uint8_t type = 0;
  while (dwarf_get_units(dwarf_, cu, &cu, nullptr, &type, &die, &content) == 0) {
    bytes_ += kBytesOfUnit;
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    if (dwarf_tag(&die) != DW_TAG_compile_unit && dwarf_tag(&die) != DW_TAG_skeleton_unit) continue;
    auto unit = std::make_unique<Unit>();
    unit->die = die;
    unit->content = type == DW_UT_skeleton && dwarf_tag(&content) != DW_TAG_invalid ? content : die;
    const auto index = static_cast<std::uint32_t>(units_.size());
    each_range(&die, [&](std::uint64_t low, std::uint64_t high) { unit_ranges_.add(low, high, index); });
    units_.push_back(std::move(unit));
  }
  unit_ranges_.sort();
  bytes_ += unit_ranges_.bytes() + units_.size() * sizeof(Unit);
}

void DebugInfo::read_functions(Unit& unit) {
  unit.functions_read = true;
  collect_functions(unit, &unit.content, 0);
  unit.functions.sort();
  bytes_ += unit.functions.bytes();
}

void DebugInfo::collect_functions(Unit& unit, Dwarf_Die* parent, int depth) {
  Dwarf_Die child;
  if (depth > kMaxNesting || !first_child(parent, &child)) return;
  do {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_subprogram) {
      const Dwarf_Off offset = dwarf_dieoffset(&child);
      each_range(&child, [&](std::uint64_t low, std::uint64_t high) { unit.functions.add(low, high, offset); });
    }
    if (may_hold_functions(tag)) collect_functions(unit, &child, depth + 1);
  } while (next_sibling(&child));
}

// Appends to `path` the inlined calls below `parent` that hold `pc` (in DWARF addresses), outermost first.
bool DebugInfo::inlined_path(Dwarf_Die* parent, std::uint64_t pc, std::vector<Dwarf_Die>& path, int depth) {
  Dwarf_Die child;
  if (depth > kMaxNesting || !first_child(parent, &child)) return false;
  do {
    const int tag = dwarf_tag(&child);
    if (tag != DW_TAG_lexical_block && tag != DW_TAG_inlined_subroutine) continue;
    if (dwarf_haspc(&child, pc) != 1) continue;
    if (tag == DW_TAG_inlined_subroutine) path.push_back(child);
    inlined_path(&child, pc, path, depth + 1);
    return true;
  } while (next_sibling(&child));
  return false;
}

const DebugInfo::Named& DebugInfo::name_of(Unit& unit, Dwarf_Die* die) {
  Dwarf_Die declaration = declaration_of(*die);
  // All inlined calls of a function share its declaration's name; the function itself may have a linkage name of its
  // own (the several bodies of a constructor).
  const auto [place, fresh] =
      names_.try_emplace(dwarf_tag(die) == DW_TAG_inlined_subroutine ? declaration.addr : die->addr);
  Named& named = place->second;
  if (!fresh) return named;
  const std::string linkage = linkage_name(die);
  if (!linkage.empty()) {
    named.name = demangle(linkage);
  } else if (const char* name = dwarf_diename(die); name != nullptr) {
    named.name = name;
    const int language = dwarf_srclang(&unit.content);
    const bool is_c = language == DW_LANG_C || language == DW_LANG_C89 || language == DW_LANG_C99 ||
                      language == DW_LANG_C11 || language == DW_LANG_Mips_Assembler;
    if (!is_c) named.name = scopes_of(&declaration) + named.name;
    named.has_linkage = false;
  }
  bytes_ += sizeof(Named) + 32 + named.name.capacity();
  return named;
}

// libdw leaves names relative to the compilation directory in DWARF 5 and joins them in DWARF 4.
std::string DebugInfo::source_path(Unit& unit, const char* name) {
  std::string path = name;
  if (!path.starts_with('/')) {
    Dwarf_Attribute attribute;
    const char* directory = dwarf_formstring(dwarf_attr(&unit.die, DW_AT_comp_dir, &attribute));
    if (directory != nullptr) path = std::string(directory) + "/" + path;
  }
  if (path.find("/./") == std::string::npos && path.find("/../") == std::string::npos) return path;
  return std::filesystem::path(path).lexically_normal().string();
}

void DebugInfo::line_at(Unit& unit, std::uint64_t pc, Function& into) {
  if (!unit.lines_read) {
    unit.lines_read = true;
    Dwarf_Lines* lines = nullptr;
    std::size_t count = 0;
    if (dwarf_getsrclines(&unit.die, &lines, &count) == 0) bytes_ += count * kBytesOfLine;
  }
  Dwarf_Line* line = dwarf_getsrc_die(&unit.die, pc);
  if (line == nullptr) return;
  int number = 0;
  const char* file = dwarf_linesrc(line, nullptr, nullptr);
  if (file != nullptr) into.file = source_path(unit, file);
  if (dwarf_lineno(line, &number) == 0 && number > 0) into.line = static_cast<std::uint32_t>(number);
}

std::vector<DebugInfo::Function> DebugInfo::find(std::uint64_t address) {
  if (dwarf_ == nullptr) return {};
  if (!units_read_) read_units();
  const auto* range = unit_ranges_.find(address);
  if (range == nullptr) return {};
  Unit& unit = *units_[range->value];
  if (!unit.functions_read) read_functions(unit);
  const std::uint64_t pc = address - bias_;

  Function location;  // file and line of the frame to come
  line_at(unit, pc, location);
  std::vector<Function> found;
  const auto* holder = unit.functions.find(address);
  Dwarf_Die function;
  Dwarf* owner = dwarf_cu_getdwarf(unit.content.cu);
  if (holder == nullptr || dwarf_offdie(owner, holder->value, &function) == nullptr) {
    if (!location.file.empty()) found.push_back(location);
    return found;
  }

  std::vector<Dwarf_Die> path{function};
  inlined_path(&function, pc, path, 0);
  Dwarf_Files* files = nullptr;
  std::size_t file_count = 0;
  if (path.size() > 1) dwarf_getsrcfiles(&unit.content, &files, &file_count);
  for (std::size_t i = path.size(); i-- > 0;) {
    const Named& named = name_of(unit, &path[i]);
    location.name = named.name;
    location.has_linkage_name = named.has_linkage;
    location.inlined = i > 0;
    found.push_back(location);
    if (i == 0) break;
    location = Function{};
    const std::uint64_t file = unsigned_attribute(&path[i], DW_AT_call_file);
    const char* name = files != nullptr && file < file_count ? dwarf_filesrc(files, file, nullptr, nullptr) : nullptr;
    if (name != nullptr) location.file = source_path(unit, name);
    location.line = static_cast<std::uint32_t>(unsigned_attribute(&path[i], DW_AT_call_line));
  }
  Dwarf_Addr base = 0;
  Dwarf_Addr entry = 0;
  Dwarf_Addr end = 0;
  // Of a function in several pieces, the first is where it begins.
  if (dwarf_ranges(&function, 0, &base, &entry, &end) > 0) found.back().entry = entry + bias_;
  return found;
}

}  // namespace camprobe::symbols
