// sampler/heap_sampler.cc: see sampler/heap_sampler.h.
#include "sampler/heap_sampler.h"

#include <sys/mman.h>

#include "sampler/add_at_once.h"
#include "sampler/control.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

// Page aligned, so that a forked child can drop them with one call each.
alignas(4096) constinit SampledAreas g_sampled_areas = {};

namespace {

// The longest countdown: at its end a thread looks at the settings even if no sample is due.
constexpr std::int64_t kTick = 16 << 20;

struct Range {
  std::uintptr_t begin, end;
};
constinit Range g_always_asked[4] = {{0, 1}};  // free(NULL)
constinit std::uint32_t g_always_asked_count = 1;

alignas(4096) constinit SampledSpots g_sampled_spots = {};

template <unsigned kShift, std::size_t kBytes>
void saturate(SampledFilter<kShift, kBytes>& filter, const Range& range) {
  for (std::uintptr_t key = range.begin >> kShift; key <= (range.end - 1) >> kShift; ++key)
    filter.count[key & (kBytes - 1)] = kSaturated;
}
void saturate(const Range& range) {
  saturate(g_sampled_areas, range);
  saturate(g_sampled_spots, range);
}

// One block more or one fewer in its slot; a slot that is full stays so, and an empty one has none to lose.
template <int kBy, unsigned kShift, std::size_t kBytes>
void count(SampledFilter<kShift, kBytes>& filter, const void* block) {
  std::uint8_t* count = &filter.count[filter.slot(block)];
  std::uint8_t now = __atomic_load_n(count, __ATOMIC_RELAXED);
  while (now != kSaturated && (kBy > 0 || now != 0) &&
         !__atomic_compare_exchange_n(count, &now, static_cast<std::uint8_t>(now + kBy), true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
}
void filter_add(const void* block) {
  count<1>(g_sampled_areas, block);
  count<1>(g_sampled_spots, block);
}
void filter_remove(const void* block) {
  count<-1>(g_sampled_spots, block);
  count<-1>(g_sampled_areas, block);
}

template <unsigned kShift, std::size_t kBytes>
void clear(SampledFilter<kShift, kBytes>& filter) {
  // Private anonymous pages come back as zeros.
  if (shm::is_error(
          shm::raw_syscall(SYS_madvise, reinterpret_cast<long>(&filter), static_cast<long>(kBytes), MADV_DONTNEED)))
    __builtin_memset(&filter, 0, kBytes);
}

// Changes the countdown without changing the sum of bytes, base - countdown. Two single additions, so that a handler of
// the program that allocates in between loses nothing; the version tells readers in other processes to look again.
void set_countdown(shm::Lane* lane, std::int64_t countdown) {
  const std::uint64_t version = lane->heap_version.load(std::memory_order_relaxed) | 1;
  lane->heap_version.store(version, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  const std::int64_t change = countdown - lane->heap_countdown;
  add_at_once(&lane->heap_base, change);
  add_at_once(&lane->heap_countdown, change);
  lane->heap_version.store(version + 1, std::memory_order_release);
}

// A sample's death. The record goes to the thread's ring if its door is open; the table is the truth in any case.
void record_free(const shm::LiveSample& sample) {
  const std::uint64_t allocs = t_lane.lane->heap_allocs;
  ProbeScope scope;
  if (!scope) return;
  const std::uint64_t now = now_ns();
  const std::uint64_t begin = now > sample.born_ns ? now : sample.born_ns;  // born on another thread's anchor
  std::uint16_t flags = 0;
  if (sample.tid != scope->tid) flags |= shm::kFlagOtherThread;
  if (sample.sample == scope->last_sample && allocs == scope->last_sample_allocs) flags |= shm::kFlagTemporary;
  const shm::FreePayload payload = {sample.size, sample.sample, sample.interval, sample.born_ns};
  write_record(*scope, shm::RecordKind::kFree, sample.stack, payload, flags, begin);
  const std::uint64_t end = now_ns();
  note_heap_time(begin, end);
  control_step(*scope, end, false);
}

bool may_touch_region() {
  if (!g_region.is_mapped() || !owns_region()) return false;
  return t_lane.mode != LaneMode::kDetached && t_lane.mode != LaneMode::kOff;
}

std::uint64_t key_of(const void* block) {
  return reinterpret_cast<std::uint64_t>(block);
}

}  // namespace

void always_ask_about(const void* begin, std::size_t bytes) {
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  if (g_always_asked_count < sizeof g_always_asked / sizeof g_always_asked[0])
    g_always_asked[g_always_asked_count++] = {from, from + bytes};
  for (std::uint32_t i = 0; i < g_always_asked_count; ++i) saturate(g_always_asked[i]);
}

void clear_sampled_filter() {
  clear(g_sampled_areas);
  clear(g_sampled_spots);
  for (std::uint32_t i = 0; i < g_always_asked_count; ++i) saturate(g_always_asked[i]);
}

void draw_countdown(ThreadLane& thread) {
  thread.heap_draw_seen = g_heap_draw.load(std::memory_order_acquire);
  thread.heap_interval = g_heap_interval.load(std::memory_order_relaxed);
  std::int64_t countdown = kTick;
  thread.countdown_is_tick = true;
  if (thread.heap_interval != 0) {
    // The byte after `countdown` others is the sampled one: the fast path asks whether the countdown went below zero.
    const std::int64_t gap = thread.random.next_gap({thread.heap_interval}) - 1;
    if (gap <= kTick) {
      countdown = gap;
      thread.countdown_is_tick = false;
    }
  }
  set_countdown(thread.lane, countdown);
}

std::uint64_t take_turn(std::size_t bytes) {
  ThreadLane& thread = t_lane;
  if (!owns_region()) (void)this_thread();
  if (thread.mode == LaneMode::kUnarmed) {
    const ErrnoSaver keep_errno;
    arm_thread(thread, false);
    if (thread.mode == LaneMode::kUnarmed) return 0;
    // Counted where nobody reads, so once more.
    thread.lane->heap_allocs += 1;
    thread.lane->heap_countdown -= static_cast<std::int64_t>(bytes);
    if (thread.lane->heap_countdown >= 0) return 0;
  }
  switch (thread.mode) {
    case LaneMode::kArmed:
      break;
    case LaneMode::kStray: {
      const ErrnoSaver keep_errno;
      flush_stray_counts(thread);
      arm_thread(thread, false);  // one may have become free
      return 0;
    }
    case LaneMode::kEnded:
      flush_stray_counts(thread);
      return 0;
    default:
      set_countdown(thread.lane, INT64_MAX / 2);
      return 0;
  }
  const bool is_inside = thread.entered_at != 0;
  std::uint64_t interval = 0;
  while (thread.lane->heap_countdown < 0) {
    if (!thread.countdown_is_tick) {
      interval = thread.heap_interval;
      draw_countdown(thread);
      break;
    }
    // The bytes beyond the tick are trials like any others, and this allocation may hold a hit yet.
    const std::int64_t beyond = thread.lane->heap_countdown;
    draw_countdown(thread);
    if (thread.heap_interval == 0) break;
    set_countdown(thread.lane, thread.lane->heap_countdown + beyond);
  }
  if (interval == 0) {
    if (!is_inside) {
      ProbeScope scope;
      if (scope) control_step(*scope, now_ns(), false);
    }
    return 0;
  }
  if (is_inside && this_thread() == nullptr) {
    g_region.count_loss(shm::Loss::kReentrant);
    return 0;
  }
  return interval;
}

void track_block(void* block, std::size_t bytes, std::uint64_t interval, void* hook_frame) {
  if (block == nullptr) return;
  ProbeScope scope;
  if (!scope) return;
  const std::uint64_t begin = now_ns();
  // An entry that is still there belongs to a block whose free passed no hook (a library bound to its own libc).
  shm::LiveSample stale;
  if (g_sampled_spots.may_hold(block) && g_region.live().erase(key_of(block), &stale)) {
    filter_remove(block);
    write_record(*scope, shm::RecordKind::kFree, stale.stack,
                 shm::FreePayload{stale.size, stale.sample, stale.interval, stale.born_ns}, shm::kFlagOtherThread,
                 begin);
  }
  shm::LiveSample sample = {};
  sample.size = bytes;
  sample.sample = g_region.header()->samples_taken.fetch_add(1, std::memory_order_relaxed) + 1;
  sample.born_ns = begin;
  sample.span = current_span(*scope);
  sample.interval = interval;
  sample.stack = capture_above(*scope, hook_frame);
  sample.tid = scope->tid;
  filter_add(block);
  if (!g_region.live().insert(key_of(block), sample)) {
    filter_remove(block);
    g_region.count_loss(shm::Loss::kLiveFull);
  }
  scope->last_sample = sample.sample;
  scope->last_sample_allocs = scope->lane->heap_allocs;
  const shm::AllocPayload payload = {key_of(block), bytes, sample.sample, interval};
  write_record(*scope, shm::RecordKind::kAlloc, sample.stack, payload, 0, begin);
  const std::uint64_t end = now_ns();
  note_heap_time(begin, end);
  control_step(*scope, end, false);
}

void forget_block(void* block) {
  if (!g_sampled_spots.may_hold(block) || !may_touch_region()) return;
  shm::LiveSample sample;
  if (!g_region.live().erase(key_of(block), &sample)) return;
  filter_remove(block);
  record_free(sample);
}

bool peek_block(void* block, shm::LiveSample* sample) {
  return g_sampled_spots.may_hold(block) && may_touch_region() && g_region.live().peek(key_of(block), sample);
}

void forget_sample(void* block, const shm::LiveSample& sample) {
  shm::LiveSample gone;
  if (!may_touch_region() || !g_region.live().erase_sample(key_of(block), sample.sample, &gone)) return;
  filter_remove(block);
  record_free(gone);
}

}  // namespace camprobe::sampler
