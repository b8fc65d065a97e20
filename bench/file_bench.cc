// bench/file_bench.cc
//
// Nanoseconds for what a web server does to a file for each request, open, read and close, over and over by one thread:
// `file_bench SECONDS`; then, for each line on stdin, the CPU time of a turn.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/timing.h"

namespace {

char g_path[] = "/tmp/camprobe-bench-XXXXXX";

[[gnu::noinline]] void turns(long count) {
  char data[1024];
  for (long i = 0; i < count; ++i) {
    const int fd = open(g_path, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || pread(fd, data, sizeof data, 0) != sizeof data || close(fd) != 0) abort();
  }
}

[[gnu::noinline]] void deeper(int frames, double seconds) {
  if (frames > 0) {
    deeper(frames - 1, seconds);
    asm volatile("");  // no tail call
    return;
  }
  turns(20'000);
  puts("ready");
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    printf("%.3f\n", camprobe::bench::quiet_ns(seconds, 100, turns));
    fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const int fd = mkstemp(g_path);
  static const char data[1024] = {};
  if (fd < 0 || write(fd, data, sizeof data) != sizeof data || close(fd) != 0) return 1;
  constexpr int kFrames = 12;  // above a server's open
  deeper(kFrames, count > 1 ? atof(arguments[1]) : 0.3);
  unlink(g_path);
}
