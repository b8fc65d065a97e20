// tests/sampler/unwind_framed.cc
//
// Functions that keep a frame pointer (built with -fno-omit-frame-pointer), for walking without any call frame
// information.
#include "tests/sampler/unwind_functions.h"

namespace camprobe::sampler {

[[gnu::noinline]] void recurse_with_frame_pointers(unsigned depth, Visit visit, void* argument) {
  if (depth == 0) {
    visit(argument);
  } else {
    recurse_with_frame_pointers(depth - 1, visit, argument);
  }
  asm volatile("" : : : "memory");
}

[[gnu::noinline]] void walk_with_frame_pointer(void* argument) {
  FramedWalk* walk = static_cast<FramedWalk*>(argument);
  walk->result = walk_here(walk->pc, FramedWalk::kMost, walk->bounds, 0);
  asm volatile("" : : : "memory");
}

}  // namespace camprobe::sampler
