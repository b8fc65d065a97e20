// bench/socket_bench.cc
//
// Nanoseconds for a send and for a receive of 64 bytes on a connected pair of stream sockets, by one thread that does
// both in turn: `socket_bench SECONDS`; then, for each line on stdin, half of the CPU time of a turn. What a hook adds
// is small beside the system call, and constant; the kernel's cheapest socket shows it best.
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bench/timing.h"

namespace {

int g_pair[2];

[[gnu::noinline]] void turns(long count) {
  char message[64] = {};
  for (long i = 0; i < count; ++i) {
    if (send(g_pair[0], message, sizeof message, MSG_DONTWAIT) != sizeof message ||
        recv(g_pair[1], message, sizeof message, MSG_DONTWAIT) != sizeof message)
      abort();
  }
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? atof(arguments[1]) : 0.3;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, g_pair) != 0) return 1;
  turns(1'000);
  puts("ready");
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    printf("%.3f\n", camprobe::bench::quiet_ns(seconds, 200, turns) / 2);
    fflush(stdout);
  }
}
