// sampler/module_table.cc: see sampler/module_table.h.
#include "sampler/module_table.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>

#include <atomic>
#include <cstring>

#include "sampler/give_way.h"
#include "sampler/thread_lane.h"
#include "sampler/unwind_modules.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {
namespace {

// struct dl_find_object of glibc 2.35, spelled out so that this builds against older headers.
struct LoadedObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  link_map* map;
  void* eh_frame;
  unsigned long long reserved[7];
};
using FindLoaded = int (*)(void* pc, LoadedObject* result);

// Our own notes about what stands in the region's table, so that a handler need not read shared memory.
struct KnownModule {
  std::uintptr_t low, high;  // of the whole mapping; 0, 0: gone
  std::uintptr_t bias;
  const link_map* map;  // nullptr where it was found without one
  const char* path;     // the loader's; valid while the module is loaded
  shm::ModuleEntry* entry;
};

constinit KnownModule g_known[shm::kModules] = {};
constinit std::atomic<std::uint32_t> g_known_count{0};
constinit FindLoaded g_find_object = nullptr;
// Held for a few hundred nanoseconds by whoever adds a module. Nobody waits for it: who does not get it tries again
// with the next stack.
constinit std::atomic_flag g_adding = ATOMIC_FLAG_INIT;
// Raised by each dlclose(): after it the same program counters may mean another module.
constinit std::atomic<std::uint32_t> g_generation{1};

// Stacks whose modules are known to be in the table: id and generation, by id.
constexpr std::uint32_t kCheckedSlots = 1u << 13;
constinit std::atomic<std::uint64_t> g_checked[kCheckedSlots] = {};
// And pages of interrupted instructions: number (of which 32 bits tell all pages of a process apart) and generation.
constexpr std::uint32_t kCheckedPages = 256;
constinit std::atomic<std::uint64_t> g_checked_pages[kCheckedPages] = {};

bool is_known(std::uintptr_t pc) {
  const std::uint32_t count = g_known_count.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i)
    if (pc >= g_known[i].low && pc < g_known[i].high) return true;
  return false;
}

// Not every module that goes passes dlclose()'s hook: the C library unloads iconv's converters by itself.
bool is_still_loaded(const KnownModule& module) {
  if (module.map == nullptr) return true;  // listed at start-up by an old C library: stays
  LoadedObject found;
  return g_find_object(reinterpret_cast<void*>(module.low), &found) == 0 && found.map == module.map;
}

// "/proc/self/exe" for the program itself, whose link_map has an empty name.
shm::NameId name_of(const char* path) {
  if (path[0] == '\0') {
    // Kept for the children of forks: looking it up is a quarter of what a fork costs.
    static constinit char program[1024] = {};
    static constinit long length = 0;
    if (length <= 0)
      length = shm::raw_syscall(SYS_readlink, reinterpret_cast<long>("/proc/self/exe"), reinterpret_cast<long>(program),
                                sizeof program);
    if (length <= 0) return 0;
    return g_region.intern_name(program, static_cast<std::uint32_t>(length));
  }
  return g_region.intern_name(path, static_cast<std::uint32_t>(std::strlen(path)));
}

void copy_build_id(const Elf64_Phdr& note_header, std::uintptr_t bias, shm::ModuleEntry* entry) {
  const char* at = reinterpret_cast<const char*>(bias + note_header.p_vaddr);
  const char* end = at + note_header.p_memsz;
  while (at + sizeof(Elf64_Nhdr) <= end) {
    Elf64_Nhdr note;
    std::memcpy(&note, at, sizeof note);
    const char* name = at + sizeof note;
    const std::size_t name_size = (note.n_namesz + 3u) & ~std::size_t{3};
    const std::size_t data_size = (note.n_descsz + 3u) & ~std::size_t{3};
    if (name_size > static_cast<std::size_t>(end - name) ||
        data_size > static_cast<std::size_t>(end - name) - name_size)
      return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0 &&
        note.n_descsz <= sizeof entry->build_id) {
      std::memcpy(entry->build_id, name + name_size, note.n_descsz);
      entry->build_id_size = note.n_descsz;
      return;
    }
    at = name + name_size + data_size;
  }
}

