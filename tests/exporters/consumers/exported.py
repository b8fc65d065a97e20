"""What the exporters' tests share: `camprobe export` of the synthetic runs, and the figures that mesh.camrun holds.

Each test_FORMAT.py opens its format with what really reads it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ.get("CAMPROBE_BIN", "build/bin")).resolve()
RUNS = pathlib.Path(os.environ.get("CAMPROBE_RUNS", "build/release/tests/runs")).resolve()
SOURCE = pathlib.Path(os.environ.get("CAMPROBE_SOURCE", pathlib.Path(__file__).resolve().parents[3])).resolve()
MESH, SERVER, HOSTILE, EMPTY = (RUNS / f"{name}.camrun" for name in ("mesh", "server", "hostile", "empty"))

SLICES = ("cpu", "alloc", "live", "growth", "retained", "temporary", "wait", "io", "spans")
# tests/exporters/export_runs.cc, added up by hand: 10 ms a sample; 70 + 30 + 70 + 10 + 40 + 5 + 6 + 8 samples.
CPU_NS = 2_390_000_000
CPU_BY_FUNCTION = {"cam::compute(int)": 800_000_000, "cam::scan(char const*)": 700_000_000, "answer()": 400_000_000,
                   "memcpy": 380_000_000, "renderBubble app.js:7": 50_000_000}
LIVE_BYTES = 53701  # 3000.5 + 50000 + 700, rounded
ODD_NAME = 'a;b -- "c" <d> \u00e9\u6f22'  # the newline became a space


def run(*arguments):
    return subprocess.run([str(BIN / "camprobe"), "export", *map(str, arguments)], capture_output=True, timeout=60, check=False)


def export(run_file, *arguments):
    """The bytes on standard output; fails where camprobe does."""
    result = run(run_file, *arguments)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def error_of(run_file, *arguments):
    """The one line that camprobe says why it cannot; checks that it is one, that the exit code is 2 and that nothing was written."""
    result = run(run_file, *arguments)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2, (result.returncode, lines)
    assert len(lines) == 1 and lines[0].startswith("camprobe export: "), lines
    assert result.stdout == b"", result.stdout[:100]
    return lines[0]


def need(program):
    if shutil.which(program) is None:
        raise unittest.SkipTest(f"{program} is not installed: ./scripts/setup")


def modules(of):
    """The npm packages of a directory of the project."""
    directory = SOURCE / of / "node_modules"
    if not directory.is_dir():
        raise unittest.SkipTest(f"no npm packages in {of}: ./scripts/setup")
    return directory


class Directory(unittest.TestCase):
    """A test with a directory of its own."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-exports-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def file(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return path


def in_speedscope(*files):
    """{file: what speedscope's importer made of it, as its own export, or None}."""
    need("chromium")
    release = modules("tests/e2e") / "speedscope/dist/release"
    script = pathlib.Path(__file__).with_name("speedscope.mjs")
    result = subprocess.run(["node", str(script), str(release), str(modules("viewer/app") / "playwright-core"), *map(str, files)],
                            capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert all(seen.values()), result.stderr
    return {path: seen[str(path)] for path in files}


def self_weights(group, profile):
    """{function: weight of its own} of an evented profile as speedscope exports it."""
    frames, weights, open_frames, last = group["shared"]["frames"], {}, [], profile["startValue"]
    for event in profile["events"]:
        if open_frames:
            name = frames[open_frames[-1]]["name"]
            weights[name] = weights.get(name, 0) + event["at"] - last
        last = event["at"]
        if event["type"] == "O":
            open_frames.append(event["frame"])
        else:
            assert open_frames.pop() == event["frame"], "a frame closed that is not the innermost"
    assert not open_frames
    return weights
