"""What the suites' tests share: small suites written for a test, the built command run on them, its report read."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import harness  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

PHASES = "phases:\n  - {name: steady, duration: 3 s, users: 5, rate: 50}\n"
SCENARIOS = "scenarios:\n  - {name: one, requests: [\"/arbitrate?prompt_size=100&strategy=cost\"]}\n"


def suite_text(target, rest="", load="{tool: h2load, base: \"http://127.0.0.1:${port}\"}", phases=PHASES, scenarios=SCENARIOS):
    return f"name: test\n{target}\nload: {load}\n{scenarios}{phases}{rest}"


class Suites(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="camprobe-suite-")
        self.path = pathlib.Path(self.directory.name)
        self.out = self.path / "out"
        self.started = []

    def tearDown(self):
        for process in self.started:
            process.kill()
            process.communicate()
        self.directory.cleanup()
        self.assertEqual([], self.left_behind(), "a process was left behind")

    def left_behind(self):
        """Processes that name this test's directory in their command line."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.path) in words and int(entry.parent.name) != os.getpid():
                found.append(words)
        return found

    def write(self, text):
        path = self.path / "suite.yaml"
        path.write_text(text)
        return path

    def run_suite(self, *arguments, timeout=150, environment=None):
        return subprocess.run([harness.CAMPROBE, "suite", "run", *map(str, arguments), "-o", str(self.out)], capture_output=True, text=True,
                              timeout=timeout, cwd=ROOT, check=False, env={**os.environ, **(environment or {})})

    def report(self, directory=None):
        return json.loads(((directory or self.out) / "report.json").read_text())


class OneTool(Suites):
    def run_tool(self, tool, rate=True):
        # npm packages of the tests, or of who has installed the rest (scripts/setup --artillery).
        packages = [ROOT / place / "node_modules" for place in ("tests/e2e", "examples/performance")]
        package = next((one for one in packages if (one / ".bin" / tool).exists()), None)
        if shutil.which(tool) is None and package is None:
            self.skipTest(f"{tool} is not installed")
        text = (ROOT / "examples/suites/load-basic.yaml").read_text()
        text = re.sub(r"phases:.*", "", text, flags=re.S)
        text += "phases:\n  - {name: steady, duration: 3 s, users: 5" + (", rate: 60" if rate else "") + "}\n"
        path = self.write(text)
        if package is not None:
            (self.path / "node_modules").symlink_to(package)
        done = self.run_suite(path, "--tool", tool)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        if "can read no plan at all" in run["why"]:
            self.assertEqual("load failed", run["state"])
            self.skipTest(f"{tool} is of no use as it is installed: {run['why']}")
        self.assertEqual("complete", run["state"], run["why"])
        self.assertGreater(run["load"]["requests"], 20)
        self.assertTrue(run["counts"]["reconciled"], run["counts"])
        self.assertIsNotNone(self.report()["versions"]["load_tool"]["version"])
        self.assertIsNotNone(run["load"]["latency_ms"]["p50"])
        self.assertTrue(any("coordinated omission" in note for note in run["notes"]), run["notes"])
        return run


def main(at_a_time=4):
    """Each test in a process of its own, some at a time: they mostly wait for a load to be over. A name as argument: that one here."""
    if len([word for word in sys.argv[1:] if not word.startswith("-")]) > 0:
        unittest.main(module="__main__")
    script = sys.modules["__main__"].__file__

    def run(test):
        # harness took its variables out of ours.
        built = {"CAMPROBE_BIN": str(harness.BIN), "CAMPROBE_LIB": str(harness.LIB), "CAMPROBE_TESTS": str(harness.TESTS)}
        return test, subprocess.run([sys.executable, "-B", script, "-v", test], capture_output=True, text=True, check=False, env={**os.environ, **built})

    tests = [".".join(one.id().split(".")[-2:]) for case in unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]) for one in case]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(at_a_time) as pool:
        for test, done in pool.map(run, tests):
            print(f"--- {test}\n{done.stdout}{done.stderr}", flush=True)
            if done.returncode != 0:
                failed.append(test)
    print(f"{len(tests)} tests, failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed or not tests else 0)


def start(arguments, out):
    return subprocess.Popen([harness.CAMPROBE, "suite", "run", *map(str, arguments), "-o", str(out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, cwd=ROOT)


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


__all__ = ["OneTool", "ROOT", "Suites", "children_of", "harness", "json", "main", "os", "pathlib", "signal", "sqlite3", "start", "suite_text", "subprocess", "time", "unittest"]
