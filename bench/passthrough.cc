// bench/passthrough.cc
//
// The least that any preloaded malloc can cost: an interposer that only jumps to the real one. What the probe costs is
// measured from here.
#include <dlfcn.h>
#include <stddef.h>

namespace {
unsigned char g_early[65536];
size_t g_early_used = 0;
bool g_resolving = false;
void* (*g_malloc)(size_t) = nullptr;
void (*g_free)(void*) = nullptr;
void* (*g_calloc)(size_t, size_t) = nullptr;
void* (*g_realloc)(void*, size_t) = nullptr;

void* early(size_t bytes) {
  void* block = g_early + g_early_used;
  g_early_used += (bytes + 15) / 16 * 16;
  return block;
}
bool is_early(void* block) {
  return static_cast<unsigned char*>(block) >= g_early && static_cast<unsigned char*>(block) < g_early + sizeof g_early;
}

__attribute__((noinline, cold, constructor(101))) void resolve() {
  if (g_malloc != nullptr || g_resolving) return;
  g_resolving = true;
  g_free = reinterpret_cast<decltype(g_free)>(dlsym(RTLD_NEXT, "free"));
  g_calloc = reinterpret_cast<decltype(g_calloc)>(dlsym(RTLD_NEXT, "calloc"));
  g_realloc = reinterpret_cast<decltype(g_realloc)>(dlsym(RTLD_NEXT, "realloc"));
  g_malloc = reinterpret_cast<decltype(g_malloc)>(dlsym(RTLD_NEXT, "malloc"));
  g_resolving = false;
}
}  // namespace

extern "C" __attribute__((visibility("default"))) void* malloc(size_t bytes) {
  if (__builtin_expect(g_malloc == nullptr, 0)) {
    resolve();
    if (g_malloc == nullptr) return early(bytes);
  }
  return g_malloc(bytes);
}
extern "C" __attribute__((visibility("default"))) void free(void* block) {
  if (__builtin_expect(is_early(block) || g_free == nullptr, 0)) return;
  g_free(block);
}
extern "C" __attribute__((visibility("default"))) void* calloc(size_t count, size_t bytes) {
  if (__builtin_expect(g_calloc == nullptr, 0)) {
    resolve();
    if (g_calloc == nullptr) return early(count * bytes);
  }
  return g_calloc(count, bytes);
}
extern "C" __attribute__((visibility("default"))) void* realloc(void* block, size_t bytes) {
  if (__builtin_expect(g_realloc == nullptr, 0)) resolve();
  return g_realloc(block, bytes);
}
