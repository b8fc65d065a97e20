// tests/probe/target.cc
//
// The program that the probe's tests run: `probe_target WHAT ARGUMENTS...` does one thing and prints what is true of
// it, one "name value" a line. It knows nothing of the probe but the public header.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "probe/include/camprobe.h"

extern char** environ;

namespace {

// What the compiler must not reason away.
void* volatile g_sink;
void* sink(void* block) {
  g_sink = block;
  return block;
}
volatile size_t g_huge = size_t{1} << 46;

void say(const char* name, double value) {
  printf("%s %.17g\n", name, value);
}
void say_address(const char* name, const void* block) {
  say(name, static_cast<double>(reinterpret_cast<uintptr_t>(block)));
}
[[noreturn]] void die_by_kill() {
  fflush(stdout);
  kill(getpid(), SIGKILL);
  abort();
}

double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

[[gnu::noinline]] void burn(double cpu_seconds) {
  const double end = seconds(CLOCK_THREAD_CPUTIME_ID) + cpu_seconds;
  volatile double x = 1;
  while (seconds(CLOCK_THREAD_CPUTIME_ID) < end)
    for (int i = 0; i < 2000; ++i) x = x * 1.0000001 + 1e-9;
}

// THREADS COUNT: each thread allocates COUNT blocks in all ways and frees them, some from another thread.
void exact(int threads, long count) {
  std::vector<std::thread> crew;
  std::vector<std::vector<void*>> handed(static_cast<size_t>(threads));
  for (auto& blocks : handed) blocks.resize(static_cast<size_t>(count), nullptr);
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      for (long i = 0; i < count; ++i) {
        void* block = malloc(static_cast<size_t>(24 + i % 8));
        block = realloc(block, 100);
        free(calloc(4, 25));
        void* aligned = nullptr;
        if (posix_memalign(&aligned, 64, 256) == 0) free(aligned);
        free(nullptr);
        delete[] new char[77 + static_cast<size_t>(g_sink == block)];
        handed[static_cast<size_t>(t)][static_cast<size_t>(i)] = block;
      }
    });
  for (auto& thread : crew) thread.join();
  for (auto& blocks : handed)
    for (void* block : blocks) free(block);
}

