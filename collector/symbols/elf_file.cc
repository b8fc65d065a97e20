// collector/symbols/elf_file.cc
//
// Opening through libdwfl, with a look at sizes before anything is inflated.
#include "collector/symbols/elf_file.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace camprobe::symbols {
namespace {

// How much memory libdw would inflate for the debug sections of this file.
std::uint64_t inflated_debug_bytes(Elf* elf) {
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return 0;
  std::uint64_t total = 0;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if ((header.sh_flags & SHF_COMPRESSED) != 0) {
      GElf_Chdr compressed;
      if (gelf_getchdr(section, &compressed) == nullptr) continue;
      total += std::min(compressed.ch_size, ElfFile::kMaxInflatedDebugBytes + 1);
      continue;
    }
    const char* name = elf_strptr(elf, names, header.sh_name);
    if (name == nullptr || std::strncmp(name, ".zdebug", 7) != 0) continue;
    // GNU's older form: "ZLIB" and the size in eight big-endian bytes.
    const Elf_Data* data = elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_size < 12) continue;
    std::uint64_t size = 0;
    for (int i = 0; i < 8; ++i) size = size << 8 | static_cast<const std::uint8_t*>(data->d_buf)[4 + i];
    total += std::min(size, ElfFile::kMaxInflatedDebugBytes + 1);
  }
  return total;
}

std::uint64_t inflated_debug_bytes(int fd) {
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return 0;
  const std::uint64_t bytes = inflated_debug_bytes(elf);
  elf_end(elf);
  return bytes;
}

int find_debug_file(Dwfl_Module* module, void** user, const char* name, Dwarf_Addr base, const char* file,
                    const char* link, GElf_Word crc, char** found) {
  const int fd = dwfl_standard_find_debuginfo(module, user, name, base, file, link, crc, found);
  if (fd < 0) return fd;
  const std::uint64_t bytes = inflated_debug_bytes(fd);
  if (bytes > ElfFile::kMaxInflatedDebugBytes) {
    ::close(fd);
    return -1;
  }
  *static_cast<std::uint64_t*>(*user) += bytes;
  return fd;
}

const Dwfl_Callbacks kCallbacks = {.find_elf = dwfl_build_id_find_elf,
                                   .find_debuginfo = find_debug_file,
                                   .section_address = nullptr,
                                   .debuginfo_path = nullptr};

}  // namespace