// Writes the region's entry of a module.
void publish(KnownModule* module, const Elf64_Phdr* headers, std::size_t count) {
  shm::ModuleEntry* entry = g_region.claim_module();
  module->entry = entry;
  if (entry == nullptr) return;
  entry->path = name_of(module->path);
  entry->base = module->bias;
  entry->low = module->low;
  entry->high = module->high;
  entry->opened_ns = now_ns();
  std::uintptr_t low = UINTPTR_MAX, high = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uintptr_t begin = module->bias + headers[i].p_vaddr;
    if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_X) != 0) {
      if (begin < low) low = begin;
      if (begin + headers[i].p_memsz > high) high = begin + headers[i].p_memsz;
    }
    if (headers[i].p_type == PT_NOTE && entry->build_id_size == 0) copy_build_id(headers[i], module->bias, entry);
  }
  if (high != 0) {
    entry->low = low;
    entry->high = high;
  }
  entry->state.store(1, std::memory_order_release);
}

void add(const KnownModule& module, const Elf64_Phdr* headers, std::size_t header_count) {
  const std::uint32_t count = g_known_count.load(std::memory_order_relaxed);
  std::uint32_t at = 0;
  while (at < count && g_known[at].high != 0) ++at;  // the place of one that went, else a new one
  if (at >= shm::kModules) {
    g_region.count_loss(shm::Loss::kModuleFull);
    return;
  }
  KnownModule& known = g_known[at];
  const std::uintptr_t high = module.high;
  known = module;
  known.high = 0;
  publish(&known, headers, header_count);
  std::atomic_thread_fence(std::memory_order_release);
  known.high = high;
  if (at == count) g_known_count.store(count + 1, std::memory_order_release);
}

// The program headers, through the ELF header that linkers put at the start of the first segment. Nothing where it is
// not.
std::size_t headers_of(std::uintptr_t low, std::uintptr_t high, const Elf64_Phdr** headers) {
  const auto* elf = reinterpret_cast<const Elf64_Ehdr*>(low);
  if (high - low < shm::kPage || std::memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
      elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phoff > shm::kPage ||
      elf->e_phoff + elf->e_phnum * sizeof(Elf64_Phdr) > shm::kPage)
    return 0;
  *headers = reinterpret_cast<const Elf64_Phdr*>(low + elf->e_phoff);
  return elf->e_phnum;
}

void add_module_of(std::uintptr_t pc) {
  LoadedObject found;
  if (g_find_object(reinterpret_cast<void*>(pc), &found) != 0 || found.map == nullptr) return;
  KnownModule module = {};
  module.low = reinterpret_cast<std::uintptr_t>(found.map_start);
  module.high = reinterpret_cast<std::uintptr_t>(found.map_end);
  module.bias = found.map->l_addr;
  module.map = found.map;
  module.path = found.map->l_name;
  const Elf64_Phdr* headers = nullptr;
  const std::size_t count = headers_of(module.low, module.high, &headers);
  add(module, headers, count);
}

int add_listed(dl_phdr_info* info, std::size_t, void*) {
  KnownModule module = {};
  module.low = UINTPTR_MAX;
  module.bias = info->dlpi_addr;
  module.path = info->dlpi_name != nullptr ? info->dlpi_name : "";
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const std::uintptr_t low = info->dlpi_addr + header.p_vaddr;
    if (low < module.low) module.low = low & ~(shm::kPage - 1);
    if (low + header.p_memsz > module.high) module.high = low + header.p_memsz;
  }
  if (module.high != 0 && !is_known(module.low)) {
    LoadedObject found;
    if (g_find_object != nullptr && g_find_object(reinterpret_cast<void*>(module.low), &found) == 0)
      module.map = found.map;
    add(module, info->dlpi_phdr, info->dlpi_phnum);
  }
  return 0;
}

}  // namespace

