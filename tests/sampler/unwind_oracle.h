// tests/sampler/unwind_oracle.h
//
// libunwind's opinion of a stack, in the walker's own terms: return addresses as they stand, an interrupted pc plus one
// unless it is the first. Slow and complete: it reads the call frame information anew for each frame.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sampler/unwind.h"

namespace camprobe::sampler {

inline constexpr std::uint32_t kMostFrames = 512;

struct Stack {
  std::uintptr_t pc[kMostFrames];
  std::uint32_t depth = 0;
  WalkEnd end = WalkEnd::bad_frame;

  std::vector<std::uintptr_t> frames() const { return {pc, pc + depth}; }
};

// The calling thread's stack as pthread_getattr_np() knows it.
StackBounds bounds_of_this_thread();

// Both walkers over the stack of whoever calls this, from the caller's own return address out of it.
struct Both {
  Stack ours;
  Stack theirs;
};
[[gnu::noinline]] void walk_both(Both* both, StackBounds bounds);

// Both walkers over an interrupted stack. No allocation: for use in signal handlers.
void walk_both(const ucontext_t* context, StackBounds bounds, Both* both);

// "0x55... main+0x12" a line, for messages.
std::string describe(const std::vector<std::uintptr_t>& frames);

// Both in full and equal.
bool agree(const Both& both);

#define EXPECT_AGREEMENT(both)                                                   \
  EXPECT_EQ((both).ours.end, ::camprobe::sampler::WalkEnd::root);                \
  EXPECT_EQ((both).ours.frames(), (both).theirs.frames())                        \
      << "ours:\n"                                                               \
      << ::camprobe::sampler::describe((both).ours.frames()) << "libunwind's:\n" \
      << ::camprobe::sampler::describe((both).theirs.frames())

}  // namespace camprobe::sampler
