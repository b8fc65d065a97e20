// sampler/heap_sampler.h
//
// The heap's slow paths: what happens when a thread's countdown is spent, and when a block is freed that may have been
// sampled. The fast paths stand in probe/heap.cc.
//
// How free() learns that a pointer was sampled: one byte for each 256 bytes of address (modulo 256 MiB) counts the
// sampled blocks that begin there. Zero, nearly always: the block was not sampled. Else a finer filter is asked, of a
// byte for each 64 bytes, and then the exact table (shm/live_table.h). The coarse one is what a program touches that
// frees a lot: a cache line of it stands for 16 KiB of heap, a page for 1 MiB, and a program that frees a lot is
// sampled sparsely. No pointer is altered, no block gets a header. Counters that reached 255 stay there for ever: a
// false "maybe" costs one look-up, a false "no" a sample that never dies. What keys and sizes cost and spare is
// measured in docs/cost.md.
//
// Alternatives that were left: a bit in the pointer (alters it), a header before sampled blocks (alters layout, breaks
// realloc and aligned frees of pointers from before), an address hash with tombstones (rots: peers went from 2.8 to 66
// ns a free after half a million samples).
//
// Everything here is async-signal-safe, lock-free, and keeps errno.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sampler/thread_lane.h"

namespace camprobe::sampler {

inline constexpr std::uint8_t kSaturated = 255;

// `kBytes` counters, one for each 2^kShift bytes of address.
template <unsigned kShift, std::size_t kBytes>
struct SampledFilter {
  std::uint8_t count[kBytes];

  static std::size_t slot(const void* block) {
    return (reinterpret_cast<std::uintptr_t>(block) >> kShift) & (kBytes - 1);
  }
  bool may_hold(const void* block) const { return count[slot(block)] != 0; }
};
using SampledAreas = SampledFilter<8, std::size_t{1} << 20>;
using SampledSpots = SampledFilter<6, std::size_t{1} << 21>;

// Read by free()'s fast path. The first byte is saturated, so that free(NULL) leaves the fast path without a test of
// its own.
[[gnu::visibility("hidden")]] extern constinit SampledAreas g_sampled_areas;

inline bool may_be_sampled(const void* block) {
  return g_sampled_areas.may_hold(block);
}

// From now on every block in [begin, begin + bytes) takes the slow path, to its end.
void always_ask_about(const void* begin, std::size_t bytes);
// Forgets all but what always_ask_about() was told: in the child of a fork.
void clear_sampled_filter();

// ------------------------------------------------------------------------------------------------ allocating

// The interval that new countdowns are drawn with; 0: off. And a number that changes with it.
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint64_t> g_heap_interval;
[[gnu::visibility("hidden")]] extern constinit std::atomic<std::uint32_t> g_heap_draw;

// Sets the thread's countdown anew. May be called at any time that does not depend on what will be allocated.
void draw_countdown(ThreadLane& thread);

// The calling thread's countdown went below zero with an allocation of `bytes`. Returns the interval with which this
// allocation was sampled, or 0: not sampled. The countdown is drawn again either way.
std::uint64_t take_turn(std::size_t bytes);

// The sampled allocation gave `block` (nullptr: it failed, nothing happens).
void track_block(void* block, std::size_t bytes, std::uint64_t interval, void* hook_frame);

// ------------------------------------------------------------------------------------------------ freeing

// Before the block's real free: afterwards its address may be somebody else's.
void forget_block(void* block);

// realloc(): what the block's sample is, before the call; then, if the call succeeded, that sample's end.
bool peek_block(void* block, shm::LiveSample* sample);
void forget_sample(void* block, const shm::LiveSample& sample);

}  // namespace camprobe::sampler
