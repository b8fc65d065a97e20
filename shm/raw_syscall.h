// shm/raw_syscall.h
//
// System calls without libc: no errno, no cancellation point, no symbol that a hook could stand in for. Everything that
// runs inside a target (hooks, signal handlers) enters the kernel through here. Returns what the kernel returns: a
// negative errno on failure.
#pragma once

#include <sys/syscall.h>

namespace camprobe::shm {

#if defined(__clang_analyzer__)
// Of a function that it cannot see into, the analyzer believes that it fills what its arguments point to.
long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);
#elif defined(__x86_64__)
inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "camprobe knows the system call convention of x86-64 and AArch64 only"
#endif

inline bool is_error(long result) {
  return result < 0 && result >= -4095;
}

}  // namespace camprobe::shm
