// bench/fork_bench.cc
//
// Microseconds from fork() to the end of the child being seen, of a child that does nothing: `fork_bench COUNT`; then,
// for each line on stdin, the median of COUNT.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/timing.h"

int main(int count, char** arguments) {
  const int forks = count > 1 ? atoi(arguments[1]) : 20;
  puts("ready");
  fflush(stdout);
  for (int c; (c = getchar()) != EOF;) {
    if (c != '\n') continue;
    std::vector<double> took;
    for (int i = 0; i < forks; ++i) {
      const double began = camprobe::bench::now_ns();
      const pid_t child = fork();
      if (child == 0) _exit(0);
      if (child < 0 || waitpid(child, nullptr, 0) != child) return 1;
      took.push_back((camprobe::bench::now_ns() - began) / 1000);
    }
    printf("%.2f\n", camprobe::bench::quantile(took, 0.5));
    fflush(stdout);
  }
}
