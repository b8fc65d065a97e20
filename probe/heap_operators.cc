// probe/heap_operators.cc
//
// operator new and delete. Three cases, told apart once at start-up:
//
//   the real operator lies in libstdc++ or libc++, and malloc() and free() are ours: it is a call of these, and nothing
//     else but for what happens when memory is out. The plain forms make it themselves then, which spares a
//     program the way through its C++ library's code and table of calls: two pages that were touched for nothing else.
//     The other forms (aligned, nothrow) jump to the real operator, and are counted by our malloc()
//   it lies in the object that malloc lies in (tcmalloc, jemalloc): most forms do not call malloc() or free(), some do
//     (jemalloc's plain delete). Each is tried out once, and counted here unless our malloc() or free() has counted
//   there is none, in a C program that opens a C++ library later: new is malloc, delete is free, which is what
//     libstdc++'s are. Only when memory is out is the library's own operator looked up, for its new_handler and its
//     exception
//
// Thus an allocation is never counted twice, and blocks may cross between the forms as they may without us.
#include "probe/heap_operators.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <cstddef>
#include <cstdint>

#include "probe/heap_fast.h"
#include "probe/real.h"
#include "sampler/add_at_once.h"
#include "shm/placement.h"

namespace camprobe::probe {
namespace {

using Tag = const void*;  // std::nothrow_t const&
using Align = std::size_t;

// X(name of the symbol, parameters, arguments): allocating and freeing. The plain forms are those that compilers call.
#define CAMPROBE_PLAIN_NEW_OPERATORS(X)  \
  X(_Znwm, (std::size_t bytes), (bytes)) \
  X(_Znam, (std::size_t bytes), (bytes))
#define CAMPROBE_OTHER_NEW_OPERATORS(X)                                                                 \
  X(_ZnwmRKSt9nothrow_t, (std::size_t bytes, Tag tag), (bytes, tag))                                    \
  X(_ZnamRKSt9nothrow_t, (std::size_t bytes, Tag tag), (bytes, tag))                                    \
  X(_ZnwmSt11align_val_t, (std::size_t bytes, Align align), (bytes, align))                             \
  X(_ZnamSt11align_val_t, (std::size_t bytes, Align align), (bytes, align))                             \
  X(_ZnwmSt11align_val_tRKSt9nothrow_t, (std::size_t bytes, Align align, Tag tag), (bytes, align, tag)) \
  X(_ZnamSt11align_val_tRKSt9nothrow_t, (std::size_t bytes, Align align, Tag tag), (bytes, align, tag))
#define CAMPROBE_NEW_OPERATORS(X) CAMPROBE_PLAIN_NEW_OPERATORS(X) CAMPROBE_OTHER_NEW_OPERATORS(X)

#define CAMPROBE_PLAIN_DELETE_OPERATORS(X)                     \
  X(_ZdlPv, (void* block), (block))                            \
  X(_ZdaPv, (void* block), (block))                            \
  X(_ZdlPvm, (void* block, std::size_t bytes), (block, bytes)) \
  X(_ZdaPvm, (void* block, std::size_t bytes), (block, bytes))
#define CAMPROBE_OTHER_DELETE_OPERATORS(X)                                                         \
  X(_ZdlPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))                                    \
  X(_ZdaPvRKSt9nothrow_t, (void* block, Tag tag), (block, tag))                                    \
  X(_ZdlPvSt11align_val_t, (void* block, Align align), (block, align))                             \
  X(_ZdaPvSt11align_val_t, (void* block, Align align), (block, align))                             \
  X(_ZdlPvmSt11align_val_t, (void* block, std::size_t bytes, Align align), (block, bytes, align))  \
  X(_ZdaPvmSt11align_val_t, (void* block, std::size_t bytes, Align align), (block, bytes, align))  \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* block, Align align, Tag tag), (block, align, tag)) \
  X(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* block, Align align, Tag tag), (block, align, tag))
#define CAMPROBE_DELETE_OPERATORS(X) CAMPROBE_PLAIN_DELETE_OPERATORS(X) CAMPROBE_OTHER_DELETE_OPERATORS(X)

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
// The real operators are the allocator's own.
constinit bool g_are_the_allocators = false;

