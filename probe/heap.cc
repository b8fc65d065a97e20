// probe/heap.cc
//
// The malloc family. Each hook counts exactly (allocations, frees, bytes: one thread's lane, no atomics), and asks
// whether this is the sampled one; if not, which is nearly always, it jumps to the real function. No lock, no system
// call, no clock, no call: tests/probe/fast_path_test counts the instructions of malloc() and free() in the built
// library.
//
// Each hook stands next to its slow twin, `..._sampled` or `..._tracked`, which it reaches by a jump too, so that the
// caller of the slow twin is the program.
//
// Counters count calls: an allocation that fails is counted (it is as rare as it is interesting), free(NULL) is not,
// realloc() is a free and an allocation, and only an allocation where it fails (but for one of less than 16 MiB that
// finds no memory: the fast path is gone by then). malloc(0) is counted but cannot be sampled: it asks for no byte.
#include <errno.h>

#include "probe/bootstrap.h"
#include "probe/heap_fast.h"
#include "probe/real.h"
#include "sampler/heap_sampler.h"

namespace camprobe::probe {
namespace {

using sampler::t_lane;

// The slow twin of every hook that returns a block: `Real` is its member of RealFunctions, `bytes` what it asks for.
template <auto Real, typename... Args>
[[gnu::noinline, gnu::cold]] void* allocate_sampled(std::size_t bytes, Args... args) {
  void* caller = __builtin_dwarf_cfa();
  const std::uint64_t interval = sampler::take_turn(bytes);
  void* block = (g_real.*Real)(args...);
  if (interval != 0) sampler::track_block(block, bytes, interval, caller);
  return block;
}

[[gnu::noinline, gnu::cold]] int posix_memalign_sampled(void** out, std::size_t alignment, std::size_t bytes) {
  void* caller = __builtin_dwarf_cfa();
  const std::uint64_t interval = sampler::take_turn(bytes);
  const int result = g_real.posix_memalign(out, alignment, bytes);
  if (interval != 0 && result == 0) sampler::track_block(*out, bytes, interval, caller);
  return result;
}

// realloc() in every case but the plain one. The old block's sample is looked at first and ends only when the call has
// succeeded: a realloc() that fails leaves its block alive. By then its address may be another thread's new block, so
// the sample is taken out by its own number.
[[gnu::noinline, gnu::cold]] void* reallocate_tracked(void* block, std::size_t bytes, void* caller) {
  shm::Lane* lane = t_lane.lane;
  if (is_bootstrap(block)) {
    void* fresh = ::malloc(bytes);
    const std::size_t old = bootstrap_size(block);
    if (fresh != nullptr) __builtin_memcpy(fresh, block, old < bytes ? old : bytes);
    return fresh;
  }
  const bool is_free = block != nullptr && bytes == 0;  // glibc frees and returns NULL; others return a tiny block
  std::uint64_t interval = 0;
  if (!is_free) {
    lane->heap_allocs += 1;
    lane->heap_countdown -= static_cast<std::int64_t>(bytes);
    if (lane->heap_countdown < 0) interval = sampler::take_turn(bytes);
  }
  shm::LiveSample sample;
  const bool was_sampled = block != nullptr && sampler::peek_block(block, &sample);
  void* fresh = g_real.realloc(block, bytes);
  const bool has_moved_on = fresh != nullptr || is_free;
  if (block != nullptr && has_moved_on) count_free();
  if (is_free && fresh != nullptr) t_lane.lane->heap_allocs += 1;
  if (was_sampled && has_moved_on) sampler::forget_sample(block, sample);
  if (interval != 0) sampler::track_block(fresh, bytes, interval, caller);
  return fresh;
}

[[gnu::noinline, gnu::cold]] void* realloc_tracked(void* block, std::size_t bytes) {
  return reallocate_tracked(block, bytes, __builtin_dwarf_cfa());
}

// realloc() of a block that was not sampled, with the countdown spent. What cannot succeed asks for so much that it
// comes here: it must not be counted as a free.
[[gnu::noinline, gnu::cold]] void* realloc_sampled(void* block, std::size_t bytes) {
  void* caller = __builtin_dwarf_cfa();
  const std::uint64_t interval = sampler::take_turn(bytes);
  void* fresh = g_real.realloc(block, bytes);
  if (fresh != nullptr) count_free();
  if (interval != 0) sampler::track_block(fresh, bytes, interval, caller);
  return fresh;
}

}  // namespace

void free_tracked(void* block) {
  if (block == nullptr || is_bootstrap(block)) return;
  count_free();
  sampler::forget_block(block);
  g_real.free(block);
}

}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOT_HOOK void* malloc(std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return allocate_sampled<&RealFunctions::malloc>(bytes, bytes);
  return g_real.malloc(bytes);
}

CAMPROBE_HOT_HOOK void free(void* block) noexcept {
  if (__builtin_expect(sampler::may_be_sampled(block), 0)) return free_tracked(block);
  count_free();
  g_real.free(block);
}

CAMPROBE_HOT_HOOK void* calloc(std::size_t count, std::size_t bytes) noexcept {
  std::size_t total;
  // What overflows fails in the real function, with the errno that it gives.
  if (__builtin_expect(__builtin_mul_overflow(count, bytes, &total), 0)) return g_real.calloc(count, bytes);
  if (count_allocation(total)) return allocate_sampled<&RealFunctions::calloc>(total, count, bytes);
  return g_real.calloc(count, bytes);
}

CAMPROBE_HOT_HOOK void* realloc(void* block, std::size_t bytes) noexcept {
  // realloc(NULL) and blocks that may be sampled have a nonzero filter byte.
  if (__builtin_expect(sampler::may_be_sampled(block) || bytes == 0, 0)) return realloc_tracked(block, bytes);
  if (count_allocation(bytes)) return realloc_sampled(block, bytes);
  count_free();
  return g_real.realloc(block, bytes);
}

CAMPROBE_HOOK void* reallocarray(void* block, std::size_t count, std::size_t bytes) noexcept {
  std::size_t total;
  if (__builtin_expect(__builtin_mul_overflow(count, bytes, &total), 0)) {
    errno = ENOMEM;
    return nullptr;
  }
  // Not the real one of ours: where another allocator stands in front of us, the block is that one's.
  return ::realloc(block, total);
}

CAMPROBE_HOOK void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return allocate_sampled<&RealFunctions::memalign>(bytes, alignment, bytes);
  return g_real.memalign(alignment, bytes);
}

CAMPROBE_HOOK void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return allocate_sampled<&RealFunctions::aligned_alloc>(bytes, alignment, bytes);
  return g_real.aligned_alloc(alignment, bytes);
}

CAMPROBE_HOOK int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return posix_memalign_sampled(out, alignment, bytes);
  return g_real.posix_memalign(out, alignment, bytes);
}

CAMPROBE_HOOK void* valloc(std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return allocate_sampled<&RealFunctions::valloc>(bytes, bytes);
  return g_real.valloc(bytes);
}

CAMPROBE_HOOK void* pvalloc(std::size_t bytes) noexcept {
  if (count_allocation(bytes)) return allocate_sampled<&RealFunctions::pvalloc>(bytes, bytes);
  return g_real.pvalloc(bytes);
}

CAMPROBE_HOOK std::size_t malloc_usable_size(void* block) noexcept {
  return is_bootstrap(block) ? bootstrap_size(block) : g_real.malloc_usable_size(block);
}