std::unique_ptr<ElfFile> ElfFile::open(UniqueFd fd, const std::string& path, std::string& error) {
  elf_version(EV_CURRENT);
  std::unique_ptr<ElfFile> file(new ElfFile);
  file->dwfl_.reset(dwfl_begin(&kCallbacks));
  if (!file->dwfl_) {
    error = dwfl_errmsg(-1);
    return nullptr;
  }
  dwfl_report_begin(file->dwfl_.get());
  file->module_ = dwfl_report_elf(file->dwfl_.get(), path.c_str(), path.c_str(), fd.get(), 0, true);
  if (file->module_ == nullptr) {
    error = dwfl_errmsg(-1);
    return nullptr;
  }
  fd.release();  // libdwfl's from here on
  dwfl_report_end(file->dwfl_.get(), nullptr, nullptr);
  void** user = nullptr;
  dwfl_module_info(file->module_, &user, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  *user = &file->inflated_bytes_;

  GElf_Addr bias = 0;
  file->elf_ = dwfl_module_getelf(file->module_, &bias);
  GElf_Ehdr header;
  if (file->elf_ == nullptr || gelf_getehdr(file->elf_, &header) == nullptr) {
    error = dwfl_errmsg(-1);
    return nullptr;
  }
  if (bias != 0 || (header.e_type != ET_EXEC && header.e_type != ET_DYN)) {
    error = "not a program or a shared library";
    return nullptr;
  }
  file->machine_ = header.e_machine;
  file->read_sections();
  return file;
}

std::string ElfFile::build_id_of(int fd) {
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return {};
  const void* bits = nullptr;
  const ssize_t length = elf_kind(elf) == ELF_K_ELF ? dwelf_elf_gnu_build_id(elf, &bits) : 0;
  std::string text;
  for (ssize_t i = 0; i < length; ++i) {
    static constexpr char kDigits[] = "0123456789abcdef";
    const std::uint8_t byte = static_cast<const std::uint8_t*>(bits)[i];
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  elf_end(elf);
  return text;
}

void ElfFile::read_sections() {
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf_, &names) == 0) {
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_, section)) != nullptr;) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr || (header.sh_flags & SHF_ALLOC) == 0 || header.sh_size == 0)
        continue;
      if ((header.sh_flags & SHF_TLS) != 0 || header.sh_addr + header.sh_size < header.sh_addr) continue;
      const char* name = elf_strptr(elf_, names, header.sh_name);
      sections_.push_back({name == nullptr ? "" : name, header.sh_addr, header.sh_addr + header.sh_size,
                           (header.sh_flags & SHF_EXECINSTR) != 0});
    }
  }
  if (sections_.empty()) {
    std::size_t count = 0;
    elf_getphdrnum(elf_, &count);
    for (std::size_t i = 0; i < count; ++i) {
      GElf_Phdr header;
      if (gelf_getphdr(elf_, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
      if (header.p_vaddr + header.p_memsz < header.p_vaddr) continue;
      sections_.push_back({"", header.p_vaddr, header.p_vaddr + header.p_memsz, (header.p_flags & PF_X) != 0});
    }
  }
  std::sort(sections_.begin(), sections_.end(), [](const Section& a, const Section& b) { return a.low < b.low; });
}

const ElfFile::Section* ElfFile::section_at(std::uint64_t address) const {
  auto after = std::upper_bound(sections_.begin(), sections_.end(), address,
                                [](std::uint64_t wanted, const Section& section) { return wanted < section.low; });
  if (after == sections_.begin()) return nullptr;
  --after;
  return address < after->high ? &*after : nullptr;
}

bool ElfFile::is_code(std::uint64_t address) const {
  const Section* section = section_at(address);
  return section != nullptr && section->executable;
}

std::vector<std::uint8_t> ElfFile::bytes_at(std::uint64_t address, std::size_t wanted) const {
  std::size_t file_size = 0;
  const char* image = elf_rawfile(elf_, &file_size);
  std::size_t count = 0;
  if (image == nullptr || elf_getphdrnum(elf_, &count) != 0) return {};
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf_, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
    if (address < header.p_vaddr || address - header.p_vaddr >= header.p_filesz) continue;
    const std::uint64_t skip = address - header.p_vaddr;
    if (header.p_offset >= file_size || skip >= file_size - header.p_offset) return {};
    const std::uint64_t there = std::min(file_size - header.p_offset - skip, header.p_filesz - skip);
    const char* from = image + header.p_offset + skip;
    return {from, from + std::min<std::uint64_t>(there, wanted)};
  }
  return {};
}

void ElfFile::drop_pages() const {
  const auto image_of = [](Elf* elf) {
    std::size_t size = 0;
    return elf == nullptr ? 0 : reinterpret_cast<std::uintptr_t>(elf_rawfile(elf, &size));
  };
  const std::uintptr_t own = image_of(elf_), debug = image_of(debug_elf_);
  // Only where it is a file that lies there: memory that libelf had to copy it to would be lost.
  std::ifstream maps("/proc/self/maps");
  for (std::string line; own + debug != 0 && std::getline(maps, line);) {
    unsigned long low = 0, high = 0, inode = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*4s %*x %*x:%*x %lu", &low, &high, &inode) != 3) continue;
    if (inode != 0 && (low == own || low == debug)) ::madvise(reinterpret_cast<void*>(low), high - low, MADV_DONTNEED);
  }
}

Dwarf* ElfFile::dwarf(std::uint64_t* bias) {
  const std::uint64_t own = inflated_debug_bytes(elf_);
  if (own > kMaxInflatedDebugBytes) return nullptr;
  Dwarf_Addr dwarf_bias = 0;
  Dwarf* dwarf = dwfl_module_getdwarf(module_, &dwarf_bias);
  if (dwarf != nullptr) inflated_bytes_ += own;
  if (dwarf != nullptr) debug_elf_ = dwarf_getelf(dwarf);
  *bias = dwarf_bias;
  return dwarf;
}

}  // namespace camprobe::symbols
