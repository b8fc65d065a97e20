"""`camprobe gate`, `compare`, `baseline`, and the reports of CI, as a shell sees them, on one short real run."""
import csv
import io
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

CAMPROBE = str(pathlib.Path(os.environ["CAMPROBE_BIN"]).resolve() / "camprobe")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CAMPROBE")}

# Allocates and computes for two seconds, with spans and a load tool's results of no one: what is measured is the program.
PROGRAM = [sys.executable, "-c", "import time\nend = time.time() + 2.2\nwhile time.time() < end:\n  x = [bytearray(2000) for _ in range(500)]"]


def camprobe(*words, cwd=None):
    return subprocess.run([CAMPROBE, *map(str, words)], capture_output=True, text=True, timeout=60, cwd=cwd, env=ENVIRONMENT)


class GatesAndComparisons(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-gates-"))
        cls.run_file = cls.directory / "a.camrun"
        (cls.directory / "loose.yaml").write_text(
            "gates:\n  - {metric: rss_peak_bytes, max: 8 GiB}\n  - {metric: cpu_average_cores, max: 64}\n")
        (cls.directory / "strict.yaml").write_text("gates:\n  - {metric: rss_peak_bytes, max: 1 KiB}\n")
        cls.recorded = camprobe("run", "-o", cls.run_file, "--gates", cls.directory / "loose.yaml", "--", *PROGRAM)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory, ignore_errors=True)

    def expect(self, code, *words, cwd=None):
        done = camprobe(*words, cwd=cwd)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        return done

    def test_a_run_with_gates_ends_with_99_where_one_is_crossed(self):
        self.assertEqual(self.recorded.returncode, 0, self.recorded.stderr)
        self.assertIn("Gates", self.recorded.stderr)
        crossed = self.expect(99, "run", "-q", "-o", self.directory / "b.camrun", "--gates", self.directory / "strict.yaml", "--",
                              "sh", "-c", "sleep 2; exit 5")
        self.assertIn("gate not passed: rss_peak_bytes: at most 1 KiB", crossed.stderr)

    def test_gates_that_cannot_be_read_start_nothing(self):
        marker = self.directory / "started"
        (self.directory / "wrong.yaml").write_text("gates:\n  - {metric: latency_p59_ms, max: 1}\n")
        for options in (["--gates", self.directory / "wrong.yaml"], ["--gates", self.directory / "none.yaml"], ["--tier", "gold"]):
            done = self.expect(2, "run", "-o", self.directory / "c.camrun", *options, "--", "touch", marker)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertFalse(marker.exists())
            done = self.expect(2, "gate", self.run_file, *options)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("wrong.yaml:2:14: there is no metric latency_p59_ms; did you mean latency_p95_ms?",
                      self.expect(2, "gate", self.run_file, "--gates", self.directory / "wrong.yaml").stderr)

    def test_gate_in_each_format(self):
        loose, strict = self.directory / "loose.yaml", self.directory / "strict.yaml"
        self.assertIn("PASS", self.expect(0, "gate", self.run_file, "--gates", loose).stdout)
        self.assertIn("FAIL", self.expect(99, "gate", self.run_file, "--gates", strict).stdout)
        document = json.loads(self.expect(99, "gate", self.run_file, "--gates", strict, "--format", "json").stdout)
        peak = sqlite3.connect(self.run_file).execute(
            "SELECT MAX(s) FROM (SELECT SUM(value) AS s FROM point JOIN metric ON metric.id = metric "
            "WHERE name = 'process_resident_bytes' GROUP BY second)").fetchone()[0]
        self.assertEqual(document["gates"][0]["value"], peak)
        suite = xml.etree.ElementTree.fromstring(
            self.expect(99, "gate", self.run_file, "--gates", strict, "--format", "junit").stdout)
        self.assertEqual(suite.find("testsuite").get("failures"), "1")
        self.assertIn("| **FAIL** |", self.expect(99, "gate", self.run_file, "--gates", strict, "--format", "md").stdout)
        # Nobody counted requests: a tier's gates cannot be evaluated, and that fails.
        done = self.expect(99, "gate", self.run_file, "--tier", "enterprise")
        self.assertIn("could not be evaluated", done.stdout)
        self.assertIn("latency_p95_ms", self.expect(0, "gate", "--list-metrics").stdout)
        self.expect(2, "gate", self.run_file)
        self.expect(2, "gate", "--tier", "enterprise")
        self.expect(2, "gate", self.directory / "none.camrun", "--tier", "enterprise")

    def test_reports_for_ci(self):
        markdown = self.expect(0, "report", self.run_file, "--format", "md", "--gates", self.directory / "strict.yaml").stdout
        self.assertIn("### Gates", markdown)
        self.assertLess(len(markdown.encode()), 65000)
        self.expect(0, "report", self.run_file, "-o", self.directory / "r.xml")
        names = [suite.get("name") for suite in xml.etree.ElementTree.parse(self.directory / "r.xml").getroot()]
        self.assertEqual(names, ["camprobe.findings"])
        report = json.loads(self.expect(0, "report", self.run_file, "--format", "json", "--gates",
                                        self.directory / "strict.yaml").stdout)
        self.assertEqual(report["verdict"], "fail")
        self.assertEqual(report["gates"][0]["state"], "crossed")

    def test_csv_of_every_series(self):
        rows = list(csv.DictReader(io.StringIO(self.expect(0, "export", self.run_file, "--format", "csv").stdout)))
        points = sqlite3.connect(self.run_file).execute("SELECT COUNT(*) FROM point").fetchone()[0]
        self.assertEqual(sum(row["kind"] in ("gauge", "counter") for row in rows), points)
        self.assertTrue(any(row["name"] == "process began" for row in rows))
        self.assertIn("csv holds all series", self.expect(2, "export", self.run_file, "--format", "csv", "--what", "cpu").stderr)

    def test_compare_and_baselines(self):
        same = self.expect(0, "compare", self.run_file, self.run_file, "--fail-on", "worse", "--flamegraph",
                           self.directory / "d.svg")
        self.assertNotIn("WORSE", same.stdout)
        self.assertIn("what changed", (self.directory / "d.svg").read_text())
        self.expect(0, "compare", "--base", self.run_file, "--base", self.run_file, self.run_file, "--flamegraph",
                    self.directory / "d.folded")
        first = (self.directory / "d.folded").read_text().splitlines()[0].split()
        self.assertTrue(first[-1].isdigit() and first[-2].isdigit(), first)
        self.assertEqual(json.loads(self.expect(0, "compare", self.run_file, self.run_file, "--format", "json").stdout)["schema"],
                         "camprobe.comparison/1")
        # Too little is known of a program nobody asked for anything.
        self.expect(99, "compare", self.run_file, self.run_file, "--fail-on", "cannot-tell")
        for words in (["compare", self.run_file], ["compare", self.run_file, self.directory / "none.camrun"],
                      ["compare", self.run_file, self.run_file, "--fail-on", "rain"],
                      ["compare", self.run_file, self.run_file, "--format", "xml"]):
            self.assertEqual(len(self.expect(2, *words).stderr.splitlines()), 1)

        kept = self.expect(0, "baseline", "save", "main", self.run_file, cwd=self.directory)
        self.assertEqual(kept.stdout.strip(), ".camprobe/baselines/main.json")
        text = (self.directory / ".camprobe/baselines/main.json").read_text()
        self.assertIn("--overwrite", self.expect(2, "baseline", "save", "main", self.run_file, cwd=self.directory).stderr)
        self.expect(0, "baseline", "save", "main", self.run_file, "--overwrite", cwd=self.directory)
        self.assertEqual((self.directory / ".camprobe/baselines/main.json").read_text(), text)
        self.assertTrue(self.expect(0, "baseline", "list", cwd=self.directory).stdout.startswith("main  1 run"))
        self.assertIn("rss_peak_bytes", self.expect(0, "baseline", "show", "main", cwd=self.directory).stdout)
        self.assertEqual(self.expect(0, "baseline", "show", "main", "--format", "json", cwd=self.directory).stdout, text)
        self.assertIn("base ", self.expect(0, "baseline", "compare", "main", self.run_file, cwd=self.directory).stdout)
        self.expect(2, "baseline", "compare", "other", self.run_file, cwd=self.directory)
        self.expect(2, "baseline", "save", "../x", self.run_file, cwd=self.directory)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
