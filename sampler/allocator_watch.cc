// sampler/allocator_watch.cc: see sampler/allocator_watch.h.
#include "sampler/allocator_watch.h"

#include <signal.h>
#include <time.h>

#include "sampler/control.h"
#include "sampler/unwind.h"
#include "shm/raw_syscall.h"

namespace camprobe::sampler {

namespace {

constexpr std::uint64_t kNever = ~std::uint64_t{0};
constexpr std::uint64_t kEveryNs = 1'000'000'000;
constexpr std::uint64_t kEveryIfChangedNs = 20'000'000;
// Of the time that asking may take: in general, and of a burst that ends in waiting. What holds others up for long may
// do so seldom.
constexpr std::uint64_t kShare = 2000, kShareIfChanged = 500, kShareOfLong = 10'000;
constexpr std::uint64_t kLongNs = 1'000'000, kTooDearNs = 50'000'000;  // of CPU time
constexpr std::uint64_t kAgainAfterRefusalNs = 5'000'000;  // the next place may be a better one; doubled each time,
constexpr std::uint32_t kMostDoublings = 7;                // up to 0.64 s
constexpr std::uintptr_t kRoom = 64 << 10;                 // of stack, for what the allocator calls

constinit AskAllocator g_ask = nullptr;
constinit shm::AllocatorKind g_kind = shm::AllocatorKind::kUnknown;
constinit ObjectBounds g_allocator = {}, g_own = {}, g_fork = {};
constinit std::atomic<std::uint32_t> g_refusals{0};  // in a row
constinit bool g_may_ask = false;
constinit std::atomic<std::uint32_t> g_asking{0};  // the thread that asks now
constinit std::atomic<std::uint64_t> g_live_then{0};
constinit std::atomic<std::uint64_t> g_due_if_changed{kNever};

std::uint64_t thread_cpu_ns() {
  timespec time = {};
  if (shm::is_error(shm::raw_syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&time))))
    return now_ns();
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

bool is_on_its_own_stack_with_room(const ThreadLane& thread) {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return here >= thread.stack.low && here < thread.stack.high && here - thread.stack.low >= kRoom;
}

// The proof that nobody on this stack is in the allocator: see the header.
bool is_outside_allocator(ThreadLane& thread) {
  if (thread.lane->state.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(shm::LaneState::kActive) ||
      !is_on_its_own_stack_with_room(thread))
    return false;
  std::uintptr_t* frames = scratch_of(thread).ordinary;
  const Walk walk = walk_here(frames, kFrames, thread.stack, 0);
  if (walk.end != WalkEnd::root || walk.may_be_in_handler) return false;
  std::uint32_t i = 0;
  while (i < walk.depth && g_own.holds(frames[i])) ++i;
  for (; i < walk.depth; ++i) {
    if (g_allocator.holds(frames[i]) || g_fork.holds(frames[i])) return false;
    // A thread's first frames: clone(), libc's start of a thread, ours around the program's function.
    if (g_own.holds(frames[i]) && walk.depth - i > 3) return false;
  }
  return true;
}

// Until its end no handler runs on this thread, and it cannot be cancelled (libc's own signal for that is blocked too).
class SignalsBlocked {
 public:
  SignalsBlocked() {
    const std::uint64_t all = ~std::uint64_t{0};
    are_blocked_ = !shm::is_error(shm::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&all),
                                                   reinterpret_cast<long>(&before_), sizeof before_));
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() {
    if (are_blocked_)
      shm::raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&before_), 0, sizeof before_);
  }
  explicit operator bool() const { return are_blocked_; }

 private:
  std::uint64_t before_ = 0;
  bool are_blocked_ = false;
};

void publish(const shm::AllocatorFigures& figures, std::uint64_t now, std::uint64_t cost) {
  shm::AllocatorBlock& block = g_region.header()->allocator;
  const auto put = [](std::atomic<std::uint64_t>& word, std::uint64_t value) {
    word.store(value, std::memory_order_relaxed);
  };
  put(block.read_ns, now);
  put(block.cost_ns, cost);
  put(block.in_use, figures.in_use);
  put(block.cached, figures.cached);
  put(block.free, figures.free);
  put(block.held, figures.held);
  put(block.released, figures.released);
  put(block.check, shm::check_of(figures, now, cost));
  block.kind.store(static_cast<std::uint32_t>(g_kind), std::memory_order_relaxed);
  const auto state = cost > kTooDearNs ? shm::AllocatorState::kTooDear : shm::AllocatorState::kRead;
  block.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

void put_look(std::uint64_t after_ns) {
  g_allocator_look.store(allocator_look_of(CallStart()) + 2 * after_ns, std::memory_order_relaxed);
}
// After so long from `now` on.
void put_due(std::uint64_t now, std::uint64_t after, std::uint64_t after_if_changed) {
  g_allocator_due.store(now + after, std::memory_order_relaxed);
  g_due_if_changed.store(now + after_if_changed, std::memory_order_relaxed);
  put_look(after_if_changed);
}
void put_never() {
  g_allocator_due.store(kNever, std::memory_order_relaxed);
  g_due_if_changed.store(kNever, std::memory_order_relaxed);
  g_allocator_look.store(kNever, std::memory_order_relaxed);
}

std::uint64_t at_least(std::uint64_t value, std::uint64_t least) {
  return value < least ? least : value;
}

}  // namespace

