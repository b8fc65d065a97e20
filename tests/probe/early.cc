// tests/probe/early.cc
//
// A library that starts a thread from its constructor, before the probe has started: preloaded behind the probe it
// comes first.
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

void* burn(void*) {
  printf("early %ld\n", syscall(SYS_gettid));
  fflush(stdout);
  timespec now = {};
  while (now.tv_sec == 0 && now.tv_nsec < 300'000'000) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return nullptr;
}

__attribute__((constructor)) void start() {
  pthread_t thread;
  pthread_create(&thread, nullptr, burn, nullptr);
}

}  // namespace
