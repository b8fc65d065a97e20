// probe/program_memory.h
//
// Looking at memory that the program handed to a call. Where the kernel would answer EFAULT a hook must not crash, so
// it asks before it looks; system calls that change nothing, for calls that are rare.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sampler/unwind_memory.h"

namespace camprobe::probe {

// Whether [address, address + bytes) can be read; at most a page long.
inline bool can_be_read(const void* address, std::size_t bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const std::uintptr_t last = first + (bytes != 0 ? bytes - 1 : 0);
  if (!sampler::page_is_readable(first)) return false;
  return (first ^ last) <= sampler::kPageMask || sampler::page_is_readable(last);
}

// A pointer that a declaration promises is never null, and that a program may pass as null all the same.
template <typename T>
[[gnu::always_inline]] inline T* perhaps_null(T* pointer) {
  __asm__("" : "+r"(pointer));
  return pointer;
}

}  // namespace camprobe::probe
