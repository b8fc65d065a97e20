// sampler/control.h
//
// What changes while the program runs: the heap interval by its budget, and whatever a collector writes into the
// control block. There is no thread of ours in a target, so whoever passes a slow path looks at the clock it has read
// anyway and does the step when one is due. Async-signal-safe, lock-free; one thread at a time does a step, the others
// pass by.
//
// A wish in the control block is seen by the first thread that passes any of our doors: a sampled allocation, an I/O or
// waiting call (also with its family off), a sleep, a span, a tick of a CPU timer (ten times a second of CPU time and
// more). Only a process whose threads all stay blocked, or compute less than that, keeps the wish until it works again.
// We do not wake it: a signal from outside would end system calls that nothing of ours calls again.
#pragma once

#include <cstdint>

#include "sampler/heap_sampler.h"
#include "sampler/settings.h"
#include "sampler/thread_lane.h"

namespace camprobe::sampler {

// Puts the settings of a new session into force.
void begin_control(const Settings& settings);

// From every slow path and handler (which has a ring of its own): acts on the control block if it changed, moves the
// heap interval if a step is due.
void control_step(ThreadLane& thread, std::uint64_t now, bool is_in_handler);

// ControlBlock::version that was acted on: what the header's control_seen says, where hooks have it at hand.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint32_t> g_control_seen;

// Whether the control block has a wish that nobody has acted on, or the calling thread's countdown is of an interval
// that no longer holds. A few loads of words that hardly ever change.
inline bool has_news(const ThreadLane& thread) {
  return g_region.control()->version.load(std::memory_order_relaxed) !=
             g_control_seen.load(std::memory_order_relaxed) ||
         thread.heap_draw_seen != g_heap_draw.load(std::memory_order_relaxed);
}

// Acts on it. With the door shut.
[[gnu::noinline, gnu::cold]] void act_on_news(ThreadLane& thread, bool is_in_handler);

// For hooks that pass no door of ours. After the real call; keeps errno.
[[gnu::noinline, gnu::cold]] void look_at_news();
inline void look_at_control() {
  if (__builtin_expect(t_lane.mode == LaneMode::kArmed && t_lane.entered_at == 0 && has_news(t_lane), 0))
    look_at_news();
}

// The same for what is called so often that it asks every half a millisecond only: the control block lies in a page of
// its own, which nothing else on such a path touches. `now`: the time; or when a call began (whichever clock that is).
inline constexpr std::uint64_t kLookEvery = 500'000;
inline void look_at_control_at(ThreadLane& thread, std::uint64_t now) {
  if (__builtin_expect(now - thread.looked_at_ns < kLookEvery, 1)) return;
  thread.looked_at_ns = now;
  look_at_control();
}
inline void look_at_control_at(ThreadLane& thread, const CallStart& began) {
  if (__builtin_expect(began.word() - thread.looked_at_call < kLookEvery, 1)) return;
  thread.looked_at_call = began.word();
  look_at_control();
}

// What holds now, for a session that goes on in the child of a fork.
void keep_what_holds(Settings* settings);

// Nothing is recorded any more, whatever a collector asks for; and back again.
void put_families_out_of_reach();
void put_families_back();

// Time that the probe spent, since `begin`; of it, or not, in the heap's sampled paths.
void note_probe_time(std::uint64_t begin, std::uint64_t end);
void note_heap_time(std::uint64_t begin, std::uint64_t end);

}  // namespace camprobe::sampler
