"""`camprobe run`: the program is left as it is, and what happened is in the run."""
import os
import pathlib
import pty
import signal
import subprocess
import sys
import textwrap
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402


def regions_of(pids):
    names = [name for name in os.listdir("/dev/shm") if name.startswith("camprobe.")]
    return [name for name in names if int(name.split(".")[2]) in pids]


def record(scratch, *arguments, **options):
    return harness.camprobe("run", "-q", "-o", scratch.run_path, *arguments, **options)


class TheProgram(unittest.TestCase):
    def test_ends_with_its_own_exit_code(self):
        for command, code in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)):
            with harness.Scratch() as scratch:
                result = record(scratch, "--", "sh", "-c", command)
                self.assertEqual(result.returncode, code, command + result.stderr)
                how, status = scratch.run().rows("SELECT ended_how, exit_status FROM process")[0]
                self.assertEqual(status, code)
                self.assertEqual(how, "killed" if "kill" in command else "exited")

    def test_keeps_its_streams(self):
        with harness.Scratch() as scratch:
            result = subprocess.run(
                [harness.CAMPROBE, "run", "-q", "-o", scratch.run_path, "--", "sh", "-c", "cat; printf '\\001\\377'; echo oops >&2"],
                input=b"in\0put", capture_output=True, timeout=60, check=False)
            self.assertEqual(result.stdout, b"in\0put\x01\xff")
            self.assertEqual(result.stderr, b"oops\n")

    def test_gets_its_arguments_as_they_are(self):
        with harness.Scratch() as scratch:
            result = record(scratch, "--", "printf", "%s|", "--help", "-o", "a b", "--", "")
            self.assertEqual(result.stdout, "--help|-o|a b|--||")

    def test_is_preloaded_before_what_is_preloaded_already(self):
        with harness.Scratch() as scratch:
            result = record(scratch, "--", "sh", "-c", "echo $LD_PRELOAD; echo $NODE_OPTIONS",
                            env={**os.environ, "LD_PRELOAD": "/nonexistent-but-kept.so", "NODE_OPTIONS": "--no-warnings"})
            lines = result.stdout.splitlines()
            self.assertTrue(lines[0].endswith("libcamprobe.so:/nonexistent-but-kept.so"), lines)
            self.assertTrue(lines[1].startswith("--no-warnings --perf-basic-prof"), lines)

    def test_gets_the_signals_that_camprobe_gets(self):
        program = "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
        with harness.Scratch() as scratch:
            process = subprocess.Popen([harness.CAMPROBE, "run", "-q", "-o", scratch.run_path, "--", "sh", "-c", program],
                                       stdout=subprocess.PIPE, text=True)
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=30)
            self.assertEqual(output, "got it\n")
            self.assertEqual(process.returncode, 5)

    def test_gets_the_terminals_interrupt_once(self):
        program = textwrap.dedent("""
            import signal, sys, time
            count = 0
            def on_interrupt(*_):
                global count
                count += 1
            signal.signal(signal.SIGINT, on_interrupt)
            print("ready", flush=True)
            while count == 0: time.sleep(0.01)
            time.sleep(0.5)
            sys.exit(40 + count)
        """)
        with harness.Scratch() as scratch:
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(harness.CAMPROBE, [harness.CAMPROBE, "run", "-q", "-o", str(scratch.run_path), "--",
                                            sys.executable, "-c", program])
            seen = b""
            while b"ready" not in seen:
                seen += os.read(terminal, 1024)
            os.write(terminal, b"\x03")
            _, status = os.waitpid(pid, 0)
            os.close(terminal)
            self.assertEqual(os.waitstatus_to_exitcode(status), 41)

    def test_that_ignores_signals_is_killed_by_the_third_interrupt(self):
        program = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"
        with harness.Scratch() as scratch:
            process = subprocess.Popen([harness.CAMPROBE, "run", "-q", "-o", scratch.run_path, "--", "sh", "-c", program],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(process.stdout.readline(), "ready\n")
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 137)
            self.assertIn("three times", told)

    def test_keeps_the_signals_it_was_started_to_ignore(self):
        with harness.Scratch() as scratch:
            result = subprocess.run(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", harness.CAMPROBE, "run", "-q", "-o",
                                     scratch.run_path, "--", "sh", "-c", "kill -HUP $$; echo survived"],
                                    capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(result.stdout, "survived\n")

    def test_leaves_nothing_in_shared_memory(self):
        with harness.Scratch() as scratch:
            record(scratch, "--", "sh", "-c", "for i in 1 2 3; do /bin/true; done; (exit 3)")
            pids = {pid for (pid,) in scratch.run().rows("SELECT pid FROM process")}
        self.assertGreaterEqual(len(pids), 4)
        self.assertEqual(regions_of(pids), [])


