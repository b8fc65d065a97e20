// tests/probe/unload_target.cc
//
//   probe_unload_target MODULE0 MODULE1 SECONDS
//
// Loads one module after the other at the same address, works and allocates in a function that the module calls, and
// unloads it; prints for each visit when the module was there and what return address in it is true, one "name value" a
// line. Two threads allocate and compute meanwhile; a third spins in code without call frame information with a frame
// pointer that leads into the module, loaded or not.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

using Through = void (*)(void (*)(void*), void*);

struct Visit {
  double which, opened_ns, closed_ns, return_address;
};

std::atomic<bool> stop{false};
std::atomic<uintptr_t> module_code{0};
volatile double sink;
uintptr_t return_address;

double now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

[[gnu::noinline]] void work(void*) {
  return_address = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  const double end = now_ns() + 3e6;
  while (now_ns() < end) {
    void* volatile block = malloc(3000);
    for (int i = 0; i < 2000; ++i) sink = sink * 0.5 + i;
    free(block);
  }
}

// One for each module, so that a stack tells which of the two it must hold.
extern "C" [[gnu::noinline]] void call_module_0(Through through) {
  through(work, nullptr);
  asm volatile("" : : : "memory");
}
extern "C" [[gnu::noinline]] void call_module_1(Through through) {
  through(work, nullptr);
  asm volatile("nop" : : : "memory");
}

// rdi: a frame record, {any, a code address}; rsi: how many rounds.
asm(R"(
  .text
  .type spin_with_frame_pointer, @function
spin_with_frame_pointer:
  pushq %rbp
  movq %rdi, %rbp
1:
  imulq $3, %rax
  decq %rsi
  jnz 1b
  popq %rbp
  ret
  .size spin_with_frame_pointer, .-spin_with_frame_pointer
)");
extern "C" void spin_with_frame_pointer(const uintptr_t* frame, uint64_t rounds);

void mislead() {
  pthread_setname_np(pthread_self(), "misleading");
  while (!stop) {
    // On this thread's stack, above the stack pointer, as a true frame is.
    volatile uintptr_t frames[4] = {};
    frames[0] = reinterpret_cast<uintptr_t>(&frames[2]);
    frames[1] = module_code.load();
    frames[3] = module_code.load() + 64;
    spin_with_frame_pointer(const_cast<const uintptr_t*>(frames), 200'000);
  }
}

void compute() {
  while (!stop) {
    void* volatile block = malloc(3000);
    for (int i = 0; i < 2000; ++i) sink = sink * 0.5 + i;
    free(block);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const double end = now_ns() + atof(arguments[3]) * 1e9;
  std::vector<Visit> visits;
  visits.reserve(600);  // more would fill the probe's table of modules
  std::vector<std::thread> threads;
  for (int i = 0; now_ns() < end && visits.size() < visits.capacity(); ++i) {
    Visit visit = {static_cast<double>(i % 2), now_ns(), 0, 0};
    void* handle = dlopen(arguments[1 + i % 2], RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      printf("%s\n", dlerror());
      return 1;
    }
    const auto through = reinterpret_cast<Through>(dlsym(handle, "camprobe_test_through"));
    module_code = reinterpret_cast<uintptr_t>(through) + 4;
    (i % 2 == 0 ? call_module_0 : call_module_1)(through);
    if (threads.empty())
      for (auto* task : {mislead, compute, compute}) threads.emplace_back(task);
    visit.return_address = static_cast<double>(return_address);
    dlclose(handle);
    visit.closed_ns = now_ns();
    visits.push_back(visit);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  printf("main %d\nfunction %.17g\n", getpid(), static_cast<double>(module_code.load() - 4));
  for (const Visit& visit : visits)
    printf("which %.17g\nopened %.17g\nclosed %.17g\nreturn %.17g\n", visit.which, visit.opened_ns, visit.closed_ns,
           visit.return_address);
  fflush(stdout);
  kill(getpid(), SIGKILL);
}
