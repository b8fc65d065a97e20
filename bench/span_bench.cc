// bench/span_bench.cc
//
// Nanoseconds for the begin and the end of a span: `span_bench SECONDS`; then a measurement for each line on stdin.
#include <stdio.h>
#include <stdlib.h>

#include "bench/timing.h"
#include "probe/include/camprobe.h"

namespace {

[[gnu::noinline]] void spans(long count) {
  for (long i = 0; i < count; ++i) camprobe_end(camprobe_begin("bench.span"));
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? atof(arguments[1]) : 0.3;
  spans(10'000);
  puts("ready");
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    printf("%.3f\n", camprobe::bench::quiet_ns(seconds, 4'000, spans));
    fflush(stdout);
  }
}
