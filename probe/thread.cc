// probe/thread.cc
//
// Threads: who started them and from where, their lane from the first instruction to the last destructor.
//
// The end of a thread is seen by the destructor of a pthread key, however the thread ends (return, pthread_exit,
// cancellation). Other keys' destructors may run after it and allocate, so it puts itself back until the last of the
// rounds that POSIX allows and gives the lane back only then.
#include "probe/thread.h"

#include <limits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "probe/real.h"
#include "sampler/thread_lane.h"
#include "shm/raw_syscall.h"

namespace camprobe::probe {
namespace {

using sampler::StackBounds;
using sampler::ThreadLane;

struct ThreadBegin {
  void* (*routine)(void*);
  void* argument;
  std::uint32_t creator_tid;
  shm::StackId stack;
  std::size_t stack_bytes;
};

constinit pthread_key_t g_end_key = 0;
constinit bool g_has_end_key = false;
// From here on pthread_setspecific() allocates; it is called from malloc's slow path, where that would not do.
constexpr pthread_key_t kKeysWithoutAllocation = 32;

void hook_thread_end(ThreadLane& thread) {
  if (thread.is_thread_end_hooked) return;
  thread.is_thread_end_hooked = true;  // or tried, and not again
  thread.end_rounds = PTHREAD_DESTRUCTOR_ITERATIONS;
  if (g_has_end_key) pthread_setspecific(g_end_key, &thread);
}

shm::ThreadPayload describe(const ThreadLane& thread) {
  shm::ThreadPayload payload = {};
  payload.tid = thread.tid;
  payload.creator_tid = thread.lane->creator_tid;
  __builtin_memcpy(payload.name, thread.lane->name, sizeof payload.name);
  return payload;
}

void end_thread(void*) {
  ThreadLane& thread = sampler::t_lane;
  if (thread.end_rounds > 1) {
    thread.end_rounds -= 1;
    pthread_setspecific(g_end_key, &thread);
    return;
  }
  if (sampler::enabled(shm::Family::kThread)) {
    sampler::ProbeScope scope;
    if (scope) {
      shm::raw_syscall(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(scope->lane->name));
      timespec used = {};
      shm::raw_syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&used));
      shm::ThreadPayload payload = describe(*scope);
      payload.cpu_ns =
          static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(used.tv_nsec);
      sampler::write_record(*scope, shm::RecordKind::kThreadEnd, scope->lane->start_stack, payload);
    }
  }
  sampler::release_thread(thread);
}

// glibc puts a thread's control block, which the thread pointer points to, at the upper end of its stack, so everything
// between the stack pointer and there is mapped. The block itself is below 4 KiB, by which the lower end is rounded up.
StackBounds bounds_of_new_thread(std::size_t stack_bytes) {
  const auto high = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (stack_bytes < 2 * shm::kPage || here >= high || high - here > stack_bytes) return {0, 0};
  return {high - stack_bytes + shm::kPage, high};
}

void* run_thread(void* raw) {
  const ThreadBegin begin = *static_cast<ThreadBegin*>(raw);
  g_real.free(raw);
  ThreadLane& thread = sampler::t_lane;
  thread.stack = bounds_of_new_thread(begin.stack_bytes);
  {
    sampler::ProbeScope scope;
    if (scope) {
      scope->lane->creator_tid = begin.creator_tid;
      scope->lane->start_stack = begin.stack;
      if (sampler::enabled(shm::Family::kThread))
        sampler::write_record(*scope, shm::RecordKind::kThreadStart, begin.stack, describe(*scope));
    }
  }
  return begin.routine(begin.argument);
}

}  // namespace

void start_thread_hooks() {
  g_has_end_key = pthread_key_create(&g_end_key, end_thread) == 0 && g_end_key < kKeysWithoutAllocation;
  sampler::g_on_thread_armed = hook_thread_end;
}

}  // namespace camprobe::probe

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK int pthread_create(pthread_t* out, const pthread_attr_t* attributes, void* (*routine)(void*),
                                 void* argument) noexcept {
  sampler::expect_threads();
  ThreadBegin* begin = nullptr;
  if (sampler::ProbeScope scope; scope) {
    // The real one: this block is ours, not the program's.
    begin = static_cast<ThreadBegin*>(g_real.malloc(sizeof(ThreadBegin)));
    if (begin != nullptr) {
      *begin = {routine, argument, scope->tid, 0, 0};
      pthread_attr_t defaults;
      const pthread_attr_t* asked = attributes;
      if (asked == nullptr && pthread_attr_init(&defaults) == 0) asked = &defaults;
      if (asked == nullptr || pthread_attr_getstacksize(asked, &begin->stack_bytes) != 0) begin->stack_bytes = 0;
      if (sampler::enabled(shm::Family::kThread)) begin->stack = sampler::capture_above(*scope, __builtin_dwarf_cfa());
    }
  }
  if (begin == nullptr) return real().pthread_create(out, attributes, routine, argument);
  const int result = real().pthread_create(out, attributes, run_thread, begin);
  if (result != 0) g_real.free(begin);
  return result;
}
