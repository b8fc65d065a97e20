"""A collector and its target that do not see the same machine, or a target that the machine stops or ends: a pid namespace, a
long SIGSTOP, a memory limit with the kernel's out-of-memory killer."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import textwrap
import time
import unittest

import harness

WORKLOAD = str(harness.TESTS / "e2e_workload")


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def recording(scratch, *program, **environment):
    """camprobe run in the background, for as long as the program takes."""
    with subprocess.Popen([harness.CAMPROBE, "run", "-o", str(scratch.run_path), "--", *program], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}) as recorder:
        try:
            yield recorder
        finally:
            if recorder.poll() is None:
                recorder.send_signal(signal.SIGTERM)
                recorder.communicate(timeout=60)


@unittest.skipIf(os.geteuid() != 0, "a pid namespace needs root")
class ProcessNamespace(unittest.TestCase):
    def test_a_target_in_one_is_recorded_by_a_collector_outside(self):
        unshare = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no pid namespaces here")
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--", *unshare, WORKLOAD, "leak", "4",
                                      env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "16KiB"})
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            run = scratch.run()
            process, how, began, ended = run.rows("SELECT id, ended_how, began_ns, ended_ns FROM process WHERE executable LIKE '%e2e_workload'")[0]
            self.assertEqual(how, "exited")
            self.assertGreater(ended - began, 3e9)  # it was not taken for dead at once
            live = run.by_frame("(SELECT stack, bytes FROM heap_object WHERE died_ns IS NULL)", "bytes")
            self.assertTrue(any("keep_for_ever" in function for function in live), sorted(live))
            # What /proc says of it was found too, though its number there is another.
            self.assertGreater(run.value("SELECT COUNT(*) FROM point p JOIN metric m ON m.id = p.metric WHERE p.process = ? AND m.name = 'rss_bytes'", process), 1)


class Stopped(unittest.TestCase):
    def test_a_stop_of_seconds_is_no_end_and_no_work(self):
        seconds = float(os.environ.get("CAMPROBE_TEST_STOP_SECONDS", "5"))
        with harness.Scratch() as scratch:
            with recording(scratch, WORKLOAD, "leak", "6") as recorder:
                target = harness.wait_until(lambda: children_of(recorder.pid), what="the target's start")[0]
                time.sleep(2)
                os.kill(target, signal.SIGSTOP)
                time.sleep(seconds)
                os.kill(target, signal.SIGCONT)
                recorder.communicate(timeout=60)
            self.assertEqual(recorder.returncode, 0)
            run = scratch.run()
            how, ended = run.rows("SELECT ended_how, ended_ns FROM process WHERE executable LIKE '%e2e_workload'")[0]
            self.assertEqual(how, "exited")
            self.assertGreater(ended, 6e9)
            # No second of the stop shows work, and the weights of what was sampled are the CPU time that /proc counted.
            busy = dict(run.rows("SELECT second, SUM(weight_ns) FROM cpu GROUP BY second"))
            idle = [second for second in range(4, 2 + int(seconds) - 1) if busy.get(second, 0) > 0]
            self.assertEqual(idle, [], busy)


MEMORY = pathlib.Path("/sys/fs/cgroup/memory")


class MemoryCgroup:
    """A cgroup with a memory limit, v1 or v2; None from make() where that cannot be had."""

    def __init__(self, directory, procs):
        self.directory, self.procs = directory, procs

    @staticmethod
    def make(limit):
        name = f"camprobe-test-{os.getpid()}"
        for root, file in ((MEMORY, "memory.limit_in_bytes"), (pathlib.Path("/sys/fs/cgroup"), "memory.max")):
            directory = root / name
            try:
                directory.mkdir()
                (directory / file).write_text(str(limit))
                with contextlib.suppress(OSError):
                    (directory / "memory.swap.max").write_text("0")
                return MemoryCgroup(directory, directory / "cgroup.procs")
            except OSError:
                with contextlib.suppress(OSError):
                    directory.rmdir()
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _ in range(100):
            try:
                self.directory.rmdir()
                return
            except OSError:
                time.sleep(0.05)


class OutOfMemory(unittest.TestCase):
    PROGRAM = """
        import sys
        open(sys.argv[1], 'w').write('0')
        def keep_all():
            kept = []
            while True:
                kept.append(bytearray(256 << 10))
        keep_all()
        """

    def test_a_target_that_the_kernel_ends_is_named_as_such(self):
        cgroup = MemoryCgroup.make(96 << 20)
        if cgroup is None:
            self.skipTest("no memory cgroup can be made here")
        with cgroup, harness.Scratch() as scratch:
            (scratch.directory / "eat.py").write_text(textwrap.dedent(self.PROGRAM))
            # The program goes into the group itself; its collector stays outside.
            result = harness.camprobe("run", "-o", scratch.run_path, "--", "/usr/bin/python3", scratch.directory / "eat.py", cgroup.procs)
            self.assertEqual(result.returncode, 137, result.stdout + result.stderr)
            run = scratch.run()
            how, note = run.rows("SELECT ended_how, note FROM process WHERE exit_status = 137")[0]
            self.assertEqual(how, "killed")
            self.assertIn("out-of-memory killer", note or "")
            # Its whole live heap is still there: nearly all of the limit.
            self.assertGreater(run.value("SELECT SUM(bytes) FROM heap_object WHERE died_ns IS NULL"), 40 << 20)
            report = harness.camprobe("report", scratch.run_path, "--format", "json")
            self.assertEqual(json.loads(report.stdout)["schema"], "camprobe.report/1")
            self.assertIn("out-of-memory killer", harness.camprobe("report", scratch.run_path).stdout)


if __name__ == "__main__":
    unittest.main()
