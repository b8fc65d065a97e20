// sampler/cpu_sampler.h
//
// CPU samples: one kernel timer a thread on its own CPU clock, a signal to that very thread, and a handler that walks
// the interrupted stack. A tick that was late stands for several periods (overruns), so weights always add up to the
// CPU time.
//
// The signal is the highest real-time signal that has its default action. High, because the kernel delivers pending
// signals lowest first: then any handler of the program lies below ours, and a handler that finds itself directly on
// top of a system call that ends with EINTR knows that nobody else wanted that (see "EINTR" in sampler/thread_lane.h).
// A program that wants the same signal gets it: we give way.
//
// Timers belong to the process that made them; the child of a fork makes its own.
#pragma once

#include <cstdint>

#include "sampler/thread_lane.h"

namespace camprobe::sampler {

// Start-up: chooses the signal and installs the handler, also for a rate of 0: another may be asked for later. False:
// no signal is free, or the kernel has no such timers.
bool start_cpu_sampling(std::uint64_t hz);
// In the child of a fork: the parent's timers are not ours.
void forget_timers();

// The calling thread's timer (nothing where CPU sampling is off, or the thread has one).
void start_thread_timer(const ThreadLane& thread);
void stop_thread_timer(std::int32_t lane);

// Threads that exist already, other than the caller (found in /proc/self/task).
void start_timers_of_other_threads();

// Another rate for all threads; 0: no samples, but the timers go on slowly, so that the control block is seen. Gives
// the rate that holds now: 0 where there is no signal for it.
std::uint64_t set_cpu_rate(std::uint64_t hz);

// The signal in use; 0: none.
int cpu_signal();
// What the program has set for it, which counts when somebody else sends it: ignored, or else its default.
void ignore_signal(bool is_ignored);
bool signal_is_ignored();
// No tick comes from here on, until it is resumed: handlers could not return (sampler/seccomp.h).
void pause_cpu_sampling();
void resume_cpu_sampling();
// The program installs a handler for our signal: stops sampling for good and says so in the region.
void give_signal_away();

}  // namespace camprobe::sampler
