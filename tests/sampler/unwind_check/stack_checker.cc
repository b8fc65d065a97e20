// tests/sampler/unwind_check/stack_checker.cc
//
//   stack_checker FILE...
//
// Walks every stack that stack_recorder wrote down once more, with libunwind reading the copied stack and the modules'
// own files, and prints as JSON how often the two walkers agree and, where they do not, at what code they parted. A
// walk is compared in the recorder's terms: return addresses as they stand, an interrupted pc plus one unless it is the
// first.
//
// Which of two different walks is true is not for libunwind to say. What is counted beside it is whether each return
// address stands behind a call instruction, which those of a true stack do and stale words seldom do.
#include <fcntl.h>
#include <libunwind-x86_64.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <elf.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "sampler/unwind.h"
#include "tests/sampler/unwind_check/recording.h"

extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t* info,
                                                  unw_proc_info_t* proc, int need_unwind_info, void* argument);

namespace camprobe::tests {
namespace {

using sampler::WalkEnd;

// The file of a module, or the vDSO, which every process of a machine shares.
class ElfFile {
 public:
  explicit ElfFile(const std::string& path) {
    if (path == "[vdso]") {
      data_ = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
      const auto* elf = reinterpret_cast<const Elf64_Ehdr*>(data_);
      size_ = elf == nullptr ? 0 : elf->e_shoff + elf->e_shnum * sizeof(Elf64_Shdr);  // the kernel ends it so
    } else {
      const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      struct stat status = {};
      if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0) {
        void* mapped = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped != MAP_FAILED) {
          data_ = static_cast<const char*>(mapped);
          size_ = static_cast<std::uint64_t>(status.st_size);
          is_mapped_ = true;
        }
      }
      if (fd >= 0) close(fd);
    }
    const auto* elf = at<Elf64_Ehdr>(0);
    if (elf == nullptr || std::memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0) return;
    for (unsigned i = 0; i < elf->e_phnum; ++i) {
      const auto* header = at<Elf64_Phdr>(elf->e_phoff + i * sizeof(Elf64_Phdr));
      if (header != nullptr) segments_.push_back(*header);
    }
    read_symbols(*elf);
  }
  ~ElfFile() {
    if (is_mapped_) munmap(const_cast<char*>(data_), size_);
  }
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  template <typename T>
  const T* at(std::uint64_t offset) const {
    return offset <= size_ && size_ - offset >= sizeof(T) ? reinterpret_cast<const T*>(data_ + offset) : nullptr;
  }
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }

  // Where a mapping of `offset` puts the file's address 0.
  bool bias_of(std::uint64_t mapping_low, std::uint64_t offset, std::uint64_t* bias) const {
    for (const Elf64_Phdr& segment : segments_) {
      const std::uint64_t page = segment.p_offset & ~std::uint64_t{4095};
      if (segment.p_type != PT_LOAD || offset < page || offset >= segment.p_offset + segment.p_filesz) continue;
      *bias = mapping_low - (segment.p_vaddr - segment.p_offset + offset);
      return true;
    }
    return false;
  }

  // The symbol that `address` (the file's own) lies in, or the nearest before it in the same section.
  std::string name_of(std::uint64_t address) const {
    for (const Section& section : code_)
      if (address >= section.low && address < section.high && section.name != ".text") {
        const auto symbol = covering(address);
        return symbol.empty() ? section.name : symbol;
      }
    const auto symbol = covering(address);
    return symbol.empty() ? "?" : symbol;
  }

 private:
  struct Section {
    std::uint64_t low, high;
    std::string name;
  };
  struct Symbol {
    std::uint64_t low, size;
    const char* name;
  };

  void read_symbols(const Elf64_Ehdr& elf) {
    const auto section_at = [&](unsigned i) { return at<Elf64_Shdr>(elf.e_shoff + i * sizeof(Elf64_Shdr)); };
    const auto* names = section_at(elf.e_shstrndx);
    for (unsigned i = 0; i < elf.e_shnum; ++i) {
      const auto* section = section_at(i);
      if (section == nullptr || names == nullptr) return;
      if ((section->sh_flags & SHF_EXECINSTR) != 0 && at<char>(names->sh_offset + section->sh_name) != nullptr)
        code_.push_back(
            {section->sh_addr, section->sh_addr + section->sh_size, at<char>(names->sh_offset + section->sh_name)});
      if (section->sh_type != SHT_SYMTAB && section->sh_type != SHT_DYNSYM) continue;
      const auto* strings = section_at(section->sh_link);
      if (strings == nullptr) continue;
      for (std::uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= section->sh_size; offset += sizeof(Elf64_Sym)) {
        const auto* symbol = at<Elf64_Sym>(section->sh_offset + offset);
        if (symbol == nullptr) break;
        const char* name = at<char>(strings->sh_offset + symbol->st_name);
        if (name != nullptr && symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) <= STT_FUNC)
          symbols_.push_back({symbol->st_value, symbol->st_size, name});
      }
    }
    std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) { return a.low < b.low; });
  }

  std::string covering(std::uint64_t address) const {
    auto next = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                                 [](std::uint64_t value, const Symbol& symbol) { return value < symbol.low; });
    for (int tries = 0; next != symbols_.begin() && tries < 8; ++tries) {
      --next;
      if (address - next->low < next->size || next->size == 0) return next->name;
    }
    return "";
  }

  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
  bool is_mapped_ = false;
  std::vector<Elf64_Phdr> segments_;
  std::vector<Section> code_;
  std::vector<Symbol> symbols_;
};

