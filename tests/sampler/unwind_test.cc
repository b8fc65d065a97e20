// tests/sampler/unwind_test.cc
//
// The walker against libunwind, frame by frame, on every kind of stack that a server has.
#include "sampler/unwind.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sampler/unwind_memory.h"
#include "sampler/unwind_modules.h"
#include "tests/sampler/unwind_fixture.h"
#include "tests/sampler/unwind_functions.h"
#include "tests/sampler/unwind_jit.h"

namespace camprobe::sampler {
namespace {

TEST_F(UnwindTest, WalksToTheRoot) {
  visit(nullptr);
  EXPECT_AGREEMENT(both);
  EXPECT_GT(both.ours.depth, 5u);
}

TEST_F(UnwindTest, WalksDeepRecursion) {
  recurse(200, visit, nullptr);
  EXPECT_AGREEMENT(both);
  EXPECT_GT(both.ours.depth, 200u);
}

TEST_F(UnwindTest, WalksFramesMadeWithAlloca) {
  recurse_with_alloca(50, visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksRealignedStacks) {
  with_realigned_stack(20, visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksFunctionsThatUseEveryRegister) {
  with_all_registers_in_use(visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksThroughCallbacksOfTheLibrary) {
  from_qsort(visit, nullptr);
  EXPECT_AGREEMENT(both);
  from_bsearch(visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksInsideACatchBlock) {
  after_catching(10, visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksPastAGarbageFramePointer) {
  with_garbage_frame_pointer(visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksHandWrittenAssemblyThatDescribesItself) {
  from_hand_written(visit, nullptr);
  EXPECT_AGREEMENT(both);
}

// Not inlined, so that both times the walk is called from one place.
[[gnu::noinline]] void call_it(void (*through)(Visit, void*), Visit visit) {
  through(visit, nullptr);
  asm volatile("" : : : "memory");
}

TEST_F(UnwindTest, TailCallsLeaveNoFrame) {
  call_it(through_tail_calls, visit);
  EXPECT_AGREEMENT(both);
  const std::size_t through_two_more = both.ours.frames().size();
  call_it(with_all_registers_in_use, visit);
  EXPECT_AGREEMENT(both);
  EXPECT_EQ(through_two_more + 1, both.ours.frames().size());
}

TEST_F(UnwindTest, StopsAtAFrameThatNothingDescribes) {
  without_frame_information(visit, nullptr);
  EXPECT_EQ(both.ours.end, WalkEnd::no_rule);
  ASSERT_GE(both.ours.depth, 2u);
  ASSERT_GE(both.theirs.depth, 2u);
  EXPECT_EQ(both.ours.pc[0], both.theirs.pc[0]);
  EXPECT_EQ(both.ours.pc[1], both.theirs.pc[1]);
}

TEST_F(UnwindTest, SaysThatAStackWasCutAndWritesNoMore) {
  std::uintptr_t out[4] = {1, 1, 1, 1};
  const Walk walk = walk_here(out, 3, bounds, 0);
  EXPECT_EQ(walk.depth, 3u);
  EXPECT_EQ(walk.end, WalkEnd::truncated_depth);
  EXPECT_EQ(out[3], 1u);
}

TEST_F(UnwindTest, CallsAStackWholeThatJustFits) {
  std::uintptr_t out[kMostFrames];
  const Walk whole = walk_here(out, kMostFrames, bounds, 0);
  ASSERT_EQ(whole.end, WalkEnd::root);
  const Walk fits = walk_here(out, whole.depth, bounds, 0);
  EXPECT_EQ(fits.depth, whole.depth);
  EXPECT_EQ(fits.end, WalkEnd::root);
}

TEST_F(UnwindTest, LeavesOutTheFramesItIsToldTo) {
  std::uintptr_t whole[kMostFrames];
  std::uintptr_t rest[kMostFrames];
  const Walk a = walk_here(whole, kMostFrames, bounds, 0);
  const Walk b = walk_here(rest, kMostFrames, bounds, 2);
  ASSERT_EQ(b.depth + 2, a.depth);
  EXPECT_EQ(std::memcmp(whole + 2, rest, b.depth * sizeof(*rest)), 0);
}

struct HookWalk {
  Stack stack;
  std::uintptr_t return_address;
};

[[gnu::noinline]] void hook_slow_path(HookWalk* result, void* hook_frame) {
  const Walk walk = walk_above(result->stack.pc, kMostFrames, bounds_of_this_thread(), hook_frame);
  result->stack.depth = walk.depth;
  result->stack.end = walk.end;
}

[[gnu::noinline]] void hook(HookWalk* result) {
  result->return_address = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  hook_slow_path(result, __builtin_dwarf_cfa());
}

TEST_F(UnwindTest, StartsAHooksStackAtItsCaller) {
  HookWalk result;
  hook(&result);
  ASSERT_GT(result.stack.depth, 1u);
  EXPECT_EQ(result.stack.end, WalkEnd::root);
  EXPECT_EQ(result.stack.pc[0], result.return_address);
}

TEST_F(UnwindTest, LeavesErrnoAlone) {
  errno = 4711;
  visit(nullptr);
  EXPECT_EQ(errno, 4711);
  walk_both(&both, {0, 0});
  EXPECT_EQ(errno, 4711);
}

TEST_F(UnwindTest, WalksAStackOfUnknownBounds) {
  bounds = {0, 0};
  recurse(100, visit, nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksThreadsToTheirRoot) {
  std::thread([] {
    bounds = bounds_of_this_thread();
    recurse(10, visit, nullptr);
  }).join();
  EXPECT_AGREEMENT(both);
}

// Signals.

TEST_F(UnwindTest, WalksThroughASignalFrame) {
  struct sigaction action {};
  action.sa_handler = [](int) { visit(nullptr); };
  sigaction(SIGUSR1, &action, nullptr);
  recurse(
      5,
      [](void*) {
        raise(SIGUSR1);
        asm volatile("");
      },
      nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksTheInterruptedStack) {
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void* context) {
    walk_both(static_cast<ucontext_t*>(context), bounds, &both);
  };
  sigaction(SIGUSR1, &action, nullptr);
  recurse(
      5,
      [](void*) {
        raise(SIGUSR1);
        asm volatile("");
      },
      nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksAHandlerInsideAHandler) {
  struct sigaction action {};
  action.sa_handler = [](int) {
    raise(SIGUSR2);
    asm volatile("");
  };
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_handler = [](int) { visit(nullptr); };
  sigaction(SIGUSR2, &action, nullptr);
  recurse(
      5,
      [](void*) {
        raise(SIGUSR1);
        asm volatile("");
      },
      nullptr);
  EXPECT_AGREEMENT(both);
}

TEST_F(UnwindTest, WalksFromAnAlternateSignalStackBackToTheThreads) {
  std::vector<char> room(64 << 10);
  stack_t alternate{};
  alternate.ss_sp = room.data();
  alternate.ss_size = room.size();
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_flags = SA_ONSTACK;
  action.sa_handler = [](int) { visit(nullptr); };
  sigaction(SIGUSR1, &action, nullptr);
  recurse(
      5,
      [](void*) {
        raise(SIGUSR1);
        asm volatile("");
      },
      nullptr);
  alternate.ss_flags = SS_DISABLE;
  sigaltstack(&alternate, nullptr);
  EXPECT_AGREEMENT(both);
}

sigjmp_buf back;

[[gnu::noinline]] void call_wild_pointer(void (*wild)(), std::uintptr_t* expected_caller) {
  *expected_caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  wild();
  asm volatile("" : : : "memory");
}

TEST_F(UnwindTest, FindsWhoCalledThroughAWildPointer) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void* context) {
    const Walk walk = walk_context(both.ours.pc, kMostFrames, bounds, static_cast<ucontext_t*>(context));
    both.ours.depth = walk.depth;
    both.ours.end = walk.end;
    siglongjmp(back, 1);
  };
  sigaction(SIGSEGV, &action, &before);
  for (std::uintptr_t wild : {std::uintptr_t{0}, std::uintptr_t{0x1234}, std::uintptr_t{0x7ff012345678}}) {
    std::uintptr_t caller = 0;
    if (sigsetjmp(back, 1) == 0) {
      call_wild_pointer(reinterpret_cast<void (*)()>(wild), &caller);
    }
    EXPECT_EQ(both.ours.end, WalkEnd::root) << std::hex << wild;
    ASSERT_GT(both.ours.depth, 2u);
    EXPECT_EQ(both.ours.pc[0], wild);
    EXPECT_EQ(both.ours.pc[2], caller);
  }
  sigaction(SIGSEGV, &before, nullptr);
}

// Coroutines.

ucontext_t main_context;
ucontext_t coroutine_context;

TEST_F(UnwindTest, WalksSmallCoroutinesToTheirFirstFrame) {
  // Libunwind itself needs more than 16 KiB here, so the oracle is the code: recursion, then the function makecontext()
  // was given.
  constexpr std::size_t kSize = 16 << 10;
  void* stack = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(stack, MAP_FAILED);
  getcontext(&coroutine_context);
  coroutine_context.uc_stack.ss_sp = stack;
  coroutine_context.uc_stack.ss_size = kSize;
  coroutine_context.uc_link = &main_context;
  makecontext(
      &coroutine_context,
      [] {
        recurse(
            20,
            [](void*) {
              const Walk walk = walk_here(both.ours.pc, kMostFrames, bounds, 0);
              both.ours.depth = walk.depth;
              both.ours.end = walk.end;
            },
            nullptr);
        asm volatile("");
      },
      0);
  swapcontext(&main_context, &coroutine_context);
  EXPECT_EQ(both.ours.end, WalkEnd::root);
  // recurse() calls itself 20 times from one place.
  const std::vector<std::uintptr_t> frames = both.ours.frames();
  const auto again = std::adjacent_find(frames.begin(), frames.end());
  ASSERT_NE(again, frames.end()) << describe(frames);
  EXPECT_EQ(std::count(frames.begin(), frames.end(), *again), 20) << describe(frames);
  munmap(stack, kSize);
}

TEST_F(UnwindTest, AgreesOnARoomyCoroutine) {
  constexpr std::size_t kSize = 256 << 10;
  void* stack = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(stack, MAP_FAILED);
  getcontext(&coroutine_context);
  coroutine_context.uc_stack.ss_sp = stack;
  coroutine_context.uc_stack.ss_size = kSize;
  coroutine_context.uc_link = &main_context;
  makecontext(
      &coroutine_context, [] { recurse(20, visit, nullptr); }, 0);
  swapcontext(&main_context, &coroutine_context);
  EXPECT_AGREEMENT(both);
  munmap(stack, kSize);
}

// A JIT's code.

TEST_F(UnwindTest, WalksThroughJitCodeByItsFramePointers) {
  const JitCode code;
  visit(nullptr);
  const std::vector<std::uintptr_t> outer = both.theirs.frames();
  struct Nest {
    const JitCode* code;
    int depth;
    static void go(void* argument) {
      Nest* nest = static_cast<Nest*>(argument);
      if (nest->depth-- == 0) {
        walk_both(&both, bounds);
      } else {
        nest->code->call(go, nest);
      }
      asm volatile("" : : : "memory");
    }
  } nest{&code, 10};
  Nest::go(&nest);
  EXPECT_EQ(both.ours.end, WalkEnd::root) << describe(both.ours.frames());
  const std::vector<std::uintptr_t> frames = both.ours.frames();
  EXPECT_EQ(std::count(frames.begin(), frames.end(), code.return_address()), 10) << describe(frames);
  // Below visit() or go() and this function's own frame everything is the same.
  ASSERT_GT(frames.size(), outer.size());
  EXPECT_EQ(std::vector<std::uintptr_t>(frames.end() - (static_cast<long>(outer.size()) - 2), frames.end()),
            std::vector<std::uintptr_t>(outer.begin() + 2, outer.end()));
}

TEST_F(UnwindTest, WalksByFramePointersAloneWhereTheLoaderTellsNothing) {
  FramedWalk with{bounds, {}, {}};
  FramedWalk without{bounds, {}, {}};
  const FindObject find = replace_module_lookup(nullptr);
  module_closing_begin();
  module_closing_end();  // forget every rule
  for (FramedWalk* walk : {&without, &with}) {
    recurse_with_frame_pointers(10, walk_with_frame_pointer, walk);
    replace_module_lookup(find);
  }
  ASSERT_EQ(with.result.end, WalkEnd::root);
  ASSERT_GE(without.result.depth, 12u) << "ended by " << static_cast<int>(without.result.end);
  EXPECT_EQ(std::vector<std::uintptr_t>(with.pc, with.pc + 12),
            std::vector<std::uintptr_t>(without.pc, without.pc + 12));
  // What follows depends on how this test and the C library are compiled.
}

// Corrupt stacks.

TEST_F(UnwindTest, NeverFaultsOnAContextOfGarbage) {
  // Every register random, half of the time pointing into real memory of some kind.
  ucontext_t context;
  getcontext(&context);
  std::uint64_t random = 88172645463325252;
  const auto next = [&] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  };
  const std::uintptr_t places[] = {bounds.low,
                                   bounds.high,
                                   bounds.high - 64,
                                   reinterpret_cast<std::uintptr_t>(&context),
                                   reinterpret_cast<std::uintptr_t>(&std::strlen),
                                   reinterpret_cast<std::uintptr_t>(&recurse),
                                   reinterpret_cast<std::uintptr_t>(&both),
                                   0,
                                   ~std::uintptr_t{0},
                                   std::uintptr_t{1} << 47};
  std::uintptr_t out[64];
  unsigned ends[5] = {};
  for (int i = 0; i < 100'000; ++i) {
    for (auto& reg : context.uc_mcontext.gregs) {
      const std::uint64_t value = next();
      reg = static_cast<greg_t>(value % 8 == 0 ? value
                                               : places[value / 8 % std::size(places)] + (value >> 20) % 4096 - 2048);
    }
    const Walk walk = walk_context(out, 64, i % 2 == 0 ? bounds : StackBounds{0, 0}, &context);
    ASSERT_LE(walk.depth, 64u);
    ASSERT_GE(walk.depth, 1u);
    ++ends[static_cast<unsigned>(walk.end)];
  }
  EXPECT_GT(ends[static_cast<unsigned>(WalkEnd::bad_frame)] + ends[static_cast<unsigned>(WalkEnd::no_rule)], 50'000u);
}

TEST_F(UnwindTest, TellsReadablePagesFromOthers) {
  char* pages = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  mprotect(pages + 4096, 4096, PROT_NONE);
  const auto first = reinterpret_cast<std::uintptr_t>(pages);
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  EXPECT_TRUE(page_is_readable(first));
  EXPECT_TRUE(page_is_readable(first + 4095));
  EXPECT_FALSE(page_is_readable(first + 4096));
  EXPECT_FALSE(page_is_readable(0));
  EXPECT_FALSE(page_is_readable(~std::uintptr_t{0}));
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(std::memcmp(&before, &after, 8), 0);
  StackMemory memory({0, 0}, 0);
  std::uint64_t word;
  EXPECT_TRUE(memory.read(first + 4088, &word));
  EXPECT_FALSE(memory.read(first + 4089, &word)) << "half of it lies in the next page";
  munmap(pages, 8192);
}

TEST_F(UnwindTest, CallsNothingThatCouldBeHooked) {
  if (CAMPROBE_TEST_INSTRUMENTED) GTEST_SKIP() << "the compiler's instrumentation calls its runtime";
  // The objects' undefined symbols. dlsym() and getauxval() are start_modules()'s.
  FILE* listing = popen("nm -u --format=just-symbols " CAMPROBE_TEST_LIBRARY " 2>/dev/null | sort -u", "r");
  ASSERT_NE(listing, nullptr);
  char line[512];
  std::vector<std::string> foreign;
  while (std::fgets(line, sizeof(line), listing) != nullptr) {
    std::string name(line);
    while (!name.empty() && name.back() == '\n') name.pop_back();
    if (!name.empty() && name.back() != ':' && name.find("8camprobe") == std::string::npos) foreign.push_back(name);
  }
  pclose(listing);
  ASSERT_THAT(foreign, testing::Contains("dlsym")) << "nm listed nothing";
  EXPECT_THAT(foreign, testing::IsSubsetOf({"dlsym", "getauxval", "_GLOBAL_OFFSET_TABLE_", "memcpy", "memset"}));
}

}  // namespace
}  // namespace camprobe::sampler
