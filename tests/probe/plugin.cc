// tests/probe/plugin.cc
//
// A library that the test program opens and closes.
#include <stddef.h>
#include <stdlib.h>

extern "C" __attribute__((visibility("default"), noinline)) void* plugin_allocate(size_t bytes) {
  void* block = malloc(bytes);
  __asm__ volatile("" ::"r"(block) : "memory");
  return block;
}

extern "C" __attribute__((visibility("default"), noinline)) void plugin_free(void* block) {
  free(block);
}
