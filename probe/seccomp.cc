// probe/seccomp.cc
//
// The two ways to libc by which a program installs a seccomp filter: prctl(), and syscall(), which libseccomp uses. The
// filter is read before the kernel has it (sampler/seccomp.h).
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "probe/program_memory.h"
#include "probe/real.h"
#include "sampler/seccomp.h"
#include "sampler/thread_lane.h"
#include "shm/raw_syscall.h"

namespace camprobe::probe {
namespace {

// As far as we may ask: an earlier filter may keep us from it, and a program with two filters knows what it does.
bool is_readable(const void* address, std::size_t bytes) {
  if (shm::is_forbidden(shm::bit_of_call(SYS_rt_sigprocmask))) return address != nullptr;
  return can_be_read(address, bytes);
}

// Bits of the calls that the filter at `program` forbids; none for what the kernel is going to refuse.
std::uint64_t forbidden_by(const void* program) {
  constexpr std::size_t kPage = 4096;
  sock_fprog filter;
  if (!is_readable(program, sizeof filter)) return 0;
  __builtin_memcpy(&filter, program, sizeof filter);
  const std::size_t bytes = filter.len * sizeof(sock_filter);
  if (filter.len == 0 || filter.len > BPF_MAXINSNS) return 0;
  const char* code = reinterpret_cast<const char*>(filter.filter);
  for (std::size_t at = 0; at < bytes; at += kPage)
    if (!is_readable(code + at, bytes - at < kPage ? bytes - at : kPage)) return 0;
  return sampler::calls_forbidden_by(filter.filter, filter.len);
}

// Around a call that puts a filter, or the strict mode, in force.
template <typename Call>
auto install(std::uint64_t forbidden, Call call) {
  std::uint64_t before;
  {
    const sampler::ErrnoSaver keep_errno;
    before = sampler::forbid_calls(forbidden);
  }
  const auto result = call();
  if (result == 0) return result;
  // Refused: with an error, or (SECCOMP_FILTER_FLAG_TSYNC) with the number of a thread that could not be brought along.
  const sampler::ErrnoSaver keep_errno;
  sampler::allow_again(before);
  return result;
}

}  // namespace
}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK int prctl(int option, ...) noexcept {
  va_list more;
  va_start(more, option);
  const auto a = va_arg(more, unsigned long), b = va_arg(more, unsigned long), c = va_arg(more, unsigned long),
             d = va_arg(more, unsigned long);
  va_end(more);
  const auto call = [&] { return real().prctl(option, a, b, c, d); };
  if (__builtin_expect(option != PR_SET_SECCOMP, 1)) return call();
  return install(a == SECCOMP_MODE_STRICT   ? sampler::calls_forbidden_by_strict_mode()
                 : a == SECCOMP_MODE_FILTER ? forbidden_by(reinterpret_cast<const void*>(b))
                                            : 0,
                 call);
}

CAMPROBE_HOOK long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  const auto a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long), d = va_arg(more, long),
             e = va_arg(more, long), f = va_arg(more, long);
  va_end(more);
  const auto call = [&] { return real().syscall(number, a, b, c, d, e, f); };
  if (__builtin_expect(number != SYS_seccomp && number != SYS_prctl, 1)) return call();
  if (number == SYS_prctl) {
    if (a != PR_SET_SECCOMP) return call();
    return install(b == SECCOMP_MODE_STRICT   ? sampler::calls_forbidden_by_strict_mode()
                   : b == SECCOMP_MODE_FILTER ? forbidden_by(reinterpret_cast<const void*>(c))
                                              : 0,
                   call);
  }
  if (a == SECCOMP_SET_MODE_STRICT) return install(sampler::calls_forbidden_by_strict_mode(), call);
  // With SECCOMP_FILTER_FLAG_NEW_LISTENER the result is a descriptor: the filter is in force.
  if (a == SECCOMP_SET_MODE_FILTER) {
    const std::uint64_t forbidden = forbidden_by(reinterpret_cast<const void*>(c));
    if ((b & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) return install(forbidden, call);
    long listener = -1;
    install(forbidden, [&] {
      listener = call();
      return listener < 0 ? -1L : 0L;
    });
    return listener;
  }
  return call();
}
