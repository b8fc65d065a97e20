// tests/probe/truths.h
//
// How the programs that tests run under the probe tell what is true of them, one "name value" a line, and how they end.
// Linked with nothing of camprobe's.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

namespace camprobe::truths {

inline void say(const char* name, double value) {
  printf("%s %.17g\n", name, value);
}
inline void say_address(const char* name, const void* block) {
  say(name, static_cast<double>(reinterpret_cast<uintptr_t>(block)));
}

// Most end so: their region then stays as it is, with everything that was live.
[[noreturn]] inline void die_by_kill() {
  fflush(stdout);
  kill(getpid(), SIGKILL);
  abort();
}

inline double seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace camprobe::truths
