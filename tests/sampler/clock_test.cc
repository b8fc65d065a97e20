// tests/sampler/clock_test.cc
//
// The probe's time is the clock's, to a microsecond or two: whoever asks, whenever, also while a handler asks in
// between.
#include "sampler/clock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <thread>
#include <vector>

namespace camprobe::sampler {
namespace {

constexpr std::uint64_t kTolerance = 2'000;
constexpr std::uint64_t kLongEnough = 150'000'000;  // for a rate to be measured, and used

// Asks between two readings of the clock, for so long; how often the answer lay outside of them.
std::uint64_t wrong_answers(std::uint64_t for_ns) {
  std::uint64_t wrong = 0;
  for (const std::uint64_t end = shm::monotonic_ns() + for_ns;;) {
    const std::uint64_t before = shm::monotonic_ns();
    const std::uint64_t now = now_ns();
    const std::uint64_t after = shm::monotonic_ns();
    if (now + kTolerance < before || now > after + kTolerance) ++wrong;
    if (after > end) return wrong;
  }
}

class Clock : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_clock(); }
};

TEST_F(Clock, AgreesWithTheSystemsOnEveryThread) {
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> crew;
  for (int i = 0; i < 4; ++i) crew.emplace_back([&] { wrong += wrong_answers(kLongEnough); });
  for (auto& thread : crew) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
}

std::atomic<std::uint64_t> g_wrong_in_handler{0};
std::atomic<std::uint64_t> g_handled{0};

TEST_F(Clock, AgreesWhileAHandlerAsksInBetween) {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    g_wrong_in_handler += wrong_answers(0);
    g_handled += 1;
  };
  struct sigaction previous;
  ASSERT_EQ(sigaction(SIGALRM, &action, &previous), 0);
  const itimerval every = {{0, 300}, {0, 300}}, never = {};
  ASSERT_EQ(setitimer(ITIMER_REAL, &every, nullptr), 0);
  EXPECT_EQ(wrong_answers(kLongEnough), 0u);
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &previous, nullptr);
  EXPECT_EQ(g_wrong_in_handler.load(), 0u);
  EXPECT_GT(g_handled.load(), 0u);
}

TEST_F(Clock, TimesACallBetweenTheSystemsReadings) {
  wrong_answers(kLongEnough);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t before = shm::monotonic_ns();
    const CallStart call;
    const std::uint64_t inner = shm::monotonic_ns();
    while (shm::monotonic_ns() < inner + 20'000) {
    }
    const std::uint64_t last = shm::monotonic_ns();
    const std::uint64_t elapsed = call.elapsed_ns();
    const std::uint64_t after = shm::monotonic_ns();
    EXPECT_GE(elapsed + kTolerance, last - inner);
    EXPECT_LE(elapsed, after - before + kTolerance);
  }
}

// Last, because there is no way back.
TEST_F(Clock, GivesUpACounterThatRunsWrong) {
  wrong_answers(kLongEnough);
  const std::uint64_t rate = g_ns_per_cycle.load();
  if (rate == 0) GTEST_SKIP() << "no counter to use on this machine";
  g_ns_per_cycle.store(rate * 2);
  wrong_answers(10'000'000);
  EXPECT_EQ(g_ns_per_cycle.load(), 0u);
  EXPECT_EQ(wrong_answers(kLongEnough), 0u);
}

}  // namespace
}  // namespace camprobe::sampler
