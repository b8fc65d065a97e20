// sampler/give_way.h
//
// Waiting for another thread without a lock of the kernel's: first a few yields, then naps; by spinning as long where
// neither may be called (sampler/seccomp.h). Async-signal-safe.
#pragma once

#include <time.h>

#include "shm/raw_syscall.h"

namespace camprobe::sampler {

inline void spin(int rounds) {
  for (int i = 0; i < rounds; ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
  }
}

// Another thread may run.
inline void give_way() {
  if (shm::raw_syscall(SYS_sched_yield) == shm::kNotCalled) spin(100);
}

// Half a millisecond.
inline void nap() {
  const timespec time = {0, 500'000};
  if (shm::raw_syscall(SYS_nanosleep, reinterpret_cast<long>(&time)) == shm::kNotCalled) spin(20'000);
}

}  // namespace camprobe::sampler