const ElfFile& elf_file(const std::string& path) {
  static std::map<std::string, std::unique_ptr<ElfFile>> files;
  auto& file = files[path];
  if (file == nullptr) file = std::make_unique<ElfFile>(path);
  return *file;
}

struct Mapping {
  std::uint64_t low, high, offset;
  bool is_executable;
  std::string path;  // empty: anonymous, which is a JIT's where it is executable
  const ElfFile* file = nullptr;
  std::uint64_t bias = 0;
};

class AddressSpace {
 public:
  void set(const std::string& maps) {
    mappings_.clear();
    std::istringstream lines(maps);
    for (std::string line; std::getline(lines, line);) {
      Mapping mapping{};
      char permissions[5] = {};
      int path_at = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &mapping.low, &mapping.high, permissions,
                      &mapping.offset, &path_at) < 4)
        continue;
      mapping.is_executable = permissions[2] == 'x';
      if (path_at > 0) mapping.path = line.substr(static_cast<std::size_t>(path_at));
      if (!mapping.path.empty() && (mapping.path[0] == '/' || mapping.path == "[vdso]")) {
        const ElfFile& file = elf_file(mapping.path);
        if (file.bias_of(mapping.low, mapping.offset, &mapping.bias)) mapping.file = &file;
      }
      mappings_.push_back(mapping);
    }
  }

  const Mapping* find(std::uint64_t address) const {
    const auto next = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                       [](std::uint64_t value, const Mapping& m) { return value < m.low; });
    if (next == mappings_.begin()) return nullptr;
    const Mapping& mapping = *(next - 1);
    return address < mapping.high ? &mapping : nullptr;
  }

  template <typename T>
  bool read(std::uint64_t address, T* value) const {
    const Mapping* mapping = find(address);
    if (mapping == nullptr || mapping->file == nullptr) return false;
    const auto* bytes = mapping->file->at<T>(address - mapping->low + mapping->offset);
    if (bytes != nullptr) std::memcpy(value, bytes, sizeof(T));
    return bytes != nullptr;
  }

 private:
  std::vector<Mapping> mappings_;
};

struct Sample {
  SampleHead head;
  std::vector<std::uint64_t> frames;  // ours
  std::vector<char> memory;           // of all pieces
  const AddressSpace* space;
  mutable bool left_the_copy;  // libunwind wanted stack memory that was not recorded
};

