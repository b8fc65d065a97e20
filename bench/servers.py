#!/usr/bin/env python3
"""What the probe costs a server: CPU time per request with it over CPU time per request without, and throughput beside it.

    bench/servers.py [--server NAME ...] [--starts N] [--instances N] [--bursts N] [--burst-seconds S] [--run] [--peers] [--json FILE]

Fresh instances of every variant are alive at the same time and take turns: a burst of a fixed number of requests goes to one,
then at once to the next, in an order drawn anew each time. A machine whose speed drifts over seconds, and its other users,
disturb neighbours alike. What is compared is one burst's CPU time (all threads and workers of the server, from the kernel's
per-process CPU clocks in nanoseconds) with its neighbour's.

How a start's memory came to lie stays with it for its life, so bursts on one start are no independent measurements: the
instances are started anew `--starts` times, and the 95 % interval comes from a bootstrap over pairs of instances first, bursts
second (bench/measurement.py). More starts narrow it, more bursts hardly.

"probe" is the preloaded library at its defaults, all families on; "run" (with --run) is `camprobe run` as a user starts it,
its collector not counted; --peers adds other tools. Server and load are kept on different processors where there are two.
"""
import argparse
import math
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from measurement import BUILT, PROBE, ROOT, Report, hierarchical_bootstrap, need_built, without_probe_settings
from peers import peers

CLIENT_CPU, SERVER_CPU = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_cpu(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def wait_for(port, process):
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode} before it listened")
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port} after 30 s")


def process_cpu_ns(pid):
    """CPU time of all threads of a process, ended ones too: its CPU clock, as the kernel numbers it."""
    process_wide, scheduled = 0, 2
    return time.clock_gettime_ns((~pid << 3) | process_wide | scheduled)


