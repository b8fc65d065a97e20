// tests/probe/target.h: what the parts of probe_target (target.cc) share, and what each of them does.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/probe/truths.h"

namespace camprobe::target {

// What the compiler must not reason away.
inline void* volatile g_sink;
inline void* sink(void* block) {
  g_sink = block;
  return block;
}
inline volatile size_t g_huge = size_t{1} << 46;

using truths::die_by_kill;
using truths::say;
using truths::say_address;
using truths::seconds;

[[gnu::noinline]] inline void burn(double cpu_seconds) {
  const double end = seconds(CLOCK_THREAD_CPUTIME_ID) + cpu_seconds;
  volatile double x = 1;
  while (seconds(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 2000; ++i) x = x * 1.0000001 + 1e-9;
}

// target_heap.cc
void exact(int threads, long count);
void keep(long small, long medium, long large);
void realloc_failing();
void operators();
void new_count(long count);
void cross_thread();
void mappings();
void late_allocations(int threads);
void deep_binding(const char* path);
void churn(double for_seconds);
void libraries(const char* path);

// target_processes.cc
void forks();
void raw_fork();
void vforks(const char* self);
void execs(const char* self, int times);
void interruptions(double for_seconds);
void own_interruption();
void all_signals();
void fork_storm(int forks);
void become_daemon();

}  // namespace camprobe::target
