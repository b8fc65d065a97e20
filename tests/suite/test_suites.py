#!/usr/bin/env python3
"""Suites of examples/ at a small time scale with real load tools: what they measure, count and write. test_more_suites.py has
those that take longer."""
from suites import *  # noqa: F403
from suites import ROOT, OneTool, Suites, children_of, harness, json, main, os, pathlib, signal, sqlite3, start, subprocess, time


class Load(Suites):
    def test_basic_counts_every_request_three_times_and_writes_all_formats(self):
        done = self.run_suite("load-basic", "--time-scale", "0.02", "--ci")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        self.assertIn("report.xml", done.stdout)
        report = self.report()
        run = report["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        self.assertEqual(0.02, report["time_scale"])
        self.assertIn("quick look", (self.out / "report.txt").read_text())
        counts = run["counts"]
        self.assertTrue(counts["reconciled"], counts)
        self.assertGreater(counts["server"], 300)
        self.assertEqual(counts["server"], counts["probe"])
        self.assertEqual(["ramp", "steady"], [phase["name"] for phase in run["phases"]])
        self.assertEqual([50, 50], [phase["users"] for phase in run["phases"]])
        self.assertTrue(all(check["passed"] for check in run["checks"]))
        self.assertGreater(run["metrics"]["arbitration_p95_ms"], 0)
        self.assertIsNotNone(run["load"]["heat"])
        self.assertIn("text", run["generator"])
        for name in ("report.html", "report.md", "report.xml", "runs/target/run.camrun", "runs/target/run.html", "load-basic.yaml"):
            self.assertTrue((self.out / name).stat().st_size > 0, name)
        # The page asks no other host for anything.
        self.assertNotRegex((self.out / "report.html").read_text(), r"(?:src|href)=\"https?:")
        self.assertRegex((self.out / "report.xml").read_text(), r"<testsuite name=\"load-basic\" tests=\"\d+\"")
        again = harness.camprobe("suite", "report", self.out, "--format", "md")
        self.assertEqual(again.stdout, (self.out / "report.md").read_text())

    def test_a_surge_has_its_time_of_recovery(self):
        done = self.run_suite("load-spike", "--duration", "36", "--users", "60")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual(3, len(run["recovery"]))
        self.assertEqual(["surge-1", "surge-2", "surge-3"], [one["phase"] for one in run["recovery"]])
        for one in run["recovery"]:
            self.assertGreater(one["usual_p95_ms"], 0, one)
        self.assertTrue(run["counts"]["reconciled"], run["counts"])

    def test_overrides_are_told(self):
        done = self.run_suite("load-basic", "--users", "8", "--duration", "4", "--scenario", "mixed")
        report = self.report()
        self.assertEqual(3, len(report["overrides"]), report["overrides"])
        self.assertEqual(8, max(phase["users"] for phase in report["runs"][0]["phases"]))
        self.assertIn(done.returncode, (0, 99))

    def test_the_examples_are_listed_and_a_wrong_name_is_told(self):
        done = harness.camprobe("suite", "list", cwd=ROOT)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"load-peak +load +1800 s")
        wrong = self.run_suite("load-basics")
        self.assertEqual(2, wrong.returncode)
        self.assertRegex(wrong.stderr, r"there is no suite load-basics; known are .*load-basic")


class Tools(OneTool):
    def test_autocannon(self):
        self.run_tool("autocannon")

    def test_wrk(self):
        run = self.run_tool("wrk", rate=False)
        self.assertIsNotNone(run["phases"][0]["latency_p50_ms"])

    def test_locust(self):
        self.run_tool("locust")


class Beside(Suites):
    def test_a_benchmark_compares_interleaved_repeats_with_each_baseline(self):
        missing = harness.need("nginx", "haproxy")
        if missing:
            self.skipTest(f"{missing} is not installed")
        done = self.run_suite("benchmark-cost", "--time-scale", "0.04", "--repeats", "2", timeout=200)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual(8, len(report["runs"]))
        self.assertEqual(["complete"] * 8, [run["state"] for run in report["runs"]], [run["why"] for run in report["runs"]])
        self.assertEqual({"", "direct", "nginx-round-robin", "haproxy-leastconn"}, {run["variant"] for run in report["runs"][:4]})
        section = next(one for one in report["analyses"] if "baselines" in one["title"])
        cost = next(one for one in section["data"] if one["metric"] == "cost_per_1000_requests" and one["baseline"] == "nginx-round-robin")
        # By price alone the thrifty provider (0.4) is taken; in turn it is one of three (0.4, 1, 2.5).
        self.assertLess(cost["high"], 0.5, cost)
        self.assertEqual("better", cost["verdict"])
        # Nobody fails here, which is a figure all the same: shares that are zero have no ratio.
        errors = next(one for one in section["data"] if one["metric"] == "error_rate" and one["baseline"] == "direct")
        self.assertEqual(("same", 0), (errors["verdict"], errors["difference"]), errors)

    def test_more_cores_are_measured_and_two_points_are_not_fitted(self):
        done = self.run_suite("scalability-vertical", "--time-scale", "0.05", "--repeats", "1")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual({1, 2}, {run["cores"] for run in report["runs"]})
        section = next(one for one in report["analyses"] if one["title"] == "How it scales")
        self.assertIsNone(section["data"]["usl"])
        self.assertIn("needs at least four", " ".join(section["text"]))
        for run in report["runs"]:
            self.assertLess(run["metrics"]["cpu_average_cores"], run["cores"] + 0.1)