def tree(pid):
    """The process and its descendants."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


class Redis:
    """One connection's requests one at a time: three system calls each, little else. The hooks of I/O and waiting."""

    name, needs, pipeline = "redis", ("redis-server", "redis-benchmark"), 1
    least = 20_000  # requests a burst, so that opening its connections is a trifle
    tests = ("set", "get", "lpush", "lpop")

    def command(self, port, directory):
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]

    def load(self, port, requests):
        return ["redis-benchmark", "-p", str(port), "-n", str(max(1, requests // len(self.tests))), "-c", "32", "-P", str(self.pipeline),
                "-r", "10000", "-d", "64", "-q", "-t", ",".join(self.tests)]


class RedisPipelined(Redis):
    """Sixteen requests a packet: mostly the allocator."""

    name, pipeline = "redis, pipelined", 16


class Http:
    path, least = "/", 4_000

    def load(self, port, requests):
        return ["h2load", "--h1", "-c", "32", "-n", str(requests), f"http://127.0.0.1:{port}{self.path}"]


class Nginx(Http):
    """A file of 1 KiB over kept connections: epoll_wait, recv, open, pread, writev, close."""

    name, needs, path = "nginx", ("nginx", "h2load"), "/file"

    def command(self, port, directory):
        home = pathlib.Path(tempfile.mkdtemp(dir=directory))
        (home / "file").write_bytes(b"x" * 1024)
        home.chmod(0o755)
        places = "".join(f"  {kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (home / "nginx.conf").write_text(
            f"daemon off;\nuser root;\nworker_processes 1;\npid {home}/pid;\nerror_log {home}/error.log;\nevents {{ worker_connections 512; }}\nhttp {{\n  access_log off;\n"
            f"{places}  keepalive_requests 100000000;\n  server {{ listen 127.0.0.1:{port}; root {home}; }}\n}}\n")
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]


class CamServer(Http):
    """The example server: threads, spans, upstream calls to providers on the side."""

    name, needs, path = "cam-server", ("h2load",), "/arbitrate?prompt_size=800&strategy=balanced"

    def __init__(self):
        self.providers = None

    def command(self, port, directory):
        catalog = directory / "providers.json"
        if self.providers is None:
            self.providers = subprocess.Popen([str(BUILT / "cam-providers"), "--free-ports", "--write-catalog", str(catalog)],
                                              stdout=subprocess.DEVNULL, preexec_fn=on_cpu(CLIENT_CPU))
            for _ in range(100):
                if catalog.exists():
                    break
                time.sleep(0.05)
            time.sleep(0.3)
        return [str(BUILT / "cam-server"), "--port", str(port), "--providers", str(catalog)]

    def close(self):
        if self.providers is not None:
            self.providers.terminate()
            self.providers.wait()


class Node(Http):
    """A Node.js server that parses a query and answers JSON."""

    name, needs = "Node.js", ("node", "h2load")

    def command(self, port, directory):
        return ["node", str(ROOT / "bench/node_server.mjs"), str(port)]


SERVERS = {"redis": Redis, "redis-pipelined": RedisPipelined, "nginx": Nginx, "cam-server": CamServer, "node": Node}


class Instance:
    def __init__(self, server, variant, directory):
        self.variant, self.port = variant, free_port()
        command = server.command(self.port, directory)
        environment = without_probe_settings(**variant.environment(directory))
        if variant.is_run:
            record = pathlib.Path(tempfile.mkdtemp(dir=directory)) / "bench.camrun"
            command = [str(BUILT / "camprobe"), "run", "-o", str(record), "--", *command]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=on_cpu(SERVER_CPU))
        self.beside = None
        try:
            wait_for(self.port, self.process)
            target = self.process.pid
            if variant.is_run:
                os.sched_setaffinity(target, {CLIENT_CPU})
                for task in os.listdir(f"/proc/{target}/task"):
                    os.sched_setaffinity(int(task), {CLIENT_CPU})
                target = int(pathlib.Path(f"/proc/{target}/task/{target}/children").read_text().split()[0])
            self.pids = tree(target)
            if variant.attach:
                self.beside = subprocess.Popen(variant.attach(target, directory), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                               preexec_fn=on_cpu(CLIENT_CPU))
                time.sleep(0.3)
        except BaseException:
            self.close()
            raise

    def cpu_ns(self):
        return sum(process_cpu_ns(pid) for pid in self.pids)

    def burst(self, load, requests):
        """CPU nanoseconds of the server, and seconds, for one burst."""
        before, began = self.cpu_ns(), time.monotonic()
        done = subprocess.run(load, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=on_cpu(CLIENT_CPU), timeout=120)
        took = time.monotonic() - began
        if done.returncode != 0:
            raise RuntimeError(f"{load[0]} ended with status {done.returncode}: {done.stdout[-300:]}")
        if (counts := re.search(r"requests: (\d+) total, .* (\d+) succeeded", done.stdout)) and counts[1] != counts[2]:
            raise RuntimeError(f"{counts[2]} of {counts[1]} requests succeeded")
        return (self.cpu_ns() - before) / requests, took

    def close(self):
        if self.beside is not None:
            self.beside.send_signal(signal.SIGINT)
            self.beside.wait(60)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Variant:
    def __init__(self, name, environment=None, is_run=False, attach=None, against="bare", reach=None):
        self.name, self.is_run, self.attach, self.against, self.reach = name, is_run, attach, against, reach
        self.environment = environment or (lambda scratch: {})


