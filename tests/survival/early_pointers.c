/* tests/survival/early_pointers.c
 *
 * Blocks from before the probe was ready, preloaded behind it. `inotify_init` is chosen when somebody looks it up: its
 * resolver runs inside the probe's own dlsym(), when only the bootstrap arena can serve it. The constructor comes after
 * that and before the probe's: its blocks are the real allocator's, of a thread that has no lane yet.
 *
 * use_early_pointers() then does with both what programs do with any block, and gives the number of things that were
 * wrong. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kBlocks = 12 };
static void* g_resolver[kBlocks];
static void* g_constructor[kBlocks];
static int g_is_resolved = 0;

static void fill(void** blocks) {
  for (int i = 0; i < kBlocks; ++i) {
    const size_t bytes = 40 + (size_t)i * 100;
    blocks[i] = i % 3 == 0 ? malloc(bytes) : i % 3 == 1 ? calloc(1, bytes) : realloc(malloc(10), bytes);
    if (blocks[i] != NULL) memset(blocks[i], 0x30 + i, bytes);
  }
}

static int call_inotify_init(void) {
  return (int)syscall(SYS_inotify_init1, 0);
}
static int (*resolve(void))(void) {
  if (!g_is_resolved) fill(g_resolver);
  g_is_resolved = 1;
  return call_inotify_init;
}
int inotify_init(void) __attribute__((ifunc("resolve")));

__attribute__((constructor)) static void start(void) {
  fill(g_constructor);
}

static int is_filled(const void* block, int name, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i)
    if (((const unsigned char*)block)[i] != name) return 0;
  return 1;
}

static int use(void** blocks) {
  int bad = 0;
  for (int i = 0; i < kBlocks; ++i) {
    const size_t bytes = 40 + (size_t)i * 100;
    if (blocks[i] == NULL || malloc_usable_size(blocks[i]) < bytes || !is_filled(blocks[i], 0x30 + i, bytes)) {
      ++bad;
      continue;
    }
    switch (i % 4) {
      case 0:
        free(blocks[i]);
        break;
      case 1: {
        char* grown = realloc(blocks[i], bytes + 5000);
        bad += grown == NULL || !is_filled(grown, 0x30 + i, bytes);
        memset(grown, 1, bytes + 5000);
        free(grown);
        break;
      }
      case 2: {
        char* shrunk = reallocarray(blocks[i], 2, 10);
        bad += shrunk == NULL || !is_filled(shrunk, 0x30 + i, 20);
        free(shrunk);
        break;
      }
      default:
        free(realloc(blocks[i], 0));
    }
  }
  return bad;
}

__attribute__((visibility("default"))) int use_early_pointers(int* were_resolved_early) {
  *were_resolved_early = g_is_resolved;
  return (g_is_resolved ? use(g_resolver) : 0) + use(g_constructor);
}
