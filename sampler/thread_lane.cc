// sampler/thread_lane.cc: see sampler/thread_lane.h.
#include "sampler/thread_lane.h"

#include <sys/prctl.h>

#include "sampler/allocator_watch.h"
#include "sampler/control.h"
#include "sampler/cpu_sampler.h"
#include "sampler/heap_sampler.h"
#include "sampler/module_table.h"
#include "sampler/session.h"
#include "shm/placement.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

namespace {

// So low that the allocations of all threads that pass here never bring it up to zero, nor down to an overflow.
constexpr std::int64_t kAlwaysSpent = INT64_MIN / 2;
constexpr std::int64_t kNeverSpent = INT64_MAX / 2;
// How much a thread without a lane allocates before it adds up and asks for one again.
constexpr std::int64_t kStrayBytes = 1 << 20;

// Where threads point that were never seen: shared by them, written without care, read by nobody.
constinit shm::Lane g_unarmed_lane = {.heap_countdown = kAlwaysSpent,
                                      .heap_allocs = 0,
                                      .heap_frees = 0,
                                      .heap_base = 0,
                                      .heap_version = 0,
                                      .heap_reserved = {},
                                      .state = 0,
                                      .tid = 0,
                                      .creator_tid = 0,
                                      .generation = 0,
                                      .start_stack = 0,
                                      .reserved = 0,
                                      .began_ns = 0,
                                      .name = {},
                                      .current_span = 0,
                                      .kept_spans = 0,
                                      .ring = {},
                                      .signal_ring = {},
                                      .reserved3 = {},
                                      .io = {}};

constinit const std::atomic<std::uint32_t> g_always_ours = 1;
constinit std::atomic<std::uint32_t> g_threads_armed{0};  // ever, in this process

// 4 KiB a thread, of which only what is used becomes real. The first is for code that was interrupted by a fork, in a
// child where its thread has no lane.
StackScratch g_scratch[shm::kLanes + 1];

shm::Lane* stray_lane(ThreadLane& thread) {
  return reinterpret_cast<shm::Lane*>(&thread.stray);
}

void point_at_stray(ThreadLane& thread, LaneMode mode, std::int64_t countdown) {
  thread.stray.heap_countdown = countdown;
  thread.stray.heap_base = static_cast<std::uint64_t>(countdown);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  thread.lane = stray_lane(thread);
  thread.mode = mode;
}

// A frame that was left by siglongjmp() never opens the door again. Whoever now stands higher up on the same stack, or
// about as high, proves that it is gone: only a handler can be inside, and the kernel's signal frame between it and
// what it interrupted takes more than this.
constexpr std::uintptr_t kLessThanSignalFrame = 512;
bool was_abandoned(const ThreadLane& thread, std::uintptr_t frame) {
  const auto on_stack = [&](std::uintptr_t at) { return at >= thread.stack.low && at < thread.stack.high; };
  return frame + kLessThanSignalFrame > thread.entered_at && on_stack(frame) && on_stack(thread.entered_at);
}

void repair_after_abandoning(ThreadLane& thread) {
  const std::uint64_t version = thread.lane->heap_version.load(std::memory_order_relaxed);
  if ((version & 1) != 0) thread.lane->heap_version.store(version + 1, std::memory_order_release);
  thread.entered_at = 0;
}

// Lanes of threads that ended without a destructor's notice (made by a raw clone()). Asked for when lanes run out, at
// most once a second.
bool reclaim_lanes(std::uint64_t now) {
  static constinit std::atomic<std::uint64_t> next{0};
  std::uint64_t due = next.load(std::memory_order_relaxed);
  if (now < due || !next.compare_exchange_strong(due, now + 1'000'000'000)) return false;
  constexpr long kNoSuchThread = -3;
  const long pid = shm::raw_syscall(SYS_getpid);
  if (shm::is_error(pid)) return false;
  bool any = false;
  for (std::uint32_t index = 0; index < g_region.header()->lanes_used.load(std::memory_order_relaxed); ++index) {
    const shm::Lane& lane = *g_region.lane(static_cast<int>(index));
    if (lane.state.load(std::memory_order_acquire) != static_cast<std::uint32_t>(shm::LaneState::kActive)) continue;
    if (shm::raw_syscall(SYS_tgkill, pid, lane.tid, 0) != kNoSuchThread) continue;
    stop_thread_timer(static_cast<std::int32_t>(index));
    g_region.release_lane(static_cast<int>(index));
    any = true;
  }
  return any;
}

}  // namespace

constinit thread_local ThreadLane t_lane = {.lane = &g_unarmed_lane,
                                            .mode = LaneMode::kUnarmed,
                                            .interrupted_by_us = false,
                                            .is_thread_end_hooked = false,
                                            .countdown_is_tick = false,
                                            .tid = 0,
                                            .index = -1,
                                            .heap_draw_seen = 0,
                                            .looked_at_ns = 0,
                                            .looked_at_call = 0,
                                            .entered_at = 0,
                                            .heap_interval = 0,
                                            .random = {},
                                            .ring = {},
                                            .signal_ring = {},
                                            .stack = {0, 0},
                                            .last_sample = 0,
                                            .last_sample_allocs = 0,
                                            .stray_flushed_allocs = 0,
                                            .stray_flushed_frees = 0,
                                            .vfork_depth = 0,
                                            .end_rounds = 0,
                                            .vfork_return = {},
                                            .lane_before = nullptr,
                                            .mode_before = LaneMode::kUnarmed,
                                            .stray = {}};

CAMPROBE_HOT_DATA constinit shm::Region g_region;
CAMPROBE_HOT_DATA constinit const std::atomic<std::uint32_t>* g_own_memory = &g_always_ours;
CAMPROBE_HOT_DATA constinit std::atomic<bool> g_has_threads{false};
constinit ThreadArmed g_on_thread_armed = nullptr;

StackScratch& scratch_of(const ThreadLane& thread) {
  return g_scratch[thread.index + 1];
}

void arm_thread(ThreadLane& thread, bool is_in_handler) {
  switch (session_state()) {
    case SessionState::kNotStarted:
      return;
    case SessionState::kOff:
      point_at_stray(thread, LaneMode::kOff, kNeverSpent);
      return;
    case SessionState::kRunning:
      break;
  }
  // A handler that comes in between finds a thread without a lane.
  point_at_stray(thread, LaneMode::kStray, kStrayBytes);
  const long tid = shm::raw_syscall(SYS_gettid);
  thread.tid = tid > 0 ? static_cast<std::uint32_t>(tid) : 0;
  const std::uint64_t now = now_ns();
  int index = tid > 0 ? g_region.acquire_lane(thread.tid, now) : -1;
  if (index < 0 && reclaim_lanes(now)) index = g_region.acquire_lane(thread.tid, now);
  if (index < 0) {
    if (!is_in_handler && g_on_thread_armed != nullptr) g_on_thread_armed(thread);
    return;
  }

  // A thread that no hook saw being made (a raw clone()) counts nothing before it has passed here.
  if (g_threads_armed.fetch_add(1, std::memory_order_relaxed) != 0) expect_threads();
  shm::Lane* lane = g_region.lane(index);
  thread.index = index;
  g_region.attach_rings(index, &thread.ring, &thread.signal_ring);
  thread.random = IntervalGenerator(now ^ (static_cast<std::uint64_t>(thread.tid) << 40) ^
                                    reinterpret_cast<std::uintptr_t>(&thread));
  thread.last_sample = 0;
  shm::raw_syscall(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(lane->name));
  flush_stray_counts(thread);
  thread.lane = lane;
  draw_countdown(thread);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  thread.mode = LaneMode::kArmed;
  start_thread_timer(thread);
  if (!is_in_handler && g_on_thread_armed != nullptr) g_on_thread_armed(thread);
}

void release_thread(ThreadLane& thread) {
  if (thread.mode == LaneMode::kStray) {
    flush_stray_counts(thread);
    point_at_stray(thread, LaneMode::kEnded, 0);
  }
  if (thread.mode != LaneMode::kArmed) return;
  stop_thread_timer(thread.index);
  // The destructors of younger keys run after us, and the C library tidies up: the thread keeps its lane, so that all
  // of that is counted too.
  g_region.end_lane(thread.index);
}

void flush_stray_counts(ThreadLane& thread) {
  if (!g_region.is_mapped()) return;
  shm::RegionHeader& head = *g_region.header();
  StrayCounts& stray = thread.stray;
  head.stray_allocs.fetch_add(stray.heap_allocs - thread.stray_flushed_allocs, std::memory_order_relaxed);
  head.stray_frees.fetch_add(stray.heap_frees - thread.stray_flushed_frees, std::memory_order_relaxed);
  head.stray_bytes.fetch_add(stray.heap_base - static_cast<std::uint64_t>(stray.heap_countdown),
                             std::memory_order_relaxed);
  thread.stray_flushed_allocs = stray.heap_allocs;
  thread.stray_flushed_frees = stray.heap_frees;
  stray.heap_countdown = thread.mode == LaneMode::kEnded ? 0 : kStrayBytes;
  stray.heap_base = static_cast<std::uint64_t>(stray.heap_countdown);
}

void detach_thread(ThreadLane& thread) {
  thread.lane_before = thread.lane;
  thread.mode_before = thread.mode;
  if (thread.mode == LaneMode::kStray || thread.mode == LaneMode::kEnded) flush_stray_counts(thread);
  thread.stray = {};
  thread.stray_flushed_allocs = thread.stray_flushed_frees = 0;
  point_at_stray(thread, LaneMode::kDetached, kNeverSpent);
}

void attach_thread_dropping(ThreadLane& thread) {
  thread.stray = {};
  thread.stray_flushed_allocs = thread.stray_flushed_frees = 0;
  if (thread.lane_before == stray_lane(thread)) {
    point_at_stray(thread, thread.mode_before, thread.mode_before == LaneMode::kOff ? kNeverSpent : kStrayBytes);
    return;
  }
  thread.lane = thread.lane_before;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  thread.mode = thread.mode_before;
}

void attach_thread(ThreadLane& thread) {
  const std::uint64_t allocs = thread.stray.heap_allocs;
  const std::uint64_t frees = thread.stray.heap_frees;
  const std::int64_t bytes = kNeverSpent - thread.stray.heap_countdown;
  attach_thread_dropping(thread);
  thread.lane->heap_allocs += allocs;
  thread.lane->heap_frees += frees;
  thread.lane->heap_countdown -= bytes;
}

void forget_lane(ThreadLane& thread) {
  thread.stray = {};
  thread.stray_flushed_allocs = thread.stray_flushed_frees = 0;
  thread.index = -1;
  thread.entered_at = 0;
  thread.vfork_depth = 0;
  thread.lane = &g_unarmed_lane;
  thread.mode = LaneMode::kUnarmed;
  g_threads_armed.store(0, std::memory_order_relaxed);
  g_has_threads.store(false, std::memory_order_relaxed);
}

ThreadLane* this_thread_slow() {
  ThreadLane& thread = t_lane;
  if (!owns_region()) {
    never_ask_allocator_again();
    after_fork_in_child();
  }
  if (thread.mode == LaneMode::kUnarmed) arm_thread(thread, false);
  if (thread.mode != LaneMode::kArmed) return nullptr;
  if (thread.entered_at != 0) {
    if (!was_abandoned(thread, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)))) return nullptr;
    repair_after_abandoning(thread);
  }
  return &thread;
}