// libunwind's questions.

int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* proc, int need_unwind_info, void* argument) {
  const auto& sample = *static_cast<const Sample*>(argument);
  const Mapping* mapping = sample.space->find(ip);
  if (mapping == nullptr || mapping->file == nullptr) return -UNW_ENOINFO;
  for (const Elf64_Phdr& segment : mapping->file->segments()) {
    if (segment.p_type != PT_GNU_EH_FRAME) continue;
    struct [[gnu::packed]] Header {
      std::uint8_t version, section_encoding, count_encoding, table_encoding;
      std::int32_t section;
      std::uint32_t count;
    };
    const auto* header = mapping->file->at<Header>(segment.p_offset);
    if (header == nullptr || header->version != 1 || header->section_encoding != 0x1b ||
        header->count_encoding != 0x03 || header->table_encoding != 0x3b)
      return -UNW_ENOINFO;
    unw_dyn_info_t info = {};
    info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    info.start_ip = mapping->low;
    info.end_ip = mapping->high;
    info.u.rti.segbase = mapping->bias + segment.p_vaddr;
    info.u.rti.table_data = info.u.rti.segbase + sizeof(Header);
    info.u.rti.table_len = header->count;  // in words, and an entry is one
    return _Ux86_64_dwarf_search_unwind_table(space, ip, &info, proc, need_unwind_info, argument);
  }
  return -UNW_ENOINFO;
}

int access_mem(unw_addr_space_t, unw_word_t address, unw_word_t* value, int is_write, void* argument) {
  const auto& sample = *static_cast<const Sample*>(argument);
  if (is_write != 0) return -UNW_EINVAL;
  std::uint64_t before = 0;
  for (std::uint32_t i = 0; i < sample.head.pieces; ++i) {
    const Piece& piece = sample.head.piece[i];
    if (piece.size >= 8 && address - piece.low <= piece.size - 8) {
      std::memcpy(value, sample.memory.data() + before + (address - piece.low), 8);
      return 0;
    }
    before += piece.size;
  }
  if (sample.space->read(address, value)) return 0;
  if (sample.space->find(address) == nullptr) sample.left_the_copy = true;
  return -UNW_EINVAL;
}

int access_reg(unw_addr_space_t, unw_regnum_t reg, unw_word_t* value, int is_write, void* argument) {
  const auto& sample = *static_cast<const Sample*>(argument);
  if (is_write != 0 || reg < 0 || reg >= static_cast<int>(sampler::kRegisters)) return -UNW_EBADREG;
  *value = sample.head.registers[reg];
  return 0;
}

void put_unwind_info(unw_addr_space_t, unw_proc_info_t*, void*) {}
int no_dyn_info(unw_addr_space_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}
int no_fpreg(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) {
  return -UNW_EBADREG;
}
int no_resume(unw_addr_space_t, unw_cursor_t*, void*) {
  return -UNW_EINVAL;
}
int no_name(unw_addr_space_t, unw_word_t, char*, std::size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

struct Theirs {
  std::vector<std::uint64_t> frames;
  WalkEnd end = WalkEnd::truncated_depth;
};

Theirs walk_with_libunwind(unw_addr_space_t space, Sample* sample) {
  Theirs theirs;
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, space, sample) != 0) {
    theirs.end = WalkEnd::bad_frame;
    return theirs;
  }
  for (bool is_first = true;; is_first = false) {
    unw_word_t pc = 0;
    unw_word_t sp = 0;
    unw_get_reg(&cursor, UNW_X86_64_RIP, &pc);
    unw_get_reg(&cursor, UNW_X86_64_RSP, &sp);
    const bool is_recorded = sample->head.origin == Origin::kTimer || (!is_first && sp >= sample->head.hook_frame);
    // libunwind calls that frame a signal frame which the signal interrupted.
    const bool was_interrupted = !is_first && unw_is_signal_frame(&cursor) > 0;
    if (is_recorded) {
      if (theirs.frames.size() == kMostFrames) return theirs;
      theirs.frames.push_back(pc + (was_interrupted ? 1 : 0));
    }
    const int moved = unw_step(&cursor);
    if (moved <= 0) {
      theirs.end = moved == 0 ? WalkEnd::root : WalkEnd::bad_frame;
      return theirs;
    }
  }
}

