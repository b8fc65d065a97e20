// bench/malloc_bench.cc
//
// Nanoseconds for a malloc and a free, hot: `malloc_bench THREADS SECONDS [AGE]`. Each thread keeps 1,024 blocks of 16
// to 512 bytes and replaces them at random. AGE: so many millions of pairs first, untimed, to see whether the probe's
// tables rot. Prints the median over slices of 20 ms, which does not see the scheduler, in nanoseconds of wall time a
// pair.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace {

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

constexpr int kLive = 1024;

struct Worker {
  void* live[kLive] = {};
  uint64_t random = 88172645463325252ull;

  // Kept out of line, so that the compiler sees neither the pair nor its uselessness.
  [[gnu::noinline]] void pairs(long count) {
    for (long i = 0; i < count; ++i) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      void*& slot = live[random % kLive];
      free(slot);
      slot = malloc(16 + (random >> 32) % 497);
      *static_cast<volatile char*>(slot) = 1;
    }
  }

  double median_ns(double seconds) {
    constexpr long kSlice = 100'000;
    std::vector<double> slices;
    for (double end = now() + seconds; now() < end;) {
      const double began = now();
      pairs(kSlice);
      slices.push_back((now() - began) / kSlice * 1e9);
    }
    std::nth_element(slices.begin(), slices.begin() + static_cast<long>(slices.size() / 2), slices.end());
    return slices[slices.size() / 2];
  }
};

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? atoi(arguments[1]) : 1;
  const double seconds = count > 2 ? atof(arguments[2]) : 0.5;
  const long age = count > 3 ? atol(arguments[3]) * 1'000'000 : 0;
  std::vector<double> results(static_cast<size_t>(threads));
  std::vector<std::thread> crew;
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      static thread_local Worker worker;
      worker.random += static_cast<uint64_t>(t) * 0x9e3779b97f4a7c15ull;
      worker.pairs(200'000 + age);
      results[static_cast<size_t>(t)] = worker.median_ns(seconds);
    });
  for (auto& thread : crew) thread.join();
  double sum = 0;
  for (const double result : results) sum += result;
  printf("%.3f\n", sum / threads);
}
