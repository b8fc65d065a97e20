// tests/survival/victim_heap.cc
//
// What programs do to an allocator: reallocs that fail, blocks that change threads and come back at once, libraries
// with an allocator of their own, more blocks than anybody can remember.
#if defined(__GNUC__) && !defined(__clang__)
// What is tested here is a realloc() that fails and leaves its block alive; GCC takes every realloc() for one that
// succeeds.
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <thread>

#include "tests/survival/victim.h"

namespace victim {
namespace {

volatile size_t g_huge = size_t{1} << 46;

// COUNT: each thread takes COUNT blocks through a failing realloc() and through realloc(p, 0).
void failing_reallocs(const Arguments& arguments) {
  const long count = arguments.number(0), threads = arguments.number(1);
  std::atomic<long> refused{0}, bad{0};
  std::vector<std::thread> crew;
  for (long t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      const auto name = static_cast<unsigned char>(t + 1);
      const auto refuse = [&](void* block, size_t bytes) {
        sign(block, bytes, name);
        errno = 0;
        void* volatile fresh = realloc(block, g_huge);
        refused += fresh == nullptr && errno == ENOMEM;
        bad += !is_signed(block, bytes, name);
      };
      for (long i = 0; i < count; ++i) {
        void* kept = malloc(50'001);
        refuse(kept, 50'001);
        sink(kept);

        void* freed = malloc(50'003);
        refuse(freed, 50'003);
        refuse(freed, 50'003);
        free(freed);

        // glibc frees and gives NULL; an allocator that gives a tiny block has it freed.
        void* volatile gone = malloc(50'005);
        gone = realloc(gone, 0);
        free(gone);

        void* volatile reused = malloc(50'007);
        gone = realloc(reused, 0);
        free(gone);
        reused = malloc(50'007);
        sink(reused);
      }
    });
  for (auto& thread : crew) thread.join();
  say("refused", static_cast<double>(refused));
  say("bad", static_cast<double>(bad));
  die_by_kill();
}

// THREADS ROUNDS: each thread swaps a fresh block for somebody else's, frees that, and allocates the same size again,
// so that an address is reused while its last free is under way elsewhere.
void exchange(const Arguments& arguments) {
  constexpr size_t kBytes = 50'011;
  constexpr long kSlots = 16;
  const long threads = arguments.number(0), rounds = arguments.number(1);
  static std::atomic<unsigned char*> slots[kSlots];
  std::atomic<long> bad{0};
  std::vector<std::thread> crew;
  for (long t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      const auto name = static_cast<unsigned char>(t + 1);
      for (long round = 0; round < rounds; ++round) {
        auto* mine = static_cast<unsigned char*>(malloc(kBytes));
        mine[0] = mine[kBytes - 1] = name;
        unsigned char* other = slots[(t + round) % kSlots].exchange(mine);
        if (other == nullptr) continue;
        bad += other[0] == 0 || other[0] != other[kBytes - 1];
        other[0] = other[kBytes - 1] = 0;
        free(other);
      }
    });
  for (auto& thread : crew) thread.join();
  for (auto& slot : slots)
    if (slot != nullptr) say_address("live", slot);
  say("bad", static_cast<double>(bad));
  die_by_kill();
}

// PATH ROUNDS: blocks cross between the program and a library that is bound to a C library of its own, in both
// directions, from two threads.
void deep_binding(const Arguments& arguments) {
  void* handle = dlopen(arguments.text(0), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (handle == nullptr) {
    printf("%s\n", dlerror());
    return;
  }
  auto allocate = reinterpret_cast<void* (*)(size_t)>(dlsym(handle, "plugin_allocate"));
  auto release = reinterpret_cast<void (*)(void*)>(dlsym(handle, "plugin_free"));
  std::atomic<long> bad{0};
  const auto cross = [&](unsigned char name) {
    for (long round = 0; round < arguments.number(1); ++round) {
      void* ours = malloc(50'013);
      void* theirs = allocate(50'015);
      sign(ours, 50'013, name);
      sign(theirs, 50'015, name);
      bad += !is_signed(ours, 50'013, name) || !is_signed(theirs, 50'015, name);
      release(ours);
      free(theirs);
    }
  };
  std::thread other(cross, 2);
  cross(1);
  other.join();
  // Whatever the library freed behind the hooks' back is told by its address, when that comes back.
  void* last = malloc(50'017);
  say_address("last", last);
  say("bad", static_cast<double>(bad));
  say("reference", dlclose(handle));
  die_by_kill();
}

// ONCE AGAIN: keeps ONCE blocks, which is more than the live table holds; frees all; keeps AGAIN blocks.
void overflow(const Arguments& arguments) {
  const long once = arguments.number(0), again = arguments.number(1);
  const long room = once > again ? once : again;
  // Not on the heap: the table's own memory would be a sample.
  auto** blocks = static_cast<void**>(mmap(nullptr, static_cast<size_t>(room) * sizeof(void*), PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (long i = 0; i < once; ++i) blocks[i] = malloc(1500);
  if (again > 0) {
    for (long i = 0; i < once; ++i) free(blocks[i]);
    for (long i = 0; i < again; ++i) blocks[i] = malloc(1600);
  }
  die_by_kill();
}

// SMALL LARGE: blocks of 16 bytes and of 32 MiB, from one call, mixed.
void one_stack(const Arguments& arguments) {
  const long small = arguments.number(0), large = arguments.number(1);
  const long every = small / (large + 1) + 1;
  for (long i = 1, left = large; i <= small + large; ++i) {
    const bool is_large = left > 0 && i % every == 0;
    left -= is_large;
    sink(malloc(is_large ? size_t{32} << 20 : 16));
  }
  die_by_kill();
}

// SEEDS: for an estimate of what is live, by so many threads one after the other, each with its own luck; some of each
// size are freed again.
void estimate(const Arguments& arguments) {
  static const auto keep = [](long kept, long freed, size_t bytes) {
    for (long i = 0; i < kept + freed; ++i) {
      void* block = sink(malloc(bytes));
      if (i >= kept) free(block);
    }
  };
  for (long i = 0; i < arguments.number(0); ++i)
    std::thread([] {
      keep(8'000, 1'000, 64);
      keep(600, 300, 1'000);
      keep(150, 100, 9'000);
    }).join();
  die_by_kill();
}

// TURNS LIVE PROBES: frees half of PROBES blocks between two stops, lives through TURNS allocations with LIVE blocks at
// any time, and frees the other half between two more stops. Whoever traces it counts what a free() costs.
void aged(const Arguments& arguments) {
  const long turns = arguments.number(0), live = arguments.number(1), probes = arguments.number(2);
  std::vector<void*> looked_at(static_cast<size_t>(probes)), kept(static_cast<size_t>(live), nullptr);
  for (auto& block : looked_at) block = malloc(6'000);
  const auto free_half = [&](long from) {
    raise(SIGSTOP);
    for (long i = from; i < from + probes / 2; ++i) free(looked_at[static_cast<size_t>(i)]);
    raise(SIGSTOP);
  };
  // Bytes go by until the probe has seen what its control block now asks for.
  const auto let_settings_hold = [] {
    raise(SIGSTOP);
    for (int i = 0; i < 40; ++i) free(sink(malloc(4 << 20)));
  };
  free_half(0);
  let_settings_hold();
  for (long turn = 0; turn < turns; ++turn) {
    void*& block = kept[static_cast<size_t>(turn % live)];
    free(block);
    block = malloc(4'000);
  }
  let_settings_hold();
  free_half(probes / 2);
  die_by_kill();
}

// Everything an allocator offers, COUNT times, with C++'s operators in each form; says what is wrong with any block.
struct alignas(512) Wide {
  char bytes[1024];
};
void every_call(const Arguments& arguments) {
  long bad = 0;
  // What all allocators keep: mimalloc aligns a plain block to no more than 8 where its size is no multiple of 16, and
  // its version 2.0.9 a block of 512 bytes that should be aligned to 256 or 512 to no more than 128.
  const auto check = [&bad](void* block, size_t bytes, size_t alignment) {
    bad += block == nullptr || reinterpret_cast<uintptr_t>(block) % (alignment < 128 ? alignment : 128) != 0;
    if (block == nullptr) return block;
    sign(block, bytes, 0x77);
    bad += malloc_usable_size(block) < bytes;
    return block;
  };
  for (long i = 0; i < arguments.number(0); ++i) {
    free(check(malloc(100), 100, 8));
    void* zeros = calloc(10, 20);
    bad += !is_signed(zeros, 200, 0);
    free(check(zeros, 200, 8));
    void* grown = check(malloc(40), 40, 8);
    grown = realloc(grown, 4'000);
    bad += !is_signed(grown, 40, 0x77);
    grown = reallocarray(check(grown, 4'000, 8), 100, 80);
    bad += !is_signed(grown, 4'000, 0x77);
    free(check(grown, 8'000, 8));
    free(check(memalign(128, 300), 300, 128));
    free(check(aligned_alloc(256, 512), 512, 256));
    void* block = nullptr;
    bad += posix_memalign(&block, 1024, 700) != 0;
    free(check(block, 700, 1024));
    free(check(valloc(50), 50, 4096));
    free(nullptr);

    const std::align_val_t wide{512};
    const auto one = [&](size_t bytes) { return check(::operator new(bytes), bytes, 8); };
    const auto many = [&](size_t bytes) { return check(::operator new[](bytes), bytes, 8); };
    const auto wide_one = [&](size_t bytes) { return check(::operator new(bytes, wide), bytes, 512); };
    const auto wide_many = [&](size_t bytes) { return check(::operator new[](bytes, wide), bytes, 512); };
    ::operator delete(one(64));
    ::operator delete (one(72), size_t{72});
    ::operator delete[](many(80));
    ::operator delete[](many(88), size_t{88});
    ::operator delete(wide_one(512), wide);
    ::operator delete (wide_one(1024), size_t{1024}, wide);
    ::operator delete[](wide_many(1536), wide);
    ::operator delete[](wide_many(2048), size_t{2048}, wide);
    ::operator delete(check(::operator new(96, std::nothrow), 96, 8), std::nothrow);
    ::operator delete[](check(::operator new[](104, std::nothrow), 104, 8), std::nothrow);
    ::operator delete(check(::operator new(512, wide, std::nothrow), 512, 512), wide, std::nothrow);
    ::operator delete[](check(::operator new[](1024, wide, std::nothrow), 1024, 512), wide, std::nothrow);
    delete static_cast<Wide*>(sink(new Wide));
    ::operator delete(nullptr);
  }
  std::atomic<long> elsewhere{0};
  void* handed = malloc(1'000);
  std::thread([&] {
    free(handed);
    handed = malloc(2'000);
    ++elsewhere;
  }).join();
  free(handed);
  say("bad", static_cast<double>(bad));
  say("elsewhere", static_cast<double>(elsewhere));
  die_by_kill();
}

}  // namespace

const std::vector<Act> kHeapActs = {{"failing-reallocs", failing_reallocs},
                                    {"exchange", exchange},
                                    {"deep-binding", deep_binding},
                                    {"overflow", overflow},
                                    {"one-stack", one_stack},
                                    {"estimate", estimate},
                                    {"aged", aged},
                                    {"every-call", every_call}};

}  // namespace victim
