// probe/wait.cc
//
// The waiting family: epoll, poll and select. Their time is waiting, not work, and is sampled by its nanoseconds with
// the stack that waits.
//
// These calls return EINTR after any signal handler, whatever SA_RESTART says, so the probe's own CPU timer would show
// through. The handler notes when it was it that interrupted a system call and no other handler ran
// (sampler::interrupted_by_us); then, and only then, the call is made again with the time that is left.
#include <sys/epoll.h>

#include "probe/io_hooks.h"
#include "sampler/allocator_watch.h"

namespace {

using namespace camprobe;
using probe::real;
using shm::IoKind;

constexpr std::uint64_t kForever = ~std::uint64_t{0};

// What no wait ever lasts is for ever.
std::uint64_t ns_of(const timespec& time) {
  if (time.tv_sec > 4'000'000'000) return kForever;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

// Nanoseconds since `began` of which no doubt is left: the processor's counter may be off by a little
// (sampler/clock.h), and a wait must not end early.
std::uint64_t gone_for_sure(const sampler::CallStart& began) {
  constexpr std::uint64_t kDoubt = 20'000;
  const std::uint64_t gone = began.elapsed_ns();
  const std::uint64_t doubt = kDoubt + gone / 1024;  // a clock may be slewed by half as much
  return gone > doubt ? gone - doubt : 0;
}

// Makes `call(left)` until something other than our own signal ended it; `left` is null the first time (the program's
// own arguments go in as they are, wrong ones too), then the nanoseconds that remain. `timeout_ns()`: kForever, or how
// long the program wants to wait; asked only once the kernel has found the arguments readable. Counts the whole as one
// wait.
template <typename Timeout, typename Call>
[[gnu::always_inline]] inline int wait_by(int fd, const char* name, Timeout timeout_ns, Call call) {
  sampler::clear_interruption();
  const sampler::CallStart began;
  sampler::look_at_allocator(began);
  int result = call(nullptr);
  if (result < 0 && errno == EFAULT) return result;
  const std::uint64_t wanted = timeout_ns();
  while (result < 0 && errno == EINTR && sampler::interrupted_by_us()) {
    const std::uint64_t gone = gone_for_sure(began);
    const std::uint64_t left = wanted == kForever ? kForever : gone < wanted ? wanted - gone : 0;
    sampler::clear_interruption();
    result = call(&left);
  }
  if (wanted == 0 || !sampler::enabled(shm::Family::kWait)) {  // a timeout of 0 is a look, not a wait
    sampler::look_at_control();
    return result;
  }
  probe::finished(IoKind::kWait, fd, result < 0 && errno != EINTR, began, name, __builtin_dwarf_cfa());
  return result;
}

std::uint64_t timeout_of_ms(int timeout) {
  return timeout < 0 ? kForever : static_cast<std::uint64_t>(timeout) * 1'000'000u;
}
std::uint64_t timeout_or_ever(const timespec* timeout) {
  return timeout == nullptr ? kForever : ns_of(*timeout);
}
// Rounded up: a wait must not end early.
int ms_of(std::uint64_t ns) {
  if (ns == kForever) return -1;
  const std::uint64_t ms = (ns + 999'999) / 1'000'000;
  return ms > 0x7fffffff ? 0x7fffffff : static_cast<int>(ms);
}
timespec timespec_of(std::uint64_t ns) {
  timespec time;
  time.tv_sec = static_cast<time_t>(ns / 1'000'000'000u);
  time.tv_nsec = static_cast<long>(ns % 1'000'000'000u);
  return time;
}
// The timeout to hand on: the program's own the first time, then what is left of it.
const timespec* rest_or(const timespec* timeout, const std::uint64_t* left, const timespec& rest) {
  return timeout == nullptr || left == nullptr ? timeout : &rest;
}

}  // namespace

CAMPROBE_HOT_HOOK int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  return wait_by(
      fd, "epoll_wait", [&] { return timeout_of_ms(timeout); },
      [&](const std::uint64_t* left) { return real().epoll_wait(fd, events, most, left ? ms_of(*left) : timeout); });
}
CAMPROBE_HOT_HOOK int epoll_pwait(int fd, epoll_event* events, int most, int timeout, const sigset_t* mask) {
  return wait_by(
      fd, "epoll_pwait", [&] { return timeout_of_ms(timeout); },
      [&](const std::uint64_t* left) {
        return real().epoll_pwait(fd, events, most, left ? ms_of(*left) : timeout, mask);
      });
}
CAMPROBE_HOOK int epoll_pwait2(int fd, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  return wait_by(
      fd, "epoll_pwait2", [&] { return timeout_or_ever(timeout); },
      [&](const std::uint64_t* left) {
        const timespec rest = timespec_of(left ? *left : 0);
        return probe::call_if_there(real().epoll_pwait2, fd, events, most, rest_or(timeout, left, rest), mask);
      });
}

CAMPROBE_HOT_HOOK int poll(pollfd* polled, nfds_t count, int timeout) {
  return wait_by(
      -1, "poll", [&] { return timeout_of_ms(timeout); },
      [&](const std::uint64_t* left) { return real().poll(polled, count, left ? ms_of(*left) : timeout); });
}
CAMPROBE_HOOK int __poll_chk(pollfd* polled, nfds_t count, int timeout, size_t room) {
  return wait_by(
      -1, "poll", [&] { return timeout_of_ms(timeout); },
      [&](const std::uint64_t* left) { return real().__poll_chk(polled, count, left ? ms_of(*left) : timeout, room); });
}
CAMPROBE_HOOK int ppoll(pollfd* polled, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  return wait_by(
      -1, "ppoll", [&] { return timeout_or_ever(timeout); },
      [&](const std::uint64_t* left) {
        const timespec rest = timespec_of(left ? *left : 0);
        return real().ppoll(polled, count, rest_or(timeout, left, rest), mask);
      });
}
CAMPROBE_HOOK int __ppoll_chk(pollfd* polled, nfds_t count, const timespec* timeout, const sigset_t* mask,
                              size_t room) {
  return wait_by(
      -1, "ppoll", [&] { return timeout_or_ever(timeout); },
      [&](const std::uint64_t* left) {
        const timespec rest = timespec_of(left ? *left : 0);
        return real().__ppoll_chk(polled, count, rest_or(timeout, left, rest), mask, room);
      });
}

// Linux's select writes the time that is left into its timeout; the sets are only written when it returns descriptors,
// so they are whole for another try.
CAMPROBE_HOOK int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  const std::uint64_t wanted = timeout == nullptr ? kForever
                                                  : static_cast<std::uint64_t>(timeout->tv_sec) * 1'000'000'000u +
                                                        static_cast<std::uint64_t>(timeout->tv_usec) * 1000u;
  return wait_by(
      -1, "select", [wanted] { return wanted; },
      [&](const std::uint64_t*) { return real().select(count, read, write, except, timeout); });
}
CAMPROBE_HOOK int pselect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
                          const sigset_t* mask) {
  return wait_by(
      -1, "pselect", [&] { return timeout_or_ever(timeout); },
      [&](const std::uint64_t* left) {
        const timespec rest = timespec_of(left ? *left : 0);
        return real().pselect(count, read, write, except, rest_or(timeout, left, rest), mask);
      });
}
