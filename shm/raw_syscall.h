// shm/raw_syscall.h
//
// System calls without libc: no errno, no cancellation point, no symbol that a hook could stand in for. Everything that
// runs inside a target (hooks, signal handlers) enters the kernel through here. Returns what the kernel returns: a
// negative errno on failure.
//
// A call that a seccomp filter of the program would answer by ending the program is not made and fails with ENOSYS
// (sampler/seccomp.h finds out which those are). So every caller must do without what it asked for.
#pragma once

#include <sys/syscall.h>

#include <atomic>
#include <cstdint>

// Every system call that libcamprobe.so makes for itself; docs/system-calls.md says when and why. A call that is not in
// this list is not made once there is anything that must not be called.
// clang-format off
#define CAMPROBE_SYSTEM_CALLS(X) \
  X(openat) X(read) X(pread64) X(getdents64) X(readlink) X(write) X(close) X(fchmod) X(ftruncate) X(fallocate) X(unlink) \
  X(mmap) X(munmap) X(mprotect) X(madvise) X(prlimit64) X(prctl) \
  X(getpid) X(getppid) X(gettid) X(geteuid) X(kill) X(tgkill) \
  X(rt_sigaction) X(rt_sigreturn) X(rt_sigprocmask) X(rt_sigpending) X(rt_sigsuspend) \
  X(timer_create) X(timer_settime) X(timer_delete) \
  X(clock_gettime) X(nanosleep) X(sched_yield) X(getrusage) \
  X(fstat) X(getsockname) X(getpeername)
// clang-format on

namespace camprobe::shm {

#if defined(__clang_analyzer__)
// Of a function that it cannot see into, the analyzer believes that it fills what its arguments point to.
long enter_kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);
#elif defined(__x86_64__)
inline long enter_kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
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
inline long enter_kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
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

enum class SystemCall : unsigned {
#define CAMPROBE_NAME_CALL(name) k_##name,
  CAMPROBE_SYSTEM_CALLS(CAMPROBE_NAME_CALL)
#undef CAMPROBE_NAME_CALL
      kOther
};
static_assert(static_cast<unsigned>(SystemCall::kOther) < 64, "a bit each");

constexpr std::uint64_t bit_of_call(long number) {
  switch (number) {
#define CAMPROBE_BIT_OF_CALL(name) \
  case SYS_##name:                 \
    return std::uint64_t{1} << static_cast<unsigned>(SystemCall::k_##name);
    CAMPROBE_SYSTEM_CALLS(CAMPROBE_BIT_OF_CALL)
#undef CAMPROBE_BIT_OF_CALL
    default:
      return std::uint64_t{1} << static_cast<unsigned>(SystemCall::kOther);
  }
}

// Bits of the calls that must not be made. Only ever grows, but for a filter that the kernel then refused.
[[gnu::visibility("hidden")]] inline constinit std::atomic<std::uint64_t> g_forbidden_calls{0};

inline bool is_forbidden(std::uint64_t calls) {
  return __builtin_expect((g_forbidden_calls.load(std::memory_order_relaxed) & calls) != 0, 0);
}

inline constexpr long kNotCalled = -38;  // -ENOSYS

inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  if (is_forbidden(bit_of_call(number))) return kNotCalled;
  return enter_kernel(number, a, b, c, d, e, f);
}

inline bool is_error(long result) {
  return result < 0 && result >= -4095;
}

}  // namespace camprobe::shm