class Stress(Suites):
    def test_faults_of_the_network_are_survived_and_nothing_is_lost_silently(self):
        done = self.run_suite("stress-network", "--time-scale", "0.06", timeout=120)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertTrue(run["counts"]["reconciled"], run["counts"])
        phases = {phase["name"]: phase for phase in run["phases"]}
        # Each provider call passes the proxy twice, 40 ms or more each way.
        self.assertGreater(phases["slow"]["latency_p50_ms"], 80)
        self.assertEqual(7, len(run["events"]), run["events"])
        logs = "".join(path.read_text() for path in (self.out / "runs/target").glob("proxy-*.log"))
        self.assertRegex(logs, r"(?s)(\d+ connections, \d+ pieces of data passed, \d+ connections cut.*){3}")

    def test_the_knee_has_a_name(self):
        done = self.run_suite("stress-concurrency", "--time-scale", "0.07", "--users", "200", timeout=120)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        section = next(one for one in self.report()["analyses"] if one["title"] == "Where it stops paying")
        self.assertTrue(any("knee" in sentence for sentence in section["text"]), section["text"])

    def test_memory_is_limited_and_comes_back(self):
        done = self.run_suite("stress-memory", "--time-scale", "0.03", "--users", "50")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        self.assertEqual(512 << 20, self.report()["runs"][0]["memory"]["limit_bytes"])


class Endurance(Suites):
    def test_a_short_pass_of_the_endurance_suite(self):
        done = self.run_suite("endurance", "--duration", "6", "--stop-when-decided", "--checkpoint", "2")
        self.assertIn(done.returncode, (0, 99), done.stderr)
        self.assertIn(self.report()["runs"][0]["state"], ("complete", "decided"))

    def begin(self, *arguments):
        """A suite whose load has begun, and its results so far."""
        suite = start([*arguments, "-q"], self.out)
        self.started.append(suite)
        self.wait_for_load(self.out / "runs/target/load/h2load-1-1.tsv")
        return suite

    def wait_for_load(self, results, rows=100):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if results.exists() and results.read_bytes().count(b"\n") > rows:
                return
            time.sleep(0.1)
        self.fail(f"{results} has no {rows} rows")

    def resume(self):
        return subprocess.run([harness.CAMPROBE, "suite", "run", "--resume", self.out], capture_output=True, text=True, timeout=150, cwd=ROOT, check=False)

    def test_a_killed_collector_and_a_killed_suite_are_gone_on_with_in_the_same_run(self):
        suite = self.begin("endurance", "--duration", "9", "--checkpoint", "1")
        collector = next(pid for pid in children_of(suite.pid) if pathlib.Path(f"/proc/{pid}/comm").read_text() == "camprobe\n")
        server, = children_of(collector)
        os.kill(collector, signal.SIGKILL)
        self.wait_for_load(self.out / "runs/target/load/h2load-1-1.tsv", rows=250)
        self.assertTrue(pathlib.Path(f"/proc/{server}").exists(), "the server ended with its collector")
        refused = self.resume()
        self.assertEqual(2, refused.returncode, refused.stderr)
        self.assertIn(f"is being run by process {suite.pid}", refused.stderr)
        suite.kill()
        done = self.resume()
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        # The load before and after, in one recording of two servers; what came after is counted to the unit.
        self.assertEqual(["steady", "steady"], [phase["name"] for phase in run["phases"]])
        self.assertAlmostEqual(9, sum(phase["asked_s"] for phase in run["phases"]), delta=1.5)
        self.assertEqual(run["load"]["requests"], run["metrics"]["requests"])
        self.assertGreater(run["load"]["requests"], run["counts"]["load_tool"] + 200)
        self.assertTrue(run["counts"]["reconciled"], run["counts"])
        self.assertEqual(run["counts"]["server"], run["counts"]["probe"])
        self.assertIn("broken off once", run["counts"]["differences"][0])
        self.assertTrue(any("another went on" in event["what"] for event in run["events"]), run["events"])
        with sqlite3.connect(self.out / "runs/target/run.camrun") as database:
            servers = database.execute("SELECT count(*) FROM process WHERE executable LIKE '%cam-server'").fetchone()[0]
        self.assertEqual(2, servers)

    def test_an_interrupted_endurance_run_goes_on(self):
        suite = self.begin("endurance", "--duration", "6")
        suite.send_signal(signal.SIGINT)
        suite.communicate(timeout=90)
        self.assertEqual(1, suite.returncode)
        self.assertEqual("interrupted", self.report()["runs"][0]["state"])
        done = self.resume()
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        self.assertEqual(run["load"]["requests"], run["metrics"]["requests"], "each request is once in the recording")
        self.assertTrue(run["counts"]["reconciled"], run["counts"])

    def test_of_other_suites_finished_runs_are_kept_and_broken_ones_made_anew(self):
        suite = start(["load-basic", "--users", "4", "--duration", "3", "--repeats", "2", "-q"], self.out)
        self.started.append(suite)
        deadline = time.monotonic() + 60
        while not list(self.out.glob("runs/target-2/load/*.tsv")) and time.monotonic() < deadline:
            time.sleep(0.05)
        suite.kill()
        suite.wait()
        first = (self.out / "runs/target-1/result.json").read_text()
        done = self.resume()
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual(["complete", "complete"], [run["state"] for run in report["runs"]])
        self.assertEqual(json.loads(first), report["runs"][0])
        self.assertTrue(report["runs"][1]["counts"]["reconciled"], report["runs"][1]["counts"])


class Names(Suites):
    def test_what_cams_engineers_type_is_a_thin_call(self):
        script = ROOT / "examples/performance/scripts/run-load-test.sh"
        done = subprocess.run([script, "--scenario=arbitration", "--users=10", "--duration=3", "-o", self.out], capture_output=True, text=True, timeout=100,
                              check=False)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual("load-basic", report["suite"])
        self.assertEqual(10, max(phase["users"] for phase in report["runs"][0]["phases"]))


if __name__ == "__main__":
    main()
