// tests/probe/target_heap.cc
//
// Programs that allocate and free in every way, and say what the probe must have counted.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "tests/probe/target.h"

namespace camprobe::target {

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
        delete[] static_cast<char*>(sink(new char[77]));
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

namespace {

pthread_key_t g_late_key;
struct Late {
  ~Late() { free(sink(malloc(3000))); }
};

}  // namespace

// Allocates in destructors of thread-local objects and of keys, in every round.
void late_allocations(int threads) {
  pthread_key_create(&g_late_key, [](void* round) {
    free(malloc(3000));
    const auto left = reinterpret_cast<intptr_t>(round);
    if (left > 1) pthread_setspecific(g_late_key, reinterpret_cast<void*>(left - 1));
  });
  for (int i = 0; i < threads; ++i)
    std::thread([] {
      static thread_local Late late;
      sink(&late);
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

}  // namespace camprobe::target
