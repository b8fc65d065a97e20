// tests/sampler/unwind_sampling_test.cc
//
// A profiler's life: a timer interrupts real work wherever it happens to be, several thousand times, and every sample
// is compared with libunwind's opinion of the same interrupted stack.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "sampler/unwind.h"
#include "tests/sampler/unwind_functions.h"
#include "tests/sampler/unwind_oracle.h"

namespace camprobe::sampler {
namespace {

constexpr unsigned kMostKept = 4;

StackBounds bounds;
Both both;
Both disagreements[kMostKept];
volatile unsigned samples;
volatile unsigned disagreed;
volatile unsigned rooted;
volatile unsigned rooted_by_libunwind;
volatile double sink;

void on_tick(int, siginfo_t*, void* context) {
  walk_both(static_cast<const ucontext_t*>(context), bounds, &both);
  samples = samples + 1;
  rooted = rooted + (both.ours.end == WalkEnd::root);
  rooted_by_libunwind = rooted_by_libunwind + (both.theirs.end == WalkEnd::root);
  if (!agree(both)) {
    if (disagreed < kMostKept) disagreements[disagreed] = both;
    disagreed = disagreed + 1;
  }
}

// Interrupts this thread again and again, each time `period_ns` after the last handler ended. A timer with a period
// would leave no time for the work itself where a handler takes longer than that, as libunwind's does on a busy
// machine.
class Ticker {
 public:
  Ticker(void (*handler)(int, siginfo_t*, void*), long period_ns) {
    handler_ = handler;
    once_.it_value.tv_nsec = period_ns;
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    action.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
      handler_(signal, info, context);
      timer_settime(timer_, 0, &once_, nullptr);
    };
    sigaction(SIGPROF, &action, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = static_cast<int>(syscall(SYS_gettid));
    if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0 || timer_settime(timer_, 0, &once_, nullptr) != 0) {
      throw std::runtime_error("no timer");
    }
  }
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  void stop() {
    signal(SIGPROF, SIG_IGN);
    if (!stopped_) timer_delete(timer_);
    stopped_ = true;
  }

 private:
  static inline void (*handler_)(int, siginfo_t*, void*);
  static inline timer_t timer_;
  static inline itimerspec once_{};
  bool stopped_ = false;
};

struct Repeated {
  Stack first;
  Stack again;
  unsigned walks = 0;
  unsigned different = 0;
};

void walk_repeatedly(void* argument) {
  Repeated* repeated = static_cast<Repeated*>(argument);
  for (unsigned i = 0; i < 200'000 && samples < 400; ++i) {
    if (i % 64 == 0) {  // forget every rule, so that learning one is interrupted too
      module_closing_begin();
      module_closing_end();
    }
    Stack stack;
    const Walk walk = walk_here(stack.pc, kMostFrames, bounds, 1);
    stack.depth = walk.depth;
    stack.end = walk.end;
    if (repeated->walks++ == 0) {
      repeated->first = stack;
    } else if (stack.end != WalkEnd::root || stack.frames() != repeated->first.frames()) {
      ++repeated->different;
      repeated->again = stack;
    }
  }
}

TEST(UnwindSamplingTest, AWalkInAHandlerDoesNotDisturbTheWalkItInterrupted) {
  start_unwinding();
  bounds = bounds_of_this_thread();
  samples = 0;
  rooted = 0;
  Repeated repeated;
  {
    const Ticker ticker(
        [](int, siginfo_t*, void* context) {
          const Walk walk = walk_context(both.ours.pc, kMostFrames, bounds, static_cast<const ucontext_t*>(context));
          samples = samples + 1;
          rooted = rooted + (walk.end == WalkEnd::root);
        },
        53'000);
    recurse(30, walk_repeatedly, &repeated);
  }
  EXPECT_GT(repeated.walks, 1000u);
  EXPECT_EQ(repeated.different, 0u) << describe(repeated.first.frames()) << "became\n"
                                    << describe(repeated.again.frames());
  EXPECT_GE(samples, 50u);
  // All but those that struck between module_closing_begin() and module_closing_end().
  EXPECT_GE(rooted, samples - samples / 10);
}

TEST(UnwindSamplingTest, AgreesWithLibunwindWhereverTheTimerStrikes) {
  start_unwinding();
  bounds = bounds_of_this_thread();
  samples = 0;
  rooted = 0;
  Ticker ticker(on_tick, 211'000);

  timespec begin;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  unsigned round = 0;
  do {
    sink = mixed_work(round);
    if (round % 32 == 0) sink = throw_and_catch(round / 32 % 6);  // rare: see UnwindStepTest.Exceptions
    ++round;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (samples < 8000 && now.tv_sec - begin.tv_sec < 20);
  ticker.stop();

  EXPECT_GE(samples, 2000u) << "too few to say anything";
  std::string text;
  for (unsigned i = 0; i < disagreed && i < kMostKept; ++i) {
    text += "ours (end " + std::to_string(static_cast<int>(disagreements[i].ours.end)) + "):\n" +
            describe(disagreements[i].ours.frames()) + "libunwind's:\n" + describe(disagreements[i].theirs.frames()) +
            "\n";
  }
  EXPECT_LE(disagreed, samples / 200) << disagreed << " of " << samples << " samples\n" << text;
  EXPECT_GE(rooted, samples - samples / 200);
  RecordProperty("samples", static_cast<int>(samples));
  RecordProperty("disagreed", static_cast<int>(disagreed));
  std::printf("%u samples, %u disagree; whole: %u ours, %u libunwind's\n", samples, disagreed, rooted,
              rooted_by_libunwind);
}

}  // namespace
}  // namespace camprobe::sampler
