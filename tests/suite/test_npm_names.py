"""What CAM's engineers type: every script of examples/performance/package.json and of its scripts/, scaled to seconds."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from suites import ROOT, main

PERFORMANCE = ROOT / "examples/performance"
# What each is given behind its name, so that hours take seconds.
SCALED = {
    "test:load": ["--scenario=custom", "--users=10", "--duration=4"],
    "test:load:basic": ["--time-scale=0.02"],
    "test:load:heavy": ["--time-scale=0.007"],
    "test:load:peak": ["--time-scale=0.004"],
    "test:load:spike": ["--time-scale=0.02"],
    "test:load:stress": ["--time-scale=0.03"],
    "test:load:all": ["--time-scale=0.004"],
    "test:benchmark": ["--category=arbitration", "--time-scale=0.04", "--repeats=2"],
    "test:benchmark:quick": [],  # has a scale of its own
    "test:benchmark:full": ["--time-scale=0.03", "--repeats=2"],
    "test:stress": ["--type=memory", "--time-scale=0.03"],
    "test:stress:all": ["--time-scale=0.03"],
    "test:scalability": ["--time-scale=0.03", "--repeats=1"],
    "test:endurance": ["--time-scale=0.0005"],
    "test:regression-check": ["--time-scale=0.02"],
}


@unittest.skipIf(shutil.which("npm") is None, "no npm")
class NpmNames(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="camprobe-npm-")
        self.addCleanup(scratch.cleanup)
        self.out = pathlib.Path(scratch.name)

    def run_it(self, *command, environment=None):
        return subprocess.run(command, cwd=PERFORMANCE, capture_output=True, text=True, timeout=900, check=False,
                              env={**os.environ, **(environment or {})})

    def check(self, name):
        out = [] if name == "test:regression-check" else ["-o", str(self.out / "suite")]
        done = self.run_it("npm", "run", "--silent", name, "--", *SCALED[name], *out, environment={"STORE": str(self.out / "baselines")})
        # 99: a gate that seconds on this machine do not keep. What must not be is a command that does not know what it is told.
        self.assertIn(done.returncode, (0, 99), done.stderr[-2000:])
        if out:
            reports = list(self.out.glob("suite/**/report.html"))
            self.assertTrue(reports, done.stderr[-2000:])
            for report in self.out.glob("suite/**/report.json"):
                for run in json.loads(report.read_text())["runs"]:
                    self.assertEqual("complete", run["state"], run["why"])

    def test_every_script_is_tried(self):
        scripts = json.loads((PERFORMANCE / "package.json").read_text())["scripts"]
        self.assertEqual(set(SCALED), set(scripts))

    def test_the_regression_check_compares_the_second_time(self):
        for expected in ((0,), (0, 99)):
            done = self.run_it("npm", "run", "--silent", "test:regression-check", "--", "--time-scale=0.02",
                               environment={"STORE": str(self.out / "baselines")})
            self.assertIn(done.returncode, expected, done.stderr[-2000:])
        self.assertIn("cpu_per_request_ms", done.stdout)

    def test_a_report_is_made_anew(self):
        done = self.run_it("scripts/run-load-test.sh", "--scenario=arbitration", "--users=10", "--duration=3", "-o", str(self.out / "suite"))
        self.assertIn(done.returncode, (0, 99), done.stderr[-2000:])
        done = self.run_it("scripts/generate-report.sh", str(self.out / "suite"), "--format", "md")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("load-basic", done.stdout)


def add(name):
    setattr(NpmNames, "test_" + name.removeprefix("test:").replace(":", "_").replace("-", "_"), lambda self: self.check(name))


for script in SCALED:
    add(script)

if __name__ == "__main__":
    main(at_a_time=1)
