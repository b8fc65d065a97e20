// bench/unwind_bench.cc
//
// Nanoseconds per stack walk, ours and libunwind's, at several depths: medians over rounds that are interleaved, so
// that a busy machine slows all of them alike. Usage: unwind_bench [rounds]
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "sampler/unwind.h"

namespace {

using camprobe::sampler::StackBounds;
using camprobe::sampler::Walk;

constexpr unsigned kWalks = 200;
constexpr std::uint32_t kMostFrames = 256;

StackBounds bounds;
std::uint32_t frames;
std::uintptr_t out[kMostFrames];

double now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void warm() {
  frames = camprobe::sampler::walk_here(out, kMostFrames, bounds, 0).depth;
}

void unknown_bounds() {
  camprobe::sampler::walk_here(out, kMostFrames, {0, 0}, 0);
}

void cold() {
  camprobe::sampler::module_closing_begin();
  camprobe::sampler::module_closing_end();  // forget every rule
  camprobe::sampler::walk_here(out, kMostFrames, bounds, 0);
}

void libunwind_trace() {
  unw_backtrace(reinterpret_cast<void**>(out), kMostFrames);
}

// Runs `walk` from under `depth` frames that keep no frame pointer and save registers, as compiled C++ does.
[[gnu::noinline]] double under(unsigned depth, void (*walk)()) {
  asm volatile("" : : : "rbx", "r12", "r13");
  double took;
  if (depth == 0) {
    walk();
    const double begin = now_ns();
    for (unsigned i = 0; i < kWalks; ++i) walk();
    took = (now_ns() - begin) / kWalks;
  } else {
    took = under(depth - 1, walk);
  }
  asm volatile("" : : : "memory");
  return took;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 41;
  camprobe::sampler::start_unwinding();
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  bounds = {reinterpret_cast<std::uintptr_t>(low), reinterpret_cast<std::uintptr_t>(low) + size};

  struct Way {
    const char* name;
    void (*walk)();
  };
  const Way ways[] = {
      {"warm", warm}, {"unknown bounds", unknown_bounds}, {"cold", cold}, {"libunwind", libunwind_trace}};
  std::printf("%8s %16s %16s %16s %16s   ns per walk, median of %d rounds\n", "frames", ways[0].name, ways[1].name,
              ways[2].name, ways[3].name, rounds);
  for (unsigned depth : {5u, 25u, 100u}) {
    std::vector<double> took[4];
    for (int round = 0; round < rounds; ++round) {
      for (int way = 0; way < 4; ++way) took[way].push_back(under(depth, ways[way].walk));
    }
    std::printf("%8u", frames);
    for (const auto& times : took) std::printf(" %16.0f", median(times));
    std::printf("\n");
  }
}
