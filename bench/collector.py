#!/usr/bin/env python3
"""What the collector costs: its CPU time and memory while one `camprobe run` records four busy servers at once.

    bench/collector.py [--seconds N] [--warm-up N] [--targets NAME,...] [--json FILE]

Starts two redis servers, cam-server (spans, against cam-providers, which are not recorded) and a Node.js server under one
collector, drives each as fast as the machine lets it for a bounded time, and reads the collector's CPU time (nanoseconds, by
thread) and memory every two seconds. Printed: the share of one core that the collector takes once the warm-up is over, with the
interval that covers the mean of its ten parts with 95 % confidence; its peak memory from the first moment on; how fast its
memory grows once caches and buffers have reached their sizes, 100 seconds after the start, in MiB an hour with a 95 % interval;
and how many records of which kind it took in meanwhile.

Only the collector is measured here; what the probe costs its targets is bench/servers.py's business.
"""
import argparse
import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CAMPROBE = ROOT / "build/bin/camprobe"
EVERY = 2.0
FILLED = 100.0  # seconds: by then SQLite's page cache, the vectors and tables for the busiest second and the allocator's arenas are as large as they get
PARTS = 10
T_975 = {8: 2.306, 9: 2.262}  # Student's t for 8 and 9 degrees of freedom

NODE_SERVER = """
const http = require('http');
const kept = [];
http.createServer((request, response) => {
  const items = Array.from({ length: 50 }, (_, i) => ({ id: i, text: 'item ' + i }));
  kept.push(Buffer.alloc(2048, items.length));
  if (kept.length > 500) kept.shift();
  response.end(JSON.stringify(items));
}).listen(+process.argv[2], '127.0.0.1');
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, what):
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"collector: {what} does not listen on port {port} after 30 s")


class Redis:
    needs = ("redis-server", "redis-benchmark")

    def __init__(self, name, directory):
        self.name, self.port = name, free_port()
        self.command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]

    def load(self, seconds):
        # Loops for ever; whoever started it ends it. 100,000 keys, so that the server's memory is bounded.
        return ["redis-benchmark", "-p", str(self.port), "-c", "20", "-P", "16", "-r", "100000", "-d", "64", "-n", "1000000", "-l", "-q",
                "-t", "set,get"]

    def requests(self):
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            client.sendall(b"INFO stats\r\nQUIT\r\n")
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        return next(int(line.split(b":")[1]) for line in answer.splitlines() if line.startswith(b"total_commands_processed"))


class Http:
    needs = ("h2load",)

    def load(self, seconds):
        return ["h2load", "--h1", "-c", "16", "-D", str(int(seconds)), f"http://127.0.0.1:{self.port}{self.path}"]

    def requests(self):
        return None  # h2load says it at its end


class CamServer(Http):
    name, path = "cam-server", "/arbitrate?prompt_size=800&strategy=balanced"

    def __init__(self, directory):
        self.port = free_port()
        self.command = [str(ROOT / "build/bin/cam-server"), "--port", str(self.port), "--providers", str(directory / "providers.json")]


class Node(Http):
    needs = ("h2load", "node")
    name, path = "node", "/"

    def __init__(self, directory):
        self.port = free_port()
        (directory / "server.js").write_text(NODE_SERVER)
        self.command = ["node", str(directory / "server.js"), str(self.port)]


def child_pids(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_ns(pid):
    """CPU time so far of each thread: {tid: (name, ns)}."""
    threads = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            threads[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return threads


def memory_bytes(pid):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("VmHWM", "VmRSS", "RssAnon", "RssFile")):
            fields[line.split(":")[0]] = int(line.split()[1]) * 1024
    return fields


def mean_interval(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    half = T_975.get(len(values) - 1, 2.0) * statistics.stdev(values) / math.sqrt(len(values))
    middle = statistics.mean(values)
    return middle, middle - half, middle + half


def parts_of(samples):
    size = max(1, len(samples) // PARTS)
    return [samples[i:i + size] for i in range(0, size * min(PARTS, len(samples) // size), size)]


def slope_interval(samples, value):
    """Least squares over the means of ten parts, so that neighbouring readings, which are alike, are not counted as news."""
    points = [(statistics.mean(s["at"] for s in part), statistics.mean(value(s) for s in part)) for part in parts_of(samples)]
    if len(points) < 4:
        return None
    n = len(points)
    mean_x, mean_y = (statistics.mean(p[i] for p in points) for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    half = T_975.get(n - 2, 2.6) * math.sqrt(rest / (n - 2) / spread)
    return [each * 3600 for each in (slope, slope - half, slope + half)]


def kinds_of_records(run, first, last):
    """Records a second by kind, from what the run says was taken in between two of its seconds."""
    database = sqlite3.connect(f"file:{run}?mode=ro", uri=True)
    seconds = max(1, last - first)

    def total(sql):
        return (database.execute(sql, (first, last)).fetchone()[0] or 0) / seconds

    where = "WHERE second >= ? AND second < ?"
    kinds = {
        "cpu samples": total(f"SELECT sum(samples) FROM cpu {where}"),
        "waits": total(f"SELECT sum(samples) FROM wait {where}"),
        "allocations": total(f"SELECT sum(samples) FROM alloc {where}"),
        "frees": total(f"SELECT sum(samples) FROM lifetime {where}"),
        "spans": total(f"SELECT sum(spans) FROM span_stat {where}"),
        "attributes (two a record)": total(f"SELECT sum(spans) FROM span_attribute {where}"),
        "short-lived descriptors": total(f"SELECT sum(opened) FROM descriptor_sum {where}"),
    }
    series = database.execute("SELECT p.second, p.value FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = 'collector_records' "
                              "AND p.second >= ? AND p.second <= ? ORDER BY p.second", (first, last)).fetchall()
    records = (series[-1][1] - series[0][1]) / (series[-1][0] - series[0][0]) if len(series) > 1 else None
    lost = dict(database.execute(f"SELECT kind, sum(records) FROM lost {where} GROUP BY kind", (first, last)).fetchall())
    rows = {table: total(f"SELECT count(*) FROM {table} {where}") for table in ("cpu", "wait", "alloc", "span_attribute", "point")}
    rows["heap_object"] = (database.execute("SELECT count(*) FROM heap_object WHERE born_ns >= ? AND born_ns < ?",
                                            (first * 10**9, last * 10**9)).fetchone()[0]) / seconds
    rows["span"] = (database.execute("SELECT count(*) FROM span WHERE ended_ns >= ? AND ended_ns < ?",
                                     (first * 10**9, last * 10**9)).fetchone()[0]) / seconds
    database.close()
    return {"records_per_second": records, "by_kind_per_second": kinds, "rows_per_second": rows, "lost": lost}


def measure(options, directory):
    targets = []
    for name in options.targets.split(","):
        kind = {"redis": Redis, "cam-server": CamServer, "node": Node}.get(name.rstrip("12"))
        if kind is None:
            sys.exit(f"collector: there is no target {name}: known are redis1, redis2, cam-server and node")
        targets.append(Redis(name, directory) if kind is Redis else kind(directory))
    for target in targets:
        if missing := next((program for program in target.needs if shutil.which(program) is None), None):
            sys.exit(f"collector: {missing} is not installed: run scripts/setup")

    started = []

    def start(command, **how):
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, **how))
        return started[-1]

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("collector: terminated"))  # what was started is ended on the way out
    run = directory / "bench.camrun"
    window = options.warm_up + options.seconds
    try:
        if any(target.name == "cam-server" for target in targets):
            start([str(ROOT / "build/bin/cam-providers"), "--free-ports", "--write-catalog", str(directory / "providers.json")],
                  stdout=subprocess.DEVNULL)
            for _ in range(100):
                if (directory / "providers.json").exists():
                    break
                time.sleep(0.1)
        # One collector, one shell, and the servers as the shell's children.
        script = " & ".join(" ".join(f"'{word}'" for word in target.command) + " >/dev/null 2>&1" for target in targets) + " & wait"
        collector = start([str(CAMPROBE), "run", "--no-report", "-q", "-o", str(run), "--", "sh", "-c", script], stdout=subprocess.DEVNULL)
        for target in targets:
            wait_for(target.port, target.name)
        shell = child_pids(collector.pid)[0]
        servers = child_pids(shell)
        loads = [(target, start(target.load(window + 4), stdout=subprocess.PIPE if isinstance(target, Http) else subprocess.DEVNULL, text=True))
                 for target in targets]

        samples, requests, began = [], {}, time.monotonic()
        while (at := time.monotonic() - began) < window:
            if collector.poll() is not None:
                sys.exit(f"collector: camprobe ended by itself with status {collector.returncode}")
            if at >= options.warm_up and not requests:
                requests = {target.name: (target.requests(), time.monotonic()) for target in targets}
            samples.append({"at": at, "cpu_ns": cpu_ns(collector.pid), **memory_bytes(collector.pid)})
            time.sleep(max(0.0, EVERY - (time.monotonic() - began - at)))
        rates = {}
        for target in targets:
            before, since = requests.get(target.name, (None, 0))
            if before is not None:
                rates[target.name] = (target.requests() - before) / (time.monotonic() - since)
        for target, load in loads:
            if isinstance(target, Http):
                text, _ = load.communicate(timeout=60)
                rates[target.name] = next((float(line.split(",")[1].split()[0]) for line in text.splitlines() if line.startswith("finished in")), None)
            else:
                load.terminate()
        for pid in servers:  # the shell ends with them, and camprobe with the shell
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        peak_before_end = samples[-1]["VmHWM"]
        collector.wait(300)
    finally:
        for process in reversed(started):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    return targets, samples, rates, peak_before_end, run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="measured time (default 60; an hour for flatness)")
    parser.add_argument("--warm-up", type=float, default=20, help="time before it, in which names are looked up (default 20)")
    parser.add_argument("--targets", default="redis1,redis2,cam-server,node")
    parser.add_argument("--json", help="write every figure and every reading there")
    options = parser.parse_args()
    if not CAMPROBE.exists():
        sys.exit("collector: build/bin/camprobe is missing: run scripts/build first")
    with tempfile.TemporaryDirectory(prefix="camprobe-bench-") as scratch:
        targets, samples, rates, peak, run = measure(options, pathlib.Path(scratch))
        database = sqlite3.connect(f"file:{run}?mode=ro", uri=True)
        last = int(database.execute("SELECT max(second) FROM point").fetchone()[0]) - 5
        run_bytes = run.stat().st_size
        database.close()
        taken = kinds_of_records(run, max(1, last - int(options.seconds)), last)

    steady = [sample for sample in samples if sample["at"] >= options.warm_up]
    if len(steady) < 3:
        sys.exit("collector: too short to tell anything: --seconds 10 at least")
    steps = []
    for before, after in zip(steady, steady[1:]):
        grown = sum(ns - before["cpu_ns"].get(tid, 0) for tid, ns in after["cpu_ns"].items())
        steps.append({"at": after["at"], "share": grown / 1e9 / (after["at"] - before["at"])})
    share = mean_interval([statistics.mean(step["share"] for step in part) for part in parts_of(steps)])
    took = steady[-1]["at"] - steady[0]["at"]
    main_thread = min(steady[-1]["cpu_ns"])
    drains = (steady[-1]["cpu_ns"][main_thread] - steady[0]["cpu_ns"][main_thread]) / 1e9 / took
    start_up = sum(steady[0]["cpu_ns"].values()) / 1e9
    filled = [sample for sample in steady if sample["at"] >= FILLED]
    slope = slope_interval(filled, lambda s: s["VmRSS"] / 2**20) if len(filled) >= PARTS else None
    report = {
        "benchmark": "collector", "targets": [target.name for target in targets], "seconds": took,
        "requests_per_second": rates, "core_share": dict(zip(("mean", "low", "high"), share)), "core_share_main_thread": drains,
        "cpu_seconds_before": start_up, "peak_resident_bytes": peak, "peak_steady_bytes": max(s["VmRSS"] for s in steady),
        "peak_anonymous_bytes": max(s["RssAnon"] for s in samples), "growth_mib_per_hour": slope and dict(zip(("slope", "low", "high"), slope)),
        "run_bytes": run_bytes, **taken, "samples": samples,
    }
    print(f"one collector, {len(targets)} targets, {took:.0f} s: " +
          ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items() if rate is not None))
    print(f"  CPU        {share[0] * 100:.2f} % of a core [{share[1] * 100:.2f}, {share[2] * 100:.2f}], {drains * 100:.2f} % without naming; "
          f"{start_up:.2f} s before that")
    print(f"  memory     peak {peak / 2**20:.1f} MiB ({report['peak_anonymous_bytes'] / 2**20:.1f} not shared with files), "
          f"later at most {report['peak_steady_bytes'] / 2**20:.1f} MiB")
    if slope:
        print(f"  growth     {slope[0]:+.1f} MiB an hour [{slope[1]:+.1f}, {slope[2]:+.1f}], after the first {FILLED:.0f} s")
    else:
        print(f"  growth     not measured: caches fill for {FILLED:.0f} s, so --seconds 200 or more")
    if taken["records_per_second"] is not None:
        print(f"  records    {taken['records_per_second']:,.0f} a second")
    print("  of them    " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in taken["by_kind_per_second"].items()))
    print("  rows       " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in taken["rows_per_second"].items()) +
          f"; the run is {run_bytes / 2**20:.1f} MiB")
    print("  lost       " + (", ".join(f"{kind} {count}" for kind, count in taken["lost"].items()) or "nothing"))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
