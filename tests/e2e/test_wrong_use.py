"""Wrong use gives one line that says what and what to do, exit code 2, and never a changed target."""
import os
import pathlib
import stat
import subprocess
import unittest

import harness


class WrongUse(unittest.TestCase):
    def refused(self, *arguments, mentions=(), **options):
        result = harness.camprobe(*arguments, **options)
        self.assertEqual(result.returncode, 2, f"{arguments}: {result.stdout}{result.stderr}")
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, f"{arguments}: {result.stderr}")
        for text in mentions:
            self.assertIn(text, result.stderr, arguments)
        return result.stderr

    def test_no_such_command(self):
        self.refused("dance", mentions=["dance"])

    def test_no_command(self):
        self.refused()

    def test_unknown_flag(self):
        self.refused("run", "--nonsense", "--", "true", mentions=["--nonsense"])

        self.refused("run", "--nonsense", "--", "true", mentions=["there is no option --nonsense", "camprobe run --help"])

    def test_times_that_are_none(self):
        for time in ("-5", "x", "1.5h", "0", "", "99999999999", "5y"):
            self.refused("run", f"--duration={time}", "--", "true", mentions=["--duration"])

    def test_load_command_that_is_empty(self):
        self.refused("run", "--load", "", "--", "true", mentions=["--load"])

    def test_doctor_of_no_program(self):
        self.refused("doctor", "no-such-program", mentions=["no-such-program"])
        self.refused("doctor", "/tmp", mentions=["/tmp"])

    def test_program_that_is_not_there(self):
        with harness.Scratch() as scratch:
            self.refused("run", "-o", scratch.run_path, "--", "/nonexistent/server", mentions=["/nonexistent/server"])
            self.assertFalse(scratch.run_path.exists())

    def test_file_that_cannot_be_executed(self):
        with harness.Scratch() as scratch:
            plain = scratch.directory / "plain.txt"
            plain.write_text("no program\n")
            self.refused("run", "-o", scratch.run_path, "--", plain, mentions=["plain.txt"])
            plain.chmod(plain.stat().st_mode | stat.S_IXUSR)
            self.refused("run", "-o", scratch.run_path, "--", plain, mentions=["plain.txt"])

    def test_directory_as_program(self):
        with harness.Scratch() as scratch:
            self.refused("run", "-o", scratch.run_path, "--", scratch.directory)

    def test_static_binary(self):
        with harness.Scratch() as scratch:
            source = scratch.directory / "static.c"
            source.write_text('#include <stdio.h>\nint main(void) { FILE *f = fopen("ran", "w"); fclose(f); return 0; }\n')
            subprocess.run(["gcc", "-static", "-o", scratch.directory / "static", source], check=True)
            self.refused("run", "-o", scratch.run_path, "--", scratch.directory / "static", mentions=["static"],
                         cwd=scratch.directory)
            self.assertFalse((scratch.directory / "ran").exists(), "the target was started all the same")

    def test_no_such_process(self):
        self.refused("attach", "4194301", mentions=["4194301"])

    def test_process_without_the_probe(self):
        with harness.running(["sleep", "30"]) as process:
            self.refused("attach", process.pid, mentions=[str(process.pid)])

    def test_not_a_process_number(self):
        for text in ("redis", "0", "-1", "12x", "99999999999999999999"):
            told = self.refused("attach", text, mentions=[text])
            self.assertLess(len(told), 120, "one line that one can read")

    def test_run_file_that_is_none(self):
        with harness.Scratch() as scratch:
            other = scratch.directory / "other.camrun"
            for content in (b"", b"hello", os.urandom(5000), b"SQLite format 3\0" + bytes(100)):
                other.write_bytes(content)
                self.refused("report", other, mentions=["other.camrun"])
                self.refused("export", other, "--what", "cpu", "--format", "folded", mentions=["other.camrun"])
        self.refused("report", "/nonexistent.camrun", mentions=["/nonexistent.camrun"])
        self.refused("report", "/tmp")

    def test_load_results_that_cannot_be_read(self):
        with harness.Scratch() as scratch:
            results = scratch.directory / "results"
            for content in (b"", b"neither of them\n" * 20, os.urandom(4000)):
                results.write_bytes(content)
                self.refused("load", results, mentions=["results"])
        self.refused("load", "/nonexistent/results.json", mentions=["/nonexistent/results.json"])
        self.refused("load", "/tmp")

    def test_run_that_cannot_be_written(self):
        with harness.Scratch() as scratch:
            marker = scratch.directory / "ran"
            self.refused("run", "-o", "/nonexistent/directory/x.camrun", "--", "touch", marker, mentions=["/nonexistent/directory"])
            self.assertFalse(marker.exists(), "the target was started all the same")

    def test_unknown_and_wrong_values_in_the_environment_are_named_and_ignored(self):
        for name, value in (("CAMPROBE_HEAP_INTERVAL", "many"), ("CAMPROBE_CPU_HZ", "-3"), ("CAMPROBE_FAMILIES", "heap,dance"),
                            ("CAMPROBE_NOT_KNOWN", "1")):
            result = subprocess.run(["/bin/echo", "fine"], env={**os.environ, "LD_PRELOAD": harness.PROBE, name: value},
                                    capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stdout), (0, "fine\n"), name)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, f"{name}: {result.stderr}")
            self.assertIn(name, result.stderr)

    def test_full_shared_memory_leaves_the_program_alone(self):
        script = ("mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/filler; "
                  f"LD_PRELOAD={harness.PROBE} /bin/echo fine")
        result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
        if "unshare" in result.stderr or "mount:" in result.stderr:
            self.skipTest("no mount namespace allowed here")
        self.assertEqual((result.returncode, result.stdout), (0, "fine\n"), result.stderr)


class ExitStatus(unittest.TestCase):
    def test_is_the_targets_own(self):
        for command, expected in ((["sh", "-c", "exit 7"], 7), (["true"], 0), (["sh", "-c", "kill -TERM $$"], 143),
                                  (["sh", "-c", "kill -KILL $$"], 137)):
            with harness.Scratch() as scratch:
                result = harness.camprobe("run", "-o", scratch.run_path, "--", *command)
                self.assertEqual(result.returncode, expected, f"{command}: {result.stderr}")
                self.assertTrue(scratch.run_path.exists())

    def test_output_of_the_target_is_untouched(self):
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--", "cat", input="through and through\n")
            self.assertTrue(result.stdout.startswith("through and through\n"), result.stdout)


class Help(unittest.TestCase):
    def test_is_there_for_every_command(self):
        for command in ("run", "attach", "report", "export", "load", "list", "doctor", "mark"):
            result = harness.camprobe(command, "--help")
            self.assertEqual(result.returncode, 0, command)
            self.assertGreater(len(result.stdout.splitlines()), 5, command)


class NothingLeft(unittest.TestCase):
    def test_in_shared_memory_after_clean_exits(self):
        before = set(harness.leftovers())
        for _ in range(5):
            subprocess.run(["sh", "-c", "ls / >/dev/null; (true); exit 3"], env={**os.environ, "LD_PRELOAD": harness.PROBE}, check=False)
        self.assertEqual(set(harness.leftovers()) - before, set())
        self.assertTrue(pathlib.Path("/dev/shm").is_dir())


if __name__ == "__main__":
    unittest.main()