// Keeps COUNT blocks of each of some sizes and dies: the live table must know how many they were.
void keep(long small, long medium, long large) {
  for (long i = 0; i < small; ++i) g_sink = malloc(16);
  for (long i = 0; i < medium; ++i) g_sink = malloc(1000);
  for (long i = 0; i < large; ++i) g_sink = malloc(100'000);
  die_by_kill();
}

void realloc_failing() {
  void* volatile kept = malloc(50'000);
  void* volatile moved = malloc(50'000);
  void* volatile gone = malloc(50'000);
  errno = 0;
  g_sink = realloc(kept, g_huge);
  say("failed", g_sink == nullptr && errno == ENOMEM);
  moved = realloc(moved, 90'000);
  g_sink = reallocarray(gone, g_huge, g_huge);
  say("overflow_failed", g_sink == nullptr && errno == ENOMEM);
  g_sink = realloc(gone, 0);
  say_address("kept", kept);
  say_address("moved", moved);
  say_address("gone", gone);
  die_by_kill();
}

struct alignas(256) Wide {
  char bytes[1024 * 50];
};
void operators() {
  Wide* kept = new Wide;
  say_address("kept", kept);
  Wide* wide = new Wide;
  say_address("freed", wide);
  delete wide;
  char* nothing = new (std::nothrow) char[50'000];
  say_address("freed", nothing);
  ::operator delete[](nothing, std::nothrow);
  void* sized = ::operator new(50'000);
  say_address("freed", sized);
  ::operator delete (sized, size_t{50'000});
  void* aligned = ::operator new[](50'000, std::align_val_t{512});
  say_address("freed", aligned);
  ::operator delete[](aligned, size_t{50'000}, std::align_val_t{512});
  char* kept_array = new char[50'000];
  say_address("kept", kept_array);
  bool threw = false;
  try {
    g_sink = ::operator new(g_huge);
  } catch (const std::bad_alloc&) {
    threw = true;
  }
  say("threw", threw);
  die_by_kill();
}

// COUNT operator new and delete pairs.
void new_count(long count) {
  for (long i = 0; i < count; ++i) {
    g_sink = ::operator new(64);
    ::operator delete(g_sink);
  }
  die_by_kill();
}

void cross_thread() {
  void* block = malloc(50'000);
  std::thread([&] { free(block); }).join();
  g_sink = malloc(50'000);
  free(g_sink);
  die_by_kill();
}

void mappings() {
  const size_t size = 1 << 20;
  auto* kept = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* gone = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(gone, size);
  auto* holed = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(holed + 4096 * 16, 4096 * 32);
  auto* reserved = static_cast<char*>(mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(reserved + 4096 * 64, 4096 * 128, PROT_READ | PROT_WRITE);
  void* failed = mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  say("failed", failed == MAP_FAILED && errno == EINVAL);
  auto* moved = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  void* bigger = mremap(moved, size, 4 * size, MREMAP_MAYMOVE);
  say_address("kept", kept);
  say_address("gone", gone);
  say_address("holed", holed);
  say_address("reserved", reserved);
  say_address("bigger", bigger);
  die_by_kill();
}

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

// SECONDS THREADS: burns CPU and prints what each thread used.
void cpu(double cpu_seconds, int threads) {
  std::vector<std::thread> crew;
  std::vector<double> used(static_cast<size_t>(threads));
  std::vector<long> tids(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      pthread_setname_np(pthread_self(), ("burner" + std::to_string(t)).c_str());
      tids[static_cast<size_t>(t)] = syscall(SYS_gettid);
      burn(cpu_seconds);
      used[static_cast<size_t>(t)] = seconds(CLOCK_THREAD_CPUTIME_ID);
    });
  for (auto& thread : crew) thread.join();
  for (int t = 0; t < threads; ++t) {
    say("tid", static_cast<double>(tids[static_cast<size_t>(t)]));
    say("used", used[static_cast<size_t>(t)]);
  }
  die_by_kill();
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

void spans() {
  camprobe_span outer = camprobe_begin("outer");
  camprobe_set_text(outer, "provider", "openai");
  camprobe_set_number(outer, "cost", 0.5);
  camprobe_set_number(outer, "cost", 0.25);
  {
    camprobe::Span inner("inner");
    inner.set("tokens", 42.0);
    g_sink = malloc(50'001);
  }
  g_sink = malloc(50'002);
  camprobe_span handed = camprobe_begin("handed");
  std::thread([&] {
    camprobe_enter(handed);
    g_sink = malloc(50'003);
    camprobe_leave(handed);
    g_sink = malloc(50'004);
    camprobe_end(handed);
    camprobe_end(handed);
  }).join();
  camprobe_span root = camprobe_begin_under("root", 0);
  camprobe_set_number(root, "before", 1);
  for (const char* text : {"00-0123456789abcdeffedcba9876543210-00f067aa0ba902b7-00", "no traceparent at all",
                           "00-0123456789abcdeffedcba9876543211-00f067aa0ba902b8-01"})
    camprobe_set_text(root, "traceparent", text);
  camprobe_set_number(root, "after", 2);
  g_sink = malloc(50'005);
  camprobe_end(root);
  g_sink = malloc(50'006);
  const char* const many[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"};
  for (const char* key : many) camprobe_set_number(outer, key, 1);
  camprobe_end(outer);
  camprobe_end(0);
  g_sink = malloc(50'007);
  camprobe_mark("deployed");
  const camprobe_span open = camprobe_begin("still open");
  say("loaded", camprobe_is_loaded());
  say("handles", outer != 0 && handed != 0 && open != 0);
  if (camprobe_is_loaded()) die_by_kill();
}

void* volatile g_thread_waste;
void short_threads(long count) {
  for (long i = 0; i < count; ++i) {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          void* block = malloc(100);
          free(block);
          return nullptr;
        },
        nullptr);
    pthread_join(thread, nullptr);
  }
  die_by_kill();
}

// The same with C's own threads, which pass no hook at their start.
void c_threads(long count) {
  for (long i = 0; i < count; ++i) {
    thrd_t thread;
    thrd_create(
        &thread,
        [](void*) -> int {
          burn(0.0004);
          free(sink(malloc(100)));
          return 0;
        },
        nullptr);
    thrd_join(thread, nullptr);
  }
  die_by_kill();
}

// THREADS at once, each with 50 blocks of 1,000 bytes.
void many_threads(int threads) {
  pthread_barrier_t all;
  pthread_barrier_init(&all, nullptr, static_cast<unsigned>(threads));
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  std::vector<pthread_t> crew(static_cast<size_t>(threads));
  for (auto& thread : crew)
    pthread_create(
        &thread, &small,
        [](void* barrier) -> void* {
          pthread_barrier_wait(static_cast<pthread_barrier_t*>(barrier));
          for (int i = 0; i < 50; ++i) free(sink(malloc(1000)));
          pthread_barrier_wait(static_cast<pthread_barrier_t*>(barrier));
          return nullptr;
        },
        &all);
  for (auto& thread : crew) pthread_join(thread, nullptr);
  die_by_kill();
}

// Threads on the smallest stack that POSIX allows, burning, allocating, cancelled and leaving by every door.
void small_stacks() {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16 << 10);
  int bad = 0;
  for (int i = 0; i < 40; ++i) {
    pthread_t thread;
    bad += pthread_create(
        &thread, &small,
        [](void* how) -> void* {
          const double end = seconds(CLOCK_THREAD_CPUTIME_ID) + 0.01;
          while (seconds(CLOCK_THREAD_CPUTIME_ID) < end) free(sink(malloc(3000)));
          if (how == nullptr) return nullptr;
          if (how == reinterpret_cast<void*>(1)) pthread_exit(nullptr);
          for (;;) {
            free(sink(malloc(3000)));
            pthread_testcancel();
          }
        },
        reinterpret_cast<void*>(static_cast<intptr_t>(i % 3)));
    if (i % 3 == 2) pthread_cancel(thread);
    bad += pthread_join(thread, nullptr);
  }
  say("bad", bad);
  die_by_kill();
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

// Allocates in destructors of thread-local objects and of keys, in every round.
pthread_key_t g_late_key;
struct Late {
  ~Late() { free(sink(malloc(3000))); }
};
void late_allocations(int threads) {
  pthread_key_create(&g_late_key, [](void* round) {
    free(malloc(3000));
    const auto left = reinterpret_cast<intptr_t>(round);
    if (left > 1) pthread_setspecific(g_late_key, reinterpret_cast<void*>(left - 1));
  });
  for (int i = 0; i < threads; ++i)
    std::thread([] {
      static thread_local Late late;
      g_thread_waste = &late;
      pthread_setspecific(g_late_key, reinterpret_cast<void*>(4));
    }).join();
  die_by_kill();
}

// A library bound to its own C library frees behind the hooks' back.
void deep_binding(const char* path) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  auto release = reinterpret_cast<void (*)(void*)>(dlsym(handle, "plugin_free"));
  void* volatile first = malloc(40'000);
  const auto address = reinterpret_cast<uintptr_t>(first);
  release(first);
  void* volatile second = malloc(40'000);
  say("same", reinterpret_cast<uintptr_t>(second) == address);
  say_address("block", second);
  void* volatile third = malloc(40'000);
  release(third);
  void* volatile fourth = malloc(40'000);
  free(fourth);
  say("same", third == fourth);
  say_address("gone", fourth);
  die_by_kill();
}

// Allocates and sleeps for SECONDS; the control block may change meanwhile.
void churn(double for_seconds) {
  const double end = seconds(CLOCK_MONOTONIC) + for_seconds;
  while (seconds(CLOCK_MONOTONIC) < end) {
    for (int i = 0; i < 200; ++i) free(sink(malloc(512)));
    timespec pause = {0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
  die_by_kill();
}

// Opens and closes a library while another thread allocates.
void libraries(const char* path) {
  std::atomic<bool> stop{false};
  std::thread noise([&] {
    while (!stop) free(sink(malloc(5'000)));
  });
  for (int i = 0; i < 100; ++i) {
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      printf("%s\n", dlerror());
      _exit(1);
    }
    using Function = void* (*)(size_t);
    auto allocate = reinterpret_cast<Function>(dlsym(handle, "plugin_allocate"));
    for (int k = 0; k < 5; ++k) free(allocate(40'000));
    dlclose(handle);
  }
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  auto allocate = reinterpret_cast<void* (*)(size_t)>(dlsym(handle, "plugin_allocate"));
  g_sink = allocate(41'000);
  say("no_error", dlerror() == nullptr);
  stop = true;
  noise.join();
  die_by_kill();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "nothing";
  const auto number = [&](int at) { return count > at ? atof(arguments[at]) : 0; };
  const auto whole = [&](int at) { return static_cast<long>(number(at)); };
  if (what == "exact") exact(static_cast<int>(whole(2)), whole(3)), die_by_kill();
  if (what == "keep") keep(whole(2), whole(3), whole(4));
  if (what == "realloc") realloc_failing();
  if (what == "operators") operators();
  if (what == "new") new_count(whole(2));
  if (what == "cross") cross_thread();
  if (what == "mappings") mappings();
  if (what == "forks") forks();
  if (what == "raw-fork") raw_fork();
  if (what == "vforks") vforks(arguments[0]);
  if (what == "execs") execs(arguments[0], static_cast<int>(whole(2)));
  if (what == "cpu") cpu(number(2), static_cast<int>(whole(3)));
  if (what == "interruptions") interruptions(number(2));
  if (what == "own-interruption") own_interruption();
  if (what == "all-signals") all_signals();
  if (what == "spans") spans();
  if (what == "short-threads") short_threads(whole(2));
  if (what == "c-threads") c_threads(whole(2));
  if (what == "many-threads") many_threads(static_cast<int>(whole(2)));
  if (what == "small-stacks") small_stacks();
  if (what == "fork-storm") fork_storm(static_cast<int>(whole(2)));
  if (what == "daemon") become_daemon();
  if (what == "late") late_allocations(static_cast<int>(whole(2)));
  if (what == "churn") churn(number(2));
  if (what == "deep-binding") deep_binding(arguments[2]);
  if (what == "libraries") libraries(arguments[2]);
  return what == "nothing" || count > 1 ? 0 : 2;
}
