// tests/sampler/unwind_oracle.cc: see unwind_oracle.h.
#include "tests/sampler/unwind_oracle.h"

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <pthread.h>

#include <algorithm>
#include <cstdio>

namespace camprobe::sampler {
namespace {

// Records the frames from the cursor's on, or from its caller's.
void collect(unw_cursor_t* cursor, bool with_first, Stack* stack) {
  stack->depth = 0;
  stack->end = WalkEnd::truncated_depth;
  for (bool first = true;; first = false) {
    if (!first || with_first) {
      unw_word_t pc = 0;
      unw_get_reg(cursor, UNW_REG_IP, &pc);
      // libunwind calls that frame a signal frame which the signal interrupted.
      const bool interrupted = !first && unw_is_signal_frame(cursor) > 0;
      if (stack->depth == kMostFrames) {
        return;
      }
      stack->pc[stack->depth++] = pc + (interrupted ? 1 : 0);
    }
    const int moved = unw_step(cursor);
    if (moved <= 0) {
      stack->end = moved == 0 ? WalkEnd::root : WalkEnd::bad_frame;
      return;
    }
  }
}

[[gnu::constructor]] void take_libunwind_without_its_cache() {
  unw_set_caching_policy(unw_local_addr_space, UNW_CACHE_NONE);
}

}  // namespace

StackBounds bounds_of_this_thread() {
  pthread_attr_t attributes;
  void* low = nullptr;
  std::size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<std::uintptr_t>(low), reinterpret_cast<std::uintptr_t>(low) + size};
}

void walk_both(Both* both, StackBounds bounds) {
  const Walk walk = walk_here(both->ours.pc, kMostFrames, bounds, 1);
  both->ours.depth = walk.depth;
  both->ours.end = walk.end;
  unw_context_t context;
  unw_cursor_t cursor;
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  collect(&cursor, false, &both->theirs);
}

void walk_both(const ucontext_t* context, StackBounds bounds, Both* both) {
  const Walk walk = walk_context(both->ours.pc, kMostFrames, bounds, context);
  both->ours.depth = walk.depth;
  both->ours.end = walk.end;
  unw_context_t copy = *context;
  unw_cursor_t cursor;
  unw_init_local2(&cursor, &copy, UNW_INIT_SIGNAL_FRAME);
  collect(&cursor, true, &both->theirs);
}

std::string describe(const std::vector<std::uintptr_t>& frames) {
  std::string text;
  for (std::uintptr_t pc : frames) {
    Dl_info info{};
    char line[512];
    if (dladdr(reinterpret_cast<void*>(pc - 1), &info) != 0) {
      const std::uintptr_t base =
          reinterpret_cast<std::uintptr_t>(info.dli_saddr != nullptr ? info.dli_saddr : info.dli_fbase);
      std::snprintf(line, sizeof(line), "  %#lx %s+%#lx\n", pc,
                    info.dli_sname != nullptr ? info.dli_sname : info.dli_fname, pc - base);
    } else {
      std::snprintf(line, sizeof(line), "  %#lx\n", pc);
    }
    text += line;
  }
  return text;
}

bool agree(const Both& both) {
  return both.ours.depth == both.theirs.depth &&
         std::equal(both.ours.pc, both.ours.pc + both.ours.depth, both.theirs.pc);
}

}  // namespace camprobe::sampler
