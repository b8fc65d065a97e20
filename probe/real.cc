// probe/real.cc: see probe/real.h.
#include "probe/real.h"

#include <errno.h>
#include <stdarg.h>

#include <cstring>

#include "probe/bootstrap.h"
#include "probe/heap_operators.h"
#include "sampler/heap_sampler.h"
#include "shm/placement.h"
#include "shm/raw_syscall.h"

namespace camprobe::probe {
namespace {

constinit bool g_is_resolving = false;

// What the heap's pointers point to until the real ones are known. While they are being looked up the loader may come
// back here; then there is one thread, and it gets static memory.
bool must_bootstrap() {
  if (!g_real_is_resolved && !g_is_resolving) resolve_real();
  return g_is_resolving;
}

void* early_malloc(std::size_t bytes) noexcept {
  return must_bootstrap() ? bootstrap_allocate(bytes) : g_real.malloc(bytes);
}
void early_free(void* block) noexcept {
  if (!must_bootstrap()) g_real.free(block);
}
void* early_calloc(std::size_t count, std::size_t bytes) noexcept {
  std::size_t total;
  if (!must_bootstrap()) return g_real.calloc(count, bytes);
  return __builtin_mul_overflow(count, bytes, &total) ? nullptr : bootstrap_allocate(total);
}
void* early_realloc(void* block, std::size_t bytes) noexcept {
  if (!must_bootstrap()) return g_real.realloc(block, bytes);
  void* fresh = bootstrap_allocate(bytes);
  if (fresh != nullptr && block != nullptr) {
    const std::size_t old = is_bootstrap(block) ? bootstrap_size(block) : 0;
    std::memcpy(fresh, block, old < bytes ? old : bytes);
  }
  return fresh;
}
void* early_reallocarray(void* block, std::size_t count, std::size_t bytes) noexcept {
  std::size_t total;
  if (!must_bootstrap()) return g_real.reallocarray(block, count, bytes);
  return __builtin_mul_overflow(count, bytes, &total) ? nullptr : early_realloc(block, total);
}
// The loader asks for alignment only for thread-local storage, never while it looks up a name.
void* early_memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return must_bootstrap() ? nullptr : g_real.memalign(alignment, bytes);
}
int early_posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
  return must_bootstrap() ? ENOMEM : g_real.posix_memalign(out, alignment, bytes);
}
void* early_aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return must_bootstrap() ? nullptr : g_real.aligned_alloc(alignment, bytes);
}
void* early_valloc(std::size_t bytes) noexcept {
  return must_bootstrap() ? nullptr : g_real.valloc(bytes);
}
void* early_pvalloc(std::size_t bytes) noexcept {
  return must_bootstrap() ? nullptr : g_real.pvalloc(bytes);
}
std::size_t early_usable_size(void* block) noexcept {
  if (is_bootstrap(block)) return bootstrap_size(block);
  return must_bootstrap() ? 0 : g_real.malloc_usable_size(block);
}

template <typename Result>
Result early_call(long number, long a, long b, long c = 0, long d = 0, long e = 0, long f = 0) {
  const long result = shm::enter_kernel(number, a, b, c, d, e, f);  // the program's own call
  if (!shm::is_error(result)) return (Result)(result);
  errno = static_cast<int>(-result);
  return (Result)(-1);
}
void* early_mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  return early_call<void*>(SYS_mmap, reinterpret_cast<long>(at), static_cast<long>(bytes), protection, flags, fd,
                           offset);
}
int early_munmap(void* at, std::size_t bytes) noexcept {
  return early_call<int>(SYS_munmap, reinterpret_cast<long>(at), static_cast<long>(bytes));
}
int early_mprotect(void* at, std::size_t bytes, int protection) noexcept {
  return early_call<int>(SYS_mprotect, reinterpret_cast<long>(at), static_cast<long>(bytes), protection);
}

long early_syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  const auto a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long), d = va_arg(more, long),
             e = va_arg(more, long), f = va_arg(more, long);
  va_end(more);
  return early_call<long>(number, a, b, c, d, e, f);
}
int early_prctl(int option, ...) noexcept {
  va_list more;
  va_start(more, option);
  const auto a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long), d = va_arg(more, long);
  va_end(more);
  return early_call<int>(SYS_prctl, option, a, b, c, d);
}

constexpr RealFunctions early_functions() {
  RealFunctions early = {};
  early.syscall = early_syscall;
  early.prctl = early_prctl;
  early.mmap = early_mmap;
  early.mmap64 = early_mmap;
  early.munmap = early_munmap;
  early.mprotect = early_mprotect;
  early.malloc = early_malloc;
  early.free = early_free;
  early.calloc = early_calloc;
  early.realloc = early_realloc;
  early.reallocarray = early_reallocarray;
  early.memalign = early_memalign;
  early.posix_memalign = early_posix_memalign;
  early.aligned_alloc = early_aligned_alloc;
  early.valloc = early_valloc;
  early.pvalloc = early_pvalloc;
  early.malloc_usable_size = early_usable_size;
  return early;
}

}  // namespace

CAMPROBE_HOT_DATA constinit RealFunctions g_real = early_functions();
CAMPROBE_HOT_DATA constinit bool g_real_is_resolved = false;

void resolve_real() {
  if (g_is_resolving) return;
  g_is_resolving = true;
  sampler::always_ask_about(g_bootstrap, kBootstrapBytes);
  RealFunctions found = early_functions();
#define CAMPROBE_FIND(name) \
  if (void* address = dlsym(RTLD_NEXT, #name)) found.name = reinterpret_cast<decltype(found.name)>(address);
  CAMPROBE_REAL_HEAP(CAMPROBE_FIND)
  // Each known as soon as it is found: a look-up that fails allocates its message, an allocator that comes before us
  // then starts, and its calls arrive at our hooks.
#define CAMPROBE_FIND_AT_ONCE(name) CAMPROBE_FIND(name) g_real.name = found.name;
  CAMPROBE_REAL_OTHERS(CAMPROBE_FIND_AT_ONCE)
#undef CAMPROBE_FIND_AT_ONCE
#undef CAMPROBE_FIND
  resolve_operators(reinterpret_cast<void*>(found.malloc));
  // A name that was not there left a message, which the program must not find; a look-up that succeeds drops it.
  // dlerror() would not do: it translates the message and takes the lock on locales, which whoever allocates for the
  // first time (newlocale) may hold.
  (void)dlsym(RTLD_DEFAULT, "malloc");
  g_real = found;
  g_real_is_resolved = true;
  g_is_resolving = false;
  measure_operators();
}

}  // namespace camprobe::probe