// Who counts a call of an operator.
enum class Counted : std::uint8_t {
  kByMalloc,  // our malloc() or free(), which the real operator calls; zero, so that it is so before we know
  kHere,      // the operator, which then jumps to the real one
  kInstead,   // the operator, which does what malloc() or free() does and does without the real one
};
struct CountedBy {
#define CAMPROBE_MEMBER_COUNTED(name, parameters, arguments) Counted name;
  CAMPROBE_NEW_OPERATORS(CAMPROBE_MEMBER_COUNTED)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_MEMBER_COUNTED)
};
CAMPROBE_HOT_DATA constinit CountedBy g_counted = {};

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

// The C library has no memory. The real operator asks again, and again whenever a new_handler gave some back, and in
// the end throws; each time our malloc() counts, so this first time goes out of the count.
template <auto Real>
[[gnu::noinline, gnu::cold]] void* new_without_memory(std::size_t bytes) {
  shm::Lane* lane = sampler::t_lane.lane;
  sampler::add_at_once(&lane->heap_allocs, -1);
  sampler::add_at_once(&lane->heap_countdown, static_cast<std::int64_t>(bytes));
  return (g_operators.*Real)(bytes);
}

template <auto Real>
[[gnu::noinline, gnu::cold]] void* new_sampled_instead(std::size_t bytes) {
  void* caller = __builtin_dwarf_cfa();
  const std::uint64_t interval = sampler::take_turn(bytes);
  void* block = g_real.malloc(bytes);
  if (block == nullptr) return new_without_memory<Real>(bytes);
  if (interval != 0) sampler::track_block(block, bytes, interval, caller);
  return block;
}

template <auto Real, auto By, typename... Args>
[[gnu::always_inline]] inline void* allocate(std::size_t bytes, Args... args) {
  if (g_counted.*By == Counted::kHere && count_allocation(bytes)) return new_sampled<Real>(bytes, args...);
  return (g_operators.*Real)(bytes, args...);
}
template <auto Real, auto By>
[[gnu::noinline]] void* allocate_otherwise(std::size_t bytes) {
  return allocate<Real, By>(bytes);
}

template <auto Real, auto By, typename... Args>
[[gnu::always_inline]] inline void release(void* block, Args... args) {
  if (g_counted.*By == Counted::kHere) {
    if (__builtin_expect(sampler::may_be_sampled(block), 0)) return delete_tracked<Real>(block, args...);
    count_free();
  }
  (g_operators.*Real)(block, args...);
}
template <auto Real, auto By, typename... Args>
[[gnu::noinline]] void release_otherwise(void* block, Args... args) {
  release<Real, By>(block, args...);
}

// The plain forms.
template <auto Real, auto By>
[[gnu::always_inline]] inline void* allocate_plain(std::size_t bytes) {
  if (__builtin_expect(g_counted.*By != Counted::kInstead, 0)) return allocate_otherwise<Real, By>(bytes);
  bytes += bytes == 0 ? 1 : 0;  // as the C++ libraries do: nothing has an address of its own, too
  if (count_allocation(bytes)) return new_sampled_instead<Real>(bytes);
  void* block = g_real.malloc(bytes);
  return __builtin_expect(block != nullptr, 1) ? block : new_without_memory<Real>(bytes);
}
template <auto Real, auto By, typename... Args>
[[gnu::always_inline]] inline void release_plain(void* block, Args... args) {
  if (__builtin_expect(g_counted.*By != Counted::kInstead, 0)) return release_otherwise<Real, By>(block, args...);
  if (__builtin_expect(sampler::may_be_sampled(block), 0)) return free_tracked(block);
  count_free();
  g_real.free(block);
}

