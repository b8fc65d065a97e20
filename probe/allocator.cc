// probe/allocator.cc: see probe/allocator.h.
//
// What each allocator says, in the words of shm::AllocatorFigures (docs/memory.md has the same for users):
//
//             in use                    cached                 free                      held              released
//   glibc     uordblks + hblkhd         -                      fordblks                  arena + hblkhd    -
//   tcmalloc  current_allocated_bytes   thread, central and    pageheap_free             heap_size less    pageheap_
//                                       transfer caches                                  unmapped          unmapped
//   jemalloc  stats.allocated           -                      resident less allocated   stats.resident stats.retained
//                                                              and metadata
//   mimalloc  -                         -                      -                         current_commit    -
//
// glibc's and jemalloc's thread caches hold what counts as in use. mimalloc knows how many bytes it has given out only
// in a debug build.
//
// The functions are looked up once, at start-up, and are taken only from the object whose malloc() the program calls:
// some programs load an allocator for its own names only (jemalloc with a prefix), and its figures would be about
// something else. There is no lock or allocation here; what the functions themselves do, allocator_watch.h has thought
// of.
#include "probe/allocator.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <sys/resource.h>

#include "probe/mappings.h"
#include "probe/process.h"
#include "probe/real.h"
#include "sampler/allocator_watch.h"
#include "shm/raw_syscall.h"

// Only glibc has it (see probe/start.cc).
extern "C" [[gnu::weak]] int dladdr1(const void*, Dl_info*, void**, int) noexcept;