// Whether the bytes before `pc` can be a call, as far as they can be read.
enum class Behind { kCall, kOther, kUnknown };
Behind what_is_behind(const AddressSpace& space, std::uint64_t pc) {
  const Mapping* mapping = space.find(pc - 1);
  if (mapping == nullptr || !mapping->is_executable) return Behind::kOther;
  if (mapping->file == nullptr) return Behind::kUnknown;  // a JIT's code is not in any file
  std::uint8_t code[8] = {};
  if (!space.read(pc - 8, &code)) return Behind::kUnknown;
  if (code[3] == 0xe8) return Behind::kCall;
  for (unsigned length : {2u, 3u, 4u, 5u, 6u, 7u, 8u}) {  // ff /2 with every form of operand, and a prefix
    const std::uint8_t* call = code + 8 - length;
    if (call[0] == 0xff && (call[1] >> 3 & 7) == 2) {
      const unsigned mode = call[1] >> 6;
      const unsigned base = call[1] & 7;
      unsigned needed = 2 + (mode != 3 && base == 4 ? 1 : 0) +
                        (mode == 1                               ? 1
                         : mode == 2 || (mode == 0 && base == 5) ? 4
                                                                 : 0);
      if (mode == 0 && base == 4 && (call[2] & 7) == 5) needed += 4;
      if (needed == length) return Behind::kCall;
    }
  }
  return Behind::kOther;
}

