#!/usr/bin/env python3
"""A short real suite with a surge between two calms; every figure that its report prints is computed again here from what the load
tool, the server and the recording themselves left, by none of camprobe's own code."""
import csv
import html.parser
import math
import statistics

from suites import ROOT, Suites, json, main, sqlite3, unittest

# A histogram's bucket is at most 1/64 of its value wide (run/histogram.h).
BUCKET = 0.017
PHASES = """phases:
  - {name: before, duration: 4 s, users: 10, rate: 100}
  - {name: surge, kind: spike, duration: 2 s, users: 200}
  - {name: after, duration: 5 s, users: 10, rate: 100}
gates:
  - {metric: latency_p95_ms, window: before, max: 10 s}
  - {metric: throughput_rps, window: after, min: 1}
"""


def quantile(values, share):
    values = sorted(values)
    return values[max(0, math.ceil(share * len(values)) - 1)]


def histogram(texts):
    """{bucket: count} of texts of either form."""
    sums = {}
    for text in texts:
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            for bucket, count in parsed.items():
                sums[int(bucket)] = sums.get(int(bucket), 0) + count
            continue
        at = parsed[0]
        for count in parsed[1:]:
            if count < 0:
                at -= count
            else:
                sums[at] = sums.get(at, 0) + count
                at += 1
    return sums


def quantile_of(sums, share):
    """In ns, from the middle of its bucket."""
    wanted, seen = share * sum(sums.values()), 0
    for bucket in sorted(sums):
        seen += sums[bucket]
        if seen >= wanted:
            octave, step = bucket // 64 - 1, bucket % 64
            return bucket if bucket < 64 else ((64 + step) << octave) + (1 << octave) / 2
    return None


class Cells(html.parser.HTMLParser):
    """The cells of all tables, row by row."""

    def __init__(self):
        super().__init__()
        self.rows, self.is_in = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.is_in = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.is_in = False

    def handle_data(self, data):
        if self.is_in:
            self.rows[-1][-1] += data


class Raw:
    """What was left beside the report."""

    def __init__(self, directory):
        self.parts = json.loads((directory / "load-parts.json").read_text())
        self.rows = []  # sent ns, status, ms
        for path in sorted((directory / "load").glob("*.tsv")):
            for line in path.read_text().splitlines():
                sent, status, took = line.split("\t")[:3]
                self.rows.append((int(sent) * 1000, int(status), int(took) / 1000))
        self.before = json.loads((directory / "stats-before.json").read_text())
        self.after = json.loads((directory / "stats-after.json").read_text())
        self.database = sqlite3.connect(f"file:{directory / 'run.camrun'}?mode=ro", uri=True)
        self.started = int(self.query("SELECT value FROM meta WHERE key = 'started_realtime_ns'")[0][0])

    def query(self, sql, *values):
        return self.database.execute(sql, values).fetchall()

    def of(self, phase):
        return [row for row in self.rows if phase["from_ns"] <= row[0] < phase["to_ns"]]

    def series(self, metric):
        """Sums over processes by second."""
        return dict(self.query("SELECT second, sum(value) FROM point JOIN metric ON metric.id = point.metric "
                               "WHERE name = ? AND process != 0 GROUP BY second ORDER BY second", metric))

    def spans(self, name):
        return histogram(text for (text,) in self.query("SELECT latency FROM span_stat JOIN name ON name.id = span_stat.name WHERE name.text = ?", name))


