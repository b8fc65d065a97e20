// tests/symbols/elf_symbols.cc
#include "tests/symbols/elf_symbols.h"

#include <fcntl.h>
#include <gelf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "collector/symbols/elf_file.h"

using namespace camprobe::symbols;

std::vector<FunctionSymbol> function_symbols(const std::string& path) {
  elf_version(EV_CURRENT);
  std::vector<FunctionSymbol> found;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  Elf* elf = elf_begin(fd, ELF_C_READ, nullptr);
  for (GElf_Word wanted : {SHT_SYMTAB, SHT_DYNSYM}) {
    for (Elf_Scn* section = nullptr; found.empty() && (section = elf_nextscn(elf, section)) != nullptr;) {
      GElf_Shdr header;
      gelf_getshdr(section, &header);
      if (header.sh_type != wanted) continue;
      Elf_Data* data = elf_getdata(section, nullptr);
      for (std::size_t i = 0; data != nullptr && i < header.sh_size / header.sh_entsize; ++i) {
        GElf_Sym symbol;
        gelf_getsym(data, static_cast<int>(i), &symbol);
        if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
        found.push_back({elf_strptr(elf, header.sh_link, symbol.st_name), symbol.st_value, symbol.st_size});
      }
    }
  }
  elf_end(elf);
  ::close(fd);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  return found;
}

FunctionSymbol function_symbol(const std::string& path, const std::string& name) {
  for (const FunctionSymbol& symbol : function_symbols(path)) {
    if (symbol.name == name) return symbol;
  }
  ADD_FAILURE() << path << " has no symbol " << name;
  return {};
}

RecordedModule recorded(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return {
      .path = path, .build_id = ElfFile::build_id_of(fd.get()), .base = 0, .low = 0, .high = std::uint64_t{1} << 32};
}

std::shared_ptr<ModuleFile> open_module(ModuleSymbols& cache, const std::string& path) {
  ModuleSymbols::Found found = cache.find(recorded(path), TargetFiles(0));
  EXPECT_TRUE(found.file) << path << ": " << found.why_not;
  return found.file;
}
