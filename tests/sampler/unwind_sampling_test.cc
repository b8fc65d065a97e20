// tests/sampler/unwind_sampling_test.cc
//
// A profiler's life: a timer interrupts real work wherever it happens to be, several thousand times, and every sample
// is compared with libunwind's opinion of the same interrupted stack.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

TEST(UnwindSamplingTest, AgreesWithLibunwindWhereverTheTimerStrikes) {
  start_unwinding();
  bounds = bounds_of_this_thread();
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  action.sa_sigaction = on_tick;
  sigaction(SIGPROF, &action, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = static_cast<int>(syscall(SYS_gettid));
  timer_t timer;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  itimerspec period{};
  period.it_interval.tv_nsec = period.it_value.tv_nsec = 211'000;
  ASSERT_EQ(timer_settime(timer, 0, &period, nullptr), 0);

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
  timer_delete(timer);
  signal(SIGPROF, SIG_IGN);

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
