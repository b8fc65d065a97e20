/* tests/survival/bump_allocator.c
 *
 * An allocator that a thread may leave anywhere: memory is handed out by one atomic addition and never taken back. With
 * it, a program may jump out of malloc() by siglongjmp() without breaking anything of its own. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTES ((size_t)8 << 30)
static char* _Atomic g_arena;
static _Atomic size_t g_used;

void* mmap(void*, size_t, int, int, int, long);

static void* take(size_t bytes, size_t alignment) {
  if (g_arena == NULL) {
    /* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE; whoever comes second leaks the first. */
    g_arena = mmap(NULL, BYTES, 3, 0x4022, -1, 0);
  }
  const size_t need = 16 + bytes + alignment;
  const size_t at = atomic_fetch_add(&g_used, (need + 15) / 16 * 16);
  if (bytes > BYTES || at + need > BYTES) {
    errno = ENOMEM;
    return NULL;
  }
  char* block = (char*)(((uintptr_t)(g_arena + at) + 16 + alignment - 1) / alignment * alignment);
  memcpy(block - 16, &bytes, sizeof bytes);
  return block;
}

size_t malloc_usable_size(void* block) {
  size_t bytes = 0;
  if (block != NULL) memcpy(&bytes, (char*)block - 16, sizeof bytes);
  return bytes;
}
void* malloc(size_t bytes) {
  return take(bytes, 16);
}
void free(void* block) {
  (void)block;
}
void* calloc(size_t count, size_t bytes) {
  size_t total;
  return __builtin_mul_overflow(count, bytes, &total) ? NULL : take(total, 16);
}
void* realloc(void* block, size_t bytes) {
  void* fresh = take(bytes, 16);
  const size_t old = malloc_usable_size(block);
  if (fresh != NULL && block != NULL) memcpy(fresh, block, old < bytes ? old : bytes);
  return fresh;
}
void* memalign(size_t alignment, size_t bytes) {
  return take(bytes, alignment < 16 ? 16 : alignment);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return memalign(alignment, bytes);
}
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  *out = memalign(alignment, bytes);
  return *out == NULL ? ENOMEM : 0;
}
