// shm/region_calls.h
//
// The system calls without which there is no region (sampler/seccomp.h).
#pragma once

#include "shm/raw_syscall.h"

namespace camprobe::shm {

// What making a region needs, then or to take its file away again: none of it may be missing half-way.
inline constexpr std::uint64_t kCallsForARegion =
    bit_of_call(SYS_geteuid) | bit_of_call(SYS_getpid) | bit_of_call(SYS_openat) | bit_of_call(SYS_fchmod) |
    bit_of_call(SYS_ftruncate) | bit_of_call(SYS_mmap) | bit_of_call(SYS_madvise) | bit_of_call(SYS_close) |
    bit_of_call(SYS_unlink) | bit_of_call(SYS_kill);

}  // namespace camprobe::shm
