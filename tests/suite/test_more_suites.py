#!/usr/bin/env python3
"""The suites of examples/ that test_suites.py has no time for, and load tools that start slowly."""
from suites import *  # noqa: F403
from suites import ROOT, OneTool, Suites, harness, main, re, sqlite3


class Tools(OneTool):
    def test_k6(self):
        self.run_tool("k6")

    def test_artillery(self):
        self.run_tool("artillery")

    def test_jmeter(self):
        self.run_tool("jmeter")

    def test_vegeta(self):
        self.run_tool("vegeta")


class PastRuns(Suites):
    """Two runs of one suite beside each other; between them the server starts to scan a list of 200,000 entries a request."""

    def since_the_run_before(self):
        return next(one for one in self.report()["analyses"] if one["title"] == "Beside the run before: regressions")

    def test_what_became_worse_is_named_and_what_did_not_is_not(self):
        text = (ROOT / "examples/suites/load-basic.yaml").read_text()
        text = re.sub(r"phases:.*", "phases:\n  - {name: steady, duration: 16 s, users: 10, rate: 100}\n", text, flags=re.S)
        slow = text.replace("price=2.5\n  ready:", "price=2.5\n    - --fault\n    - slow-scan=200000:1:200000\n  ready:")
        self.assertNotEqual(text, slow)
        beside = self.out
        for name, suite in (("first", text), ("second", slow)):
            self.out = beside / name
            done = self.run_suite(self.write(suite))
            self.assertIn(done.returncode, (0, 99), done.stdout + done.stderr)
        section = self.since_the_run_before()
        self.assertEqual("worse", section["data"]["verdict"], section)
        figures = {one["metric"]: one for one in section["data"]["figures"]}
        cpu = figures["cpu_per_request_ms"]
        self.assertEqual("worse", cpu["verdict"], cpu)
        self.assertLess(0, cpu["low"])
        # By the server's CPU time and requests alone: the figure lies within its own interval.
        runs = [self.report(beside / name)["runs"][0] for name in ("first", "second")]
        spent = [sqlite3.connect(f"file:{beside / name / 'runs/target/run.camrun'}?mode=ro", uri=True).execute(
            "SELECT sum(highest) FROM (SELECT max(value) AS highest FROM point JOIN metric ON metric.id = point.metric "
            "WHERE metric.name IN ('process_cpu_user_ns', 'process_cpu_system_ns') AND process != 0 GROUP BY metric, process)").fetchone()[0]
            for name in ("first", "second")]
        each = [ns / run["load"]["requests"] for ns, run in zip(spent, runs)]
        self.assertGreater(each[1] / each[0] - 1, cpu["low"])
        self.assertNotEqual("worse", figures["error_rate"]["verdict"])
        self.assertIn("cpu", (beside / "second/report.md").read_text().lower())


class Load(Suites):
    def check_counts(self, suite, *arguments):
        done = self.run_suite(suite, *arguments, timeout=200)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        run = self.report()["runs"][0]
        self.assertEqual("complete", run["state"], run["why"])
        self.assertTrue(run["counts"]["reconciled"], run["counts"])
        self.assertTrue(all(check["passed"] for check in run["checks"]), run["checks"])
        return run

    def test_heavy(self):
        run = self.check_counts("load-heavy", "--time-scale", "0.02")
        self.assertEqual(200, max(phase["users"] for phase in run["phases"]))

    def test_peak(self):
        self.assertEqual(500, max(phase["users"] for phase in self.check_counts("load-peak", "--time-scale", "0.01")["phases"]))

    def test_a_thousand_users_are_driven_at_their_rate(self):
        run = self.check_counts("load-enterprise", "--time-scale", "0.15")
        steady = next(phase for phase in run["phases"] if phase["name"] == "steady")
        if steady["requests"] < 0.95 * 2200 * steady["asked_s"]:
            # A machine that is full of other work carries less, and the report says that it was so.
            said = [(one["symptom"], one["cause"]) for one in run["diagnosis"]]
            self.assertTrue(any("low throughput" in symptom and cause in ("a machine that is full", "the load generator") for symptom, cause in said), (steady, said))
        # However busy the machine: not all of them ask at the same moment, twice a second.
        self.assertLess(steady["fds_peak"], 1000 + 3 * 256 + 64)

    def test_the_node_gateway(self):
        if not (ROOT / "examples/node-gateway/dist/gateway.js").exists():
            self.skipTest("the Node.js gateway is not built")
        run = self.check_counts("node-basic", "--time-scale", "0.1")
        self.assertIsNone(run["counts"]["probe"])
        self.assertGreater(run["counts"]["server"], 1000)


