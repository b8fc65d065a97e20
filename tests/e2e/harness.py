"""What the end-to-end tests share: starting camprobe and servers, finding ports, reading a run with plain sqlite3.

Every process started here is ended here, by pid. All traffic stays on 127.0.0.1.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("CAMPROBE_BIN", "build/bin")).resolve()
LIB = pathlib.Path(os.environ.get("CAMPROBE_LIB", "build/lib")).resolve()
TESTS = pathlib.Path(os.environ.get("CAMPROBE_TESTS", "build/release/tests")).resolve()
for name in ("CAMPROBE_BIN", "CAMPROBE_LIB", "CAMPROBE_TESTS"):
    os.environ.pop(name, None)  # ours: the probe would say that it knows no such variable
CAMPROBE = str(BIN / "camprobe")
PROBE = str(LIB / "libcamprobe.so")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=20, what="condition"):
    """Polls until condition() is true; a clear error when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not come true within {seconds} s")


def listens(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def need(*programs):
    """The first of the programs that is missing, or None."""
    return next((program for program in programs if shutil.which(program) is None), None)


@contextlib.contextmanager
def running(command, **options):
    """A process for the length of a with block; ended by SIGTERM, then SIGKILL."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def camprobe(*arguments, timeout=120, **options):
    """Runs one camprobe command to its end; gives the finished process with text output."""
    return subprocess.run([CAMPROBE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          errors="replace", check=False, **options)


class Run:
    """A .camrun file, read with sqlite3."""

    def __init__(self, path):
        self.path = str(path)
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def rows(self, query, *values):
        return self.database.execute(query, values).fetchall()

    def value(self, query, *values):
        return self.database.execute(query, values).fetchone()[0]

    def functions(self, table, weight):
        """{function: weight} of the leaf frames of a table with `stack` and a weight column."""
        return dict(self.rows(
            f"SELECT f.function, SUM(t.{weight}) FROM {table} t JOIN stack_frame s ON s.stack = t.stack AND s.depth = 0 "
            f"JOIN frame f ON f.id = s.frame GROUP BY f.function ORDER BY 2 DESC"))

    def functions_anywhere(self, table):
        """The names of all functions on any stack of a table."""
        return {name for (name,) in self.rows(
            f"SELECT DISTINCT f.function FROM (SELECT DISTINCT stack FROM {table}) t "
            f"JOIN stack_frame s ON s.stack = t.stack JOIN frame f ON f.id = s.frame")}

    def by_frame(self, table, weight):
        """{function: weight} where a stack counts for each function on it, once."""
        return dict(self.rows(
            f"SELECT function, SUM(weight) FROM (SELECT DISTINCT t.rowid_, f.function AS function, t.weight AS weight FROM "
            f"(SELECT stack AS rowid_, stack, SUM({weight}) AS weight FROM {table} GROUP BY stack) t "
            f"JOIN stack_frame s ON s.stack = t.stack JOIN frame f ON f.id = s.frame) GROUP BY function"))


class Scratch:
    """A directory for one test case, with a name for its run."""

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-e2e-"))
        self.run_path = self.directory / "test.camrun"
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self):
        return Run(self.run_path)


def leftovers():
    """Regions in /dev/shm whose process is gone."""
    gone = []
    for path in pathlib.Path("/dev/shm").glob("camprobe.*"):
        parts = path.name.split(".")
        if not os.path.exists(f"/proc/{parts[2]}"):
            gone.append(path.name)
    return gone