// Whether the kernel's signal frame begins here: mov $15, %rax; syscall.
bool is_trampoline(const AddressSpace& space, std::uint64_t pc) {
  static constexpr std::uint8_t kCode[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  std::uint8_t code[sizeof kCode] = {};
  return space.read(pc, &code) && std::equal(std::begin(kCode), std::end(kCode), code);
}

// What speaks for the part of a walk that the other does not share: its frames from `parted` on.
const char* judge(const AddressSpace& space, const std::vector<std::uint64_t>& frames, std::size_t parted) {
  bool is_unknown = false;
  for (std::size_t i = std::max<std::size_t>(parted, 1); i < frames.size(); ++i) {
    if (is_trampoline(space, frames[i])) {
      ++i;  // nor does a call stand before what was interrupted
      continue;
    }
    switch (what_is_behind(space, frames[i])) {
      case Behind::kCall:
        break;
      case Behind::kUnknown:
        is_unknown = true;
        break;
      case Behind::kOther:
        if (i + 1 < frames.size()) return "impossible";
    }
  }
  return parted >= frames.size() ? "ends here" : is_unknown ? "unknown" : "plausible";
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string describe(const AddressSpace& space, std::uint64_t pc) {
  const Mapping* mapping = space.find(pc);
  char text[64];
  if (mapping == nullptr) {
    std::snprintf(text, sizeof text, "%#lx in no mapping", pc);
    return text;
  }
  if (mapping->file == nullptr) {
    std::snprintf(text, sizeof text, "%#lx in %s", pc,
                  mapping->path.empty() ? "code without a file" : mapping->path.c_str());
    return text;
  }
  std::snprintf(text, sizeof text, "+%#lx ", pc - mapping->bias);
  return base_name(mapping->path) + text + mapping->file->name_of(pc - mapping->bias);
}

const char* name_of(WalkEnd end) {
  static constexpr const char* kNames[] = {"root", "truncated", "no rule", "bad frame", "closing"};
  return static_cast<unsigned>(end) < 5 ? kNames[static_cast<unsigned>(end)] : "?";
}

struct Counts {
  std::uint64_t samples = 0, same_and_whole = 0, same = 0, root = 0, differ = 0, beyond_the_copy = 0;
};

class Report {
 public:
  void add(const Sample& sample, const Theirs& theirs) {
    const AddressSpace& space = *sample.space;
    const auto end = static_cast<WalkEnd>(sample.head.end);
    const std::vector<std::uint64_t>& ours = sample.frames;
    const auto is_jit = [&](std::uint64_t pc) {
      const Mapping* mapping = space.find(pc);
      return mapping != nullptr && mapping->is_executable && mapping->file == nullptr;
    };
    const bool has_jit = std::any_of(ours.begin(), ours.end(), is_jit);
    Counts& counts = has_jit ? jit_ : native_;
    ++counts.samples;
    ++(sample.head.origin == Origin::kTimer ? timer_samples_ : allocation_samples_);
    frames_ += ours.size();
    ++ends_[name_of(end)];
    if (ours == theirs.frames) {
      ++(end == WalkEnd::root ? counts.same_and_whole : counts.same);
      if (end != WalkEnd::root) note("same", has_jit, sample, theirs, ours.size());
      return;
    }
    const auto [mine, other] = std::mismatch(ours.begin(), ours.end(), theirs.frames.begin(), theirs.frames.end());
    const auto parted = static_cast<std::size_t>(mine - ours.begin());
    if (end == WalkEnd::root) {
      ++counts.root;
      note("root", has_jit, sample, theirs, parted);
    } else if (other == theirs.frames.end() && sample.left_the_copy) {
      ++counts.beyond_the_copy;
    } else {
      ++counts.differ;
      note("differ", has_jit, sample, theirs, parted);
    }
  }

  nlohmann::json json() const {
    const auto of = [](const Counts& counts) {
      return nlohmann::json{{"samples", counts.samples},   {"same_and_whole", counts.same_and_whole},
                            {"same_but_cut", counts.same}, {"other_but_whole", counts.root},
                            {"differ", counts.differ},     {"beyond_the_copy", counts.beyond_the_copy}};
    };
    nlohmann::json classes = nlohmann::json::array();
    for (const auto& [key, entry] : classes_) {
      nlohmann::json one = entry.first;
      one["count"] = entry.second;
      classes.push_back(one);
    }
    std::sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) { return a["count"] > b["count"]; });
    return {{"native", of(native_)},
            {"jit", of(jit_)},
            {"timer_samples", timer_samples_},
            {"allocation_samples", allocation_samples_},
            {"frames", frames_},
            {"ends", ends_},
            {"classes", classes}};
  }

 private:
  // Remembers one example of each class: where the two parted, and how each went on.
  void note(const char* outcome, bool has_jit, const Sample& sample, const Theirs& theirs, std::size_t parted) {
    const AddressSpace& space = *sample.space;
    const auto& ours = sample.frames;
    const std::uint64_t at = parted == 0 ? (ours.empty() ? sample.head.registers[16] : ours[0]) : ours[parted - 1];
    const std::uint64_t lookup = at - (parted > 1 || sample.head.origin == Origin::kAllocation ? 1 : 0);
    const Mapping* mapping = space.find(lookup);
    std::string where = "no code";
    if (mapping != nullptr)
      where = mapping->file == nullptr
                  ? "code without a file"
                  : base_name(mapping->path) + " " + mapping->file->name_of(lookup - mapping->bias);
    const auto end = static_cast<WalkEnd>(sample.head.end);
    const char* ours_is = judge(space, ours, parted);
    const char* theirs_is = judge(space, theirs.frames, parted);
    const std::string key = std::string(outcome) + "|" + where + "|" + name_of(end) + "|" + ours_is + "|" + theirs_is +
                            "|" + name_of(theirs.end) + (parted <= 1 ? "|leaf" : "") + (has_jit ? "|jit" : "");
    auto& entry = classes_[key];
    if (entry.second++ > 0) return;
    const auto list = [&](const std::vector<std::uint64_t>& frames) {
      nlohmann::json lines = nlohmann::json::array();
      for (std::size_t i = 0; i < frames.size() && i < parted + 6; ++i) lines.push_back(describe(space, frames[i]));
      return lines;
    };
    entry.first = {{"outcome", outcome},
                   {"where", where},
                   {"is_leaf", parted <= 1},
                   {"has_jit", has_jit},
                   {"ours_ended", name_of(end)},
                   {"ours", ours_is},
                   {"libunwind_ended", name_of(theirs.end)},
                   {"libunwind", theirs_is},
                   {"parted_at", parted},
                   {"origin", sample.head.origin == Origin::kTimer ? "timer" : "allocation"},
                   {"example_ours", list(ours)},
                   {"example_libunwind", list(theirs.frames)}};
  }

  Counts native_, jit_;
  std::uint64_t timer_samples_ = 0, allocation_samples_ = 0, frames_ = 0;
  std::map<std::string, std::uint64_t> ends_;
  std::map<std::string, std::pair<nlohmann::json, std::uint64_t>> classes_;
};

