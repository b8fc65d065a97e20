// probe/mappings.cc
//
// The program's own large mappings. What the allocator maps for itself is heap and counted there: libc's does not come
// through here, and another allocator's is told by who calls.
#include <errno.h>
#include <stdarg.h>

#include "probe/mappings.h"
#include "probe/real.h"
#include "sampler/mapping_table.h"

namespace camprobe::probe {
namespace {

// Text of the allocator's object; empty where that is libc.
constinit std::uintptr_t g_allocator_low = 0, g_allocator_high = 0;

bool is_allocator(void* caller) {
  const auto pc = reinterpret_cast<std::uintptr_t>(caller);
  return pc >= g_allocator_low && pc < g_allocator_high;
}

bool wants_mappings() {
  return sampler::enabled(shm::Family::kMap) && sampler::t_lane.mode != sampler::LaneMode::kDetached;
}

template <auto Real>
inline void* map(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset, void* caller,
                 void* frame) {
  void* result = (real().*Real)(address, bytes, protection, flags, fd, offset);
  // MAP_FIXED may have replaced known mappings, however small it is.
  if (result != MAP_FAILED && (bytes >= sampler::kLargeMapping || (flags & MAP_FIXED) != 0) && wants_mappings() &&
      !is_allocator(caller))
    sampler::note_mapped(result, bytes, (protection & PROT_WRITE) != 0, frame);
  return result;
}

}  // namespace

void exclude_mappings_of(std::uintptr_t low, std::uintptr_t high) {
  g_allocator_low = low;
  g_allocator_high = high;
}

}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return map<&RealFunctions::mmap>(address, bytes, protection, flags, fd, offset, __builtin_return_address(0),
                                   __builtin_dwarf_cfa());
}

CAMPROBE_HOOK void* mmap64(void* address, std::size_t bytes, int protection, int flags, int fd,
                           off64_t offset) noexcept {
  return map<&RealFunctions::mmap64>(address, bytes, protection, flags, fd, offset, __builtin_return_address(0),
                                     __builtin_dwarf_cfa());
}

// Before the call: afterwards the addresses may be another thread's new mapping. What munmap() would refuse (an address
// that is not a page's, no length) ends nothing.
CAMPROBE_HOOK int munmap(void* address, std::size_t bytes) noexcept {
  if (bytes != 0 && reinterpret_cast<std::uintptr_t>(address) % shm::kPage == 0 && wants_mappings())
    sampler::note_unmapped(address, bytes);
  return real().munmap(address, bytes);
}

CAMPROBE_HOOK int mprotect(void* address, std::size_t bytes, int protection) noexcept {
  const int result = real().mprotect(address, bytes, protection);
  if (result == 0 && bytes >= sampler::kLargeMapping && wants_mappings())
    sampler::note_protected(address, bytes, (protection & PROT_WRITE) != 0, __builtin_dwarf_cfa());
  return result;
}

CAMPROBE_HOOK void* mremap(void* old_address, std::size_t old_bytes, std::size_t bytes, int flags, ...) noexcept {
  va_list more;
  va_start(more, flags);
  void* wanted = va_arg(more, void*);
  va_end(more);
  void* result = real().mremap(old_address, old_bytes, bytes, flags, wanted);
  if (result != MAP_FAILED && wants_mappings() && !is_allocator(__builtin_return_address(0)))
    sampler::note_remapped(old_address, old_bytes, result, bytes, __builtin_dwarf_cfa());
  return result;
}
