// sampler/clock.h
//
// CLOCK_MONOTONIC within a microsecond, at half the price: every hook of an I/O call asks for the time twice.
//
// The C library's clock_gettime() takes 27 ns on a virtual machine of today (kvm-clock; the processor's counter read
// with a barrier, and a page of the kernel's to scale it by), reading the counter itself 11. So each thread keeps an
// anchor, what the clock and the counter said at the same instant, and for a millisecond adds what the counter went on
// by. Then it asks the clock anew, which bounds the error: a clock that is being slewed by 500 ppm runs away by half a
// microsecond.
//
// The counter must run evenly whatever the processor does (CPUID says whether), and be the same on all processors. That
// nobody promises, so each new anchor is held against what the old one would have given; a counter that was wrong by
// more than ten microseconds is never used again. Where it cannot be used the clock is asked every time.
//
// Where reads of the counter end (strict seccomp), pause_counter() comes first.
//
// Two readings may therefore be a microsecond out of order: whoever subtracts looks first.
//
// Async-signal-safe, lock-free. A handler may come between any two instructions, and ask too.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/region.h"

namespace camprobe::sampler {

// What a thread knows: all zeros asks the clock.
struct ClockAnchor {
  std::uint64_t cycles;  // another number with every anchor
  std::uint64_t ns;
  std::uint64_t lifetime;  // cycles that it is good for
  bool is_being_renewed;   // a handler that comes meanwhile asks the clock and leaves the anchor alone
};
[[gnu::visibility("hidden")]] extern constinit thread_local ClockAnchor t_clock_anchor;

// Nanoseconds a cycle, times 2^32.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint64_t> g_ns_per_cycle;

// Start-up: finds out whether there is a counter to use.
void start_clock();

// From here on nothing reads the counter, which may be a fatal instruction now; and back again.
void pause_counter();
void resume_counter();

// Asks the clock and, if it can, sets the anchor.
std::uint64_t now_ns_anew();

#if defined(__x86_64__)
inline std::uint64_t cycle_count() {
  return __builtin_ia32_rdtsc();
}
#else
// Elsewhere the C library's clock is one cheap instruction already.
inline std::uint64_t cycle_count() {
  return 0;
}
#endif

inline std::uint64_t now_ns() {
  const ClockAnchor& anchor = t_clock_anchor;
  const std::uint64_t rate = g_ns_per_cycle.load(std::memory_order_relaxed);
  if (__builtin_expect(rate == 0, 0)) return now_ns_anew();
  const std::uint64_t cycles = anchor.cycles;
  const std::uint64_t gone = cycle_count() - cycles;
  if (__builtin_expect(gone < anchor.lifetime, 1)) {
    const std::uint64_t ns = anchor.ns + (gone * rate >> 32);
    // A handler in between may have set another anchor: then `ns` is of that one.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (__builtin_expect(*const_cast<const volatile std::uint64_t*>(&anchor.cycles) == cycles, 1)) return ns;
  }
  return now_ns_anew();
}

// When a call began, to know how long it took: no more than two readings of the counter, and before the call it touches
// nothing that the hook does not touch anyway.
class CallStart {
 public:
  CallStart()
      : word_(g_ns_per_cycle.load(std::memory_order_relaxed) != 0 ? cycle_count() & ~kIsClock
                                                                  : shm::monotonic_ns() | kIsClock) {}

  std::uint64_t elapsed_ns() const {
    if (__builtin_expect((word_ & kIsClock) != 0, 0)) return shm::monotonic_ns() - (word_ & ~kIsClock);
    const std::uint64_t gone = (cycle_count() & ~kIsClock) - word_;
    if (__builtin_expect(gone > kIsClock, 0)) return 0;  // on another processor, whose counter is a little behind
    return static_cast<std::uint64_t>(
        static_cast<unsigned __int128>(gone) * g_ns_per_cycle.load(std::memory_order_relaxed) >> 32);
  }

  // Grows with the time: by one a nanosecond, or more.
  std::uint64_t word() const { return word_; }

 private:
  static constexpr std::uint64_t kIsClock = std::uint64_t{1} << 63;  // what `word_` is: nanoseconds, or else cycles
  std::uint64_t word_;
};

}  // namespace camprobe::sampler
