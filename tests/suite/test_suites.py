#!/usr/bin/env python3
"""The suites of examples/, each once at a small time scale with real load tools: what they measure, count and write."""
import re
import shutil

from suites import *  # noqa: F403
from suites import ROOT, Suites, harness, json, pathlib, suite_text, subprocess, unittest


class Load(Suites):
    def test_basic_counts_every_request_three_times_and_writes_all_formats(self):
        done = self.run_suite("load-basic", "--time-scale", "0.02", "--ci")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        self.assertIn("report.xml", done.stdout)
        report = self.report()
        run = report["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        self.assertEqual(0.02, report["time_scale"])
        self.assertIn("quick look", (self.out / "report.txt").read_text())
        counts = run["counts"]
        self.assertTrue(counts["reconciled"], counts)
        self.assertGreater(counts["server"], 300)
        self.assertEqual(counts["server"], counts["probe"])
        self.assertEqual(["ramp", "steady"], [phase["name"] for phase in run["phases"]])
        self.assertEqual([50, 50], [phase["users"] for phase in run["phases"]])
        self.assertTrue(all(check["passed"] for check in run["checks"]))
        self.assertGreater(run["metrics"]["arbitration_p95_ms"], 0)
        self.assertIsNotNone(run["load"]["heat"])
        self.assertIn("text", run["generator"])
        for name in ("report.html", "report.md", "report.xml", "runs/target/run.camrun", "runs/target/run.html", "load-basic.yaml"):
            self.assertTrue((self.out / name).stat().st_size > 0, name)
        # The page asks no other host for anything.
        self.assertNotRegex((self.out / "report.html").read_text(), r"(?:src|href)=\"https?:")
        self.assertRegex((self.out / "report.xml").read_text(), r"<testsuite name=\"load-basic\" tests=\"\d+\"")
        again = harness.camprobe("suite", "report", self.out, "--format", "md")
        self.assertEqual(again.stdout, (self.out / "report.md").read_text())

    def test_a_surge_has_its_time_of_recovery(self):
        done = self.run_suite("load-spike", "--duration", "36", "--users", "60")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual(3, len(run["recovery"]))
        self.assertEqual(["surge-1", "surge-2", "surge-3"], [one["phase"] for one in run["recovery"]])
        for one in run["recovery"]:
            self.assertGreater(one["usual_p95_ms"], 0, one)
        self.assertTrue(run["counts"]["reconciled"], run["counts"])

    def test_overrides_are_told(self):
        done = self.run_suite("load-basic", "--users", "8", "--duration", "4", "--scenario", "mixed")
        report = self.report()
        self.assertEqual(3, len(report["overrides"]), report["overrides"])
        self.assertEqual(8, max(phase["users"] for phase in report["runs"][0]["phases"]))
        self.assertIn(done.returncode, (0, 99))

    def test_the_examples_are_listed_and_a_wrong_name_is_told(self):
        done = harness.camprobe("suite", "list", cwd=ROOT)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"load-peak +load +1800 s")
        wrong = self.run_suite("load-basics")
        self.assertEqual(2, wrong.returncode)
        self.assertRegex(wrong.stderr, r"there is no suite load-basics; known are .*load-basic")


class Tools(Suites):
    def run_tool(self, tool, rate=True):
        if shutil.which(tool) is None and not (ROOT / "tests/e2e/node_modules/.bin" / tool).exists():
            self.skipTest(f"{tool} is not installed")
        text = (ROOT / "examples/suites/load-basic.yaml").read_text()
        text = re.sub(r"phases:.*", "", text, flags=re.S)
        text += "phases:\n  - {name: steady, duration: 3 s, users: 5" + (", rate: 60" if rate else "") + "}\n"
        path = self.write(text)
        (self.path / "node_modules").symlink_to(ROOT / "tests/e2e/node_modules")
        done = self.run_suite(path, "--tool", tool)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        self.assertGreater(run["load"]["requests"], 20)
        self.assertIsNotNone(run["load"]["latency_ms"]["p50"])
        self.assertTrue(any("coordinated omission" in note for note in run["notes"]), run["notes"])
        return run

    def test_autocannon(self):
        self.run_tool("autocannon")


if __name__ == "__main__":
    unittest.main()
