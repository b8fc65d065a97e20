// sampler/interval.h
//
// How many bytes until the next allocation sample, and what that sample stands for.
//
// Every byte allocated is a trial that succeeds with probability 1/T, so gaps between samples are geometric with mean T
// (exponential, rounded up, for the T >= 64 bytes we allow). An allocation of n bytes is then sampled with probability
// 1 - exp(-n/T), and dividing by it makes each sample an unbiased estimate of all allocations like it
// (Horvitz-Thompson). Weigh each sample first and add afterwards: the mean size of a stack's samples gives a biased
// total.
//
// Gaps have no memory: a gap may be thrown away and drawn again at any moment that does not depend on what is about to
// be allocated. That is how an interval changes while the program runs, and what happens to a postponed sample.
//
// Async-signal-safe and allocation-free: runs inside malloc and in signal handlers. No libm: log() is our own.
#pragma once

#include <cstdint>

#include "shm/setting_text.h"

namespace camprobe::sampler {

// Mean distance between samples, in bytes. Zero turns sampling off.
struct SampleInterval {
  std::uint64_t bytes;
};

inline constexpr SampleInterval kSmallestInterval{shm::kSmallestHeapInterval};
inline constexpr SampleInterval kLargestInterval{shm::kLargestHeapInterval};

// Draws gaps for one thread. Owned by exactly one thread; not shared, so nothing here is atomic.
class IntervalGenerator {
 public:
  constexpr IntervalGenerator() = default;
  explicit IntervalGenerator(std::uint64_t seed);

  // Bytes until the next sample, at least 1. `interval.bytes` must not be zero.
  std::int64_t next_gap(SampleInterval interval);

  // 64 random bits.
  std::uint64_t next_bits();

 private:
  std::uint64_t state_ = 1;  // xorshift64*, never zero
};

// Natural logarithm of (bits + 1) / 2^53 for bits in [0, 2^53): at most 0, never infinite. Error below 1e-9.
double log_of_uniform(std::uint64_t bits);

}  // namespace camprobe::sampler