class TheRun(unittest.TestCase):
    def test_is_never_written_over_by_accident(self):
        with harness.Scratch() as scratch:
            self.assertEqual(record(scratch, "--", "true").returncode, 0)
            again = record(scratch, "--", "false")
            self.assertEqual(again.returncode, 2)
            self.assertIn("exists already", again.stderr)
            self.assertEqual(record(scratch, "--overwrite", "--", "true").returncode, 0)
            scratch.run_path.write_text("my diary")
            refused = record(scratch, "--overwrite", "--", "true")
            self.assertEqual(refused.returncode, 2)
            self.assertEqual(scratch.run_path.read_text(), "my diary")

    def test_is_named_after_program_and_time(self):
        with harness.Scratch() as scratch:
            harness.camprobe("run", "-q", "--", "true", cwd=scratch.directory)
            self.assertRegex(os.listdir(scratch.directory)[0], r"^true-\d{8}-\d{6}\.camrun$")

    def test_of_the_same_second_has_a_name_of_its_own(self):
        with harness.Scratch() as scratch:
            started = [subprocess.Popen([harness.CAMPROBE, "run", "-q", "--", "true"], cwd=scratch.directory)]
            for _ in range(2):
                time.sleep(0.1)  # the first has made its file
                started.append(subprocess.Popen([harness.CAMPROBE, "run", "-q", "--", "true"], cwd=scratch.directory))
            self.assertEqual([process.wait(timeout=30) for process in started], [0, 0, 0])
            self.assertEqual(len(os.listdir(scratch.directory)), 3)

    def test_holds_children_and_images(self):
        with harness.Scratch() as scratch:
            record(scratch, "--", "sh", "-c", "sleep 0.4 & sh -c 'exec sleep 0.3'; wait; exit 0")
            run = scratch.run()
            self.assertEqual(run.value("SELECT COUNT(*) FROM process WHERE executable LIKE '%/sleep' AND ended_how = 'exited'"), 2)
            self.assertGreaterEqual(run.value("SELECT COUNT(*) FROM process WHERE ended_how = 'exec'"), 1)
            self.assertEqual(run.value("SELECT COUNT(*) FROM process WHERE probe_state != 'sampling'"), 0)

    def test_holds_what_proc_says_every_second(self):
        with harness.Scratch() as scratch:
            record(scratch, "--", "sleep", "3.2")
            run = scratch.run()
            points = run.rows("SELECT second, value FROM point JOIN metric ON metric.id = metric WHERE name = 'process_resident_bytes'")
            self.assertGreaterEqual(len(points), 3)
            self.assertGreater(min(value for _, value in points), 100_000)
            self.assertEqual([second for second, _ in points][:3], [0, 1, 2])
            self.assertGreater(run.value("SELECT COUNT(*) FROM point JOIN metric ON metric.id = metric WHERE name = 'machine_steal_ns'"), 2)

    def test_goes_on_with_a_program_that_goes_to_the_background(self):
        with harness.Scratch() as scratch:
            began = time.monotonic()
            result = harness.camprobe("run", "--no-report", "-o", scratch.run_path, "--", "sh", "-c", "sleep 2.5 & exit 0")
            self.assertGreater(time.monotonic() - began, 2.2)
            self.assertEqual(result.returncode, 0)
            self.assertIn("left processes behind", result.stderr)
            self.assertEqual(scratch.run().value("SELECT COUNT(*) FROM process WHERE executable LIKE '%/sleep'"), 1)

    def test_ends_after_the_duration(self):
        with harness.Scratch() as scratch:
            began = time.monotonic()
            result = record(scratch, "--duration", "1s", "--", "sleep", "60")
            self.assertLess(time.monotonic() - began, 15)
            self.assertEqual(result.returncode, 0, "camprobe ended it, as asked")
            self.assertEqual(scratch.run().value("SELECT exit_status FROM process"), 143)

    def test_kills_what_does_not_end(self):
        with harness.Scratch() as scratch:
            result = record(scratch, "--duration", "1s", "--grace", "1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
            self.assertIn("is killed", result.stderr)
            self.assertEqual(scratch.run().value("SELECT ended_how FROM process WHERE exit_status = 137"), "killed")

    def test_is_whole_when_the_collector_is_killed_and_the_program_goes_on(self):
        with harness.Scratch() as scratch:
            flag = scratch.directory / "done"
            collector = subprocess.Popen([harness.CAMPROBE, "run", "-q", "-o", scratch.run_path, "--",
                                          "sh", "-c", f"sleep 4; echo yes > {flag}"])
            time.sleep(2.5)
            collector.kill()
            collector.wait()
            shown = harness.camprobe("report", scratch.run_path)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            run = scratch.run()
            self.assertEqual(run.value("SELECT value FROM meta WHERE key = 'state'"), "recording")
            self.assertGreater(run.value("SELECT COUNT(*) FROM point"), 10)
            harness.wait_until(flag.exists, what="the program's own end")


class TheLoad(unittest.TestCase):
    SERVER = textwrap.dedent("""
        import http.server, sys
        class Quiet(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
            def log_message(self, *_): pass
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Quiet).serve_forever()
    """)

    def server(self, port):
        return ["--", sys.executable, "-c", self.SERVER, str(port)]

    def test_starts_when_the_program_listens_and_ends_it(self):
        if missing := harness.need("h2load"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        with harness.Scratch() as scratch:
            result = record(scratch, "--load", f"h2load --h1 -n 300 -c 4 http://127.0.0.1:{port}/", *self.server(port))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("300 done", result.stdout, "the load tool's output is the user's")
            run = scratch.run()
            self.assertEqual(run.rows("SELECT tool, requests, errors FROM load_source"), [("h2load", 300, 0)])
            self.assertEqual(run.value("SELECT SUM(requests) FROM load_bucket WHERE endpoint = ''"), 300)
            (from_ns, to_ns), = run.rows("SELECT MIN(from_ns), MAX(to_ns) FROM load_window")
            self.assertGreater(from_ns, 0)
            self.assertLess(to_ns, int(run.value("SELECT value FROM meta WHERE key = 'ended_ns'")))
            self.assertEqual([name for name in os.listdir(scratch.directory) if "load" in name], [], "nothing is left lying about")

    def test_of_a_short_locust_run_has_its_totals(self):
        if missing := harness.need("locust"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        with harness.Scratch() as scratch:
            script = scratch.directory / "locustfile.py"
            script.write_text("from locust import HttpUser, between, task\nclass User(HttpUser):\n    wait_time = between(0.05, 0.1)\n"
                              "    @task\n    def ask(self):\n        self.client.get('/')\n")
            load = f"locust -f {script} --headless -u 2 -r 2 -t 6s --host http://127.0.0.1:{port}"
            result = record(scratch, "--load", load, *self.server(port))
            self.assertEqual(result.returncode, 0, result.stderr)
            said = result.stdout + result.stderr
            counted = [int(words[1]) for words in map(str.split, said.splitlines()) if len(words) > 2 and words[0] == "Aggregated" and "(" in words[2]]
            self.assertTrue(counted and counted[-1] > 0, said)
            (tool, requests, errors), = scratch.run().rows("SELECT tool, requests, errors FROM load_source")
            self.assertEqual(("locust", 0), (tool, errors))
            self.assertGreater(requests, 0, "its history is empty yet, its totals are not")
            self.assertLessEqual(requests, counted[-1])
            self.assertEqual([name for name in os.listdir(scratch.directory) if "load" in name], [], "nothing is left lying about")

    def test_that_fails_says_so(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            result = record(scratch, "--load", "echo broken >&2; exit 3", *self.server(port))
            self.assertEqual(result.returncode, 1)
            self.assertIn("exit code 3", result.stderr)

    def test_of_an_unknown_tool_asks_for_its_results(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            result = record(scratch, "--load", "true", *self.server(port))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("--load-results", result.stderr)

    def test_results_that_are_none_are_named(self):
        with harness.Scratch() as scratch:
            rubbish = scratch.directory / "results.txt"
            rubbish.write_text("nothing a load tool wrote\n")
            result = record(scratch, "--load-results", rubbish, "--", "true")
            self.assertIn("results.txt", result.stderr)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(scratch.run().value("SELECT value FROM meta WHERE key = 'state'"), "complete")

    def test_whose_server_crashes_ends_with_the_servers_status(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            script = self.SERVER.replace("self.send_response(200)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
            result = record(scratch, "--load", f"python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:{port}/\")'; sleep 9",
                            "--", sys.executable, "-c", script, str(port))
            self.assertEqual(result.returncode, 137, result.stderr)
            self.assertIn("signal 9", result.stderr)

    def test_is_ended_with_the_duration_and_that_is_no_failure(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            result = record(scratch, "--duration", "2s", "--load", "sleep 60", *self.server(port))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("ended before it was done", result.stderr)

    def test_ends_the_server_that_a_shell_script_started(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            cleanly = scratch.directory / "cleanly"
            script = scratch.directory / "start.sh"
            server = self.SERVER.replace("import http.server, sys", "import http.server, signal, sys, pathlib\n"
                                         "def end(*_): pathlib.Path(sys.argv[2]).touch(); sys.exit(0)\n"
                                         "signal.signal(signal.SIGTERM, end)")
            (scratch.directory / "server.py").write_text(server)
            script.write_text(f"#!/bin/sh\n{sys.executable} {scratch.directory}/server.py {port} {cleanly}\necho ended\n")
            script.chmod(0o755)
            began = time.monotonic()
            result = record(scratch, "--load", "sleep 0.2", "--", script)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertTrue(cleanly.exists(), "the server was asked, not killed: " + result.stderr)
            self.assertLess(time.monotonic() - began, 9)

    def test_waits_for_a_server_that_goes_to_the_background(self):
        port = harness.free_port()
        with harness.Scratch() as scratch:
            daemon = "import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n" + self.SERVER
            result = record(scratch, "--load", "true", "--", sys.executable, "-c", daemon, str(port))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn("never started", result.stderr)

    def test_does_not_wait_for_ever(self):
        with harness.Scratch() as scratch:
            result = record(scratch, "--load-wait", "1s", "--load", "true", "--", "sleep", "30")
            self.assertIn("does not listen", result.stderr)
            self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
