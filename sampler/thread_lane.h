// sampler/thread_lane.h
//
// What the probe knows about the calling thread, in thread-local storage, and the door through which every hook and every
// handler goes before it records anything.
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

#include "sampler/interval.h"
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
  kEnded,     // its last destructors run
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
  shm::Lane* lane;            // never null
  LaneMode mode;
  bool interrupted_by_us;     // our timer ended a system call with EINTR; whoever retries it clears this first
  bool has_timer;
  bool is_thread_end_hooked;  // the key destructor will release the lane
  std::uint32_t tid;
  std::int32_t index;         // of the lane; -1: none
  std::uint32_t settings_seen;
  std::uintptr_t entered_at;  // frame that holds the probe's door shut; 0: open
  std::uint64_t heap_interval;  // in force for the countdown; 0: off
  IntervalGenerator random;
  shm::RingWriter ring;
  shm::RingWriter signal_ring;
  std::uintptr_t stack_low, stack_high;  // its own stack; 0: unknown
  std::int32_t timer;         // kernel's timer id
  std::uint32_t vfork_depth;
  std::uint64_t vfork_return[4];  // return addresses of open vfork() calls: the child ruins the stack slot
  shm::Lane* lane_before;     // while detached: where to go back to
  LaneMode mode_before;
  StrayCounts stray;
};

extern constinit thread_local ThreadLane t_lane;

// ---------------------------------------------------------------------------------------------------- process-wide

// The process's region. Unmapped (is_mapped() false) when the probe is off; then no thread is ever armed.
shm::Region& region();

// CLOCK_MONOTONIC: the vDSO's, some 20 ns.
inline std::uint64_t now_ns() { return shm::monotonic_ns(); }

// Families that are on now; changes with the control block.
extern constinit std::atomic<std::uint32_t> g_families;
inline bool enabled(Family family) {
  return (g_families.load(std::memory_order_relaxed) & static_cast<std::uint32_t>(family)) != 0;
}

// ---------------------------------------------------------------------------------------------------- the door

// Arms the calling thread if that can be done; nullptr when the probe is off, the thread must not write (fork, vfork
// child, ended), has no lane, or is inside the probe already.
ThreadLane* this_thread_slow();

// The calling thread, ready to record; nullptr otherwise (see above). Does not shut the door: for hooks that only add to
// counters of their own lane. Reading what it gives costs two loads.
inline ThreadLane* this_thread() {
  ThreadLane& thread = t_lane;
  if (__builtin_expect(thread.mode == LaneMode::kArmed && thread.entered_at == 0, 1)) return &thread;
  return this_thread_slow();
}

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

// Shuts the door: what the probe does meanwhile on this thread, and what a signal handler of the program does to hooks,
// is not recorded (counted as Loss::kReentrant). Keeps errno. Every slow path begins with one:
//
//   ProbeScope scope;
//   if (!scope) return;
//   write_record(*scope, RecordKind::kOpen, capture_above(*scope, __builtin_dwarf_cfa()), payload);
class ProbeScope {
 public:
  ProbeScope();
  ProbeScope(const ProbeScope&) = delete;
  ProbeScope& operator=(const ProbeScope&) = delete;
  ~ProbeScope();
  explicit operator bool() const { return thread_ != nullptr; }
  ThreadLane& operator*() const { return *thread_; }
  ThreadLane* operator->() const { return thread_; }

 private:
  ErrnoSaver errno_;
  ThreadLane* thread_;
};

// The stack of the caller of the interposed function. `hook_frame` is __builtin_dwarf_cfa() in that function (or in the
// slow path it ends in a tail call to). Only with the door shut, or in our own signal handler. 0: depot full.
StackId capture_above(ThreadLane& thread, void* hook_frame);

// The innermost open span of the thread.
inline SpanId current_span(const ThreadLane& thread) { return thread.lane->current_span.load(std::memory_order_relaxed); }

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
inline void clear_interruption() { t_lane.interrupted_by_us = false; }
inline bool interrupted_by_us() { return t_lane.interrupted_by_us; }

}  // namespace camprobe::sampler