template <typename T>
bool take(std::istream& file, T* value, std::size_t bytes = sizeof(T)) {
  return static_cast<bool>(file.read(reinterpret_cast<char*>(value), static_cast<std::streamsize>(bytes)));
}

// One process's file. False if it is none.
bool check(const std::string& path, unw_addr_space_t space, Report* report) {
  std::ifstream file(path, std::ios::binary);
  AddressSpace modules;
  RecordHead record;
  while (take(file, &record)) {
    if (record.magic != kRecordMagic || record.bytes > (64u << 20)) return false;
    std::string body(record.bytes, '\0');
    if (!take(file, body.data(), body.size())) break;  // killed while it wrote
    if (record.kind == RecordKind::kMaps) {
      modules.set(body);
    } else if (record.kind == RecordKind::kSample) {
      Sample sample{};
      if (body.size() < sizeof sample.head) return false;
      std::memcpy(&sample.head, body.data(), sizeof sample.head);
      std::size_t at = sizeof sample.head;
      std::uint64_t memory = 0;
      for (std::uint32_t i = 0; i < std::min(sample.head.pieces, kMostPieces); ++i) memory += sample.head.piece[i].size;
      if (sample.head.pieces > kMostPieces || sample.head.depth > kMostFrames ||
          body.size() != at + sample.head.depth * 8 + memory)
        return false;
      sample.frames.resize(sample.head.depth);
      std::memcpy(sample.frames.data(), body.data() + at, sample.head.depth * 8);
      at += sample.head.depth * 8;
      sample.memory.assign(body.begin() + static_cast<std::ptrdiff_t>(at), body.end());
      sample.space = &modules;
      const Theirs theirs = walk_with_libunwind(space, &sample);
      report->add(sample, theirs);
    }
  }
  return true;
}

int run(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "stack_checker: give the files that libstack_recorder.so wrote\n";
    return 2;
  }
  unw_accessors_t accessors = {};
  accessors.find_proc_info = find_proc_info;
  accessors.put_unwind_info = put_unwind_info;
  accessors.get_dyn_info_list_addr = no_dyn_info;
  accessors.access_mem = access_mem;
  accessors.access_reg = access_reg;
  accessors.access_fpreg = no_fpreg;
  accessors.resume = no_resume;
  accessors.get_proc_name = no_name;
  unw_addr_space_t space = unw_create_addr_space(&accessors, 0);
  unw_set_caching_policy(space, UNW_CACHE_NONE);
  Report report;
  for (int i = 1; i < count; ++i) {
    if (!check(arguments[i], space, &report)) {
      std::cerr << "stack_checker: " << arguments[i] << " is not a whole recording of this version's stack_recorder\n";
      return 2;
    }
  }
  unw_destroy_addr_space(space);
  std::cout << report.json().dump(1) << '\n';
  return 0;
}

}  // namespace
}  // namespace camprobe::tests

int main(int count, char** arguments) {
  return camprobe::tests::run(count, arguments);
}
