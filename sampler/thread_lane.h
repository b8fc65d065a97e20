// sampler/thread_lane.h
//
// What the probe knows about the calling thread, in thread-local storage, and the door through which every hook and
// every handler goes before it records anything.
//
// `lane` is never null, so that the heap's fast path needs no test. A thread that has no lane in the region points to a
// lane whose countdown is negative (first allocation goes to the slow path, which arms the thread) or to its own
// `stray` words (no lane to be had, or the thread must not write now: forking, a vfork child, ended).
//
// Initial-exec TLS (no __tls_get_addr, which may allocate) and constant-initialized, so access is one instruction and
// safe at any time, in any context. Everything here is async-signal-safe.
#pragma once

#include <errno.h>

#include <atomic>
#include <cstdint>

#include "sampler/clock.h"
#include "sampler/interval.h"
#include "sampler/unwind.h"
#include "shm/layout.h"
#include "shm/region.h"
#include "shm/ring.h"

namespace camprobe::sampler {

using shm::Family;
using shm::SpanId;
using shm::StackId;

enum class LaneMode : std::uint8_t {
  kUnarmed,   // not seen yet
  kArmed,     // has a lane; the only mode in which anything is recorded
  kStray,     // there was no lane for it; counts only
  kDetached,  // between fork's two sides, or in a vfork child: writes nothing
  kEnded,     // its last destructors run, and there was no lane for it
  kOff,       // the probe records nothing in this process
};

// The first words of shm::Lane, for threads that must count somewhere but not in the region.
struct alignas(16) StrayCounts {
  std::int64_t heap_countdown;
  std::uint64_t heap_allocs;
  std::uint64_t heap_frees;
  std::uint64_t heap_base;
  std::uint64_t heap_version;
};
static_assert(offsetof(StrayCounts, heap_version) == offsetof(shm::Lane, heap_version));

struct ThreadLane {
  shm::Lane* lane;  // never null
  LaneMode mode;
  bool interrupted_by_us;     // our timer ended a system call with EINTR; whoever retries it clears this first
  bool is_thread_end_hooked;  // the key destructor will release the lane
  bool countdown_is_tick;     // the countdown was cut short: at its end there is no sample, only another draw
  std::uint32_t tid;
  std::int32_t index;            // of the lane; -1: none
  std::uint32_t heap_draw_seen;  // g_heap_draw when the countdown was drawn
  std::uint64_t looked_at_ns;    // when the control block was last looked at (sampler/control.h),
  std::uint64_t looked_at_call;  // and the same in CallStart's words
  std::uintptr_t entered_at;     // frame that holds the probe's door shut; 0: open
  std::uint64_t heap_interval;   // in force for the countdown; 0: off
  IntervalGenerator random;
  shm::RingWriter ring;
  shm::RingWriter signal_ring;
  StackBounds stack;                 // its own stack; zeros: unknown
  std::uint64_t last_sample;         // the newest sampled block of this thread,
  std::uint64_t last_sample_allocs;  // and the thread's count of allocations then
  std::uint64_t stray_flushed_allocs, stray_flushed_frees;
  std::uint32_t vfork_depth;
  std::uint32_t end_rounds;       // of key destructors left before the lane goes
  std::uint64_t vfork_return[4];  // return addresses of open vfork() calls: the child ruins the stack slot
  shm::Lane* lane_before;         // while detached: where to go back to
  LaneMode mode_before;
  StrayCounts stray;
};

[[gnu::visibility("hidden")]] extern constinit thread_local ThreadLane t_lane;

// ---------------------------------------------------------------------------------------------------- process-wide

// The process's region. Unmapped (is_mapped() false) when the probe is off; then no thread is ever armed.
[[gnu::visibility("hidden")]] extern constinit shm::Region g_region;
inline shm::Region& region() {
  return g_region;
}

// 1 in the process that owns the region; the kernel wipes it to 0 in a copy of the process that was made behind our
// back (a raw clone() or fork system call), which must not write to its parent's region.
[[gnu::visibility("hidden")]] extern constinit const std::atomic<std::uint32_t>* g_own_memory;
inline bool owns_region() {
  return g_own_memory->load(std::memory_order_relaxed) != 0;
}

// False as long as this process never had but one thread: then counters that threads share are added to without a lock
// on the bus. Raised before a second thread can count; stays.
[[gnu::visibility("hidden")]] extern constinit std::atomic<bool> g_has_threads;
inline void expect_threads() {
  if (!g_has_threads.load(std::memory_order_relaxed)) g_has_threads.store(true, std::memory_order_relaxed);
}

// Families that are on now; changes with the control block.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint32_t> g_families;
inline bool enabled(Family family) {
  return (g_families.load(std::memory_order_relaxed) & static_cast<std::uint32_t>(family)) != 0;
}

// ---------------------------------------------------------------------------------------------------- the door

// Arms the calling thread if that can be done; nullptr when the probe is off, the thread must not write (fork, vfork
// child, ended), has no lane, or is inside the probe already.
ThreadLane* this_thread_slow();

// The calling thread, ready to record; nullptr otherwise (see above). Does not shut the door: for hooks that only add
// to counters of their own lane. Reading what it gives costs two loads.
inline bool is_ready(const ThreadLane& thread) {
  return __builtin_expect(thread.mode == LaneMode::kArmed && thread.entered_at == 0 && owns_region(), 1);
}
inline ThreadLane* this_thread() {
  return is_ready(t_lane) ? &t_lane : this_thread_slow();
}

// Gives the calling thread a lane (mode kArmed), or says why not in its mode. In a signal handler nothing is called
// that is not async-signal-safe; the rest follows at the thread's next event.
void arm_thread(ThreadLane& thread, bool is_in_handler);

// The thread ends: its lane goes to another once it is gone.
void release_thread(ThreadLane& thread);

// Points the thread away from the region, and back; what it did meanwhile is added (attach) or dropped
// (attach_dropping).
void detach_thread(ThreadLane& thread);
void attach_thread(ThreadLane& thread);
void attach_thread_dropping(ThreadLane& thread);

// In a fresh child: the thread has no lane yet, and is the only one.
void forget_lane(ThreadLane& thread);

// A thread without a lane adds what it counted to the header's stray counters.
void flush_stray_counts(ThreadLane& thread);

// Called, if set, for each thread that is armed or found no lane, outside any handler: hooks the end of the thread.
using ThreadArmed = void (*)(ThreadLane& thread);
extern constinit ThreadArmed g_on_thread_armed;

// Room for one captured stack (and the mark of a cut one), for ordinary code and for handlers: not on the thread's
// stack, which may be 16 KiB.
inline constexpr std::uint32_t kFrames = shm::kMaxFrames - 1;
struct alignas(shm::kPage) StackScratch {
  std::uintptr_t ordinary[kFrames + 1];
  std::uintptr_t handler[kFrames + 1];
};
StackScratch& scratch_of(const ThreadLane& thread);

// Keeps errno as it was.
class ErrnoSaver {
 public:
  ErrnoSaver() : saved_(errno) {}
  ErrnoSaver(const ErrnoSaver&) = delete;
  ErrnoSaver& operator=(const ErrnoSaver&) = delete;
  ~ErrnoSaver() { errno = saved_; }

