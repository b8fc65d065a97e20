/* tests/probe/plain.c
 *
 * A C program that uses the span API and is linked with nothing of ours. With an argument it opens a C++ library. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "probe/include/camprobe.h"

int main(int count, char** arguments) {
  camprobe_span span = camprobe_begin("plain.work");
  camprobe_set_number(span, "cost", 1.5);
  camprobe_set_text(span, "provider", "none");
  camprobe_end(span);
  camprobe_mark("plain");
  printf("loaded %d\n", camprobe_is_loaded());
  if (count > 1) {
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      printf("%s\n", dlerror());
      return 1;
    }
    int (*work)(void) = (int (*)(void))dlsym(library, "cpp_work");
    printf("worked %d\n", work());
    dlclose(library);
  }
  return 6;
}
