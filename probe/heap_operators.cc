// probe/heap_operators.cc
//
// operator new and delete. Three cases, told apart once at start-up:
//
//   the real operator lies in libstdc++ or libc++    it calls malloc through its PLT, so our malloc() counts: jump, no
//   more it lies in the object that malloc lies in        (tcmalloc, jemalloc) most forms do not call malloc() or
//   free(), some
//                                                    do (jemalloc's plain delete): each is tried out once, and counted
//                                                    here unless our malloc() or free() has counted
//   there is none                                    a C program that opens a C++ library later: new is malloc, delete
//   is free,
//                                                    which is what libstdc++'s are. Only when memory is out is the
//                                                    library's own operator looked up, for its new_handler and its
//                                                    exception
//
// Thus an allocation is never counted twice, and blocks may cross between the forms as they may without us.
#include "probe/heap_operators.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>

#include "probe/heap_fast.h"
#include "probe/real.h"

namespace camprobe::probe {
namespace {

using Tag = const void*;  // std::nothrow_t const&
using Align = std::size_t;

// X(name of the symbol, parameters, arguments): allocating and freeing.
#define CAMPROBE_NEW_OPERATORS(X)                                                                       \
  X(_Znwm, (std::size_t bytes), (bytes))                                                                \
  X(_Znam, (std::size_t bytes), (bytes))                                                                \
  X(_ZnwmRKSt9nothrow_t, (std::size_t bytes, Tag tag), (bytes, tag))                                    \
  X(_ZnamRKSt9nothrow_t, (std::size_t bytes, Tag tag), (bytes, tag))                                    \
  X(_ZnwmSt11align_val_t, (std::size_t bytes, Align align), (bytes, align))                             \
  X(_ZnamSt11align_val_t, (std::size_t bytes, Align align), (bytes, align))                             \
  X(_ZnwmSt11align_val_tRKSt9nothrow_t, (std::size_t bytes, Align align, Tag tag), (bytes, align, tag)) \
  X(_ZnamSt11align_val_tRKSt9nothrow_t, (std::size_t bytes, Align align, Tag tag), (bytes, align, tag))

#define CAMPROBE_DELETE_OPERATORS(X)                                                               \
  X(_ZdlPv, (void* block), (block))                                                                \
  X(_ZdaPv, (void* block), (block))                                                                \
  X(_ZdlPvm, (void* block, std::size_t bytes), (block, bytes))                                     \
  X(_ZdaPvm, (void* block, std::size_t bytes), (block, bytes))                                     \
  X(_ZdlPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))                                    \
  X(_ZdaPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))                                    \
  X(_ZdlPvSt11align_val_t, (void* block, Align align), (block, align))                             \
  X(_ZdaPvSt11align_val_t, (void* block, Align align), (block, align))                             \
  X(_ZdlPvmSt11align_val_t, (void* block, std::size_t bytes, Align align), (block, bytes, align))  \
  X(_ZdaPvmSt11align_val_t, (void* block, std::size_t bytes, Align align), (block, bytes, align))  \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* block, Align align, Tag tag), (block, align, tag)) \
  X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* block, Align align, Tag tag), (block, align, tag))

// Out of memory in a program whose libstdc++ came after us: its operator runs the new_handler and throws. By handle,
// since in the global scope the name is ours.
template <typename... Args>
[[gnu::noinline, gnu::cold]] void* fail_as_the_library_does(const char* name, Args... args) {
  for (const char* library : {"libstdc++.so.6", "libc++.so.1"}) {
    void* handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    if (void* found = dlsym(handle, name)) return reinterpret_cast<void* (*)(Args...)>(found)(args...);
  }
  abort();
}

// What stands in for an operator that is nowhere.
void* plain_new(const char* name, std::size_t bytes) {
  void* block = ::malloc(bytes != 0 ? bytes : 1);
  return block != nullptr ? block : fail_as_the_library_does(name, bytes);
}
void* plain_new(const char*, std::size_t bytes, Tag) {
  return ::malloc(bytes != 0 ? bytes : 1);
}
void* plain_new(const char* name, std::size_t bytes, Align align) {
  void* block = ::memalign(align, bytes != 0 ? bytes : 1);
  return block != nullptr ? block : fail_as_the_library_does(name, bytes, align);
}
void* plain_new(const char*, std::size_t bytes, Align align, Tag) {
  return ::memalign(align, bytes != 0 ? bytes : 1);
}

struct Operators {
#define CAMPROBE_MEMBER_NEW(name, parameters, arguments) void*(*name)parameters;
#define CAMPROBE_MEMBER_DELETE(name, parameters, arguments) void(*name) parameters;
  CAMPROBE_NEW_OPERATORS(CAMPROBE_MEMBER_NEW)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_MEMBER_DELETE)
};

#define CAMPROBE_NAMED(name, ...) plain_new(#name, __VA_ARGS__)
#define CAMPROBE_PLAIN_NEW(name, parameters, arguments)         \
  void* plain_##name parameters {                               \
    return CAMPROBE_PLAIN_CALL(name, CAMPROBE_STRIP arguments); \
  }
