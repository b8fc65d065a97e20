// sampler/allocator_watch.h
//
// When the allocator may be asked what it holds, and where its answer goes.
//
// Every allocator's own figures are behind its own locks (glibc's mallinfo2() takes each arena's, tcmalloc's the page
// heap's, jemalloc's its control mutex), and some walk lists that a malloc() in progress leaves half linked. So the
// thread that asks must not be inside the allocator, nor have anybody on its stack who is. That cannot be known from a
// flag: a handler of the program may have interrupted malloc() anywhere, and poll() and write(), which have hooks of
// ours, may be called in handlers. It is read off the stack instead, which is walked to its root. Nobody is asked
// unless
//
//   - the thread is in normal code (never our signal handler), on its own stack (no coroutine, no sigaltstack) with
//   room,
//   - the walk reached the root and passed no frame of a signal handler,
//   - no frame is the allocator's, where that is an object of its own (tcmalloc's hooks and jemalloc's call back with
//     locks held; glibc's malloc calls nothing that could lead here),
//   - no frame is fork()'s, where atfork handlers run between an allocator's own, which take and free all of its locks,
//     nor ours but the innermost and the one that a thread begins with,
//   - the thread is not ending, and the process is no copy made behind the C library's back (_Fork(), a raw clone()):
//     there locks stay as threads that are not in it left them. fork()'s children have them fresh.
//
// What is left is locks of others that the thread may hold (the loader's, stdio's, the program's own). All of those
// come before the allocator's in the program's order too, for whoever holds them allocates. While the allocator
// answers, all signals are blocked: a handler that left by siglongjmp(), or a cancellation, would leave its locks held.
//
// Asked by whoever passes a slow path when an answer is due, or is about to wait: at most once a second and never for
// more than a two-thousandth of the time. glibc walks every free block with its arena locked, so an answer that took a
// millisecond of CPU time is followed by ten thousand times as long without one, and one that took fifty was the last.
// The time counts as the probe's own.
//
// Tried, or thought through, and left: asking in a thread of our own (programs see it: unshare(), setns(), their own
// count of threads); a signal to a thread (handlers may not ask); process_vm_readv() by the collector (free bytes of
// glibc are in lists that change while they are copied, at offsets that only debug information knows); asking right
// after any malloc() that returned (a handler that interrupted malloc() may be lucky with the thread's cache, which
// takes no lock, where we would not be).
#pragma once

#include <atomic>
#include <cstdint>

#include "sampler/thread_lane.h"

namespace camprobe::sampler {

// Where a loaded object, or a function, lies.
struct ObjectBounds {
  std::uintptr_t low = 0, high = 0;
  bool holds(std::uintptr_t at) const { return at >= low && at < high; }
};

// Asks the allocator; false: it did not answer.
using AskAllocator = bool (*)(shm::AllocatorFigures* figures);

// Start-up. `allocator`: empty where it is libc. `own`: libcamprobe.so. `fork`: libc's function.
void watch_allocator(shm::AllocatorKind kind, AskAllocator ask, ObjectBounds allocator, ObjectBounds own,
                     ObjectBounds fork);

// A new region of this process: nothing is in it yet.
void begin_allocator_watch();
// From now on the allocator's locks may be held by nobody that exists: in a copy of the process that fork() did not
// make. Stays so in its children.
void never_ask_allocator_again();

// When the next answer is due, on the clock. And when whoever waits looks whether one is, if the heap has changed since
// the last: a CallStart's word, which grows by one a nanosecond or more, less the bit that says what it is; so one may
// look too early, and looks at the clock then.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint64_t> g_allocator_due, g_allocator_look;
inline std::uint64_t allocator_look_of(const CallStart& start) {
  return start.word() << 1;
}

// With the door shut, never in a signal handler.
[[gnu::noinline, gnu::cold]] void ask_allocator(ThreadLane& thread, std::uint64_t now);
inline void ask_allocator_if_due(ThreadLane& thread, std::uint64_t now) {
  if (__builtin_expect(now >= g_allocator_due.load(std::memory_order_relaxed), 0)) ask_allocator(thread, now);
}

// With the door open, by hooks of calls that wait: what a burst of work has left is to be known before the thread
// idles. Keeps errno.
[[gnu::noinline, gnu::cold]] void ask_allocator_before_waiting();
inline void look_at_allocator(const CallStart& start) {
  if (__builtin_expect(allocator_look_of(start) >= g_allocator_look.load(std::memory_order_relaxed), 0) &&
      t_lane.mode == LaneMode::kArmed && t_lane.entered_at == 0)
    ask_allocator_before_waiting();
}

}  // namespace camprobe::sampler
