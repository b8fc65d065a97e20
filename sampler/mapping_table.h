// sampler/mapping_table.h
//
// The program's own large mappings, exactly: what mmap() gave and munmap(), mremap() or another mmap() took away again,
// in whole or in part. A stretch of address space that may be written counts as memory; one that may not (PROT_NONE: V8
// and the JVM reserve gigabytes of those) is only remembered, and counts from the mprotect() that makes it writable.
//
// Each counted stretch is one entry of the live table (interval 0: exact). A private table keeps the address ranges,
// since a hash table cannot say which mapping an address lies in. It has a lock: mappings are rare and cost
// microseconds in the kernel anyway. Only behind the shut door (ProbeScope), so no handler on the same thread waits for
// it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sampler/thread_lane.h"

namespace camprobe::sampler {

// Smaller ones are not worth their record: allocators' and interpreters' arenas start at 256 KiB.
inline constexpr std::size_t kLargeMapping = 128u << 10;

// A mapping came into being at [address, address + bytes), in place of whatever was there.
void note_mapped(void* address, std::size_t bytes, bool is_writable, void* hook_frame);
// [address, address + bytes) is no more.
void note_unmapped(void* address, std::size_t bytes);
// Its protection changed.
void note_protected(void* address, std::size_t bytes, bool is_writable, void* hook_frame);
// mremap() moved or resized a mapping.
void note_remapped(void* old_address, std::size_t old_bytes, void* address, std::size_t bytes, void* hook_frame);

// In the child of a fork: the parent's mappings are not the child's doing.
void forget_mappings();

}  // namespace camprobe::sampler
