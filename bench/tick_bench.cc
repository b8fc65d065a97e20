// bench/tick_bench.cc
//
// What a CPU sample takes from the thread that it interrupts, under 30 frames: `tick_bench SECONDS HZ`. The thread
// reads the time stamp counter without a pause; a gap is an interruption. Prints, for each line on stdin, one line of
// nanoseconds: median of the gaps in which a handler ran; median, 99.9th percentile of the handler alone; and how many
// there were.
//
// Under the probe the handler is the probe's, and its own time is read from its region, which each tick adds to.
// Without it the program makes the same kind of timer with a handler that does nothing: what the kernel takes to
// deliver a signal, which no sampler in the process can save.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/own_region.h"
#include "bench/timing.h"

#if defined(__x86_64__)
#include <x86intrin.h>
static inline unsigned long long cycles() {
  return __rdtsc();
}
#else
static inline unsigned long long cycles() {
  unsigned long long value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
}
#endif

namespace {

using camprobe::bench::now_ns;
using camprobe::bench::quantile;

camprobe::bench::OwnRegion* g_region;
volatile uint64_t g_handled = 0;
double g_seconds, g_ns_per_cycle;
std::vector<double> g_gaps, g_handlers;

void handle(int, siginfo_t*, void*) {
  g_handled = g_handled + 1;
}

// A number that changes whenever a handler ran: nanoseconds of the probe's, or calls of our own.
uint64_t marker() {
  return *g_region ? g_region->header().probe_ns.load(std::memory_order_relaxed) : g_handled;
}

[[gnu::noinline]] void spin() {
  constexpr unsigned long long kGap = 500;
  const double end = now_ns() + g_seconds * 1e9;
  uint64_t seen = marker();
  for (unsigned long long rounds = 0, before = cycles();; ++rounds) {
    const unsigned long long now = cycles();
    if (now - before > kGap) {
      const uint64_t marked = marker();
      if (marked != seen) {
        g_gaps.push_back(static_cast<double>(now - before) * g_ns_per_cycle);
        g_handlers.push_back(static_cast<double>(marked - seen));
        seen = marked;
      }
      if (now_ns() > end) return;
      before = cycles();
    } else {
      before = now;
      if (rounds % 4096 == 0 && now_ns() > end) return;
      if (rounds % 4096 == 0) before = cycles();
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  g_seconds = count > 1 ? atof(arguments[1]) : 1;
  const long hz = count > 2 ? atol(arguments[2]) : 1000;
  static camprobe::bench::OwnRegion region;
  g_region = &region;
  const double began = now_ns();
  const unsigned long long cycles_began = cycles();
  while (now_ns() < began + 2e7) {
  }
  g_ns_per_cycle = (now_ns() - began) / static_cast<double>(cycles() - cycles_began);
  g_gaps.reserve(1'000'000);
  g_handlers.reserve(1'000'000);
  if (!region) {
    struct sigaction action = {};
    action.sa_sigaction = handle;
    sigfillset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGRTMAX, &action, nullptr);
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMAX;
    timer_t timer;
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) return 1;
    const itimerspec setting = {{0, 1'000'000'000 / hz}, {0, 1'000'000'000 / hz}};
    timer_settime(timer, 0, &setting, nullptr);
  }
  puts("ready");
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    g_gaps.clear();
    g_handlers.clear();
    camprobe::bench::under<0, 26>(spin);
    printf("%.1f %.1f %.1f %zu\n", quantile(g_gaps, 0.5), quantile(g_handlers, 0.5), quantile(g_handlers, 0.999),
           g_gaps.size());
    fflush(stdout);
  }
}
