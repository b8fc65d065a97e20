// probe/restart.cc
//
// Calls that the kernel never restarts after a handler ran (signal(7)): sleeps, timed semaphores, System V queues,
// waiting for signals. Our timer's tick would show there as an EINTR that the program never had, so each is called
// again, for the time that is left. What another signal ended stays ended. (epoll_wait, poll and select:
// probe/wait.cc.)
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "probe/real.h"
#include "probe/signals.h"
#include "sampler/allocator_watch.h"
#include "sampler/control.h"
#include "shm/raw_syscall.h"

namespace camprobe::probe {
namespace {

using sampler::clear_interruption;
using sampler::interrupted_by_us;

// Calls until something else than our tick ends it; the call reports by -1 and errno.
template <typename Call>
inline auto until_not_us(Call call) {
  for (;;) {
    clear_interruption();
    const auto result = call();
    if (result == -1 && errno == EINTR && interrupted_by_us()) continue;
    sampler::look_at_control();
    return result;
  }
}

// What is left until `deadline`, never negative.
timespec time_left(std::uint64_t deadline) {
  const std::uint64_t now = shm::monotonic_ns();
  const std::uint64_t left = deadline > now ? deadline - now : 0;
  return {static_cast<time_t>(left / 1'000'000'000u), static_cast<long>(left % 1'000'000'000u)};
}

bool is_valid(const timespec& time) {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000;
}

// When a wait for `timeout` that began at `began` is over; 0 where the timeout is invalid or centuries away: then the
// call is made as it is. Asked for after the kernel has accepted the timeout: before, it may be no memory at all.
std::uint64_t deadline_of(const timespec& timeout, std::uint64_t began) {
  constexpr time_t kCenturies = 4'000'000'000;
  if (!is_valid(timeout) || timeout.tv_sec > kCenturies) return 0;
  return began + static_cast<std::uint64_t>(timeout.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(timeout.tv_nsec);
}

}  // namespace
}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK int nanosleep(const timespec* wanted, timespec* left) {
  timespec own_left;
  timespec* out = left != nullptr ? left : &own_left;
  timespec again;
  sampler::look_at_allocator(sampler::CallStart());
  for (;;) {
    clear_interruption();
    const int result = real().nanosleep(wanted, out);
    if (result != -1 || errno != EINTR || !interrupted_by_us()) {
      sampler::look_at_control();
      return result;
    }
    again = *out;
    wanted = &again;
  }
}

CAMPROBE_HOOK int clock_nanosleep(clockid_t clock, int flags, const timespec* wanted, timespec* left) {
  timespec own_left;
  timespec* out = left != nullptr ? left : &own_left;
  timespec again;
  sampler::look_at_allocator(sampler::CallStart());
  for (;;) {
    clear_interruption();
    const int error = real().clock_nanosleep(clock, flags, wanted, out);
    if (error != EINTR || !interrupted_by_us()) {
      sampler::look_at_control();
      return error;
    }
    if ((flags & TIMER_ABSTIME) != 0) continue;
    again = *out;
    wanted = &again;
  }
}

CAMPROBE_HOOK int usleep(useconds_t microseconds) {
  const timespec wanted = {static_cast<time_t>(microseconds / 1'000'000),
                           static_cast<long>(microseconds % 1'000'000) * 1000};
  return nanosleep(&wanted, nullptr);
}

// As glibc's: what another signal left over, whole seconds.
CAMPROBE_HOOK unsigned int sleep(unsigned int seconds) {
  const int before = errno;
  timespec left = {static_cast<time_t>(seconds), 0};
  if (nanosleep(&left, &left) == -1) return static_cast<unsigned int>(left.tv_sec);
  errno = before;
  return 0;
}

CAMPROBE_HOOK int sem_timedwait(sem_t* semaphore, const timespec* deadline) {
  return until_not_us([&] { return real().sem_timedwait(semaphore, deadline); });
}
CAMPROBE_HOOK int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* deadline) {
  if (real().sem_clockwait == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  return until_not_us([&] { return real().sem_clockwait(semaphore, clock, deadline); });
}

CAMPROBE_HOOK int semop(int id, sembuf* operations, std::size_t count) noexcept {
  return until_not_us([&] { return real().semop(id, operations, count); });
}
CAMPROBE_HOOK int semtimedop(int id, sembuf* operations, std::size_t count, const timespec* timeout) noexcept {
  const std::uint64_t began = shm::monotonic_ns();
  const timespec* asked = timeout;
  timespec again;
  for (;;) {
    clear_interruption();
    const int result = real().semtimedop(id, operations, count, timeout);
    if (result != -1 || errno != EINTR || !interrupted_by_us()) return result;
    const std::uint64_t deadline = asked != nullptr ? deadline_of(*asked, began) : 0;
    if (deadline == 0) continue;
    again = time_left(deadline);
    timeout = &again;
  }
}
CAMPROBE_HOOK ssize_t msgrcv(int id, void* message, std::size_t bytes, long type, int flags) {
  return until_not_us([&] { return real().msgrcv(id, message, bytes, type, flags); });
}
CAMPROBE_HOOK int msgsnd(int id, const void* message, std::size_t bytes, int flags) {
  return until_not_us([&] { return real().msgsnd(id, message, bytes, flags); });
}

// pause() ends when a handler of the program ran. Between our tick and a second pause() one may run unseen and the
// program would wait for ever; so signals are let in only while waiting, as sigsuspend() does anyway.
CAMPROBE_HOOK int pause() {
  // Behind a filter that knows only pause(), the small risk is taken.
  if (shm::is_forbidden(shm::bit_of_call(SYS_rt_sigprocmask) | shm::bit_of_call(SYS_rt_sigsuspend)))
    return until_not_us([] { return real().pause(); });
  sigset_t none, current = {};
  sigfillset(&none);
  const long kernel_set = 8;
  shm::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&none), reinterpret_cast<long>(&current),
                   kernel_set);
  const int result = until_not_us([&] { return real().sigsuspend(&current); });
  shm::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&current), 0, kernel_set);
  return result;
}
CAMPROBE_HOOK int sigsuspend(const sigset_t* mask) {
  return until_not_us([&] { return real().sigsuspend(mask); });
}

CAMPROBE_HOOK int sigwait(const sigset_t* set, int* number) {
  sigset_t copy;
  return real().sigwait(without_our_signal(set, &copy), number);  // repeats EINTR itself
}
CAMPROBE_HOOK int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  sigset_t copy;
  const sigset_t* wanted = without_our_signal(set, &copy);
  return until_not_us([&] { return real().sigwaitinfo(wanted, info); });
}
CAMPROBE_HOOK int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  sigset_t copy;
  const sigset_t* wanted = without_our_signal(set, &copy);
  const std::uint64_t began = shm::monotonic_ns();
  const timespec* asked = timeout;
  timespec again;
  for (;;) {
    clear_interruption();
    const int result = real().sigtimedwait(wanted, info, timeout);
    if (result != -1 || errno != EINTR || !interrupted_by_us()) return result;
    const std::uint64_t deadline = asked != nullptr ? deadline_of(*asked, began) : 0;
    if (deadline == 0) continue;
    again = time_left(deadline);
    timeout = &again;
  }
}