class Figures(Suites):
    @classmethod
    def setUpClass(cls):
        cls.kept = None

    def near(self, expected, printed, share, what, at_least=0.0):
        self.assertIsNotNone(printed, what)
        self.assertLessEqual(abs(expected - printed), max(share * abs(expected), at_least), f"{what}: {printed} is printed, {expected} was computed again")

    def test_every_printed_figure_is_what_the_raw_outputs_give(self):
        text = (ROOT / "examples/suites/load-basic.yaml").read_text()
        done = self.run_suite(self.write(text[:text.index("phases:")] + PHASES), "--scenario", "mixed")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        report = self.report()
        run, = report["runs"]
        raw = Raw(self.out / "runs/target")
        self.of_the_load(run, raw)
        self.of_phases(run, raw)
        self.of_the_surge(run, raw)
        self.of_gates(run, raw)
        self.of_counts(run, raw)
        self.of_cam(run, raw)
        self.of_resources(run, raw)
        self.all_formats_say_the_same(run)

    def of_the_load(self, run, raw):
        load, took = run["load"], [row[2] for row in raw.rows]
        self.assertEqual(len(raw.rows), load["requests"])
        self.assertEqual(sum(status >= 400 or status < 100 for _, status, _ in raw.rows), load["errors"])
        for name, share in (("p50", .5), ("p95", .95), ("p99", .99), ("max", 1)):
            self.near(quantile(took, share), load["latency_ms"][name], BUCKET, name)
        self.near(statistics.fmean(took), load["latency_ms"]["mean"], 1e-6, "mean")
        self.near(statistics.pstdev(took), load["latency_ms"]["deviation"], 0.02, "deviation")
        first, last = raw.parts["phases"][0]["from_ns"], raw.parts["phases"][-1]["to_ns"]
        self.near(len(raw.rows) * 1e9 / (last - first), load["throughput_rps"], 0.01, "requests a second")
        self.near(load["throughput_rps"], run["metrics"]["throughput_rps"], 0.01, "of gates and report")
        counted = sum(second["rps"] * width for second, width in zip(load["by_second"], self.widths(load)))
        self.near(len(raw.rows), counted, 0.02, "requests under the chart of throughput")
        self.assertEqual(len(raw.rows), sum(map(sum, load["heat"]["columns"])), "requests in the heat map")

    def widths(self, load):
        at = [second["at_s"] for second in load["by_second"]]
        return [b - a for a, b in zip(at, at[1:])] + [load["seconds"] - at[-1]]

    def of_phases(self, run, raw):
        self.assertEqual(["before", "surge", "after"], [phase["name"] for phase in run["phases"]])
        windows = {name: row for name, *row in raw.query("SELECT name, from_ns, to_ns FROM load_window")}
        whole = json.loads((self.out / "runs/target/run.json").read_text())["load"]["windows"]
        for phase, printed, of_run in zip(raw.parts["phases"], run["phases"], whole):
            rows, name = raw.of(phase), printed["name"]
            self.assertEqual(len(rows), printed["requests"], name)
            self.assertEqual(sum(row[1] >= 400 for row in rows), printed["errors"], name)
            self.near(len(rows) * 1e9 / (phase["to_ns"] - phase["from_ns"]), printed["throughput_rps"], 1e-6, f"{name}, throughput")
            for key, share in (("latency_p50_ms", .5), ("latency_p95_ms", .95), ("latency_p99_ms", .99)):
                self.near(quantile([row[2] for row in rows], share), printed[key], BUCKET, f"{name}, {key}")
            self.assertEqual(len(rows), of_run["requests"], f"{name} in the run's own report")
            self.near(printed["latency_p95_ms"], of_run["latency_ms"]["p95"], BUCKET, f"{name}, p95 in the run's own report")
            self.near(phase["from_ns"] - raw.started, windows[name][0], 0, name, at_least=2e6)
        self.assertEqual(len(raw.rows), sum(phase["requests"] for phase in run["phases"]))
        # The calm is not blamed for what the surge took: its requests are at most of a tenth of the surge's rate.
        self.assertGreater(run["phases"][1]["throughput_rps"], 2 * run["phases"][0]["throughput_rps"])

    def of_the_surge(self, run, raw):
        def by_second(phase):
            seconds = {}
            for row in raw.of(phase):
                seconds.setdefault(row[0] // 10**9, []).append(row[2])
            return [(second, quantile(took, .95)) for second, took in sorted(seconds.items())]

        before, surge, after = raw.parts["phases"]
        usual = statistics.median(p95 for _, p95 in by_second(before))
        worst = max(p95 for _, p95 in by_second(surge))
        printed, = run["recovery"]
        self.near(usual, printed["usual_p95_ms"], 2 * BUCKET, "usual p95")
        self.near(worst, printed["worst_p95_ms"], 2 * BUCKET, "worst p95")
        limit, row, found = max(1.25 * printed["usual_p95_ms"], printed["usual_p95_ms"] + 2), [], None
        for second, p95 in by_second(after):
            if abs(p95 - limit) < 2 * BUCKET * limit:
                return  # a bucket's width decides
            row = row + [second] if p95 <= limit else []
            if len(row) == 3:
                found = max(0, row[0] - after["from_ns"] / 1e9)
                break
        if found is None:
            self.assertIsNone(printed["recovery_s"])
        else:
            self.near(found, printed["recovery_s"], 0, "recovery", at_least=0.2)

    def of_gates(self, run, raw):
        gates = {(gate["metric"], gate["window"]): gate for gate in run["gates"]}
        before, _, after = raw.parts["phases"]
        self.near(quantile([row[2] for row in raw.of(before)], .95), gates["latency_p95_ms", "before"]["value"], BUCKET, "the gate's p95")
        self.near(len(raw.of(after)) * 1e9 / (after["to_ns"] - after["from_ns"]), gates["throughput_rps", "after"]["value"], 0.001, "the gate's throughput")

    def of_counts(self, run, raw):
        began = 0
        for path in (self.out / "runs/target/load").glob("*.out"):
            for line in path.read_text().splitlines():
                if line.startswith("requests: "):
                    began += int(line.split(", ")[1].split()[0])
        self.assertEqual(began, run["counts"]["load_tool"])
        served = raw.after["http"]["requests"] - raw.before["http"]["requests"]
        self.assertEqual(served - 1, run["counts"]["server"], "less the suite's own, which read the first counts")
        spans = sum(raw.spans("cam.request").values())
        self.assertEqual(spans, run["counts"]["probe"] + run["counts"]["suite_itself"])
        self.assertTrue(run["counts"]["reconciled"], run["counts"])

    def of_cam(self, run, raw):
        metrics, arbitration = run["metrics"], raw.after["arbitration"]
        for name in ("arbitration", "consensus"):
            for key, share in (("p50", .5), ("p95", .95), ("p99", .99)):
                self.near(quantile_of(raw.spans(f"cam.{name}"), share) / 1e6, metrics[f"{name}_{key}_ms"], 2 * BUCKET, f"{name} {key}")
        # The server's own counters go on to the checks behind the load, and the probe's spans may be some that were lost.
        self.near(1 - arbitration["cost"] / arbitration["baseline_cost"], metrics["cost_optimization_rate"], 0.02, "cost optimization rate")
        self.near(arbitration["switches"] / sum(arbitration["decisions"].values()), metrics["provider_switch_rate"], 0.05, "switch rate")
        for span in run["spans"]:
            self.assertEqual(sum(raw.spans(span["name"]).values()), span["latency_ms"]["count"], span["name"])

    def of_resources(self, run, raw):
        metrics, resources = run["metrics"], run["resources"]
        resident, heap = raw.series("process_resident_bytes"), raw.series("heap_live_bytes")
        self.assertEqual(max(resident.values()), metrics["rss_peak_bytes"])
        self.assertEqual(max(raw.series("process_open_fds").values()), metrics["fds_peak"])
        self.assertEqual(max(raw.series("process_threads").values()), metrics["threads_peak"])
        self.near(max(heap.values()), resources["heap_peak_bytes"], 1e-9, "heap")
        held = raw.series("allocator_held_bytes") or heap
        self.near(max(held.values()), resources["heap_held_peak_bytes"] or resources["heap_peak_bytes"], 1e-9, "heap that is held")
        beside = [bytes_ - min(bytes_, held[max(s for s in held if s <= second)]) for second, bytes_ in resident.items() if min(held) <= second]
        self.near(max(beside), resources["non_heap_peak_bytes"], 1e-9, "resident memory beside the heap")
        for key, kind in (("network_in_bytes", "socket_read"), ("network_out_bytes", "socket_write")):
            self.assertEqual(raw.query("SELECT sum(bytes) FROM io WHERE kind = ?", kind)[0][0], resources[key])
        for key, metric in (("disk_read_bytes", "process_storage_read_bytes"), ("disk_write_bytes", "process_storage_write_bytes")):
            values = list(raw.series(metric).values())
            self.assertEqual(values[-1] - values[0], resources[key])
        # CPU: what the counters rose by between the whole seconds of each phase. /proc counts in steps of 10 ms.
        user, system = raw.series("process_cpu_user_ns"), raw.series("process_cpu_system_ns")
        total = {second: user[second] + system[second] for second in user}
        for phase, printed in zip(raw.parts["phases"], run["phases"]):
            first, last = math.ceil((phase["from_ns"] - raw.started) / 1e9), math.floor((phase["to_ns"] - raw.started) / 1e9)
            rises = [(total[s] - total[s - 1]) / 1e9 for s in range(first, last) if s in total and s - 1 in total]
            self.near(statistics.fmean(rises), printed["cpu_average_cores"], 0.02, f"{printed['name']}, CPU", at_least=0.002)
            width = min(5, len(rises))
            peak = max(statistics.fmean(rises[i:i + width]) for i in range(len(rises) - width + 1))
            self.near(peak, printed["cpu_peak_cores"], 0.02, f"{printed['name']}, CPU peak", at_least=0.002)
        self.near(1000 * metrics["cpu_average_cores"] * run["load"]["seconds"] / run["load"]["requests"], metrics["cpu_per_request_ms"], 0.2, "CPU a request")

    def all_formats_say_the_same(self, run):
        page = Cells()
        page.feed((self.out / "report.html").read_text())
        marked = [[cell.strip().replace("\\", "") for cell in line.strip().strip("|").split("|")]
                  for line in (self.out / "report.md").read_text().splitlines() if line.startswith("| ")]
        self.assertEqual(page.rows, marked, "the tables of the page and of the Markdown")
        text = (self.out / "report.txt").read_text()
        for row in page.rows:
            for cell in row:
                self.assertIn(cell, text)
        words = {row[0]: row[1] for row in page.rows if len(row) == 2}
        for wanted in ("latency, mean", "latency, median", "latency, standard deviation", "latency, p99", "error rate", "CPU, average", "CPU, peak (of five seconds)",
                       "heap, live at its peak (estimated from samples)", "resident memory beside the heap, peak", "network, read from sockets",
                       "disk, written", "decision time, p95", "provider switch rate", "cost optimization rate", "consensus time, p95"):
            self.assertRegex(words.get(wanted, ""), r"\d", wanted)
        rows = list(csv.DictReader((self.out / "report.csv").read_text().splitlines()))
        table = {(row["phase"], row["figure"]): float(row["value"]) for row in rows}
        self.assertEqual(table["", "latency_p95_ms"], run["load"]["latency_ms"]["p95"])
        self.assertEqual(table["", "counted_by_server"], run["counts"]["server"])
        for phase in run["phases"]:
            self.assertEqual(table[phase["name"], "throughput_rps"], phase["throughput_rps"])
        for part, key in (("metrics", "provider_switch_rate"), ("resources", "non_heap_peak_bytes")):
            self.assertEqual(table["", key], run[part][key])


if __name__ == "__main__":
    main()
