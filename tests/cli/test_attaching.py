"""`camprobe attach`, `list` and `mark`: on processes that were started with the probe by somebody else."""
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

BUSY = "import time\nkept = []\nwhile True:\n  kept.append(bytearray(50000)); sum(range(3000)); time.sleep(0.002)"


def preloaded(*command):
    return harness.running(command, env={**os.environ, "LD_PRELOAD": harness.PROBE})


def wait_for_region(pid):
    return harness.wait_until(lambda: [name for name in os.listdir("/dev/shm") if name.startswith("camprobe.") and name.split(".")[2] == str(pid)],
                              what="the region")


class Attach(unittest.TestCase):
    def test_records_for_a_while_and_lets_go(self):
        with preloaded(sys.executable, "-c", BUSY) as process, harness.Scratch() as scratch:
            wait_for_region(process.pid)
            time.sleep(1.5)
            result = harness.camprobe("attach", process.pid, "-q", "--duration", "2s", "-o", scratch.run_path)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIsNone(process.poll(), "the process goes on")
            wait_for_region(process.pid)
            run = scratch.run()
            self.assertEqual(run.rows("SELECT pid, ended_how, probe_state FROM process"), [(process.pid, "running", "sampling")])
            self.assertGreater(run.value("SELECT SUM(samples) FROM cpu"), 0)
            self.assertGreater(run.value("SELECT COUNT(*) FROM heap_object WHERE born_ns < 0"), 0, "what lived before is there")
            self.assertEqual(run.value("SELECT COUNT(*) FROM alloc WHERE second < 0"), 0)
            # A second collector afterwards sees the same process.
            again = scratch.directory / "again.camrun"
            self.assertEqual(harness.camprobe("attach", process.pid, "-q", "--duration", "1s", "-o", again).returncode, 0)

    def test_ends_with_the_process(self):
        with preloaded("sleep", "3") as process, harness.Scratch() as scratch:
            wait_for_region(process.pid)
            result = harness.camprobe("attach", process.pid, "-q", "-o", scratch.run_path, timeout=30)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(scratch.run().value("SELECT ended_how FROM process"), "exited")

    def test_all(self):
        with preloaded("sleep", "20") as one, preloaded("sleep", "20") as two, harness.Scratch() as scratch:
            wait_for_region(one.pid)
            wait_for_region(two.pid)
            result = harness.camprobe("attach", "--all", "-q", "--duration", "1s", "-o", scratch.run_path)
            self.assertEqual(result.returncode, 0, result.stderr)
            pids = {pid for (pid,) in scratch.run().rows("SELECT pid FROM process")}
            self.assertLessEqual({one.pid, two.pid}, pids)

    def test_ctrl_c_ends_the_recording_not_the_process(self):
        with preloaded("sleep", "20") as process, harness.Scratch() as scratch:
            wait_for_region(process.pid)
            collector = subprocess.Popen([harness.CAMPROBE, "attach", str(process.pid), "-q", "-o", scratch.run_path])
            time.sleep(1)
            collector.send_signal(signal.SIGINT)
            self.assertEqual(collector.wait(30), 0)
            self.assertIsNone(process.poll())
            self.assertEqual(scratch.run().value("SELECT value FROM meta WHERE key = 'state'"), "complete")


class List(unittest.TestCase):
    def test_tells_the_living_from_the_dead_and_cleans_up(self):
        with preloaded("sleep", "30") as alive:
            wait_for_region(alive.pid)
            with preloaded("sleep", "30") as dead:
                wait_for_region(dead.pid)
                dead.kill()
                dead.wait()
            shown = harness.camprobe("list").stdout
            self.assertRegex(shown, rf"(?m)^ *{alive.pid}  running")
            self.assertRegex(shown, rf"(?m)^ *{dead.pid}  killed .*/sleep")
            cleaned = harness.camprobe("list", "--clean")
            self.assertEqual(cleaned.returncode, 0, cleaned.stderr)
            shown = harness.camprobe("list").stdout
            self.assertRegex(shown, rf"(?m)^ *{alive.pid}  running")
            self.assertNotRegex(shown, rf"(?m)^ *{dead.pid} ")


class Mark(unittest.TestCase):
    def test_lands_in_the_run_being_recorded(self):
        with harness.Scratch() as scratch:
            collector = subprocess.Popen([harness.CAMPROBE, "run", "-q", "-o", scratch.run_path, "--", "sleep", "3"])
            time.sleep(1.2)
            marked = harness.camprobe("mark", "provider failover", "--run", scratch.run_path)
            self.assertEqual(marked.returncode, 0, marked.stderr)
            child = scratch.run().value("SELECT pid FROM process")
            self.assertEqual(harness.camprobe("mark", "by pid", "--pid", child).returncode, 0)
            self.assertEqual(collector.wait(30), 0)
            marks = scratch.run().rows("SELECT text, source, at_ns FROM mark ORDER BY at_ns")
            self.assertEqual([mark[:2] for mark in marks], [("provider failover", "user"), ("by pid", "user")])
            self.assertTrue(0.8e9 < marks[0][2] < 3e9, marks)
            late = harness.camprobe("mark", "too late", "--run", scratch.run_path)
            self.assertEqual(late.returncode, 2)
            self.assertIn("not being recorded any more", late.stderr)

    def test_by_process_may_come_before_the_run_holds_it(self):
        with preloaded("sleep", "30") as process, harness.Scratch() as scratch:
            wait_for_region(process.pid)
            collector = subprocess.Popen([harness.CAMPROBE, "attach", str(process.pid), "-q", "--duration", "4s", "-o", scratch.run_path])
            harness.wait_until(lambda: str(scratch.run_path) in harness.camprobe("list").stdout, what="the recording")
            marked = harness.camprobe("mark", "early", "--pid", process.pid)
            self.assertEqual(marked.returncode, 0, marked.stderr)
            self.assertEqual(collector.wait(30), 0)
            self.assertEqual(scratch.run().rows("SELECT text FROM mark"), [("early",)])


class Doctor(unittest.TestCase):
    def test_finds_this_build_in_order(self):
        result = harness.camprobe("doctor", sys.executable)
        self.assertIn("libcamprobe.so loads", result.stdout)
        self.assertIn("can be preloaded", result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_names_what_cannot_work(self):
        with harness.Scratch() as scratch:
            program = scratch.directory / "static"
            subprocess.run(["gcc", "-static", "-o", program, "-x", "c", "-"], input="int main(void) { return 0; }", text=True, check=True)
            result = harness.camprobe("doctor", program)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"BAD   {program} is statically linked", result.stdout)

    def test_refuses_a_program_that_is_not_there(self):
        result = harness.camprobe("doctor", "/nonexistent/server")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("/nonexistent/server", result.stderr)


if __name__ == "__main__":
    unittest.main()