#define CAMPROBE_STRIP(...) __VA_ARGS__
#define CAMPROBE_PLAIN_CALL(name, ...) CAMPROBE_NAMED(name, __VA_ARGS__)
#define CAMPROBE_PLAIN_DELETE(name, parameters, arguments) \
  void plain_##name parameters {                           \
    [](void* first, auto...) { ::free(first); } arguments; \
  }
CAMPROBE_NEW_OPERATORS(CAMPROBE_PLAIN_NEW)
CAMPROBE_DELETE_OPERATORS(CAMPROBE_PLAIN_DELETE)

#define CAMPROBE_USE_PLAIN(name, parameters, arguments) plain_##name,
constinit Operators g_operators = {CAMPROBE_NEW_OPERATORS(CAMPROBE_USE_PLAIN)
                                       CAMPROBE_DELETE_OPERATORS(CAMPROBE_USE_PLAIN)};
// The real operators are the allocator's own; and which of them are counted here.
constinit bool g_are_the_allocators = false;
struct Counted {
#define CAMPROBE_MEMBER_FLAG(name, parameters, arguments) bool name;
  CAMPROBE_NEW_OPERATORS(CAMPROBE_MEMBER_FLAG)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_MEMBER_FLAG)
};
constinit Counted g_counted = {};

bool is_same_object(void* one, void* other) {
  Dl_info first, second;
  return dladdr(one, &first) != 0 && dladdr(other, &second) != 0 && first.dli_fbase == second.dli_fbase;
}

template <auto Real, typename... Args>
[[gnu::noinline, gnu::cold]] void* new_sampled(std::size_t bytes, Args... args) {
  void* caller = __builtin_dwarf_cfa();
  const std::uint64_t interval = sampler::take_turn(bytes);
  void* block = (g_operators.*Real)(bytes, args...);
  if (interval != 0) sampler::track_block(block, bytes, interval, caller);
  return block;
}

template <auto Real, typename... Args>
[[gnu::noinline, gnu::cold]] void delete_tracked(void* block, Args... args) {
  if (block == nullptr) return;
  count_free();
  sampler::forget_block(block);
  (g_operators.*Real)(block, args...);
}

template <auto Real, auto IsCounted, typename... Args>
inline void* allocate(std::size_t bytes, Args... args) {
  if (g_counted.*IsCounted && count_allocation(bytes)) return new_sampled<Real>(bytes, args...);
  return (g_operators.*Real)(bytes, args...);
}

template <auto Real, auto IsCounted, typename... Args>
inline void release(void* block, Args... args) {
  if (g_counted.*IsCounted) {
    if (__builtin_expect(sampler::may_be_sampled(block), 0)) return delete_tracked<Real>(block, args...);
    count_free();
  }
  (g_operators.*Real)(block, args...);
}

}  // namespace

void resolve_operators(void* real_malloc) {
#define CAMPROBE_FIND_OPERATOR(name, parameters, arguments)                 \
  if (void* found = dlsym(RTLD_NEXT, #name)) {                              \
    g_operators.name = reinterpret_cast<decltype(g_operators.name)>(found); \
  }
  CAMPROBE_NEW_OPERATORS(CAMPROBE_FIND_OPERATOR)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_FIND_OPERATOR)
  g_are_the_allocators = is_same_object(reinterpret_cast<void*>(g_operators._Znwm), real_malloc);
}

void measure_operators() {
  if (!g_are_the_allocators) return;
  // One thread, before main: what a counter of ours moves by is the operator's doing.
  constexpr std::size_t bytes = 64;
  constexpr Align align = 64;
  const Tag tag = nullptr;
  const shm::Lane* lane = sampler::t_lane.lane;
  void* block = nullptr;
#define CAMPROBE_TRY_NEW(name, parameters, arguments) \
  {                                                   \
    const std::uint64_t before = lane->heap_allocs;   \
    void* fresh = g_operators.name arguments;         \
    g_counted.name = lane->heap_allocs == before;     \
    g_real.free(fresh);                               \
  }
#define CAMPROBE_TRY_DELETE(name, parameters, arguments)              \
  if (block = g_real.aligned_alloc(align, bytes); block != nullptr) { \
    const std::uint64_t before = lane->heap_frees;                    \
    g_operators.name arguments;                                       \
    g_counted.name = lane->heap_frees == before;                      \
  }
  CAMPROBE_NEW_OPERATORS(CAMPROBE_TRY_NEW)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_TRY_DELETE)
}

}  // namespace camprobe::probe

using camprobe::probe::Align;      // NOLINT: hooks are global functions
using camprobe::probe::Counted;    // NOLINT
using camprobe::probe::Operators;  // NOLINT
using camprobe::probe::Tag;        // NOLINT

#define CAMPROBE_HOOK_NEW(name, parameters, arguments)                            \
  CAMPROBE_HOOK void* name parameters {                                           \
    return camprobe::probe::allocate<&Operators::name, &Counted::name> arguments; \
  }
#define CAMPROBE_HOOK_DELETE(name, parameters, arguments)                 \
  CAMPROBE_HOOK void name parameters {                                    \
    camprobe::probe::release<&Operators::name, &Counted::name> arguments; \
  }
CAMPROBE_NEW_OPERATORS(CAMPROBE_HOOK_NEW)
CAMPROBE_DELETE_OPERATORS(CAMPROBE_HOOK_DELETE)
