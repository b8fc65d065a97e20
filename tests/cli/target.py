"""Drives tests/cli/control_target.cc: a program under the probe that does what it is told, line by line."""
import contextlib
import math
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

PROGRAM = str(harness.TESTS / "cli_control_target")


def regions_of(pid):
    return [name for name in os.listdir("/dev/shm") if name.startswith("camprobe.") and name.split(".")[2] == str(pid)]


class Target:
    def __init__(self, process, pid):
        self.process, self.pid = process, pid

    def do(self, line):
        """Has it done; gives the number behind ok."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer[:1] == ["ok"], f"{line}: {answer}"
        return int(answer[1])

    def end(self):
        self.process.stdin.close()
        return self.process.wait(30)


@contextlib.contextmanager
def preloaded(**environment):
    """The program with the probe, and nobody who records."""
    env = {**os.environ, "LD_PRELOAD": harness.PROBE, **environment}
    with harness.running([PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        harness.wait_until(lambda: regions_of(process.pid), what="the region")
        yield Target(process, process.pid)


@contextlib.contextmanager
def recorded(run_path, **environment):
    """The program under camprobe run; the process is the collector's."""
    command = [harness.CAMPROBE, "run", "-q", "-o", str(run_path), "--", PROGRAM]
    with harness.running(command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as collector:
        def child():
            children = pathlib.Path(f"/proc/{collector.pid}/task/{collector.pid}/children").read_text().split()
            return next((int(pid) for pid in children if regions_of(pid)), None)
        yield Target(collector, harness.wait_until(child, what="the program under the probe"))


def set_(pid, *settings):
    return harness.camprobe("set", pid, *settings)


def holds(pid):
    """{name: words} of what holds now."""
    result = set_(pid)
    assert result.returncode == 0, result.stderr
    return dict(line.split(None, 1) for line in result.stdout.splitlines())


def estimate(run, function):
    """(bytes, standard error) of everything allocated with `function` on the stack. Its blocks have one size."""
    total = variance = 0.0
    for samples, objects, weight in run.rows(
            "SELECT a.samples, a.objects, a.bytes FROM alloc a WHERE a.samples > 0 AND a.stack IN (SELECT s.stack FROM stack_frame s "
            "JOIN frame f ON f.id = s.frame WHERE f.function LIKE ?)", f"%{function}%"):
        size = weight / objects
        probability = min(1.0, samples / objects)  # of this second's, as the interval moved in it: their mean
        total += weight
        variance += samples * (1 - probability) * (size / probability) ** 2
    return total, math.sqrt(variance)
