"""The budget: a program whose allocation rate changes a thousandfold in steps. The interval follows, what the probe takes by
its own measure stays inside the budget, totals per stack stay unbiased, and the report says which intervals held when.

bench/budget.py measures the same program at length, and from outside."""
import json
import os
import unittest

import harness
import steps

BUDGET = 0.01


class Budget(unittest.TestCase):
    def test_holds_at_every_step_of_a_rate_that_changes_a_thousandfold(self):
        rates = [2_000, 2_000_000, 2_000, 200_000]  # bytes a round, of about a millisecond
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-q", "-o", scratch.run_path, "--", steps.PROGRAM, steps.rounds_for(4), *rates)
            self.assertEqual(result.returncode, 0, result.stderr)
            truth = steps.read(result.stdout)
            run = scratch.run()

            # Records that a starved collector came too late for are missing in the totals: then these say nothing.
            lost = run.value("SELECT COALESCE(SUM(records), 0) FROM lost WHERE kind = 'lapped'")
            for name, (size, objects) in steps.totals(truth).items():
                total, error = steps.estimate(run, name)
                self.assertGreater(error, 0, name)
                self.assertLess(total - size * objects, 6 * error, f"{name}: {total:.0f} +- {error:.0f}, really {size * objects}")
                if lost:
                    continue
                self.assertLess(abs(total - size * objects), 6 * error, f"{name}: {total:.0f} +- {error:.0f}, really {size * objects}")

            held = steps.intervals(run)
            at_end = [steps.interval_at(held, step.ended_s(run)) for step in truth]
            self.assertGreaterEqual(at_end[1], 8 * at_end[0], at_end)
            self.assertLess(at_end[2], at_end[1], at_end)
            self.assertEqual(at_end[0], 8192, "as dense as it gets where there is room")

            report = json.loads(harness.camprobe("report", scratch.run_path, "--format", "json").stdout)
            probe = report["processes"][0]["probe"]
            self.assertEqual(probe["budget"], BUDGET)
            # The first second has the walker's tables to build, which is no sampling; the others of the step are whole.
            for step, share in zip(truth, steps.probe_shares(run, truth)):
                self.assertLess(share, 1.5 * BUDGET, f"{step.bytes} bytes a round took {share:.2%}")
            self.assertLess(probe["cpu_share"], 1.5 * BUDGET)
            stretches = [setting for setting in probe["settings"] if setting["name"] == "heap_interval_bytes"]
            for step, interval in zip(truth, at_end):
                at = step.ended_s(run)
                self.assertEqual([s["value"] for s in stretches if s["from_s"] <= at < s["to_s"]], [interval], "which interval held when")
            for before, after in zip(stretches, stretches[1:]):
                self.assertEqual(before["to_s"], after["from_s"])
            text = harness.camprobe("report", scratch.run_path).stdout
            self.assertIn("Sampling", text)
            self.assertRegex(text, r"heap +every 32 KiB to 0:0\d|heap +every .* of the time, from every 8 KiB")
            self.assertRegex(text, r"probe +[0-9.]+ % of the process's CPU time by its own measure, budget 1 %")

    def test_rate_that_was_asked_for_is_kept_and_the_heap_yields(self):
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-q", "-o", scratch.run_path, "--", steps.PROGRAM, steps.ROUNDS // 2, 200_000,
                                      env={**os.environ, "CAMPROBE_CPU_HZ": "10000", "CAMPROBE_BUDGET": "0.2%"})
            self.assertEqual(result.returncode, 0, result.stderr)
            run = scratch.run()
            self.assertEqual(run.rows("SELECT DISTINCT value FROM setting WHERE name = 'cpu_hz'"), [(10000,)])
            report = json.loads(harness.camprobe("report", scratch.run_path, "--format", "json").stdout)
            share = report["processes"][0]["probe"]["cpu_share"]
            self.assertGreater(share, 0)
            # The rate stands whatever it costs; what the ticks take, heap sampling leaves.
            self.assertLess(share, 2 * 0.002)
            # The kernel may not tick so often; what was asked for is weighed all the same.
            used = sum(step.cpu_ns for step in steps.read(result.stdout))
            self.assertLess(abs(run.value("SELECT SUM(weight_ns) FROM cpu") - used) / used, 0.1)


if __name__ == "__main__":
    unittest.main()