class Beside(Suites):
    def benchmark(self, name, *arguments):
        missing = harness.need("nginx", "haproxy")
        if missing:
            self.skipTest(f"{missing} is not installed")
        done = self.run_suite(name, "--time-scale", "0.1", "--repeats", "2", *arguments, timeout=300)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual(["complete"] * 8, [run["state"] for run in report["runs"]], [run["why"] for run in report["runs"]])
        return report, [run for run in report["runs"] if run["variant"] == ""]

    def test_arbitration_chooses_the_best_provider(self):
        report, own = self.benchmark("benchmark-arbitration")
        for run in own:
            # By price alone the thrifty provider is the best for every request.
            self.assertGreater(run["figures"]["selection_accuracy"], 0.999, run["figures"])
            self.assertLessEqual(run["figures"]["selection_accuracy"], 1, run["figures"])
            self.assertGreater(run["metrics"]["arbitration_p95_ms"], 0)
        section = next(one for one in report["analyses"] if "baselines" in one["title"])
        self.assertEqual({"direct", "nginx-round-robin", "haproxy-leastconn"}, {one["baseline"] for one in section["data"]})

    def test_more_instances_are_fitted_and_their_terms_explained(self):
        if missing := harness.need("nginx"):
            self.skipTest(f"{missing} is not installed")
        done = self.run_suite("scalability-horizontal", "--time-scale", "0.1", "--repeats", "1", timeout=300)
        self.assertIn(done.returncode, (0, 99), done.stderr)
        report = self.report()
        self.assertEqual({1, 2, 3, 4}, {run["instances"] for run in report["runs"]})
        for run in report["runs"]:
            self.assertTrue(run["counts"]["reconciled"], run["counts"])
        section = next(one for one in report["analyses"] if one["title"] == "How it scales")
        usl, text = section["data"]["usl"], " ".join(section["text"])
        # Instances on two processors do not scale to four: something must stand in their way.
        self.assertGreater(usl["contention"] + usl["coherency"], 0)
        self.assertGreater(usl["single_rps"], 0)
        self.assertRegex(text, r"contention [\d.]+ \[[\d.]+, [\d.]+\], coherency")
        self.assertIn("Forecast, not measured", text)
        self.assertRegex(text, r"From 1 to 4 instances: waiting")
        self.assertNotRegex(text, r"waiting a request grew by [^.]* epoll_reactor")

    def test_providers_that_fail_are_failed_over_from_and_the_time_of_it_is_told(self):
        report, own = self.benchmark("benchmark-providers")
        for run in own:
            self.assertGreater(run["figures"]["failovers_a_request"], 0, run["figures"])
            self.assertGreater(run["figures"]["provider_errors"], 0, run["figures"])
            failover = next(span for span in run["spans"] if span["name"] == "cam.failover")
            self.assertGreater(failover["latency_ms"]["p95"], 0)
        self.assertRegex((self.out / "report.md").read_text(), r"\| cam\.failover \| \d+ \|")
        section = next(one for one in report["analyses"] if "baselines" in one["title"])
        errors = next(one for one in section["data"] if one["metric"] == "error_rate" and one["baseline"] == "direct")
        # Clients do not see what providers fail, but for the few that find nobody left.
        self.assertLess(max(errors["target"]), 0.5 * min(errors["baseline_values"]), errors)

    def test_agents_agree(self):
        _, own = self.benchmark("benchmark-collaboration")
        for run in own:
            figures = run["figures"]
            self.assertGreater(figures["completion_rate"], 0.9, figures)
            self.assertGreaterEqual(figures["rounds_a_question"], 1)
            self.assertAlmostEqual(figures["coordination_efficiency"], figures["completion_rate"] / figures["rounds_a_question"], places=9)
            self.assertGreater(run["metrics"]["consensus_p95_ms"], 0)


if __name__ == "__main__":
    main(at_a_time=2)
