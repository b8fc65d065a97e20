"""A suspicion with too few samples has the heap sampled more densely for the rest of the run: camprobe says so, the run has it
as a mark and a setting, and what is alive is estimated right across the change."""
import os
import unittest

import harness

WORKLOAD = str(harness.TESTS / "e2e_workload")
MIB = 1024 * 1024
RESIDENT = "process_resident_bytes"


def record(scratch, *options):
    """The workload keeps a tenth of what it allocates; sampled so thinly that half of the run has but a few samples."""
    return harness.camprobe("run", "-o", scratch.run_path, "--duration", "44s", "--no-report", *options, "--", WORKLOAD, "leak", 60,
                            env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "16MiB"})


def intervals(run):
    return [value for (value,) in run.rows("SELECT value FROM setting WHERE name = 'heap_interval_bytes' ORDER BY at_ns")]


class Escalation(unittest.TestCase):
    def test_a_suspect_is_sampled_more_densely_and_estimates_stay_right(self):
        with harness.Scratch() as scratch:
            result = record(scratch)
            run = scratch.run()
            self.assertIn("sampled every 4 MiB instead of 16 MiB from here on", result.stderr)
            self.assertEqual(intervals(run), [16 * MIB, 4 * MIB])
            marks = [text for (text,) in run.rows("SELECT text FROM mark WHERE source = 'collector'")]
            self.assertTrue(any("sampled every 4 MiB" in text for text in marks), marks)
            alive = run.value("SELECT SUM(bytes) FROM heap_object WHERE died_ns IS NULL")
            resident = run.value("SELECT MAX(p.value) FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = ?", RESIDENT)
            # About 13 samples of 16 MiB and 50 of 4 MiB: 15 % at one standard deviation, and RSS has the program itself in it.
            self.assertGreater(alive, 0.5 * resident)
            self.assertLess(alive, 1.6 * resident)

    def test_not_where_that_was_declined(self):
        with harness.Scratch() as scratch:
            result = record(scratch, "--no-escalation")
            self.assertNotIn("sampled every", result.stderr)
            self.assertEqual(intervals(scratch.run()), [16 * MIB])


if __name__ == "__main__":
    unittest.main()
