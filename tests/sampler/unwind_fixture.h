// tests/sampler/unwind_fixture.h: a stack walked by the walker and by libunwind, to be compared.
#pragma once

#include <gtest/gtest.h>

#include "sampler/unwind.h"
#include "tests/sampler/unwind_oracle.h"

namespace camprobe::sampler {

class UnwindTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_unwinding(); }

  // The walk that `visit` takes, and what it is compared with.
  static void visit(void*) {
    walk_both(&both, bounds);
    asm volatile("" : : : "memory");
  }

  void SetUp() override { bounds = bounds_of_this_thread(); }

  static inline Both both;
  static inline StackBounds bounds;
};

}  // namespace camprobe::sampler
