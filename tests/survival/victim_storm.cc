// tests/survival/victim_storm.cc
//
// Everything at once under signals; and code that stands on stacks and registers that nobody expects.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "probe/include/camprobe.h"
#include "tests/survival/victim.h"

namespace victim {
namespace {

// ------------------------------------------------------------------------------------------------ signals

std::atomic<long> g_signals{0};
int g_null = -1;

// What POSIX allows in a handler, through hooks that may just have been interrupted.
void on_profiling(int) {
  const int keep_errno = errno;
  g_signals.fetch_add(1, std::memory_order_relaxed);
  char byte = 0;
  (void)!write(g_null, &byte, 1);
  errno = keep_errno;
}

// 4,000 a second of the clock, to this thread.
timer_t profile_this_thread() {
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer = nullptr;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  const itimerspec period = {{0, 250'000}, {0, 250'000}};
  timer_settime(timer, 0, &period, nullptr);
  return timer;
}

[[gnu::noinline]] void throw_from(int depth) {
  std::string local(100, 'x');
  sink(local.data());
  if (depth == 0) throw std::runtime_error("from the depth");
  throw_from(depth - 1);
  sink(local.data());
}

// SECONDS LIBRARY: threads that allocate, open and close a library, throw and catch, each interrupted 4,000 times a
// second by a handler of their own.
void storm(const Arguments& arguments) {
  const double until = seconds(CLOCK_MONOTONIC) + static_cast<double>(arguments.number(0));
  g_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  struct sigaction action = {};
  action.sa_handler = on_profiling;
  action.sa_flags = SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);
  std::atomic<long> allocated{0}, opened{0}, caught{0}, bad{0};
  const auto crew_of = [&](auto turn) {
    return std::thread([&, turn] {
      const timer_t timer = profile_this_thread();
      while (seconds(CLOCK_MONOTONIC) < until) turn();
      timer_delete(timer);
    });
  };
  std::vector<std::thread> crew;
  for (int t = 0; t < 2; ++t)
    crew.push_back(crew_of([&] {
      for (int i = 0; i < 50; ++i) free(sink(malloc(3'000)));
      allocated += 50;
    }));
  crew.push_back(crew_of([&] {
    void* handle = dlopen(arguments.text(1), RTLD_NOW | RTLD_LOCAL);
    auto allocate = handle != nullptr ? reinterpret_cast<void* (*)(size_t)>(dlsym(handle, "plugin_allocate")) : nullptr;
    if (allocate == nullptr) {
      ++bad;
      return;
    }
    for (int i = 0; i < 5; ++i) free(allocate(20'000));
    bad += dlclose(handle) != 0;
    ++opened;
  }));
  for (int t = 0; t < 2; ++t)
    crew.push_back(crew_of([&] {
      try {
        throw_from(20);
        ++bad;
      } catch (const std::runtime_error&) {
        ++caught;
      }
    }));
  for (auto& thread : crew) thread.join();
  say("bad", static_cast<double>(bad));
  say("signals", static_cast<double>(g_signals));
  say("allocated", static_cast<double>(allocated));
  say("opened", static_cast<double>(opened));
  say("caught", static_cast<double>(caught));
}

// ------------------------------------------------------------------------------------------------ strange stacks

// Calls function(argument) with garbage where a frame pointer would be.
extern "C" void call_with_garbage_frame_pointer(void (*function)(long), long argument);
__asm__(R"(
        .text
        .type   call_with_garbage_frame_pointer, %function
call_with_garbage_frame_pointer:
#if defined(__x86_64__)
        pushq   %rbp
        movabsq $0x5a5a5a5a5a5a5a58, %rbp
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        popq    %rbp
        ret
#endif
        .size   call_with_garbage_frame_pointer, .-call_with_garbage_frame_pointer
)");

constexpr size_t kCoroutineStack = 16 << 10;
constexpr int kCoroutines = 32;
ucontext_t g_scheduler, g_coroutines[kCoroutines];
long g_rounds = 0, g_worked = 0;

void work(long bytes) {
  free(sink(malloc(static_cast<size_t>(bytes))));
  ++g_worked;
}
void run_coroutine(int number) {
  for (long round = 0; round < g_rounds; ++round) {
    const camprobe_span span = camprobe_begin("coroutine");
#if defined(__x86_64__)
    call_with_garbage_frame_pointer(work, 2'000 + number);
#else
    work(2'000 + number);
#endif
    swapcontext(&g_coroutines[number], &g_scheduler);
    work(3'000 + number);
    camprobe_end(span);
    swapcontext(&g_coroutines[number], &g_scheduler);
  }
}

// ROUNDS: coroutines on stacks of 16 KiB with nothing mapped below, then handlers on an alternate stack.
void strange_stacks(const Arguments& arguments) {
  g_rounds = arguments.number(0);
  g_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (int i = 0; i < kCoroutines; ++i) {
    auto* pages = static_cast<char*>(
        mmap(nullptr, kCoroutineStack + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(pages, 4096, PROT_NONE);
    getcontext(&g_coroutines[i]);
    g_coroutines[i].uc_stack.ss_sp = pages + 4096;
    g_coroutines[i].uc_stack.ss_size = kCoroutineStack;
    g_coroutines[i].uc_link = &g_scheduler;
    makecontext(&g_coroutines[i], reinterpret_cast<void (*)()>(run_coroutine), 1, i);
  }
  for (long turn = 0; turn < 2 * g_rounds + 1; ++turn)
    for (int i = 0; i < kCoroutines; ++i) swapcontext(&g_scheduler, &g_coroutines[i]);
  say("worked", static_cast<double>(g_worked));

  stack_t stack = {};
  stack.ss_size = 64 << 10;
  stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_profiling;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(SIGPROF, &action, nullptr);
  const timer_t timer = profile_this_thread();
  for (int i = 0; i < 40'000; ++i) free(sink(malloc(3'000)));
  timer_delete(timer);
  say("signals", static_cast<double>(g_signals));
  sink(malloc(70'005));
  die_by_kill();
}

}  // namespace

const std::vector<Act> kStormActs = {{"storm", storm}, {"strange-stacks", strange_stacks}};

}  // namespace victim
