// sampler/unwind_modules.cc: see unwind_modules.h.
#include "sampler/unwind_modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include <atomic>

#include "sampler/give_way.h"
#include "sampler/unwind.h"

namespace camprobe::sampler {

// struct dl_find_object of glibc 2.35, spelled out so that this builds against older headers.
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  void* link_map;
  void* eh_frame;  // the segment PT_GNU_EH_FRAME
  unsigned long long reserved[7];
};

namespace {

std::atomic<FindObject> find_object{nullptr};
std::atomic<std::uintptr_t> program_entry{0};
constexpr unsigned kStaying = 5;
std::atomic<std::uintptr_t> staying_headers[kStaying] = {};  // .eh_frame_hdr of modules that stay
std::atomic<std::uint32_t> readers{0};
std::atomic<std::uint32_t> closings{0};
std::atomic<std::uint64_t> generation_salt{generation_of(0).salt};
std::atomic<std::uint64_t> generation_number{0};

// Never below zero: forget_walkers_after_fork() may have run between the two halves of a pair, in a child forked by a
// destructor that dlclose() runs or by a signal handler.
void count_down(std::atomic<std::uint32_t>* count) {
  std::uint32_t now = count->load(std::memory_order_relaxed);
  while (now != 0 && !count->compare_exchange_weak(now, now - 1, std::memory_order_seq_cst)) {
  }
}

}  // namespace

void start_modules() {
  program_entry.store(getauxval(AT_ENTRY), std::memory_order_relaxed);
  find_object.store(reinterpret_cast<FindObject>(dlsym(RTLD_DEFAULT, "_dl_find_object")), std::memory_order_release);
  const std::uintptr_t in_staying[kStaying] = {getauxval(AT_ENTRY), getauxval(AT_BASE), getauxval(AT_SYSINFO_EHDR),
                                               reinterpret_cast<std::uintptr_t>(&dlsym),
                                               reinterpret_cast<std::uintptr_t>(&start_modules)};
  for (unsigned i = 0; i < kStaying; ++i) {
    Module module;
    if (find_module(in_staying[i], &module)) {
      staying_headers[i].store(module.eh_frame_header, std::memory_order_relaxed);
    }
  }
}

bool stays_loaded(const Module& module) {
  for (const auto& header : staying_headers) {
    if (module.eh_frame_header != 0 && header.load(std::memory_order_relaxed) == module.eh_frame_header) {
      return true;
    }
  }
  return false;
}

bool is_program_entry(std::uintptr_t pc) {
  constexpr std::uintptr_t kStartSize = 48;
  return pc - program_entry.load(std::memory_order_relaxed) < kStartSize;
}

FindObject replace_module_lookup(FindObject find) {
  return find_object.exchange(find);
}

bool modules_are_known() {
  return find_object.load(std::memory_order_relaxed) != nullptr;
}

bool find_module(std::uintptr_t pc, Module* module) {
  const FindObject find = find_object.load(std::memory_order_acquire);
  FoundObject found;
  if (find == nullptr || find(reinterpret_cast<void*>(pc), &found) != 0) {
    return false;
  }
  module->low = reinterpret_cast<std::uintptr_t>(found.map_start);
  module->high = reinterpret_cast<std::uintptr_t>(found.map_end);
  module->eh_frame_header = reinterpret_cast<std::uintptr_t>(found.eh_frame);
  return true;
}

// What lies between the segments of a library cannot be read, and the loader's own copy of the program headers is
// private, so they are read from the ELF header that every linker puts at the start of the first segment. A module
// without one is taken to have no unwind information. Linkers put all of it into one segment, so where the loader knows
// segments only, the one that holds the header is enough.
Image image_of(const Module& module) {
  Image image;
  image.count = 0;
  if (module.eh_frame_header - module.low >= module.high - module.low) {
    Module segment;
    if (find_module(module.eh_frame_header, &segment) && segment.eh_frame_header == module.eh_frame_header) {
      image.segments[image.count++] = {segment.low, segment.high};
    }
    return image;
  }
  constexpr std::uintptr_t kHeaderPage = 4096;
  if (module.high - module.low < kHeaderPage) {
    return image;
  }
  const auto* elf = reinterpret_cast<const Elf64_Ehdr*>(module.low);
  if (elf->e_ident[EI_MAG0] != ELFMAG0 || elf->e_ident[EI_MAG1] != ELFMAG1 || elf->e_ident[EI_MAG2] != ELFMAG2 ||
      elf->e_ident[EI_MAG3] != ELFMAG3 || elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phoff > kHeaderPage ||
      elf->e_phoff + elf->e_phnum * sizeof(Elf64_Phdr) > kHeaderPage || elf->e_phoff % alignof(Elf64_Phdr) != 0) {
    return image;
  }
  const auto* headers = reinterpret_cast<const Elf64_Phdr*>(module.low + elf->e_phoff);
  std::uint64_t lowest = ~std::uint64_t{0};
  for (unsigned i = 0; i < elf->e_phnum; ++i) {
    if (headers[i].p_type == PT_LOAD && headers[i].p_vaddr < lowest) {
      lowest = headers[i].p_vaddr;
    }
  }
  const std::uint64_t bias = module.low - (lowest & ~kPageMask);
  for (unsigned i = 0; i < elf->e_phnum && image.count < Image::kMostSegments; ++i) {
    const Elf64_Phdr& header = headers[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_R) == 0) {
      continue;
    }
    const std::uintptr_t low = bias + header.p_vaddr;
    const std::uintptr_t high = low + header.p_filesz;
    if (low >= module.low && low < high && high <= module.high) {
      image.segments[image.count++] = {low, high};
    }
  }
  return image;
}

Generation module_generation() {
  return {generation_salt.load(std::memory_order_acquire)};
}

ModuleReader::ModuleReader() {
  readers.fetch_add(1, std::memory_order_seq_cst);
  may_read_ = closings.load(std::memory_order_seq_cst) == 0;
}

ModuleReader::~ModuleReader() {
  count_down(&readers);
}

bool module_closing_begin() {
  closings.fetch_add(1, std::memory_order_seq_cst);
  constexpr int kYields = 64;
  constexpr int kNaps = 200;  // of half a millisecond
  std::uint32_t least = ~std::uint32_t{0};
  for (int i = 0;; ++i) {
    const std::uint32_t now = readers.load(std::memory_order_seq_cst);
    if (now == 0) {
      return true;
    }
    least = now < least ? now : least;
    if (i == kYields + kNaps) {
      // A reader that was left by siglongjmp() never leaves; nobody waits for it a second time.
      while (least-- != 0) {
        count_down(&readers);
      }
      return false;
    }
    if (i < kYields) {
      give_way();
    } else {
      nap();
    }
  }
}

void module_closing_end() {
  const std::uint64_t next = generation_number.fetch_add(1, std::memory_order_relaxed) + 1;
  generation_salt.store(generation_of(next).salt, std::memory_order_release);
  count_down(&closings);
}

void forget_walkers_after_fork() {
  readers.store(0, std::memory_order_relaxed);
  closings.store(0, std::memory_order_relaxed);
}

}  // namespace camprobe::sampler
