"""camprobe run --prove-leak on a real server: load, idle, the same load, idle. A leak is confirmed, a bounded cache of the same
rate is not accused, and what cannot be proved so is refused in one line."""
import json
import os
import subprocess
import unittest

import harness

LOAD = "h2load --h1 -c 16 -D 10 --rps 40 'http://127.0.0.1:{port}/arbitrate?prompt_size=200'"


def prove(scratch, *faults):
    port = harness.free_port()
    catalog = scratch.directory / "providers.json"
    with harness.running([str(harness.BIN / "cam-providers"), "--free-ports", "--write-catalog", str(catalog)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        harness.wait_until(lambda: catalog.exists() and catalog.stat().st_size > 0, what="the providers' catalog")
        result = harness.camprobe(
            "run", "-o", scratch.run_path, "--prove-leak", "--idle", "4s", "--no-report", "--load", LOAD.format(port=port), "--",
            harness.BIN / "cam-server", "--port", port, "--providers", catalog, *faults, timeout=180,
            env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "16KiB"})
    report = harness.camprobe("report", scratch.run_path, "--format", "json")
    return result, json.loads(report.stdout)


def proofs(report, function):
    """(finding, evidence of the proof) of the findings in a function."""
    for finding in report["findings"]:
        frames = [frame["function"] for frame in finding.get("where", {}).get("stack", [])]
        if any(function in frame for frame in frames):
            yield finding, [item["text"] for item in finding["evidence"] if item["what"] == "proof"]


@unittest.skipIf(harness.need("h2load"), "h2load is not installed")
class ProveLeak(unittest.TestCase):
    def test_a_leak_is_confirmed_with_the_figures_of_both_loads(self):
        with harness.Scratch() as scratch:
            result, report = prove(scratch, "--fault", "heap-leak=8192:0.5")
            self.assertEqual(result.returncode, 0, result.stderr)
            marks = [text for (text,) in scratch.run().rows("SELECT text FROM mark WHERE source = 'proof' ORDER BY at_ns")]
            self.assertEqual(len(marks), 5, marks)
            leaks = [(finding, text) for finding, text in proofs(report, "remember_forever") if finding["resource"] == "heap"]
            self.assertTrue(leaks, report["findings"])
            finding, text = leaks[0]
            self.assertTrue(finding["confirmed"])
            self.assertEqual(finding["verdict"], "leaks")
            self.assertIn("Confirmed: the first load left", text[0])
            self.assertEqual(report["verdict"], "fail")

    def test_a_bounded_cache_is_not_accused(self):
        with harness.Scratch() as scratch:
            result, report = prove(scratch, "--fault", "bounded-cache=1024:1.0:2500")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual([f["title"] for f in report["findings"] if f["kind"] == "leak" and f["confirmed"]], [])
            for finding, text in proofs(report, "cache_within_bound"):
                self.assertNotIn("Confirmed", "".join(text), finding["title"])


class WrongUse(unittest.TestCase):
    def test_without_a_load_there_is_nothing_to_prove(self):
        for arguments in (["--prove-leak"], ["--idle", "5s"]):
            result = harness.camprobe("run", *arguments, "--", "true")
            self.assertEqual(result.returncode, 2)
            self.assertIn(arguments[0], result.stderr)


if __name__ == "__main__":
    unittest.main()
