// collector/symbols/plt_stubs.cc
//
// Relocations by the slot they fill, stubs by the slot they jump through.
#include "collector/symbols/plt_stubs.h"

#include <gelf.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace camprobe::symbols {
namespace {

using Slots = std::unordered_map<std::uint64_t, const char*>;

// Functions chosen at start-up are relocated by the address of what chooses; its symbol has the function's own name.
std::unordered_map<std::uint64_t, const char*> ifuncs_by_resolver(const ElfFile& file) {
  std::unordered_map<std::uint64_t, const char*> names;
  Dwfl_Module* module = file.dwfl_module();
  const int count = dwfl_module_getsymtab(module);
  for (int i = 1; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, nullptr, nullptr, nullptr);
    if (name == nullptr || GELF_ST_TYPE(symbol.st_info) != STT_GNU_IFUNC) continue;
    const auto [place, fresh] = names.emplace(address, name);
    if (!fresh && std::string_view(name).size() < std::string_view(place->second).size()) place->second = name;
  }
  return names;
}

Slots read_slots(const ElfFile& file) {
  Slots slots;
  std::optional<std::unordered_map<std::uint64_t, const char*>> ifuncs;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(file.elf(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_RELA || (header.sh_flags & SHF_ALLOC) == 0)
      continue;
    Elf_Scn* symbols = elf_getscn(file.elf(), header.sh_link);
    GElf_Shdr symbols_header;
    Elf_Data* symbols_data = nullptr;
    const bool has_symbols = header.sh_link != 0 && gelf_getshdr(symbols, &symbols_header) != nullptr &&
                             (symbols_data = elf_getdata(symbols, nullptr)) != nullptr;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || header.sh_entsize == 0) continue;
    const std::size_t count = data->d_size / header.sh_entsize;
    for (std::size_t i = 0; i < count; ++i) {
      GElf_Rela relocation;
      if (gelf_getrela(data, static_cast<int>(i), &relocation) == nullptr) break;
      const auto type = GELF_R_TYPE(relocation.r_info);
      if (type == R_X86_64_IRELATIVE) {
        if (!ifuncs) ifuncs = ifuncs_by_resolver(file);
        const auto found = ifuncs->find(static_cast<std::uint64_t>(relocation.r_addend));
        if (found != ifuncs->end()) slots[relocation.r_offset] = found->second;
      } else if (has_symbols && (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT)) {
        GElf_Sym symbol;
        if (gelf_getsym(symbols_data, static_cast<int>(GELF_R_SYM(relocation.r_info)), &symbol) == nullptr) continue;
        const char* name = elf_strptr(file.elf(), symbols_header.sh_link, symbol.st_name);
        if (name != nullptr && name[0] != '\0') slots[relocation.r_offset] = name;
      }
    }
  }
  return slots;
}

// The slot of `jmp *disp32(%rip)` in one stub, or nothing: the jump may stand behind an endbr64 or a bnd prefix.
std::optional<std::uint64_t> jump_slot(const std::uint8_t* stub, std::size_t length, std::uint64_t address) {
  for (std::size_t i = 0; i + 6 <= length; ++i) {
    if (stub[i] != 0xff || stub[i + 1] != 0x25) continue;
    const std::uint32_t displacement =
        stub[i + 2] | stub[i + 3] << 8 | stub[i + 4] << 16 | static_cast<std::uint32_t>(stub[i + 5]) << 24;
    return address + i + 6 +
           static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(displacement)));
  }
  return std::nullopt;
}

}  // namespace

PltStubs::PltStubs(const ElfFile& file) {
  if (file.machine() != EM_X86_64) return;
  std::optional<Slots> slots;
  for (const ElfFile::Section& section : file.sections()) {
    if (!section.executable || !section.name.starts_with(".plt")) continue;
    if (!slots) slots = read_slots(file);
    const std::vector<std::uint8_t> code = file.bytes_at(section.low, section.high - section.low);
    // Stubs of .plt.got are 8 bytes with lazy binding and 16 with endbr64; all others are 16.
    const bool small = section.name == ".plt.got" && code.size() >= 2 && code[0] == 0xff && code[1] == 0x25;
    const std::size_t step = small ? 8 : 16;
    for (std::size_t at = 0; at < code.size(); at += step) {
      const std::size_t length = std::min(step, code.size() - at);
      const auto slot = jump_slot(code.data() + at, length, section.low + at);
      if (!slot) continue;
      const auto found = slots->find(*slot);
      if (found != slots->end()) stubs_.add(section.low + at, section.low + at + length, found->second);
    }
  }
  stubs_.sort();
}

std::optional<std::string_view> PltStubs::find(std::uint64_t address) const {
  const auto* stub = stubs_.find(address);
  if (stub == nullptr) return std::nullopt;
  return std::string_view(stub->value);
}

}  // namespace camprobe::symbols
