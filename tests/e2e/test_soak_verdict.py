"""What scripts/soak calls growth: series whose truth is known by how they were made."""
import glob
import math
import os
import pathlib
import random
import subprocess
import sys
import unittest

from harness import PROBE, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import growth  # noqa: E402
import soak  # noqa: E402

HOURS = [minute / 60 for minute in range(1, 66)]
LEAST = 100.0  # an hour


def correlated(seed, phi, sd=50.0):
    """Noise each of whose values remembers the one before."""
    source, value, values = random.Random(seed), 0.0, []
    for _ in HOURS:
        value = phi * value + source.gauss(0, sd)
        values.append(value)
    return values


def grows(values):
    return growth.judge(HOURS, values, LEAST).grows


class Verdict(unittest.TestCase):
    def test_a_leak_is_seen_through_noise(self):
        for seed in range(20):
            noise = correlated(seed, 0.3)
            self.assertTrue(grows([1000 * h + n for h, n in zip(HOURS, noise)]), seed)

    def test_one_lost_object_a_few_minutes_is_seen(self):
        self.assertTrue(growth.judge(HOURS, [math.floor(h * 20) for h in HOURS], 1).grows)

    def test_noise_that_remembers_is_no_leak(self):
        for phi in (0.0, 0.5, 0.9):
            wrong = sum(grows(correlated(seed, phi)) for seed in range(200))
            self.assertLessEqual(wrong, 3, f"phi {phi}")

    def test_what_fills_up_is_no_leak(self):
        for tau in (0.05, 0.1, 0.2):
            self.assertFalse(grows([5000 * (1 - math.exp(-h / tau)) for h in HOURS]), tau)

    def test_a_step_is_no_leak(self):
        self.assertFalse(grows([0.0 if h < 0.5 else 400.0 for h in HOURS]))

    def test_growth_below_what_matters_is_none(self):
        self.assertFalse(grows([90 * h for h in HOURS]))
        self.assertTrue(grows([110 * h for h in HOURS]))

    def test_a_constant_is_none(self):
        self.assertFalse(grows([7.0] * len(HOURS)))

    def test_students_tail_is_that_of_the_tables(self):
        for t, degrees, p in ((2.228, 10, 0.025), (3.169, 10, 0.005), (1.671, 60, 0.05), (12.706, 1, 0.025)):
            self.assertAlmostEqual(growth.student_tail(t, degrees), p, delta=p * 0.01)


class Region(unittest.TestCase):
    def test_the_layout_it_knows_is_the_probes(self):
        environment = dict(os.environ, LD_PRELOAD=PROBE, CAMPROBE_RUN="soak-verdict", CAMPROBE_HEAP_INTERVAL="64KiB")
        command = [sys.executable, "-c", "import os, sys; kept = bytearray(16 << 20); pipe = os.pipe(); print('ready', flush=True); sys.stdin.read()"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            try:
                self.assertEqual(program.stdout.readline(), "ready\n")
                path, = wait_until(lambda: glob.glob(f"/dev/shm/camprobe.*.{program.pid}.*"), what="the region")
                values, run_id = soak.read_region(path)
            finally:
                program.stdin.close()
        self.assertEqual(run_id, b"soak-verdict")
        self.assertEqual(values["lanes"], 1)
        self.assertGreaterEqual(values["live"], 1, "16 MiB in one piece are sampled for certain")
        self.assertGreaterEqual(values["descriptors"], 2, "the pipe's two ends")
        for table, entries in (("stacks", soak.STACK_SLOTS), ("names", soak.NAME_SLOTS), ("live", soak.LIVE)):
            self.assertTrue(0 < values[table] < entries, table)
        self.assertTrue(0 < values["reserved"] < soak.REGION_BYTES)


if __name__ == "__main__":
    unittest.main()
