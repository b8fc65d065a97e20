"""Samples agree with other people's instruments on the same program: CPU with perf, allocated bytes per stack with heaptrack
and with the program's own count. Agreement means: within the sampling error, which is computed here, not guessed."""
import collections
import json
import math
import os
import re
import subprocess
import unittest

import harness

WORKLOAD = str(harness.TESTS / "e2e_workload")


class Cpu(unittest.TestCase):
    SECONDS = 10

    def perf_shares(self, directory):
        """{function: samples} by perf on the same program, or None where perf may not count here."""
        data = str(directory / "perf.data")
        recorded = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", "199", "-o", data, WORKLOAD, "cpu", str(self.SECONDS)],
                                  capture_output=True, text=True, check=False)
        if recorded.returncode != 0:
            return None
        listing = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], capture_output=True, text=True, check=True).stdout
        counts = collections.Counter()
        for line in listing.splitlines():
            if match := re.search(r"spin_[a-z]+", line):
                counts[match.group(0)] += 1
        return counts

    def test_top_ten_functions_agree_with_perf_and_with_the_truth(self):
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--", WORKLOAD, "cpu", self.SECONDS,
                                      env={**os.environ, "CAMPROBE_CPU_HZ": "199"})
            self.assertEqual(result.returncode, 0, result.stderr)
            run = scratch.run()
            ours = collections.Counter()
            for name, samples in run.functions("cpu", "samples").items():
                if match := re.search(r"spin_[a-z]+", name):
                    ours[match.group(0)] += samples
            total = sum(ours.values())
            # What the kernel counted up to its end, not what the clock on the wall says: the machine may be busy with other things.
            used = float(re.search(r"^used (.*)$", result.stdout, re.MULTILINE).group(1))
            self.assertGreater(total, used * 199 * 0.8)
            names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
            truth = {f"spin_{name}": (10 - i) / 55 for i, name in enumerate(names)}
            for name, share in truth.items():
                error = math.sqrt(share * (1 - share) / total)
                self.assertLess(abs(ours[name] / total - share), 5 * error + 0.01, f"{name}: {ours[name]}/{total}, truth {share:.3f}")
            # The sum of weights is the CPU time that the kernel counted.
            weight = run.value("SELECT SUM(weight_ns) FROM cpu") / 1e9
            self.assertLess(abs(weight - used) / used, 0.03, f"{weight} s of samples, {used} s used")

            if harness.need("perf"):
                self.skipTest("perf is not installed: compared with the known proportions only")
            perf = self.perf_shares(scratch.directory)
            if not perf:
                self.skipTest("perf may not count here: compared with the known proportions only")
            perf_total = sum(perf.values())
            for name in truth:
                a, b = ours[name] / total, perf[name] / perf_total
                error = math.sqrt(a * (1 - a) / total + b * (1 - b) / perf_total)
                self.assertLess(abs(a - b), 5 * error + 0.01, f"{name}: {a:.3f} here, {b:.3f} by perf")
            self.assertEqual({name for name, _ in ours.most_common(10)}, {name for name, _ in perf.most_common(10)})


class Heap(unittest.TestCase):
    ROUNDS = 400

    def test_bytes_per_stack_agree_with_heaptrack_and_with_the_truth(self):
        interval = 65536
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--", WORKLOAD, "heap", self.ROUNDS,
                                      env={**os.environ, "CAMPROBE_HEAP_INTERVAL": str(interval)})
            self.assertEqual(result.returncode, 0, result.stderr)
            truth = {name: int(count) for name, count in re.findall(r"(allocate_\d+) (\d+)", result.stdout)}
            self.assertEqual(len(truth), 8)
            run = scratch.run()
            ours = collections.Counter()
            for name, amount in run.by_frame("alloc", "bytes").items():
                if match := re.search(r"allocate_\d+", name):
                    ours[match.group(0)] += amount
            for name, exact in truth.items():
                size = int(name.split("_")[1])
                probability = 1 - math.exp(-size / interval)
                # Horvitz-Thompson: Var = n s^2 (1 - p) / p
                error = math.sqrt(exact / size * size * size * (1 - probability) / probability)
                self.assertLess(abs(ours[name] - exact), 5 * error, f"{name}: {ours[name]:.0f} sampled, {exact} exact, sd {error:.0f}")
            # The exact counter holds at least what the eight sites asked for.
            allocated = run.value("SELECT MAX(p.value) FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = 'heap_allocated_bytes'")
            self.assertGreaterEqual(allocated, sum(truth.values()))
            self.assertLess(allocated, sum(truth.values()) * 1.02 + 1_000_000)

            if harness.need("heaptrack", "heaptrack_print"):
                self.skipTest("heaptrack is not installed: compared with the program's own count only")
            subprocess.run(["heaptrack", "-o", str(scratch.directory / "ht"), WORKLOAD, "heap", str(self.ROUNDS // 20)],
                           capture_output=True, check=True, timeout=200)
            recorded = next(scratch.directory.glob("ht*"))
            folded = scratch.directory / "folded"
            subprocess.run(["heaptrack_print", "-f", str(recorded), "--flamegraph-cost-type", "allocations", "-F", str(folded),
                            "-p", "0", "-l", "0", "-T", "0", "-a", "0"], capture_output=True, check=True, timeout=200)
            calls = collections.Counter()
            for line in folded.read_text(errors="replace").splitlines():
                if match := re.search(r"allocate_\d+", line):
                    calls[match.group(0)] += int(line.rsplit(" ", 1)[1])
            for name, exact in truth.items():
                self.assertEqual(calls[name] * int(name.split("_")[1]) * 20, exact, f"{name} by heaptrack")


class Files(unittest.TestCase):
    SECONDS = 20

    def test_a_leak_of_files_is_found_and_measured_where_few_openings_are_captured(self):
        with harness.Scratch() as scratch:
            result = harness.camprobe("run", "-o", scratch.run_path, "--", WORKLOAD, "files", self.SECONDS)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            truth = {name: int(count) for name, count in re.findall(r"^(opened|left_open) (\d+)$", result.stdout, re.MULTILINE)}
            run = scratch.run()
            # Of those that stay open each has a row, with exact counts; those whose opening was captured stand for the others.
            of_file = "FROM descriptor WHERE kind = 'file' AND read_bytes = 100"
            self.assertEqual(run.value(f"SELECT COUNT(*) {of_file}"), truth["left_open"])
            captured, total, squares = run.rows(f"SELECT COUNT(*), SUM(stands_for), SUM(stands_for * (stands_for - 1)) {of_file} AND stands_for > 0")[0]
            self.assertLess(captured, truth["left_open"] / 2, "the program opens too few files to show anything")
            error = math.sqrt(squares)
            self.assertLess(abs(total - truth["left_open"]), 5 * error, f"{total} of {captured}, {truth['left_open']} in truth, sd {error:.0f}")
            opened = sum(count for name, count in run.by_frame("descriptor_sum", "opened").items() if "open_to_read" in name)
            # One of each block is captured: but for the blocks under way, and where a record was lost, all of them are there.
            self.assertLess(abs(opened + truth["left_open"] - truth["opened"]), truth["opened"] * 0.05)
            found = [finding for finding in json.loads(harness.camprobe("report", scratch.run_path, "--format", "json").stdout)["findings"] if finding["resource"] == "fd"]
            self.assertEqual([finding["verdict"] for finding in found], ["leaks"], found)
            self.assertIn("open_and_forget", str(found[0]["where"]["stack"]))


if __name__ == "__main__":
    unittest.main()
