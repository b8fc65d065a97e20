"""Programs on musl: the probe is made for glibc, and says so in one line; the program runs as it runs without."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness

PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *unused) {
  for (int i = 0; i < 1000; ++i) free(realloc(calloc(10, 10), 5000));
  return unused;
}
int main(int count, char **arguments) {
  FILE *trace = fopen("ran", "w");
  fputs("here", trace);
  fclose(trace);
  pthread_t thread;
  pthread_create(&thread, NULL, work, NULL);
  pthread_join(thread, NULL);
  int ends[2];
  char text[16] = {0};
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) _exit(write(ends[1], "from a child", 12) == 12 ? 3 : 4);
  int status = 0;
  wait(&status);
  read(ends[0], text, 12);
  printf("%s %d %d\n", text, WEXITSTATUS(status), system("exit 6") >> 8);
  atexit((void (*)(void))work);
  return 17;
}
"""


@unittest.skipIf(harness.need("musl-gcc"), "musl-gcc is not installed (musl-tools)")
class Musl(unittest.TestCase):
    def setUp(self):
        self.scratch = self.enterContext(harness.Scratch())
        self.directory = self.scratch.directory
        self.program = self.directory / "on-musl"
        subprocess.run(["musl-gcc", "-w", "-O1", "-o", self.program, "-x", "c", "-"], input=PROGRAM, text=True, check=True)

    def start(self, *command, **environment):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30, check=False,
                              cwd=self.directory, env={**os.environ, **environment})

    def outcome(self, result):
        return result.returncode, result.stdout, result.stderr

    def test_runs_under_the_preload_as_without(self):
        without = self.start(self.program)
        self.assertEqual(self.outcome(without), (17, "from a child 3 6\n", ""))
        self.assertEqual(self.outcome(self.start(self.program, LD_PRELOAD=harness.PROBE)), self.outcome(without))
        self.assertFalse(list(pathlib.Path("/dev/shm").glob(f"camprobe.*.{os.getpid()}.*")))

    def test_says_in_one_line_that_it_is_not_recorded_where_that_is_asked(self):
        result = self.start(self.program, LD_PRELOAD=harness.PROBE, CAMPROBE_VERBOSE="1")
        self.assertEqual(result.returncode, 17)
        # Its child sh is glibc's and records.
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn("it runs on musl", result.stderr)

    def test_is_refused_by_run_before_it_starts(self):
        result = harness.camprobe("run", "-o", self.scratch.run_path, "--", self.program, cwd=self.directory)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertIn("runs on musl", result.stderr)
        self.assertFalse((self.directory / "ran").exists(), "the program was started all the same")
        self.assertFalse(self.scratch.run_path.exists())

    def test_is_named_by_doctor(self):
        result = harness.camprobe("doctor", self.program)
        self.assertEqual(result.returncode, 1, result.stdout)
        lines = [line for line in result.stdout.splitlines() if "musl" in line and line.startswith("BAD")]
        self.assertEqual(len(lines), 1, result.stdout)
        self.assertFalse((self.directory / "ran").exists())

    def test_as_a_child_of_a_recorded_program_runs_and_the_recording_goes_on(self):
        result = harness.camprobe("run", "-q", "-o", self.scratch.run_path, "--", "sh", "-c",
                                  f"{self.program}; echo $?; exit 5", cwd=self.directory)
        self.assertEqual((result.returncode, result.stdout), (5, "from a child 3 6\n17\n"), result.stderr)
        self.assertTrue(self.scratch.run_path.exists())


if __name__ == "__main__":
    unittest.main()
