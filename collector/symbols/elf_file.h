// collector/symbols/elf_file.h
//
// One ELF file opened through libdwfl, with its separate debug file if there is one.
//
// libdwfl finds debug files by build-id (/usr/lib/debug/.build-id), by .gnu_debuglink and .gnu_debugaltlink, and asks
// debuginfod only if the user set DEBUGINFOD_URLS. The module is reported at bias 0, so all addresses here are the
// file's own link-time addresses.
//
// Files are mapped by libelf, so whoever truncates one in place while it is being read takes the reader down by SIGBUS;
// package managers replace files by renaming, which is harmless.
//
// One owner, one thread at a time; everything handed out (Elf, Dwarf, names) lives as long as this object.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/symbols/unique_fd.h"

namespace camprobe::symbols {

class ElfFile {
 public:
  struct Section {
    std::string name;
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    bool executable = false;
  };

  // Debug sections stored compressed are inflated in memory as a whole; beyond this they are not used.
  static constexpr std::uint64_t kMaxInflatedDebugBytes = std::uint64_t{1} << 30;

  // Null if this is no ELF program or library that libelf can read; `error` then says why. `path` is the name by which
  // .gnu_debuglink is followed (".debug" beside it, below /usr/lib/debug).
  static std::unique_ptr<ElfFile> open(UniqueFd fd, const std::string& path, std::string& error);

  // Lower-case hexadecimal, empty if the file has none. Does not look for debug files.
  static std::string build_id_of(int fd);

  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  const std::vector<Section>& sections() const { return sections_; }
  // The section that holds `address`, or null. A file without section headers has its loadable segments instead.
  const Section* section_at(std::uint64_t address) const;
  bool is_code(std::uint64_t address) const;

  // Up to `wanted` bytes of the file's image at `address`; fewer where the file ends.
  std::vector<std::uint8_t> bytes_at(std::uint64_t address, std::size_t wanted) const;

  // Pages of the mapped files that were read go back to the kernel, which has them in its cache still. What was made of
  // them stays.
  void drop_pages() const;

  Elf* elf() const { return elf_; }
  Dwfl_Module* dwfl_module() const { return module_; }
  int machine() const { return machine_; }
  // Null if there is no debug information. `*bias` is what to subtract from an address before asking the Dwarf.
  // Looks for a separate debug file at the first call.
  Dwarf* dwarf(std::uint64_t* bias);
  // Debug sections that had to be inflated, in bytes; known after dwarf().
  std::uint64_t inflated_bytes() const { return inflated_bytes_; }

 private:
  ElfFile() = default;
  void read_sections();

  struct EndDwfl {
    void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
  };
  std::unique_ptr<Dwfl, EndDwfl> dwfl_;
  Dwfl_Module* module_ = nullptr;
  Elf* elf_ = nullptr;
  Elf* debug_elf_ = nullptr;  // the same, another, or null: not looked for yet
  int machine_ = 0;
  std::vector<Section> sections_;
  std::uint64_t inflated_bytes_ = 0;
};

}  // namespace camprobe::symbols
