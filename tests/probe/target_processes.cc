// tests/probe/target_processes.cc
//
// Programs that become other processes, and programs that live with signals.
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/probe/target.h"

extern char** environ;

namespace camprobe::target {

void forks() {
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      void* block = malloc(60'000 + static_cast<size_t>(i));
      g_sink = block;
      free(block);
      for (int k = 0; k < 100; ++k) free(malloc(5'000));
      _exit(40 + i);
    }
    int status = 0;
    waitpid(child, &status, 0);
    say("child", child);
    say("status", WEXITSTATUS(status));
  }
  die_by_kill();
}

void raw_fork() {
  const long child = syscall(SYS_fork);
  if (child == 0) {
    for (int k = 0; k < 200; ++k) g_sink = malloc(77'777);
    syscall(SYS_exit_group, 0);
  }
  int status = 0;
  waitpid(static_cast<pid_t>(child), &status, 0);
  say("child", static_cast<double>(child));
  die_by_kill();
}

void vforks(const char* self) {
  for (static int i = 0; i < 20; ++i) {
    const pid_t child = vfork();
    if (child == 0) {
      free(sink(malloc(88'888)));  // in our memory: must not be recorded
      execl("/bin/true", "true", static_cast<char*>(nullptr));
      _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) say("bad_status", status);
  }
  const pid_t nested = vfork();
  if (nested == 0) {
    const pid_t inner = vfork();
    if (inner == 0) _exit(5);
    int status = 0;
    waitpid(inner, &status, 0);
    _exit(WEXITSTATUS(status) + 1);
  }
  int status = 0;
  waitpid(nested, &status, 0);
  say("nested", WEXITSTATUS(status));
  pid_t spawned = 0;
  char* const arguments[] = {const_cast<char*>(self), const_cast<char*>("nothing"), nullptr};
  say("spawned", posix_spawn(&spawned, self, nullptr, nullptr, arguments, environ));
  waitpid(spawned, &status, 0);
  say("spawned_pid", spawned);
  say("spawned_status", WEXITSTATUS(status));
  g_sink = malloc(99'999);
  die_by_kill();
}

// TIMES: execs itself so often, with a failing exec before each.
void execs(const char* self, int times) {
  char* const none[] = {const_cast<char*>("none"), nullptr};
  if (execv("/nonexistent/program", none) != -1 || errno != ENOENT) _exit(90);
  g_sink = malloc(70'000);
  if (times == 0) {
    puts("done");
    fflush(stdout);
    exit(17);
  }
  const std::string left = std::to_string(times - 1);
  execl(self, self, "execs", left.c_str(), static_cast<char*>(nullptr));
  _exit(91);
}

// Waits in every call that the kernel does not restart, with the timer ticking fast, and prints how many were
// interrupted and how many ended early.
void interruptions(double for_seconds) {
  long interrupted = 0, early = 0, calls = 0;
  const int epoll = epoll_create1(0);
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  const double end = seconds(CLOCK_MONOTONIC) + for_seconds;
  const auto check = [&](double began, double wanted, bool was_interrupted) {
    ++calls;
    interrupted += was_interrupted;
    if (!was_interrupted && seconds(CLOCK_MONOTONIC) - began < wanted - 1e-4) ++early;
  };
  while (seconds(CLOCK_MONOTONIC) < end) {
    // The timer ticks on CPU time, so something must be used right before each wait.
    burn(0.0003);
    epoll_event event;
    double began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, epoll_wait(epoll, &event, 1, 1) < 0 && errno == EINTR);
    burn(0.0003);
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, poll(nullptr, 0, 1) < 0 && errno == EINTR);
    burn(0.0003);
    timespec pause = {0, 1'000'000};
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, nanosleep(&pause, nullptr) < 0);
    burn(0.0003);
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr) != 0);
    burn(0.0003);
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, usleep(1000) != 0);
    burn(0.0003);
    timeval timeout = {0, 1000};
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, select(0, nullptr, nullptr, nullptr, &timeout) < 0 && errno == EINTR);
    burn(0.0003);
    timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += 1'000'000;
    if (deadline.tv_nsec >= 1'000'000'000) deadline.tv_nsec -= 1'000'000'000, ++deadline.tv_sec;
    began = seconds(CLOCK_MONOTONIC);
    check(began, 0.001, sem_timedwait(&semaphore, &deadline) != 0 && errno == EINTR);
  }
  say("calls", static_cast<double>(calls));
  say("interrupted", static_cast<double>(interrupted));
  say("early", static_cast<double>(early));
}

// A handler of the program's own must still interrupt.
void own_interruption() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  alarm(1);
  const bool by_poll = poll(nullptr, 0, 5000) < 0 && errno == EINTR;
  alarm(1);
  timespec pause = {5, 0}, left = {};
  const bool by_sleep = nanosleep(&pause, &left) < 0 && errno == EINTR && left.tv_sec >= 3;
  alarm(1);
  const bool by_pause = ::pause() < 0 && errno == EINTR;
  say("own", by_poll && by_sleep && by_pause);
}

// Asks about and resets every signal, as daemons do; then wants them all.
void all_signals() {
  int odd = 0;
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) ++odd;
    signal(number, SIG_DFL);
  }
  burn(0.1);
  say("odd", odd);
  int caught = 0;
  static std::atomic<int> count{0};
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    struct sigaction action = {};
    action.sa_handler = [](int) { ++count; };
    sigaction(number, &action, nullptr);
    raise(number);
    ++caught;
  }
  burn(0.1);
  say("missed", caught - count);
}

// Forks again and again while other threads are in the middle of everything.
void fork_storm(int forks) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> crew;
  for (int t = 0; t < 4; ++t)
    crew.emplace_back([&] {
      while (!stop) {
        free(sink(malloc(5000)));
        void* mapped = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(mapped, 1 << 20);
      }
    });
  int bad = 0;
  for (int i = 0; i < forks; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 200; ++k) free(sink(malloc(5000)));
      const pid_t grandchild = fork();
      if (grandchild == 0) _exit(1);
      int status = 0;
      waitpid(grandchild, &status, 0);
      exit(WEXITSTATUS(status) + 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    bad += !WIFEXITED(status) || WEXITSTATUS(status) != 2;
  }
  stop = true;
  for (auto& thread : crew) thread.join();
  say("bad", bad);
  exit(0);
}

void become_daemon() {
  if (daemon(0, 1) != 0) _exit(3);
  say("daemon", getpid());
  exit(0);
}

}  // namespace camprobe::target