[[gnu::noinline, gnu::cold]] ThreadLane* PlainProbeScope::enter_slowly(std::uintptr_t frame) {
  const ErrnoSaver keep_errno;
  ThreadLane* thread = this_thread();
  if (thread != nullptr) {
    thread->entered_at = frame;
    // A thread that was armed in a handler.
    if (!thread->is_thread_end_hooked && g_on_thread_armed != nullptr) g_on_thread_armed(*thread);
  } else if (t_lane.mode == LaneMode::kArmed) {
    g_region.count_loss(shm::Loss::kReentrant);
  } else if (t_lane.mode == LaneMode::kStray) {
    g_region.count_loss(shm::Loss::kNoLane);
  }
  return thread;
}

ProbeScope::ProbeScope() = default;

ProbeScope::~ProbeScope() {
  // A thread that has given its lane back meanwhile has no ring to tell of it.
  if (*this && __builtin_expect(has_news(**this), 0) && (*this)->mode == LaneMode::kArmed) act_on_news(**this, false);
}

StackId capture_above(ThreadLane& thread, void* hook_frame) {
  std::uintptr_t* frames = scratch_of(thread).ordinary;
  const Walk walk = walk_above(frames, kFrames, thread.stack, hook_frame);
  return intern_walk(frames, walk);
}

}  // namespace camprobe::sampler