constinit std::atomic<std::uint64_t> g_allocator_due{kNever}, g_allocator_look{kNever};

void watch_allocator(shm::AllocatorKind kind, AskAllocator ask, ObjectBounds allocator, ObjectBounds own,
                     ObjectBounds fork) {
  g_kind = kind;
  g_ask = ask;
  g_allocator = allocator;
  g_own = own;
  g_fork = fork;
  g_may_ask = ask != nullptr;
}

void begin_allocator_watch() {
  g_asking.store(0, std::memory_order_relaxed);
  g_live_then.store(0, std::memory_order_relaxed);
  if (g_may_ask)
    put_due(now_ns(), kEveryIfChangedNs, kEveryIfChangedNs);
  else
    put_never();
}

void never_ask_allocator_again() {
  g_may_ask = false;
  put_never();
}

void ask_allocator(ThreadLane& thread, std::uint64_t now) {
  if (!g_may_ask) return;
  // A thread that finds itself asking was torn out of the proof by siglongjmp(): the door keeps handlers out.
  std::uint32_t asking = 0;
  if (!g_asking.compare_exchange_strong(asking, thread.tid, std::memory_order_acquire) && asking != thread.tid) return;
  // The time of the proof is the probe's as well.
  const std::uint64_t began = thread_cpu_ns();
  bool has_answered = false;
  if (is_outside_allocator(thread)) {
    shm::AllocatorFigures figures;
    const SignalsBlocked blocked;
    const std::uint64_t asked = thread_cpu_ns();
    if (blocked && g_ask(&figures)) {
      const std::uint64_t answered = thread_cpu_ns();
      const std::uint64_t cost = answered > asked ? answered - asked : 0;
      has_answered = true;
      publish(figures, now, cost);
      g_live_then.store(g_region.header()->live_samples.load(std::memory_order_relaxed), std::memory_order_relaxed);
      if (cost > kTooDearNs)
        never_ask_allocator_again();
      else if (cost > kLongNs)
        put_due(now, cost * kShareOfLong, cost * kShareOfLong);
      else
        put_due(now, at_least(cost * kShare, kEveryNs), at_least(cost * kShareIfChanged, kEveryIfChangedNs));
    }
  }
  if (has_answered) {
    g_refusals.store(0, std::memory_order_relaxed);
  } else {
    const std::uint32_t refusals = g_refusals.load(std::memory_order_relaxed);
    if (refusals < kMostDoublings) g_refusals.store(refusals + 1, std::memory_order_relaxed);
    put_due(now, kAgainAfterRefusalNs << refusals, kAgainAfterRefusalNs << refusals);
  }
  const std::uint64_t ended = thread_cpu_ns();
  if (ended > began) g_region.header()->probe_ns.fetch_add(ended - began, std::memory_order_relaxed);
  g_asking.store(0, std::memory_order_release);
}

void ask_allocator_before_waiting() {
  const ErrnoSaver keep_errno;
  const std::uint64_t now = now_ns();
  const std::uint64_t due_if_changed = g_due_if_changed.load(std::memory_order_relaxed);
  if (now < due_if_changed) {
    if (due_if_changed != kNever) put_look(due_if_changed - now);
    return;
  }
  if (now < g_allocator_due.load(std::memory_order_relaxed)) {
    // Samples that came or went since the last answer: an eighth of what was there, and more than a few.
    const std::uint64_t then = g_live_then.load(std::memory_order_relaxed);
    if (!g_region.is_mapped()) return;
    const std::uint64_t live = g_region.header()->live_samples.load(std::memory_order_relaxed);
    const std::uint64_t change = live > then ? live - then : then - live;
    if (change < 8 || change < then / 8) {
      put_look(kEveryIfChangedNs);
      return;
    }
  }
  const ProbeScope scope;
  if (scope) ask_allocator(*scope, now);
}

}  // namespace camprobe::sampler