namespace camprobe::probe {
namespace {

using sampler::ObjectBounds;
using shm::AllocatorFigures;
using shm::AllocatorKind;

// glibc 2.33; its elder, mallinfo(), wraps around at 4 GiB.
struct Mallinfo2 {
  std::size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
using Mallinfo2Function = Mallinfo2 (*)();
// gperftools, gperftools/malloc_extension_c.h.
using TcmallocProperty = int (*)(const char* name, std::size_t* value);
using Mallctl = int (*)(const char* name, void* old, std::size_t* old_bytes, void* fresh, std::size_t fresh_bytes);
using MimallocInfo = void (*)(std::size_t* elapsed_ms, std::size_t* user_ms, std::size_t* system_ms,
                              std::size_t* resident, std::size_t* peak_resident, std::size_t* commit,
                              std::size_t* peak_commit, std::size_t* faults);

constinit Mallinfo2Function g_mallinfo2 = nullptr;
constinit TcmallocProperty g_tcmalloc = nullptr;
constinit Mallctl g_mallctl = nullptr;
constinit MimallocInfo g_mimalloc = nullptr;

std::uint64_t less(std::uint64_t from, std::uint64_t what) {
  return from > what ? from - what : 0;
}

bool ask_glibc(AllocatorFigures* figures) {
  const Mallinfo2 info = g_mallinfo2();
  figures->in_use = info.uordblks + info.hblkhd;
  figures->free = info.fordblks;
  figures->held = info.arena + info.hblkhd;
  return true;
}

bool ask_tcmalloc(AllocatorFigures* figures) {
  const auto property = [](const char* name, std::uint64_t* value) {
    std::size_t found = 0;
    const bool is_known = g_tcmalloc(name, &found) != 0;
    *value = found;
    return is_known;
  };
  std::uint64_t in_use, heap, page_heap, unmapped, threads, central, transfer;
  if (!property("generic.current_allocated_bytes", &in_use) || !property("generic.heap_size", &heap) ||
      !property("tcmalloc.pageheap_free_bytes", &page_heap) ||
      !property("tcmalloc.pageheap_unmapped_bytes", &unmapped) ||
      !property("tcmalloc.current_total_thread_cache_bytes", &threads) ||
      !property("tcmalloc.central_cache_free_bytes", &central) ||
      !property("tcmalloc.transfer_cache_free_bytes", &transfer))
    return false;
  figures->in_use = in_use;
  figures->cached = threads + central + transfer;
  figures->free = page_heap;
  figures->held = less(heap, unmapped);
  figures->released = unmapped;
  return true;
}

bool ask_jemalloc(AllocatorFigures* figures) {
  // Its figures are those of the last "epoch"; raising it has them added up anew.
  std::uint64_t epoch = 1;
  std::size_t bytes = sizeof epoch;
  if (g_mallctl("epoch", &epoch, &bytes, &epoch, sizeof epoch) != 0) return false;
  const auto statistic = [](const char* name, std::uint64_t* value) {
    std::size_t found = 0, size = sizeof found;
    const bool is_known = g_mallctl(name, &found, &size, nullptr, 0) == 0;
    *value = found;
    return is_known;
  };
  std::uint64_t allocated, resident, metadata, retained;
  if (!statistic("stats.allocated", &allocated) || !statistic("stats.resident", &resident) ||
      !statistic("stats.metadata", &metadata) || !statistic("stats.retained", &retained))
    return false;  // built without statistics
  figures->in_use = allocated;
  figures->free = less(less(resident, allocated), metadata);
  figures->held = resident;
  figures->released = retained;
  return true;
}

bool ask_mimalloc(AllocatorFigures* figures) {
  // It asks the kernel for the process's times as well, by getrusage(), for which a filter may end the program.
  if (shm::is_forbidden(shm::bit_of_call(SYS_getrusage))) return false;
  std::size_t elapsed, user, system, resident, peak_resident, commit, peak_commit, faults;
  g_mimalloc(&elapsed, &user, &system, &resident, &peak_resident, &commit, &peak_commit, &faults);
  figures->held = commit;
  return true;
}

// The object that holds `address`, in memory.
struct Search {
  std::uintptr_t address;
  ObjectBounds found;
};
int look_into_object(dl_phdr_info* info, std::size_t, void* raw) {
  auto* search = static_cast<Search*>(raw);
  ObjectBounds bounds = {UINTPTR_MAX, 0};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    if (begin < bounds.low) bounds.low = begin;
    if (begin + header.p_memsz > bounds.high) bounds.high = begin + header.p_memsz;
  }
  if (!bounds.holds(search->address)) return 0;
  search->found = bounds;
  return 1;
}
ObjectBounds object_of(const void* address) {
  Search search = {reinterpret_cast<std::uintptr_t>(address), {}};
  if (address != nullptr) dl_iterate_phdr(look_into_object, &search);
  return search.found;
}

ObjectBounds function_at(const void* address) {
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  if (address == nullptr || &dladdr1 == nullptr ||
      dladdr1(address, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) == 0 || symbol == nullptr)
    return {};
  const auto begin = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  return {begin, begin + symbol->st_size};
}

template <typename Function>
bool find_in(const ObjectBounds& object, const char* name, Function* function) {
  void* found = dlsym(RTLD_DEFAULT, name);
  if (found == nullptr || !object.holds(reinterpret_cast<std::uintptr_t>(found))) return false;
  *function = reinterpret_cast<Function>(found);
  return true;
}

}  // namespace

void find_allocator() {
  const ObjectBounds libc = object_of(reinterpret_cast<void*>(g_real.read));
  const ObjectBounds own = object_of(reinterpret_cast<void*>(start_process_hooks));
  const ObjectBounds real = object_of(reinterpret_cast<void*>(g_real.malloc));
  if (real.low != libc.low) exclude_mappings_of(real.low, real.high);
  // Ours leads to the real one. Where another comes before us, that is what the program calls. (A program at a fixed
  // address that asks for malloc's has it as a stub of its own, which leads to us; then there is nothing to find in
  // it.)
  void* called = dlsym(RTLD_DEFAULT, "malloc");
  if (called == nullptr || own.holds(reinterpret_cast<std::uintptr_t>(called)))
    called = reinterpret_cast<void*>(g_real.malloc);
  ObjectBounds allocator = object_of(called);
  AllocatorKind kind = AllocatorKind::kUnknown;
  sampler::AskAllocator ask = nullptr;
  const auto is = [&](AllocatorKind found, sampler::AskAllocator how) {
    kind = found;
    ask = how;
  };
  if (allocator.low == libc.low) {
    allocator = {};
    if (find_in(libc, "mallinfo2", &g_mallinfo2)) is(AllocatorKind::kGlibc, ask_glibc);
  } else {
    if (find_in(allocator, "MallocExtension_GetNumericProperty", &g_tcmalloc))
      is(AllocatorKind::kTcmalloc, ask_tcmalloc);
    else if (find_in(allocator, "mallctl", &g_mallctl))
      is(AllocatorKind::kJemalloc, ask_jemalloc);
    else if (find_in(allocator, "mi_process_info", &g_mimalloc))
      is(AllocatorKind::kMimalloc, ask_mimalloc);
  }
  // A look-up that failed has left a message, which the program must not find (see resolve_real()).
  (void)dlsym(RTLD_DEFAULT, "malloc");
  sampler::watch_allocator(kind, ask, allocator, own, function_at(reinterpret_cast<void*>(g_real.fork)));
}

}  // namespace camprobe::probe
