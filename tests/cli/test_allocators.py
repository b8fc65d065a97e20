"""`camprobe run --allocator`: the program runs on it, and its heap is seen as on its own."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  for (int i = 0; i < 3000; ++i) *(volatile char*)malloc(1000) = 1;
  FILE* maps = fopen("/proc/self/maps", "r");
  for (int c; (c = fgetc(maps)) != EOF;) putchar(c);
  return 0;
}
"""


class Allocator(unittest.TestCase):
    def test_stands_behind_the_probe(self):
        with harness.Scratch() as scratch:
            program = scratch.directory / "allocates"
            subprocess.run(["gcc", "-O0", "-x", "c", "-", "-o", program], input=SOURCE, text=True, check=True)
            for name, library in (("tcmalloc", "libtcmalloc"), ("jemalloc", "libjemalloc"), ("mimalloc", "libmimalloc")):
                with self.subTest(name):
                    result = harness.camprobe("run", "-q", "--overwrite", "-o", scratch.run_path, "--allocator", name, "--", program)
                    if "is not installed" in result.stderr:
                        self.skipTest(result.stderr)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertIn(library, result.stdout)
                    counted = scratch.run().value("SELECT SUM(p.value) FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = 'heap_allocated_bytes'")
                    self.assertTrue(3_000_000 <= counted < 3_100_000, counted)  # the rest is stdio's buffers

    def test_tells_what_it_keeps_and_the_report_says_so(self):
        program = harness.TESTS / "probe_allocating"
        # One that tells what it keeps and one that tells only what it holds; tests/probe/allocator_test.cc has them all.
        for number, name in ((1, "glibc"), (4, "mimalloc")):
            with self.subTest(name), harness.Scratch() as scratch:
                allocator = [] if name == "glibc" else ["--allocator", name]
                result = harness.camprobe("run", "-q", "-o", scratch.run_path, *allocator, "--", program, "retain", "1200",
                                          env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "16KiB"})
                if "is not installed" in result.stderr:
                    self.skipTest(result.stderr)
                said = dict(line.split() for line in result.stdout.splitlines())
                live, freed, resident = (float(said[what]) for what in ("live", "freed", "resident"))
                last = dict(scratch.run().rows("SELECT m.name, p.value FROM point p JOIN metric m ON m.id = p.metric WHERE m.name LIKE 'allocator%' ORDER BY p.second"))
                self.assertEqual(last["allocator"], number)
                # Headers and sizes rounded up: an eighth at most.
                self.assertAlmostEqual(last["allocator_held_bytes"], live + freed, delta=(live + freed) / 8)
                report = json.loads(harness.camprobe("report", scratch.run_path, "--format", "json").stdout)
                memory = report["processes"][0]["memory"]
                self.assertEqual((memory["allocator"], memory["retained_is_told"]), (name, name != "mimalloc"))
                self.assertAlmostEqual(memory["resident_bytes"], resident, delta=resident / 20)
                self.assertAlmostEqual(memory["live_bytes"], live, delta=live / 8)
                self.assertAlmostEqual(memory["retained_bytes"], freed, delta=freed / 5 if name == "mimalloc" else freed / 8)
                self.assertLess(memory["rest_bytes"], resident / 8)
                text = harness.camprobe("report", scratch.run_path).stdout
                self.assertRegex(text, rf"MiB resident: [0-9.]+ MiB live, [0-9.]+ MiB kept by {name}")

    def test_that_is_not_known_is_refused(self):
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--allocator", "malloc", "--", "true")
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertEqual(result.stderr.count("\n"), 1)
            self.assertIn("tcmalloc, jemalloc and mimalloc", result.stderr)
            self.assertFalse(scratch.run_path.exists())


if __name__ == "__main__":
    unittest.main()
