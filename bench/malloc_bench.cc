// bench/malloc_bench.cc
//
// Nanoseconds for a malloc and a free, hot: `malloc_bench THREADS SECONDS [SAMPLES [HEAP_MIB]]`. Each thread keeps
// 1,024 blocks of 16 to 512 bytes and replaces them at random.
//
// SAMPLES: so many blocks are allocated and freed first with 500 alive at a time, untimed. Under the probe at an
// interval of 64 bytes each is a sample: what its tables are like after a long life.
// HEAP_MIB: so much is allocated first in blocks of the same sizes and kept, and the 1,024 blocks are taken from among
// it. Under the probe at an interval of 8 KiB a part of them are live samples: what a large heap costs.
// After either the probe's interval is set to 512 KiB, at which the pairs are timed.
//
// Prints "ready LIVE TAKEN" (live samples, samples ever taken), then, for each line on stdin, measures for SECONDS and
// prints the CPU time of a pair. So one aged process serves many rounds.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <thread>
#include <vector>

#include "bench/own_region.h"
#include "bench/timing.h"

namespace {

using camprobe::bench::OwnRegion;
using camprobe::bench::quiet_ns;

constexpr int kHot = 1024;
constexpr int kAliveWhileAging = 500;
constexpr long kSlice = 20'000;
constexpr uint64_t kTimedInterval = 512 << 10;

// Kept out of line, so that the compiler sees neither a pair nor its uselessness.
[[gnu::noinline]] void replace(void*& slot, size_t bytes) {
  free(slot);
  slot = malloc(bytes);
  *static_cast<volatile char*>(slot) = 1;
}

struct Worker {
  void* hot[kHot] = {};
  std::vector<void*> kept;
  uint64_t random = 88172645463325252ull;

  uint64_t next() {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  }
  static size_t size_of(uint64_t bits) { return 16 + (bits >> 32) % 497; }

  void pairs(long count) {
    for (long i = 0; i < count; ++i) {
      const uint64_t bits = next();
      replace(hot[bits % kHot], size_of(bits));
    }
  }

  void age(long samples) {
    void* alive[kAliveWhileAging] = {};
    for (long i = 0; i < samples; ++i) replace(alive[i % kAliveWhileAging], 512 + next() % 512);
    for (void* block : alive) free(block);
  }

  void grow(uint64_t bytes) {
    for (uint64_t asked = 0; asked < bytes;) {
      const size_t size = size_of(next());
      kept.push_back(malloc(size));
      *static_cast<volatile char*>(kept.back()) = 1;
      asked += size;
    }
    for (void*& block : hot) {
      void*& from = kept[next() % kept.size()];
      block = from;
      from = nullptr;
    }
  }
};

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? atoi(arguments[1]) : 1;
  const double seconds = count > 2 ? atof(arguments[2]) : 0.5;
  const long samples = count > 3 ? atol(arguments[3]) : 0;
  const uint64_t heap = (count > 4 ? static_cast<uint64_t>(atol(arguments[4])) : 0) << 20;
  std::vector<Worker> workers(static_cast<size_t>(threads));
  const auto on_all = [&](auto work) {
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t) crew.emplace_back([&, t] { work(workers[static_cast<size_t>(t)], t); });
    for (auto& thread : crew) thread.join();
  };
  on_all([&](Worker& worker, int t) {
    worker.random += static_cast<uint64_t>(t) * 0x9e3779b97f4a7c15ull;
    if (samples > 0) worker.age(samples / threads);
    if (heap > 0) worker.grow(heap / static_cast<uint64_t>(threads));
  });
  OwnRegion region;
  if (region && (samples > 0 || heap > 0))
    region.set_heap_interval(kTimedInterval, [] {
      void* block = nullptr;
      replace(block, 4096);
      free(block);
    });
  on_all([&](Worker& worker, int) { worker.pairs(200'000); });
  printf("ready %llu %llu\n", region ? static_cast<unsigned long long>(region.header().live_samples.load()) : 0ull,
         region ? static_cast<unsigned long long>(region.header().samples_taken.load()) : 0ull);
  fflush(stdout);

  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    std::vector<double> results(static_cast<size_t>(threads));
    on_all([&](Worker& worker, int t) {
      results[static_cast<size_t>(t)] = quiet_ns(seconds, kSlice, [&](long pairs) { worker.pairs(pairs); });
    });
    double sum = 0;
    for (const double result : results) sum += result;
    printf("%.3f\n", sum / threads);
    fflush(stdout);
  }
}
