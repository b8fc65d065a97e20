#!/usr/bin/env python3
"""What the probe costs a server: CPU time per request with the probe over CPU time per request without, and throughput.

    bench/servers.py [--pairs N] [--server redis|cam-server|all] [--json FILE]

The two variants run in turn, A B A B ..., each from a fresh start under the same fixed amount of load, so that a machine whose
speed drifts disturbs both alike. Printed: the median of the ratios of neighbouring runs, with the interval that covers the
true median with 95 % confidence (order statistics). "run" is `camprobe run` as a user starts it, its collector's own CPU time
counted apart; "probe" is the preloaded library alone.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROBE = ROOT / "build/lib/libcamprobe.so"
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"servers: nothing listens on port {port} after 10 s")


def cpu_seconds(pid):
    """User and system time of a process, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Redis:
    name = "redis"
    needs = ("redis-server", "redis-benchmark")
    requests = 2 * 600_000

    def command(self, port, directory):
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]

    def load(self, port):
        return ["redis-benchmark", "-p", str(port), "-n", "600000", "-c", "20", "-P", "16", "-q", "-t", "set,lpush"]


class CamServer:
    name = "cam-server"
    needs = ("h2load",)
    requests = 40_000

    def command(self, port, directory):
        return [str(ROOT / "build/bin/cam-server"), "--port", str(port), "--providers", str(directory / "providers.json")]

    def load(self, port):
        return ["h2load", "--h1", "-c", "32", "-n", "40000", f"http://127.0.0.1:{port}/arbitrate?prompt_size=800&strategy=balanced"]


def one(server, variant, directory):
    """One fresh server under the whole load. CPU seconds per request, and requests a second."""
    port = free_port()
    command = server.command(port, directory)
    environment = dict(os.environ)
    if variant == "probe":
        environment["LD_PRELOAD"] = str(PROBE)
    elif variant == "run":
        (directory / "bench.camrun").unlink(missing_ok=True)
        command = [str(ROOT / "build/bin/camprobe"), "run", "-o", str(directory / "bench.camrun"), "--", *command]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        target = process.pid
        if variant == "run":
            target = int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        before, began = cpu_seconds(target), time.monotonic()
        collector_before = cpu_seconds(process.pid)
        subprocess.run(server.load(port), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.monotonic() - began
        collector = (cpu_seconds(process.pid) - collector_before) / took if variant == "run" else None
        return (cpu_seconds(target) - before) / server.requests, server.requests / took, collector
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def median_interval(values):
    """Median and the order-statistics interval that covers it with at least 95 %."""
    ordered, n = sorted(values), len(values)
    low = 0
    while low + 1 < n / 2 and 2 * sum(math.comb(n, i) for i in range(low + 2)) / 2**n <= 0.05:
        low += 1
    return statistics.median(ordered), ordered[low], ordered[n - 1 - low]


def measure(server, variants, pairs, directory):
    results = {variant: [] for variant in variants}
    one(server, "bare", directory)  # warm the caches of the machine, not counted
    for pair in range(pairs):
        for variant in (variants if pair % 2 == 0 else variants[::-1]):
            results[variant].append(one(server, variant, directory))
    report = {"server": server.name, "pairs": pairs, "requests": server.requests}
    for variant in variants:
        report[variant] = {"cpu_us_per_request": statistics.median(cpu for cpu, _, _ in results[variant]) * 1e6,
                           "requests_per_second": statistics.median(rate for _, rate, _ in results[variant])}
        if variant == "bare":
            continue
        for what, index in (("cpu_ratio", 0), ("throughput_ratio", 1)):
            middle, low, high = median_interval([mine[index] / bare[index] for mine, bare in zip(results[variant], results["bare"])])
            report[variant][what] = {"median": middle, "low": low, "high": high}
        if variant == "run":
            report[variant]["collector_cores"] = statistics.median(collector for _, _, collector in results[variant])
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9, help="runs of each variant (default 9)")
    parser.add_argument("--server", choices=["redis", "cam-server", "all"], default="all")
    parser.add_argument("--json", help="write the figures there as well")
    arguments = parser.parse_args()
    if not PROBE.exists():
        sys.exit("servers: build/lib/libcamprobe.so is missing: run scripts/build first")
    reports = []
    with tempfile.TemporaryDirectory(prefix="camprobe-bench-") as scratch:
        directory = pathlib.Path(scratch)
        providers = None
        for server in (Redis(), CamServer()):
            if arguments.server not in ("all", server.name):
                continue
            if missing := next((program for program in server.needs if shutil.which(program) is None), None):
                sys.exit(f"servers: {missing} is not installed: run scripts/setup")
            if server.name == "cam-server" and providers is None:
                providers = subprocess.Popen([str(ROOT / "build/bin/cam-providers"), "--free-ports", "--write-catalog",
                                              str(directory / "providers.json")], stdout=subprocess.DEVNULL)
                time.sleep(1)
            report = measure(server, ["bare", "probe", "run"], arguments.pairs, directory)
            reports.append(report)
            print(f"{server.name}: {report['bare']['cpu_us_per_request']:.2f} us of CPU a request without the probe, "
                  f"{report['bare']['requests_per_second']:.0f} requests/s")
            for variant in ("probe", "run"):
                cpu, rate = report[variant]["cpu_ratio"], report[variant]["throughput_ratio"]
                print(f"  {variant:6} CPU per request x{cpu['median']:.4f} [{cpu['low']:.4f}, {cpu['high']:.4f}]   "
                      f"throughput x{rate['median']:.4f} [{rate['low']:.4f}, {rate['high']:.4f}]")
            print(f"  the collector takes {report['run']['collector_cores'] * 100:.1f} % of a core meanwhile")
        if providers is not None:
            providers.terminate()
            providers.wait()
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(reports, indent=2) + "\n")


if __name__ == "__main__":
    main()