def measure(server, variants, options, directory, report):
    """Bursts for every variant; rows into the report."""
    cpu = {variant.name: [] for variant in variants}  # a cluster a pair of instances, a burst's logarithm in each
    rate = {variant.name: [] for variant in variants}
    requests = None
    for start in range(options.starts):
        alive = []
        try:
            for _ in range(options.instances):
                batch = []
                alive.append(batch)
                for variant in random.sample(variants, len(variants)):
                    batch.append(Instance(server, variant, directory))
            everyone = [instance for batch in alive for instance in batch]
            if requests is None:  # so many that a burst on the bare server lasts as long as asked for
                bare = next(instance for instance in everyone if instance.variant.name == "bare")
                tried = server.least
                bare.burst(server.load(bare.port, tried), tried)
                _, took = bare.burst(server.load(bare.port, tried), tried)
                requests = max(server.least, int(tried * options.burst_seconds / took) // 400 * 400)
            for instance in everyone:  # caches, pools, JITs and the probe's interval settle; not counted
                for _ in range(options.warm_up):
                    instance.burst(server.load(instance.port, requests), requests)
            for batch in alive:
                for variant in variants:
                    cpu[variant.name].append([])
                    rate[variant.name].append([])
            for _ in range(options.bursts):
                for number, batch in enumerate(alive):
                    for instance in random.sample(batch, len(batch)):
                        used, took = instance.burst(server.load(instance.port, requests), requests)
                        where = number - len(alive)
                        cpu[instance.variant.name][where].append(math.log(used))
                        rate[instance.variant.name][where].append(-math.log(took / requests))
        finally:
            for batch in alive:
                for instance in batch:
                    instance.close()
        print(f"  {server.name}: start {start + 1} of {options.starts} done", file=sys.stderr, flush=True)
    bare_us = math.exp(statistics.median(value for cluster in cpu["bare"] for value in cluster)) / 1000
    bare_rate = math.exp(statistics.median(value for cluster in rate["bare"] for value in cluster))
    print(f"{server.name}: {bare_us:.2f} us of CPU a request without the probe, {bare_rate:.0f} requests/s, {requests} a burst")
    for variant in variants:
        if variant.name == "bare":
            continue
        for what, logs, reach in (("CPU per request", cpu, variant.reach), ("throughput", rate, None)):
            clusters = [[mine - base for mine, base in zip(one, other)] for one, other in zip(logs[variant.name], logs[variant.against])]
            triple = tuple(math.exp(value) for value in hierarchical_bootstrap(clusters))
            more = {"bare_us_per_request": bare_us} if logs is cpu else {"bare_requests_per_second": bare_rate}
            if logs is cpu and reach is not None:
                more["upper_end_inside"] = triple[2] <= 1.02
            report.add(f"{server.name}: {what}", f"{variant.name}: {what}", variant.against, "ratio", triple, len(clusters) * len(clusters[0]),
                       interval=f"95 %, hierarchical bootstrap over {len(clusters)} pairs of instances", reach=reach, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--starts", type=int, default=3, help="times that all instances are started anew (default 3)")
    parser.add_argument("--instances", type=int, default=2, help="instances of each variant alive at once (default 2)")
    parser.add_argument("--bursts", type=int, default=6, help="bursts for each instance (default 6)")
    parser.add_argument("--warm-up", type=int, default=3, help="bursts before them, not counted (default 3)")
    parser.add_argument("--burst-seconds", type=float, default=0.25, help="length of a burst on the bare server (default 0.25)")
    parser.add_argument("--run", action="store_true", help="also `camprobe run`")
    parser.add_argument("--peers", action="store_true", help="also other tools (bench/peers.py)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the probe's, as CAMPROBE_FAMILIES=heap")
    parser.add_argument("--json", help="write the figures there as well")
    options = parser.parse_args()
    need_built(PROBE)
    report = Report("servers")
    settings = dict(pair.split("=", 1) for pair in options.set)
    variants = [Variant("bare"), Variant("probe", lambda scratch: {"LD_PRELOAD": str(PROBE), **settings}, reach=1.01)]
    if options.run:
        variants.append(Variant("run", lambda scratch: settings, is_run=True))
    if options.peers:
        for peer in peers():
            if peer.missing:
                report.skip(peer.name, peer.missing)
            else:
                variants.append(Variant(peer.name, peer.environment, attach=peer.attach, against=peer.against))
    names = {variant.name for variant in variants}
    for variant in variants:
        if variant.against not in names:
            variant.against = "bare"
    with tempfile.TemporaryDirectory(prefix="camprobe-bench-") as scratch:
        directory = pathlib.Path(scratch)
        directory.chmod(0o755)
        for name in options.server:
            server = SERVERS[name]()
            if missing := next((program for program in server.needs if shutil.which(program) is None), None):
                report.skip(server.name, f"{missing} is not installed (scripts/setup)")
                continue
            if name == "cam-server" and not (BUILT / "cam-server").exists():
                report.skip(server.name, "not built (scripts/build)")
                continue
            try:
                measure(server, variants, options, directory, report)
            except (RuntimeError, subprocess.TimeoutExpired) as problem:
                report.skip(server.name, str(problem))
            finally:
                if hasattr(server, "close"):
                    server.close()
    report.write(options.json)


if __name__ == "__main__":
    main()