// Whether `address` is code of a C++ library whose operators are known to be malloc() and free().
bool is_of_cpp_library(void* address) {
  Dl_info info;
  if (address == nullptr || dladdr(address, &info) == 0 || info.dli_fname == nullptr) return false;
  const char* name = info.dli_fname;
  for (const char* at = name; *at != '\0'; ++at)
    if (*at == '/') name = at + 1;
  for (const char* library : {"libstdc++.so", "libc++.so", "libc++abi.so"})
    if (strncmp(name, library, strlen(library)) == 0) return true;
  return false;
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
  // Not tried out, since an allocator that comes before us may be starting, with its lock held: then its malloc() is
  // the first, and not ours.
  const auto is_ours = [](const char* name) {
    return is_same_object(dlsym(RTLD_DEFAULT, name), reinterpret_cast<void*>(resolve_operators));
  };
#define CAMPROBE_REPLACE(name, parameters, arguments) \
  if (is_of_cpp_library(reinterpret_cast<void*>(g_operators.name))) g_counted.name = Counted::kInstead;
  if (is_ours("malloc") && is_ours("free")) {
    CAMPROBE_PLAIN_NEW_OPERATORS(CAMPROBE_REPLACE)
    CAMPROBE_PLAIN_DELETE_OPERATORS(CAMPROBE_REPLACE)
  }
}

void measure_operators() {
  if (!g_are_the_allocators) return;
  // One thread, before main: what a counter of ours moves by is the operator's doing.
  constexpr std::size_t bytes = 64;
  constexpr Align align = 64;
  const Tag tag = nullptr;
  const shm::Lane* lane = sampler::t_lane.lane;
  void* block = nullptr;
#define CAMPROBE_TRY_NEW(name, parameters, arguments)                 \
  {                                                                   \
    const std::uint64_t before = lane->heap_allocs;                   \
    void* fresh = g_operators.name arguments;                         \
    if (lane->heap_allocs == before) g_counted.name = Counted::kHere; \
    g_real.free(fresh);                                               \
  }
#define CAMPROBE_TRY_DELETE(name, parameters, arguments)              \
  if (block = g_real.aligned_alloc(align, bytes); block != nullptr) { \
    const std::uint64_t before = lane->heap_frees;                    \
    g_operators.name arguments;                                       \
    if (lane->heap_frees == before) g_counted.name = Counted::kHere;  \
  }
  CAMPROBE_NEW_OPERATORS(CAMPROBE_TRY_NEW)
  CAMPROBE_DELETE_OPERATORS(CAMPROBE_TRY_DELETE)
}

}  // namespace camprobe::probe

using camprobe::probe::Align;      // NOLINT: hooks are global functions
using camprobe::probe::CountedBy;  // NOLINT
using camprobe::probe::Operators;  // NOLINT
using camprobe::probe::Tag;        // NOLINT

#define CAMPROBE_HOOK_PLAIN_NEW(name, parameters, arguments)                              \
  CAMPROBE_HOT_HOOK void* name parameters {                                               \
    return camprobe::probe::allocate_plain<&Operators::name, &CountedBy::name> arguments; \
  }
#define CAMPROBE_HOOK_PLAIN_DELETE(name, parameters, arguments)                   \
  CAMPROBE_HOT_HOOK void name parameters {                                        \
    camprobe::probe::release_plain<&Operators::name, &CountedBy::name> arguments; \
  }
#define CAMPROBE_HOOK_NEW(name, parameters, arguments)                              \
  CAMPROBE_HOOK void* name parameters {                                             \
    return camprobe::probe::allocate<&Operators::name, &CountedBy::name> arguments; \
  }
#define CAMPROBE_HOOK_DELETE(name, parameters, arguments)                   \
  CAMPROBE_HOOK void name parameters {                                      \
    camprobe::probe::release<&Operators::name, &CountedBy::name> arguments; \
  }
CAMPROBE_PLAIN_NEW_OPERATORS(CAMPROBE_HOOK_PLAIN_NEW)
CAMPROBE_OTHER_NEW_OPERATORS(CAMPROBE_HOOK_NEW)
CAMPROBE_PLAIN_DELETE_OPERATORS(CAMPROBE_HOOK_PLAIN_DELETE)
CAMPROBE_OTHER_DELETE_OPERATORS(CAMPROBE_HOOK_DELETE)
