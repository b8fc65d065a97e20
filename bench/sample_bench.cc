// bench/sample_bench.cc
//
// How long single allocations and frees take from under 30 frames, one by one: `sample_bench SECONDS`; run it with the
// probe at CAMPROBE_HEAP_INTERVAL=64, where every block is a sample. For each line on stdin prints one line of
// nanoseconds: malloc median and 99.9th percentile, free median and 99.9th percentile, what the clock itself takes. And
// once, after "ready": the median of first samples from 16 stacks of which no frame was met before, and the process's
// first.
#include <stdio.h>
#include <stdlib.h>

#include <array>
#include <utility>

#include "bench/timing.h"

namespace {

using camprobe::bench::now_ns;
using camprobe::bench::quantile;
using camprobe::bench::under;

constexpr int kDepth = 26;  // and main, the C library's two, and the leaf: 30
constexpr int kSites = 16;
constexpr int kAlive = 512;
constexpr size_t kBytes = 1024;

void* g_alive[kAlive] = {};
int g_next = 0;
double g_malloc_ns, g_free_ns;

[[gnu::noinline]] void pair() {
  void*& slot = g_alive[g_next++ % kAlive];
  const double began = now_ns();
  free(slot);
  const double between = now_ns();
  slot = malloc(kBytes);
  g_malloc_ns = now_ns() - between;
  g_free_ns = between - began;
}

using From = void (*)(void (*)());
template <int... Sites>
constexpr std::array<From, sizeof...(Sites)> sites(std::integer_sequence<int, Sites...>) {
  return {under<Sites, kDepth>...};
}
constexpr auto kFrom = sites(std::make_integer_sequence<int, kSites>());

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? atof(arguments[1]) : 0.3;
  std::vector<double> first, mallocs, frees, clocks;
  first.reserve(kSites);
  mallocs.reserve(1'000'000);
  frees.reserve(1'000'000);
  clocks.reserve(10'000);
  for (const From from : kFrom) {
    from(pair);
    first.push_back(g_malloc_ns);
  }
  printf("ready %.0f %.0f\n", quantile(first, 0.5), first[0]);
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    mallocs.clear();
    frees.clear();
    clocks.clear();
    for (int i = 0; i < 4 * kAlive; ++i) kFrom[static_cast<size_t>(i % kSites)](pair);
    const double end = now_ns() + seconds * 1e9;
    for (size_t i = 0; now_ns() < end && mallocs.size() < 1'000'000; ++i) {
      kFrom[i % kSites](pair);
      mallocs.push_back(g_malloc_ns);
      frees.push_back(g_free_ns);
    }
    for (int i = 0; i < 10'000; ++i) {
      const double began = now_ns();
      clocks.push_back(now_ns() - began);
    }
    printf("%.1f %.1f %.1f %.1f %.1f\n", quantile(mallocs, 0.5), quantile(mallocs, 0.999), quantile(frees, 0.5),
           quantile(frees, 0.999), quantile(clocks, 0.5));
    fflush(stdout);
  }
}