void start_module_table() {
  g_find_object = reinterpret_cast<FindLoaded>(dlsym(RTLD_DEFAULT, "_dl_find_object"));
  dl_iterate_phdr(add_listed, nullptr);
}

void publish_modules_again() {
  g_adding.clear();
  for (auto& slot : g_checked) {
    if (slot.load(std::memory_order_relaxed) != 0) slot.store(0, std::memory_order_relaxed);
  }
  for (auto& slot : g_checked_pages) slot.store(0, std::memory_order_relaxed);
  const std::uint32_t count = g_known_count.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i) {
    KnownModule& module = g_known[i];
    if (module.high == 0) continue;
    if (!is_still_loaded(module)) {
      module.high = 0;
      continue;
    }
    const Elf64_Phdr* headers = nullptr;
    const std::size_t header_count = headers_of(module.low, module.high, &headers);
    publish(&module, headers, header_count);
  }
}

void note_closed_modules() {
  if (g_find_object == nullptr) return;
  // A thread that is adding one now is done in a moment; it holds no lock that we could hold.
  for (int tries = 0; g_adding.test_and_set(std::memory_order_acquire); ++tries) {
    if (tries == 1000) return;
    give_way();
  }
  const std::uint32_t count = g_known_count.load(std::memory_order_relaxed);
  bool any = false;
  for (std::uint32_t i = 0; i < count; ++i) {
    KnownModule& module = g_known[i];
    if (module.high == 0 || module.map == nullptr) continue;
    if (is_still_loaded(module)) continue;
    module.high = 0;
    any = true;
    if (module.entry == nullptr) continue;
    module.entry->closed_ns.store(now_ns(), std::memory_order_relaxed);
    module.entry->state.store(2, std::memory_order_release);
  }
  if (any) g_generation.fetch_add(1, std::memory_order_release);
  g_adding.clear(std::memory_order_release);
}

namespace {

// `checked` remembers by `tag`, which names the generation too, that the modules of these frames are in the table.
void know_modules_of(const std::uintptr_t* frames, std::uint32_t count, std::atomic<std::uint64_t>& checked,
                     std::uint64_t tag) {
  if (g_find_object == nullptr || checked.load(std::memory_order_relaxed) == tag) return;
  // A garbage frame pointer can yield a pc of a module that nobody uses; this keeps it from going while we look.
  const ModuleReader reader;
  if (!reader.may_read() || g_adding.test_and_set(std::memory_order_acquire)) return;
  for (std::uint32_t i = 0; i < count; ++i)
    if (!is_known(frames[i])) add_module_of(frames[i]);
  g_adding.clear(std::memory_order_release);
  checked.store(tag, std::memory_order_relaxed);
}

std::uint64_t generation() {
  return std::uint64_t{g_generation.load(std::memory_order_acquire)} << 32;
}

void know_modules_of_stack(shm::StackId id, const std::uintptr_t* frames, std::uint32_t count) {
  if (id != 0) know_modules_of(frames, count, g_checked[id & (kCheckedSlots - 1)], generation() | id);
}

}  // namespace

shm::StackId intern_walk(std::uintptr_t* frames, const Walk& walk) {
  const shm::StackId id = g_region.intern_stack_in_place(frames, walk.depth, walk.end == WalkEnd::root);
  know_modules_of_stack(id, frames, walk.depth);
  return id;
}

shm::StackId intern_callers(std::uintptr_t* frames, const Walk& walk, std::uint64_t now_ns) {
  if (walk.depth == 0) return 0;
  const auto page = static_cast<std::uint32_t>(frames[0] / shm::kPage);
  know_modules_of(frames, 1, g_checked_pages[page & (kCheckedPages - 1)], generation() | page);
  if (walk.depth == 1) return 0;
  const shm::StackId id =
      g_region.intern_sample_in_place(frames + 1, walk.depth - 1, walk.end == WalkEnd::root, now_ns);
  know_modules_of_stack(id, frames + 1, walk.depth - 1);
  return id;
}

}  // namespace camprobe::sampler
