// What can be said of one program before it is started.
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "collector/attach/program.h"
#include "collector/doctor.h"
#include "collector/symbols/elf_file.h"

namespace camprobe {
namespace {

namespace fs = std::filesystem;
using Grade = Finding::Grade;

struct Symbols {
  bool has_table = false;       // .symtab: names of all functions, not only of exported ones
  bool has_own_malloc = false;  // a malloc() that comes before any that is preloaded
};

Symbols symbols_of(Elf* elf) {
  Symbols found;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_SYMTAB) found.has_table = true;
    // What the loader binds to is what the dynamic table exports.
    if (header.sh_type != SHT_DYNSYM || header.sh_entsize == 0) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    for (std::size_t i = 0; data != nullptr && i < header.sh_size / header.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
      if (name != nullptr && symbol.st_shndx != SHN_UNDEF && std::strcmp(name, "malloc") == 0)
        found.has_own_malloc = true;
    }
  }
  return found;
}

void look_at_file(const std::string& path, std::vector<Finding>& findings) {
  std::string why;
  const auto file = symbols::ElfFile::open(symbols::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path, why);
  if (file == nullptr) {
    findings.push_back({Grade::kNote, fmt::format("{}: {}", path, why), "its functions will have no names"});
    return;
  }
  const Symbols symbols = symbols_of(file->elf());
  if (symbols.has_own_malloc) {
    findings.push_back(
        {Grade::kBad,
         fmt::format("{} has an allocator linked into it, which comes before the probe: its heap is not seen", path),
         "link the allocator (tcmalloc, jemalloc, mimalloc) as a shared library; all else is recorded"});
  }
  std::uint64_t bias = 0;
  if (file->dwarf(&bias) != nullptr) {
    findings.push_back({Grade::kGood, fmt::format("{} has debug information: functions, files and lines", path), ""});
  } else if (symbols.has_table) {
    findings.push_back({Grade::kNote,
                        fmt::format("{} has no debug information: functions have names, but no files and lines", path),
                        "build it with -g, or install its -dbgsym package"});
  } else {
    findings.push_back({Grade::kNote, fmt::format("{} is stripped: only functions that it exports have names", path),
                        "do not strip it, or install its -dbgsym package, or set DEBUGINFOD_URLS"});
  }
}

}  // namespace

void examine_program(const std::string& name, std::vector<Finding>& findings) {
  const auto program = attach::find_program(name);
  if (!program) {
    findings.push_back({Grade::kBad, program.error(), ""});
    return;
  }
  findings.push_back({Grade::kGood, fmt::format("{} can be preloaded ({})", name, program->loader), ""});
  if (program->is_script)
    findings.push_back({Grade::kGood, fmt::format("it is a script run by {}", program->executable), ""});
  if (program->is_go) {
    findings.push_back({Grade::kNote, "it is a Go program",
                        "Go calls the kernel without libc and has its own heap: only its C parts are seen"});
  }
  look_at_file(program->executable, findings);
  const std::string base = fs::path(program->executable).filename().string();
  if (base == "node" || base == "nodejs") {
    findings.push_back({Grade::kGood, "Node.js: camprobe run switches on the maps that name JavaScript functions", ""});
    if (::access("/tmp", W_OK) != 0)
      findings.push_back({Grade::kBad, "/tmp cannot be written to",
                          "Node.js writes /tmp/perf-PID.map there: without it JavaScript has no names"});
  }
  if (base.starts_with("python")) {
    findings.push_back({Grade::kNote, "Python: native stacks show the interpreter's own functions",
                        "Python 3.12 and later name Python functions with PYTHONPERFSUPPORT=1"});
  }
  if (base == "java") {
    findings.push_back({Grade::kNote, "Java: add -XX:+PreserveFramePointer, and -XX:+DumpPerfMapAtExit for names", ""});
  }
}

}  // namespace camprobe
