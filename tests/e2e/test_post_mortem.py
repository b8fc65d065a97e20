"""A target ended by SIGKILL still gets its full report: with its collector alive, and from the region alone."""
import json
import os
import signal
import subprocess
import time
import unittest

import harness

WORKLOAD = str(harness.TESTS / "e2e_workload")


class Killed(unittest.TestCase):
    def check(self, run):
        live = run.by_frame("(SELECT stack, bytes FROM heap_object WHERE died_ns IS NULL)", "bytes")
        self.assertTrue(any("keep_for_ever" in function for function in live), sorted(live))
        self.assertFalse(any("use_and_drop" in function for function in live), sorted(live))
        self.assertGreater(run.value("SELECT SUM(samples) FROM alloc"), 20)
        self.assertGreater(run.value("SELECT COUNT(*) FROM module"), 1)

    def test_under_camprobe_run(self):
        with harness.Scratch() as scratch:
            recorder = subprocess.Popen([harness.CAMPROBE, "run", "-o", str(scratch.run_path), "--", WORKLOAD, "leak", "60"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "16KiB"})
            time.sleep(5)
            children = subprocess.run(["pgrep", "-P", str(recorder.pid)], capture_output=True, text=True, check=True).stdout.split()
            os.kill(int(children[0]), signal.SIGKILL)
            self.assertEqual(recorder.wait(30), 137)
            run = scratch.run()
            self.check(run)
            self.assertEqual(run.value("SELECT ended_how FROM process WHERE pid = ?", int(children[0])), "killed")
            report = harness.camprobe("report", scratch.run_path, "--format", "json")
            self.assertEqual(json.loads(report.stdout)["schema"], "camprobe.report/1")

    def test_from_the_region_alone(self):
        with harness.Scratch() as scratch:
            target = subprocess.Popen([WORKLOAD, "leak", "60"], stdout=subprocess.DEVNULL,
                                      env={**os.environ, "LD_PRELOAD": harness.PROBE, "CAMPROBE_HEAP_INTERVAL": "16KiB"})
            time.sleep(4)
            target.kill()
            target.wait()
            listed = harness.camprobe("list")
            self.assertIn(str(target.pid), listed.stdout)
            result = harness.camprobe("attach", target.pid, "-o", scratch.run_path)
            self.assertEqual(result.returncode, 0, result.stderr)
            run = scratch.run()
            self.check(run)
            self.assertEqual(run.value("SELECT value FROM meta WHERE key = 'state'"), "post-mortem")
            self.assertEqual(harness.camprobe("report", scratch.run_path).returncode, 0)
            harness.camprobe("list", "--clean")
            self.assertNotIn(str(target.pid), harness.camprobe("list").stdout)


class CollectorKilled(unittest.TestCase):
    def test_the_target_goes_on_and_the_run_is_readable(self):
        with harness.Scratch() as scratch:
            recorder = subprocess.Popen([harness.CAMPROBE, "run", "-o", str(scratch.run_path), "--", WORKLOAD, "leak", "8"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(4)
            child = int(subprocess.run(["pgrep", "-P", str(recorder.pid)], capture_output=True, text=True, check=True).stdout.split()[0])
            recorder.kill()
            recorder.wait()
            os.kill(child, 0)  # still there
            run = scratch.run()
            self.assertGreater(run.value("SELECT COUNT(*) FROM alloc"), 0)
            self.assertEqual(harness.camprobe("report", scratch.run_path).returncode, 0)
            harness.wait_until(lambda: not os.path.exists(f"/proc/{child}"), 20, "the target ending by itself")


if __name__ == "__main__":
    unittest.main()
