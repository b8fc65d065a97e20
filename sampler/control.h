// sampler/control.h
//
// What changes while the program runs: the heap interval by its budget, and whatever a collector writes into the
// control block. There is no thread of ours in a target, so whoever passes a slow path looks at the clock it has read
// anyway and does the step when one is due. Async-signal-safe, lock-free; one thread at a time does a step, the others
// pass by.
#pragma once

#include <cstdint>

#include "sampler/settings.h"
#include "sampler/thread_lane.h"

namespace camprobe::sampler {

// Puts the settings of a new session into force.
void begin_control(const Settings& settings);

// From every slow path and handler (which has a ring of its own): acts on the control block if it changed, moves the
// heap interval if a step is due.
void control_step(ThreadLane& thread, std::uint64_t now, bool is_in_handler);

// Nothing is recorded any more, whatever a collector asks for; and back again.
void put_families_out_of_reach();
void put_families_back();

// Time that the probe spent, since `begin`; of it, or not, in the heap's sampled paths.
void note_probe_time(std::uint64_t begin, std::uint64_t end);
void note_heap_time(std::uint64_t begin, std::uint64_t end);

}  // namespace camprobe::sampler
