// tests/sampler/unwind_step_test.cc
//
// The walk at every single instruction: prologues, epilogues, PLT stubs, the lazy binder, libc, the unwinder itself.
//
// The processor's trap flag stops after each instruction. The oracle needs no call frame information at all: a call is
// what lowers the stack pointer by one word and leaves there the address just after the last instruction, and what
// stands on the shadow stack so built is the truth. libunwind is asked as well, to tell wrong tables in a library from
// a wrong walker.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sampler/unwind.h"
#include "tests/sampler/unwind_functions.h"
#include "tests/sampler/unwind_jit.h"
#include "tests/sampler/unwind_oracle.h"

namespace camprobe::sampler {
namespace {

constexpr std::uint64_t kTrapFlag = 0x100;
constexpr std::uint32_t kMostCalls = 256;
constexpr std::uint32_t kMostKept = 8;

struct Call {
  std::uintptr_t slot;  // where the return address stands
  std::uintptr_t pc;
};

struct Stepper {
  StackBounds bounds;
  Stack base;  // the stack of whoever started stepping
  Call calls[kMostCalls];
  std::uint32_t depth;
  std::uintptr_t last_pc;
  std::uintptr_t last_sp;
  volatile bool running;
  bool ask_libunwind;
  std::uint64_t steps;
  std::uint64_t wrong;
  std::uint64_t wrong_alone;  // where libunwind knew better
  std::uint32_t kept;
  struct Wrong {
    Stack ours;
    Stack truth;
  } wrongs[kMostKept];
} stepper;

Both both;

void on_trap(int, siginfo_t*, void* argument) {
  ucontext_t* context = static_cast<ucontext_t*>(argument);
  auto& registers = context->uc_mcontext.gregs;
  if (!stepper.running) {
    registers[REG_EFL] &= ~static_cast<greg_t>(kTrapFlag);
    return;
  }
  const auto pc = static_cast<std::uintptr_t>(registers[REG_RIP]);
  const auto sp = static_cast<std::uintptr_t>(registers[REG_RSP]);
  while (stepper.depth > 0 && sp > stepper.calls[stepper.depth - 1].slot) {
    --stepper.depth;
  }
  if (stepper.last_sp != 0 && sp == stepper.last_sp - 8) {
    const std::uintptr_t top = *reinterpret_cast<const std::uintptr_t*>(sp);
    if (top > stepper.last_pc && top <= stepper.last_pc + 8 && stepper.depth < kMostCalls) {
      stepper.calls[stepper.depth++] = {sp, top};
    }
  }
  stepper.last_pc = pc;
  stepper.last_sp = sp;
  ++stepper.steps;

  const Walk walk = walk_context(both.ours.pc, kMostFrames, stepper.bounds, context);
  both.ours.depth = walk.depth;
  both.ours.end = walk.end;
  const auto is_true = [&](const Stack& stack) {
    const std::uint32_t calls = 1 + stepper.depth;
    if (stack.depth != calls + stepper.base.depth || stack.pc[0] != pc) return false;
    for (std::uint32_t i = 0; i < stepper.depth; ++i) {
      if (stack.pc[1 + i] != stepper.calls[stepper.depth - 1 - i].pc) return false;
    }
    return std::equal(stepper.base.pc, stepper.base.pc + stepper.base.depth, stack.pc + calls);
  };
  if (is_true(both.ours) && walk.end == WalkEnd::root) {
    return;
  }
  ++stepper.wrong;
  bool alone = false;
  if (stepper.ask_libunwind) {
    walk_both(context, stepper.bounds, &both);
    alone = is_true(both.theirs);
    stepper.wrong_alone += alone;
  }
  if (stepper.kept < kMostKept) {
    Stepper::Wrong& wrong = stepper.wrongs[stepper.kept++];
    wrong.ours = both.ours;
    wrong.truth.depth = 0;
    wrong.truth.pc[wrong.truth.depth++] = pc;
    for (std::uint32_t i = 0; i < stepper.depth; ++i) {
      wrong.truth.pc[wrong.truth.depth++] = stepper.calls[stepper.depth - 1 - i].pc;
    }
  }
}

// Runs `work` one instruction at a time, everything in it compared. Never inlined: its own frame is the first of the
// base.
[[gnu::noinline]] void step_through(void (*work)()) {
  start_unwinding();
  stepper.bounds = bounds_of_this_thread();
  stepper.depth = stepper.kept = 0;
  stepper.steps = stepper.wrong = stepper.wrong_alone = 0;
  stepper.last_sp = 0;
  stepper.ask_libunwind = true;
  walk_both(&both, stepper.bounds);
  stepper.base = both.ours;  // begins with a return address in this very function, which is not part of the base
  std::move(stepper.base.pc + 1, stepper.base.pc + stepper.base.depth, stepper.base.pc);
  --stepper.base.depth;

  struct sigaction action {};
  struct sigaction before {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = on_trap;
  sigaction(SIGTRAP, &action, &before);
  stepper.running = true;
  asm volatile("subq $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; addq $128, %%rsp" : : : "memory", "cc");
  work();
  stepper.running = false;
  asm volatile("nop; nop" : : : "memory");
  sigaction(SIGTRAP, &before, nullptr);
}

std::string complaint() {
  std::string text;
  for (std::uint32_t i = 0; i < stepper.kept; ++i) {
    text += "walked (end " + std::to_string(static_cast<int>(stepper.wrongs[i].ours.end)) + "):\n" +
            describe(stepper.wrongs[i].ours.frames()) + "true:\n" + describe(stepper.wrongs[i].truth.frames()) + "\n";
  }
  return text;
}

volatile double sink;

void count(void* argument) {
  ++*static_cast<int*>(argument);
}

#define EXPECT_EVERY_STEP_TRUE(least)   \
  EXPECT_GE(stepper.steps, least##ull); \
  EXPECT_EQ(stepper.wrong, 0u) << complaint()

TEST(UnwindStepTest, RecursionAndAlloca) {
  step_through([] {
    int calls = 0;
    recurse(10, count, &calls);
    recurse_with_alloca(10, count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(300);
}

TEST(UnwindStepTest, RealignedStacks) {
  step_through([] {
    int calls = 0;
    with_realigned_stack(5, count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(100);
}

TEST(UnwindStepTest, RegistersInUse) {
  step_through([] {
    int calls = 0;
    with_all_registers_in_use(count, &calls);
    with_garbage_frame_pointer(count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(40);
}

TEST(UnwindStepTest, LeavesWithoutFrames) {
  step_through([] { sink = static_cast<double>(leaf_without_frame(3) + hand_written_leaf(5)); });
  EXPECT_EVERY_STEP_TRUE(30);
}

TEST(UnwindStepTest, TailCalls) {
  step_through([] {
    int calls = 0;
    through_tail_calls(count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(10);
}

TEST(UnwindStepTest, HandWrittenAssembly) {
  step_through([] {
    int calls = 0;
    from_hand_written(count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(15);
}

// Through the procedure linkage table: this program binds lazily, so the first call of each goes through the binder,
// and the second jumps there directly.
TEST(UnwindStepTest, LinkageTableStubs) {
  step_through([] {
    for (int i = 0; i < 2; ++i)
      sink = static_cast<double>(strtol("12", nullptr, 10) + labs(-3) + getppid() + time(nullptr));
  });
  EXPECT_EVERY_STEP_TRUE(150);
}

// clock_gettime() ends in the kernel's own code.
TEST(UnwindStepTest, KernelsOwnCode) {
  step_through([] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sink = static_cast<double>(now.tv_nsec);
  });
  EXPECT_EVERY_STEP_TRUE(30);
}

TEST(UnwindStepTest, CallbacksOfTheLibrary) {
  step_through([] {
    int calls = 0;
    from_qsort(count, &calls);
    from_bsearch(count, &calls);
  });
  EXPECT_EVERY_STEP_TRUE(1000);
}

const JitCode* jit;

// Prologue and epilogue of code without call frame information: the frame pointer alone would miss the caller there.
// The caller keeps a frame pointer, as whatever calls JIT code does.
[[gnu::noinline]] void call_jit() {
  int calls = 0;
  jit->call(count, &calls);
  asm volatile("" : : "r"(__builtin_frame_address(0)) : "memory");
}

TEST(UnwindStepTest, JitCode) {
  const JitCode code;
  jit = &code;
  step_through(call_jit);
  EXPECT_EVERY_STEP_TRUE(15);
}

// libc, libm, the lazy binder, the vDSO.
TEST(UnwindStepTest, SomeOfEverything) {
  step_through([] { sink = mixed_work(7); });
  EXPECT_EVERY_STEP_TRUE(5000);
}

// To land in a handler the compiler's unwinder overwrites the saved registers of frames it is about to leave, so for
// some 75 instructions per exception there is no true stack to be found, for libunwind neither.
TEST(UnwindStepTest, Exceptions) {
  step_through([] { sink = throw_and_catch(3); });
  EXPECT_GE(stepper.steps, 10'000u);
  EXPECT_LE(stepper.wrong, stepper.steps / 200) << complaint();
  EXPECT_EQ(stepper.wrong_alone, 0u) << complaint();
}

}  // namespace
}  // namespace camprobe::sampler
