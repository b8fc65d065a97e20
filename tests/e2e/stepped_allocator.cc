// tests/e2e/stepped_allocator.cc
//
// A program whose allocation rate changes in steps, by orders of magnitude, and whose every allocation is known: what
// the probe's budget is held against. The work of a step is a number of rounds, not a time, so that two runs of the
// same arguments do the same and their CPU times may be compared.
//
//   e2e_stepped_allocator ROUNDS BYTES...
//
// One step for each BYTES: ROUNDS rounds, each a stretch of arithmetic (about a millisecond) and so many bytes
// allocated, a quarter each by four functions with sizes of their own, and freed again. For each step it prints
//
//   step BYTES began_ns ended_ns cpu_ns        CLOCK_MONOTONIC; CPU time of the step
//   stack FUNCTION size objects                for each of the four
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

volatile std::uint64_t g_sink;
constexpr int kArithmetic = 800'000;

[[gnu::noinline]] void compute() {
  std::uint64_t x = g_sink | 1;
  for (int i = 0; i < kArithmetic; ++i) x = x * 6364136223846793005u + 1;
  g_sink = x;
}

#define ALLOCATE(name, size)                         \
  [[gnu::noinline]] void name(std::uint64_t count) { \
    for (std::uint64_t i = 0; i < count; ++i) {      \
      void* volatile block = std::malloc(size);      \
      std::free(block);                              \
    }                                                \
    g_sink = g_sink + 1;                             \
  }
ALLOCATE(allocate_64, 64)
ALLOCATE(allocate_1000, 1000)
ALLOCATE(allocate_16000, 16000)
ALLOCATE(allocate_250000, 250000)
#undef ALLOCATE

struct Source {
  const char* name;
  std::uint64_t size;
  void (*allocate)(std::uint64_t count);
};
constexpr Source kSources[] = {{"allocate_64", 64, allocate_64},
                               {"allocate_1000", 1000, allocate_1000},
                               {"allocate_16000", 16000, allocate_16000},
                               {"allocate_250000", 250000, allocate_250000}};
constexpr std::uint64_t kSourceCount = sizeof kSources / sizeof kSources[0];

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

void step(std::uint64_t rounds, std::uint64_t bytes_a_round) {
  std::uint64_t credit[kSourceCount] = {}, objects[kSourceCount] = {};
  const std::uint64_t began = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    compute();
    for (std::uint64_t i = 0; i < kSourceCount; ++i) {
      credit[i] += bytes_a_round / kSourceCount;
      const std::uint64_t count = credit[i] / kSources[i].size;
      credit[i] -= count * kSources[i].size;
      objects[i] += count;
      kSources[i].allocate(count);
    }
  }
  std::printf("step %llu %llu %llu %llu\n", static_cast<unsigned long long>(bytes_a_round),
              static_cast<unsigned long long>(began), static_cast<unsigned long long>(clock_ns(CLOCK_MONOTONIC)),
              static_cast<unsigned long long>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
  for (std::uint64_t i = 0; i < kSourceCount; ++i)
    std::printf("stack %s %llu %llu\n", kSources[i].name, static_cast<unsigned long long>(kSources[i].size),
                static_cast<unsigned long long>(objects[i]));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: e2e_stepped_allocator ROUNDS BYTES...\n");
    return 2;
  }
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);  // no system call a block: the rate is to be the allocator's own
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const std::uint64_t rounds = std::strtoull(argv[1], nullptr, 10);
  for (int i = 2; i < argc; ++i) step(rounds, std::strtoull(argv[i], nullptr, 10));
  return 0;
}
