// bench/threads_bench.cc
//
// A program with threads, for what the probe does with many of them:
//
//   threads_bench busy THREADS SECONDS   each spins for SECONDS of its own CPU time; prints all their CPU time in
//                                        nanoseconds, as the kernel counts it
//   threads_bench memory THREADS         each allocates, writes to a pipe and burns two ticks of CPU; when all have,
//   prints
//                                        what the process holds in KiB: private dirty memory without the region, the
//                                        region; then waits for stdin to end
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "bench/timing.h"

namespace {

double own_cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void spin(double ns) {
  for (volatile unsigned turns = 0; own_cpu_ns() < ns;)
    for (unsigned i = 0; i < 10'000; ++i) turns = turns + 1;
}

void print_memory() {
  FILE* maps = fopen("/proc/self/smaps", "r");
  if (maps == nullptr) exit(1);
  char line[1024];
  bool is_region = false;
  long own = 0, region = 0, kib;
  while (fgets(line, sizeof line, maps) != nullptr) {
    unsigned long low, high;
    if (sscanf(line, "%lx-%lx ", &low, &high) == 2) is_region = strstr(line, "/dev/shm/camprobe.") != nullptr;
    if (is_region && sscanf(line, "Rss: %ld kB", &kib) == 1) region += kib;
    if (!is_region && sscanf(line, "Private_Dirty: %ld kB", &kib) == 1) own += kib;
  }
  fclose(maps);
  printf("%ld %ld\n", own, region);
  fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const int threads = atoi(arguments[2]);
  std::vector<std::thread> crew;
  if (strcmp(arguments[1], "busy") == 0) {
    const double ns = (count > 3 ? atof(arguments[3]) : 1) * 1e9;
    std::vector<double> used(static_cast<size_t>(threads));
    for (int t = 0; t < threads; ++t)
      crew.emplace_back([&, t] {
        spin(ns);
        used[static_cast<size_t>(t)] = own_cpu_ns();
      });
    for (auto& thread : crew) thread.join();
    double sum = 0;
    for (const double ns_of_one : used) sum += ns_of_one;
    printf("%.0f\n", sum);
    return 0;
  }
  int ends[2];
  if (pipe(ends) != 0) return 1;
  std::latch done(threads), leave(1);
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&] {
      for (int i = 0; i < 100; ++i) free(malloc(static_cast<size_t>(64 + i)));
      char byte = 1;
      if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) abort();
      spin(25e6);
      done.count_down();
      leave.wait();
    });
  done.wait();
  print_memory();
  while (getchar() != EOF) {
  }
  leave.count_down();
  for (auto& thread : crew) thread.join();
}
