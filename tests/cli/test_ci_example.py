"""The example workflow's own steps, run as GitHub would run them but for their times: what they leave behind, and that the
verdict is theirs."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import yaml

BIN = pathlib.Path(os.environ["CAMPROBE_BIN"]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "examples/ci/camprobe.yml"

# Stands for GitHub's own command: it keeps what it is given.
GH = """#!/bin/sh
printf '%s\\n' "$*" >>"$GH_LOG"
for word in "$@"; do case "$word" in --edit-last) exit 1 ;; esac; done
while [ $# -gt 0 ]; do [ "$1" != --body-file ] || cp "$2" "$GH_BODY"; shift; done
"""


class Workflow(unittest.TestCase):
    def setUp(self):
        if shutil.which("h2load") is None:
            self.skipTest("h2load is not installed")
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-ci-"))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        # The steps see a checkout: the sources by links, what was built as it is.
        self.checkout = self.scratch / "checkout"
        self.checkout.mkdir()
        (self.checkout / "examples").mkdir()
        shutil.copytree(ROOT / "examples/ci", self.checkout / "examples/ci")
        (self.checkout / "examples/suites").symlink_to(ROOT / "examples/suites")
        (self.checkout / "build").mkdir()
        (self.checkout / "build/bin").symlink_to(BIN)
        (self.checkout / "build/lib").symlink_to(BIN.parent / "lib")
        gh = self.scratch / "bin/gh"
        gh.parent.mkdir()
        gh.write_text(GH)
        gh.chmod(0o755)
        self.workflow = yaml.safe_load(WORKFLOW.read_text())
        self.steps = {step["name"]: step for step in self.workflow["jobs"]["leak-and-regression"]["steps"] if "run" in step}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CAMPROBE", "GITHUB"))}
        self.environment = {**environment, **self.workflow["env"], "SOAK_SECONDS": "4", "COMPARE_SECONDS": "3",
                            "COMPARE_RUNS": "1", "SUITES": "load-basic", "SUITE_SCALE": "0.01", "PATH": f"{gh.parent}:{os.environ['PATH']}",
                            "GITHUB_STEP_SUMMARY": str(self.scratch / "summary.md"), "GH_LOG": str(self.scratch / "gh.log"),
                            "GH_BODY": str(self.scratch / "body.md")}

    def run_step(self, name, **changed):
        step = self.steps[name]
        # ${{ ... }} is filled in by GitHub: here it is nothing, as outside of a pull request.
        own = {key: "7" if "number" in value else "" for key, value in step.get("env", {}).items()}
        return subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=self.checkout, text=True,
                              env={**self.environment, **own, **changed}, capture_output=True, timeout=120)

    def test_its_steps_check_compare_and_comment(self):
        self.assertEqual(list(self.steps), ["Build", "Build the base", "Soak", "Leak check", "Record base and branch",
                                            "Regression check", "Suites", "Summary", "Comment", "Verdict"])
        out = self.checkout / self.environment["OUT"]
        for name in self.steps:
            if name == "Verdict":
                break
            done = self.run_step(name)
            self.assertEqual(done.returncode, 0, f"{name}\n{done.stdout}\n{done.stderr}")
        xml.etree.ElementTree.parse(out / "soak.xml")
        self.assertIn("<!doctype html>", (out / "soak.html").read_text()[:200])
        self.assertIn("what changed", (out / "difference.svg").read_text())
        comment = (self.scratch / "body.md").read_text()
        self.assertIn("latency_p50_ms", comment)
        self.assertIn("### Gates", comment)
        self.assertIn("| base |", comment)
        self.assertLess(len(comment.encode()), 65536)
        summary = (self.scratch / "summary.md").read_text()
        self.assertTrue(summary.endswith(comment))
        # Each suite's report comes before it, and stays among the job's files.
        suite = (out / "load-basic/report.md").read_text()
        self.assertEqual(summary, suite + comment)
        xml.etree.ElementTree.parse(out / "load-basic/report.xml")
        self.assertNotIn("exit code 2", (out / "failed").read_text() if (out / "failed").exists() else "")
        # The first comment of a pull request has no predecessor to edit.
        self.assertEqual((self.scratch / "gh.log").read_text().splitlines(),
                         ["pr comment 7 --edit-last --body-file camprobe-results/comment.md",
                          "pr comment 7 --body-file camprobe-results/comment.md"])

        # What counts against the run fails the verdict, and nothing else does.
        (out / "failed").unlink(missing_ok=True)
        self.assertEqual(self.run_step("Verdict").returncode, 0)
        strict = self.checkout / "strict.yaml"
        strict.write_text("gates:\n  - {metric: latency_p50_ms, max: 1 us}\n")
        crossed = self.run_step("Leak check", GATES="strict.yaml")
        self.assertEqual(crossed.returncode, 0, crossed.stderr)
        self.assertIn("FAIL", crossed.stdout)
        verdict = self.run_step("Verdict")
        self.assertEqual(verdict.returncode, 1)
        self.assertIn("leak check: exit code 99", verdict.stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
