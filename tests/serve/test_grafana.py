"""The dashboards and alert rules of examples/grafana, against a real scrape of a real server in a real Prometheus."""
import json
import re
import subprocess
import sys
import threading
import unittest

from prometheus import prometheus, with_values
from serving import SOURCE, harness, promtool, served
from servers import BIN, Process, call

GRAFANA = SOURCE / "examples" / "grafana"
NAME = re.compile(r"\b(?:camprobe|process)_[a-z0-9_]+")
RECORDED = re.compile(r"\bcamprobe:[a-z0-9_:]+")


def expressions(board):
    """(where, expression) of every panel and annotation."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for note in board["annotations"]["list"]:
        if "expr" in note:
            yield note["name"], note["expr"]


class Rules(unittest.TestCase):
    def test_rules_are_valid_and_do_what_their_unit_tests_say(self):
        for arguments in (("check", "rules", "camprobe-rules.yml"), ("test", "rules", "camprobe-rules-test.yml")):
            result = promtool(*arguments, cwd=GRAFANA)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_alert_has_a_unit_test(self):
        alerts = set(re.findall(r"alert: (\w+)", (GRAFANA / "camprobe-rules.yml").read_text()))
        tested = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", (GRAFANA / "camprobe-rules-test.yml").read_text()))
        self.assertEqual(alerts, tested)


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.boards = {path.name: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}
        self.assertEqual(list(self.boards), ["arbitration.json", "memory.json", "overview.json"])

    def test_are_what_their_script_makes(self):
        subprocess.run([sys.executable, "-B", GRAFANA / "make_dashboards.py", "--check"], check=True, timeout=20)

    def test_panels_lie_side_by_side_under_ids_of_their_own(self):
        for name, board in self.boards.items():
            cells = [(x, y) for p in board["panels"] for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
                     for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])]
            self.assertEqual(len(cells), len(set(cells)), f"{name}: panels overlap")
            self.assertLess(max(x for x, _ in cells), 24)
            self.assertEqual(len({p["id"] for p in board["panels"]}), len(board["panels"]))
            self.assertTrue(any(p["type"] == "heatmap" for p in board["panels"]), f"{name}: no heat map")
            self.assertLessEqual({"datasource", "process", "pid"}, {v["name"] for v in board["templating"]["list"]})
        self.assertIn("provider", {v["name"] for v in self.boards["arbitration.json"]["templating"]["list"]})

    def test_every_metric_named_is_there_and_every_query_answers(self):
        providers = Process([BIN / "cam-providers", "--provider", "name=cheap,port=0,price=0.2,latency=4", "--provider",
                             "name=fast,port=0,price=0.8,latency=1"], ports=2)
        self.addCleanup(providers.stop)
        mesh = Process([BIN / "cam-server", "--port", "0", "--health-check-ms", "0", "--provider",
                        f"name=cheap,port={providers.ports[0]},price=0.2,latency=4", "--provider",
                        f"name=fast,port={providers.ports[1]},price=0.8,latency=1"], env={"LD_PRELOAD": harness.PROBE})
        self.addCleanup(mesh.stop)
        done = threading.Event()

        def load():
            i = 0
            while not done.wait(0.02):
                i += 1
                call(mesh.port, f"/arbitrate?prompt_size={i}&strategy={'cost' if i % 3 else 'latency'}")
                if i % 10 == 0:
                    call(mesh.port, f"/collaborate?agents=2&question=q{i}")

        driver = threading.Thread(target=load)
        self.addCleanup(driver.join)
        self.addCleanup(done.set)
        rules = GRAFANA / "camprobe-rules.yml"
        with harness.Scratch() as scratch, served("--tier", "enterprise") as server:
            with prometheus(scratch.directory, server.port, rules=rules) as database:
                driver.start()
                switched = f'camprobe_provider_switches_total{{pid="{mesh.pid}"}}'
                harness.wait_until(lambda: any(v > 0 for _, v in database.query(switched)), what="switches")
                harness.wait_until(lambda: database.query("camprobe:spans:rate1h"), what="a recorded rule")
                there = set(database.get("/api/v1/label/__name__/values")["data"])
                named = {}
                recorded = set(re.findall(r"record: (\S+)", rules.read_text()))
                for board_name, board in self.boards.items():
                    for where, expression in expressions(board):
                        for metric in NAME.findall(re.sub(r'"[^"]*"', '""', expression)):
                            named.setdefault(metric, f"{board_name}, {where}")
                    for variable in board["templating"]["list"]:
                        for metric in NAME.findall(variable["query"]["query"] if isinstance(variable["query"], dict) else ""):
                            named.setdefault(metric, f"{board_name}, variable {variable['name']}")
                text = "\n".join(line for line in rules.read_text().splitlines() if not line.strip().startswith(("#", "- alert", "summary", "advice")))
                for metric in NAME.findall(text):
                    named.setdefault(metric, "the rules")
                self.assertGreater(len(named), 25)
                self.assertEqual({m: w for m, w in named.items() if m not in there}, {}, "named, and in no scrape")
                self.assertLessEqual(set(RECORDED.findall(text)), recorded)
                # What only shows under circumstances that this server is not in.
                may_be_empty = {"Growth of the live heap", "Memory limit reached in", "Alerts"}
                silent = []
                for board in self.boards.values():
                    for where, expression in expressions(board):
                        if not database.query(with_values(expression)) and where not in may_be_empty:
                            silent.append((where, expression))
                self.assertEqual(silent, [])
                rules_now = database.get("/api/v1/rules")["data"]["groups"]
                self.assertEqual([r["lastError"] for g in rules_now for r in g["rules"] if r.get("lastError")], [])


if __name__ == "__main__":
    unittest.main()
