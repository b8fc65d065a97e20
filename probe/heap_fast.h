// probe/heap_fast.h
//
// What the heap's fast paths ask, and where free()'s leads to, for the malloc family (probe/heap.cc) and the C++
// operators (probe/heap_operators.cc).
#pragma once

#include <cstddef>
#include <cstdint>

#include "sampler/heap_sampler.h"

namespace camprobe::probe {

// Counts an allocation. True: the countdown is spent, this may be a sample.
inline bool count_allocation(std::size_t bytes) {
  shm::Lane* lane = sampler::t_lane.lane;
  lane->heap_allocs += 1;
  return __builtin_expect((lane->heap_countdown -= static_cast<std::int64_t>(bytes)) < 0, 0);
}

inline void count_free() {
  sampler::t_lane.lane->heap_frees += 1;
}

// free() of a block that may have been sampled.
[[gnu::noinline, gnu::cold]] void free_tracked(void* block);

}  // namespace camprobe::probe
