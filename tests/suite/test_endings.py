#!/usr/bin/env python3
"""However a run ends: in bounded time, with a report that says how, and with nothing left running."""
from suites import *  # noqa: F403
from suites import Suites, main, pathlib, signal, start, suite_text, time

PYTHON_SERVER = '''import http.server, os, sys, threading, time
what, port = sys.argv[1], int(sys.argv[2])
hoard = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0
    def do_GET(self):
        Handler.count += 1
        if what == "crash" and Handler.count > 20:
            os.abort()
        if what == "hang" and Handler.count > 20:
            time.sleep(3600)
        if what == "hoard":
            hoard.append(b"x" * (4 << 20))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments):
        pass
if what == "never":
    time.sleep(3600)
print("up", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


class Endings(Suites):
    def setUp(self):
        super().setUp()
        (self.path / "server.py").write_text(PYTHON_SERVER)

    def target(self, what, more=""):
        return ("record: " + ("false" if what == "hang" else "true") + "\ntarget:\n  name: server\n"
                f"  command: [/usr/bin/python3, {self.path}/server.py, {what}, \"${{port}}\"]\n"
                f"  stop_within: 2 s\n  ready: {{http: \"http://127.0.0.1:${{port}}/\", within: 4 s}}\n{more}")

    def suite(self, what, more="", phases="phases:\n  - {name: steady, duration: 6 s, users: 5, rate: 50}\n"):
        return self.write(suite_text(self.target(what, more), phases=phases))

    def test_a_target_that_crashes_ends_the_load_and_is_told_of_post_mortem(self):
        done = self.run_suite(self.suite("crash"))
        self.assertEqual(99, done.returncode, done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("target ended", run["state"], run)
        self.assertIn("signal 6", run["post_mortem"])
        self.assertTrue((self.out / "runs/target/run.camrun").exists())
        self.assertIn("Post-mortem", (self.out / "report.txt").read_text())

    def test_a_target_that_hangs_does_not_hold_the_suite(self):
        began = time.monotonic()
        done = self.run_suite(self.suite("hang"))
        self.assertLess(time.monotonic() - began, 120)  # bounded, not timed
        self.assertTrue((self.out / "report.json").exists(), done.stderr)

    def test_a_target_that_never_listens_is_told_and_ended(self):
        done = self.run_suite(self.suite("never"))
        self.assertEqual(99, done.returncode, done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("never ready", run["state"])
        self.assertIn("was not ready within 4 s", run["why"])

    def test_a_target_at_its_memory_limit_is_told(self):
        done = self.run_suite(self.suite("hoard", "  limits: {memory: 192 MiB}\n"))
        self.assertEqual(99, done.returncode, done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual(192 << 20, run["memory"]["limit_bytes"])
        if any("by a cgroup" in note for note in run["notes"]):
            self.assertGreater(run["memory"]["oom_kills"], 0, run)
            self.assertIn("out-of-memory", run["post_mortem"])

    def test_a_target_that_is_not_there_is_told(self):
        path = self.write(suite_text("target: {command: [/no/such/server]}"))
        done = self.run_suite(path)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn("/no/such/server", self.report()["runs"][0]["why"] + self.report()["runs"][0]["log_tail"])

    def test_ctrl_c_ends_load_target_and_collector_and_the_report_is_written(self):
        path = self.suite("well", phases="phases:\n  - {name: steady, duration: 120 s, users: 2, rate: 20}\n")
        process = start([path], self.out)
        try:
            tsv = self.out / "runs/target/load/h2load-1-1.tsv"
            deadline = time.monotonic() + 60
            while not (tsv.exists() and tsv.stat().st_size > 500) and time.monotonic() < deadline:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=90)
        finally:
            if process.poll() is None:
                process.kill()
        self.assertEqual(1, process.returncode, output)
        report = self.report()
        self.assertTrue(report["interrupted"])
        self.assertEqual("inconclusive", report["verdict"])
        run = report["runs"][0]
        self.assertEqual("interrupted", run["state"])
        self.assertGreater(run["load"]["requests"], 0)
        self.assertGreater(run["metrics"]["requests"], 0, "the load is in the recording too")


if __name__ == "__main__":
    main()