 private:
  int saved_;
};

// A ProbeScope (below) for code that is called all the time and calls nothing of the C library: looks at errno only
// where the door itself has work, and leaves it to its user to look at the control block.
class PlainProbeScope {
 public:
  [[gnu::always_inline]] PlainProbeScope() : thread_(&t_lane) {
    const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (__builtin_expect(is_ready(t_lane) && t_lane.is_thread_end_hooked, 1))
      t_lane.entered_at = frame;
    else
      thread_ = enter_slowly(frame);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  PlainProbeScope(const PlainProbeScope&) = delete;
  PlainProbeScope& operator=(const PlainProbeScope&) = delete;
  [[gnu::always_inline]] ~PlainProbeScope() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (thread_ != nullptr) thread_->entered_at = 0;
  }
  explicit operator bool() const { return thread_ != nullptr; }
  ThreadLane& operator*() const { return *thread_; }
  ThreadLane* operator->() const { return thread_; }

 private:
  static ThreadLane* enter_slowly(std::uintptr_t frame);

  ThreadLane* thread_;
};

// Shuts the door: what the probe does meanwhile on this thread, and what a signal handler of the program does to hooks,
// is not recorded (counted as Loss::kReentrant). Keeps errno. Every slow path begins with one:
//
//   ProbeScope scope;
//   if (!scope) return;
//   write_record(*scope, RecordKind::kOpen, capture_above(*scope, __builtin_dwarf_cfa()), payload);
class ProbeScope : ErrnoSaver, public PlainProbeScope {
 public:
  ProbeScope();
  ~ProbeScope();
};

// The stack of the caller of the interposed function. `hook_frame` is __builtin_dwarf_cfa() in that function (or in the
// slow path it ends in a tail call to). Only with the door shut, or in our own signal handler. 0: depot full.
StackId capture_above(ThreadLane& thread, void* hook_frame);

// The innermost open span of the thread.
inline SpanId current_span(const ThreadLane& thread) {
  return thread.lane->current_span.load(std::memory_order_relaxed);
}

// One record into the thread's ring (never from a signal handler: those use signal_ring). Payload: a struct of
// shm/record.h. The record carries the thread's current span.
template <typename Payload>
inline void write_record(ThreadLane& thread, shm::RecordKind kind, StackId stack, const Payload& payload,
                         std::uint16_t flags = 0, std::uint64_t time_ns = now_ns()) {
  thread.ring.write(time_ns, kind, flags, stack, current_span(thread), payload);
}

// ---------------------------------------------------------------------------------------------------- EINTR

// System calls that the kernel never restarts (epoll_wait, poll, select, nanosleep, sem_timedwait, ...) would show the
// program an EINTR it never had without the probe. Their hooks call in a loop:
//
//   do {
//     clear_interruption();
//     result = real().epoll_wait(fd, events, count, timeout_left());
//   } while (result < 0 && errno == EINTR && interrupted_by_us());
inline void clear_interruption() {
  t_lane.interrupted_by_us = false;
}
inline bool interrupted_by_us() {
  return t_lane.interrupted_by_us;
}

}  // namespace camprobe::sampler
