"""What the suites' tests share: small suites written for a test, the built command run on them, its report read."""
import json
import os
import pathlib
import signal
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

    def tearDown(self):
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


def start(arguments, out):
    return subprocess.Popen([harness.CAMPROBE, "suite", "run", *map(str, arguments), "-o", str(out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, cwd=ROOT)


__all__ = ["ROOT", "Suites", "harness", "json", "os", "pathlib", "signal", "start", "suite_text", "subprocess", "time", "unittest"]
