// tests/sampler/unwind_functions.h
//
// Functions with every shape of frame, built with -O3 -fomit-frame-pointer so that only call frame information can see
// them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sampler/unwind.h"

namespace camprobe::sampler {

using Visit = void (*)(void*);

// Calls `visit` from under `depth` frames of the same function.
void recurse(unsigned depth, Visit visit, void* argument);
// From frames of changing size, with alloca().
void recurse_with_alloca(unsigned depth, Visit visit, void* argument);
// From a function whose stack is realigned for wide vectors, which GCC addresses through r10 and two expressions.
void with_realigned_stack(unsigned depth, Visit visit, void* argument);
// From a function that saves and overwrites every register a call preserves.
void with_all_registers_in_use(Visit visit, void* argument);
// With rbp, rbx and r12..r15 full of garbage while it calls.
void with_garbage_frame_pointer(Visit visit, void* argument);
// The same from a function without call frame information.
void without_frame_information(Visit visit, void* argument);
// Through two functions that end in a jump to the next one: neither has a frame while `visit` runs.
void through_tail_calls(Visit visit, void* argument);
// Leaf functions that never build a frame: compiled, and written by hand with call frame information.
std::uint64_t leaf_without_frame(std::uint64_t value);
std::uint64_t hand_written_leaf(std::uint64_t value);
// Assembly that saves registers with pushes, subtracts from the stack pointer and says so.
void from_hand_written(Visit visit, void* argument);
// From a comparison that the C library calls.
void from_qsort(Visit visit, void* argument);
void from_bsearch(Visit visit, void* argument);
// Inside a catch block, after unwinding `depth` frames.
void after_catching(unsigned depth, Visit visit, void* argument);
// unwind_framed.cc: these keep frame pointers. The walk's first frames are one of walk_with_frame_pointer(), `depth`
// equal ones of recurse_with_frame_pointers() between two others, and the caller's.
struct FramedWalk {
  static constexpr std::uint32_t kMost = 64;
  StackBounds bounds;
  std::uintptr_t pc[kMost];
  Walk result;
};
void recurse_with_frame_pointers(unsigned depth, Visit visit, void* argument);
void walk_with_frame_pointer(void* walk);
// Throws from under `depth` frames with destructors.
double throw_and_catch(unsigned depth);
// Some of what a server does, with calls into libc, libm, libstdc++ and the vDSO.
double mixed_work(unsigned seed);

}  // namespace camprobe::sampler
