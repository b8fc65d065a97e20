"""scripts/soak [--minutes N] [--rate R] [--build DIR] [--json FILE]: nothing of the probe grows.

cam-server and redis (with a background save, that is a fork, each minute) run under `camprobe run` and a light, bounded load
for as long as given. Once a minute everything that a leak of the probe or of its collector would show in is read and printed
on one line a program. At the end each series is judged (scripts/growth.py says how), and the exit code is 1, with the reason,
if one grows.

What is compiled into build/ may change meanwhile: programs and library are copied first. Everything runs on 127.0.0.1, on free
ports, and is ended by its pid.
"""
import argparse
import collections
import glob
import http.client
import json
import math
import os
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

from growth import WARM_UP_MINUTES, WARM_UP_SHARE, judge
from started_programs import children_of, copy_of_build, cpu_seconds, end, free_port, listens, read, start_providers, status_of

ROOT = pathlib.Path(__file__).resolve().parent.parent

# ---------------------------------------------------------------------------------------------------------- the region

# shm/layout.h; the size of the whole region is compared before anything else is believed.
PAGE = 4096


def page_up(n):
    return (n + PAGE - 1) // PAGE * PAGE


NAME_SLOTS, NAME_ARENA, MODULES, STACK_SLOTS, STACK_ARENA = 1 << 14, 512 << 10, 2048, 1 << 15, 2 << 20
SAMPLE_TABLES, SAMPLE_SLOTS, SAMPLE_ARENA = 2, 1 << 14, 1 << 20
LIVE, DESCRIPTORS, SPANS, LANES, LONG_LANES = 1 << 16, 1 << 14, 1 << 12, 1024, 16
LONG_RINGS, SHORT_RINGS, RECORD = (4096, 512), (256, 128), 64
NAME_INDEX_AT = 2 * PAGE
STACK_INDEX_AT = NAME_INDEX_AT + page_up(64 + NAME_SLOTS * 4) + page_up(NAME_ARENA) + page_up(MODULES * 80)
SAMPLE_INDEX_AT = STACK_INDEX_AT + page_up(64 + STACK_SLOTS * 4) + page_up(STACK_ARENA)
LIVE_AT = SAMPLE_INDEX_AT + SAMPLE_TABLES * (page_up(64 + SAMPLE_SLOTS * 4) + SAMPLE_ARENA)
DESCRIPTORS_AT = LIVE_AT + page_up(LIVE * 8) + page_up(LIVE * 48)
LANES_AT = DESCRIPTORS_AT + page_up(DESCRIPTORS * 128) + page_up(SPANS * 192)
LONG_LANE, SHORT_LANE = PAGE + sum(LONG_RINGS) * RECORD, PAGE + sum(SHORT_RINGS) * RECORD
REGION_BYTES = LANES_AT + LONG_LANES * LONG_LANE + (LANES - LONG_LANES) * SHORT_LANE
PIECE = 16 << 10  # reserved at a time


def read_region(path):
    """What of a region could grow. Rings are left out of `reserved`: a thread that says little takes hours to fill its own."""
    with open(path, "rb") as file:
        header = os.pread(file.fileno(), PAGE, 0)
        magic, _, _, size = struct.unpack_from("<8sIIQ", header)
        if magic != b"CAMPROBE" or size != REGION_BYTES:
            sys.exit(f"soak: {path} has another layout than scripts/soak.py knows ({size} bytes, not {REGION_BYTES})")
        lanes, _ = struct.unpack_from("<II", header, 392)
        _, live, reserved = struct.unpack_from("<QQQ", header, 400)
        names, = struct.unpack("<Q", os.pread(file.fileno(), 8, NAME_INDEX_AT + 8))
        stacks, = struct.unpack("<Q", os.pread(file.fileno(), 8, STACK_INDEX_AT + 8))
        table = os.pread(file.fileno(), DESCRIPTORS * 128, DESCRIPTORS_AT)
        opened = sum(table[i * 128] & 1 for i in range(DESCRIPTORS))
        rings = 0
        for lane in range(lanes):
            is_long = lane < LONG_LANES
            at = LANES_AT + (lane * LONG_LANE if is_long else LONG_LANES * LONG_LANE + (lane - LONG_LANES) * SHORT_LANE)
            heads = struct.unpack("<QQ", os.pread(file.fileno(), 16, at + 128))
            for head, slots in zip(heads, LONG_RINGS if is_long else SHORT_RINGS):
                rings += math.ceil(min(head, slots) * RECORD / PIECE) * PIECE
        run_id = header[72:136].split(b"\0")[0]
        return {"reserved": reserved - rings, "rings": rings, "live": live, "stacks": stacks, "names": names,
                "descriptors": opened, "lanes": lanes}, run_id


def regions_of(run_id):
    """Region files of a run, whoever's they are."""
    count = 0
    for path in glob.glob("/dev/shm/camprobe.*"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # others' files may be anything, a pipe even
        except OSError:
            continue
        try:
            count += os.pread(fd, 64, 72).split(b"\0")[0] == run_id
        except OSError:
            pass
        finally:
            os.close(fd)
    return count


# ---------------------------------------------------------------------------------------------------------- processes


def probe_memory(pid):
    """KiB that the probe's own mappings hold in the target: what of the library is private and written to (with the
    anonymous memory that follows it, its .bss), and what of the region is resident."""
    library = region = 0
    kind, end = None, None
    for line in read(f"/proc/{pid}/smaps").splitlines():
        head = line.split(None, 5)
        if "-" in head[0] and not head[0].endswith(":"):
            low, high = (int(part, 16) for part in head[0].split("-"))
            name = head[5] if len(head) > 5 else ""
            follows = kind == "library" and low == end and name == ""
            kind = "library" if "libcamprobe.so" in name or follows else "region" if "/camprobe." in name else None
            end = high
        elif kind == "library" and line.startswith("Private_Dirty:"):
            library += int(line.split()[1])
        elif kind == "region" and line.startswith("Rss:"):
            region += int(line.split()[1])
    return library, region


class Program:
    """A server under `camprobe run`, and what is looked at each minute."""

    def __init__(self, name, camprobe, command, port, directory):
        self.name, self.port, self.run = name, port, directory / f"{name}.camrun"
        self.output = open(directory / f"{name}.output", "w+")
        self.collector = subprocess.Popen([camprobe, "run", "-q", "-o", self.run, "--", *command], stdout=self.output,
                                          stderr=subprocess.STDOUT, cwd=directory)
        self.pid = 0
        self.cpu = self.collector_cpu = 0.0
        self.seen_at = time.monotonic()
        for _ in range(300):
            if self.collector.poll() is not None:
                break
            found = children_of(self.collector.pid)
            paths = [path for child in found for path in glob.glob(f"/dev/shm/camprobe.*.{child}.*")]
            if paths and listens(port):
                self.pid, self.region = found[0], paths[0]
                return
            time.sleep(0.1)
        self.stop()
        sys.exit(f"soak: {name} did not come up with a region: {read(self.output.name).strip()}")

    def look(self):
        now = time.monotonic()
        values, run_id = read_region(self.region)
        cpu, collector_cpu, elapsed = cpu_seconds(self.pid), cpu_seconds(self.collector.pid), now - self.seen_at
        status, collector = status_of(self.pid), status_of(self.collector.pid)
        library, region = probe_memory(self.pid)
        values.update({
            "library_kib": library, "region_kib": region, "rss_kib": int(status["VmRSS"].split()[0]),
            "threads": int(status["Threads"]), "fds": len(os.listdir(f"/proc/{self.pid}/fd")),
            "timers": read(f"/proc/{self.pid}/timers").count("ID:"),
            "pending": sum(bin(int(status[mask], 16)).count("1") for mask in ("SigPnd", "ShdPnd")), "cpu": (cpu - self.cpu) / elapsed,
            "collector_rss_kib": int(collector["VmRSS"].split()[0]), "collector_threads": int(collector["Threads"]),
            "collector_fds": len(os.listdir(f"/proc/{self.collector.pid}/fd")),
            "collector_cpu": (collector_cpu - self.collector_cpu) / elapsed,
            "run_kib": sum(path.stat().st_size for path in self.run.parent.glob(self.run.name + "*")) / 1024,
            "shm_files": regions_of(run_id)})
        self.cpu, self.collector_cpu, self.seen_at = cpu, collector_cpu, now
        return values

    def stop(self):
        """The collector's exit code, which is its program's."""
        return end(self.collector, 60)


# ---------------------------------------------------------------------------------------------------------- load


class Load(threading.Thread):
    """A request at each tick of a schedule; latencies count from the tick, so that a stall shows in all it delayed."""

    def __init__(self, rate):
        super().__init__(daemon=True)
        self.rate, self.is_ending = rate, False
        self.latencies, self.errors, self.lock = [], 0, threading.Lock()

    def run(self):
        due = time.monotonic()
        while not self.is_ending:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self.once()
                ok = True
            except (OSError, ValueError, http.client.HTTPException):
                ok = False
                self.connection.close()
            with self.lock:
                self.errors += not ok
                self.latencies.append(time.monotonic() - due)
            # A server that stands still is not paid back with a burst.
            due = max(due + 1 / self.rate, time.monotonic() - 1)

    def take(self):
        with self.lock:
            taken = self.latencies, self.errors
            self.latencies, self.errors = [], 0
        return taken


class HttpLoad(Load):
    def __init__(self, port, rate):
        super().__init__(rate)
        self.random, self.sent = random.Random(7), 0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)  # connects, and again, when it has to

    def once(self):
        self.sent += 1
        if self.sent % 50 == 0:  # connections come and go
            self.connection.close()
        if self.sent % 40 == 0:
            self.connection.request("POST", "/collaborate", json.dumps({"question": f"question {self.sent}", "agents": 3}))
        else:
            strategy = self.random.choice(("cost", "latency", "balanced"))
            self.connection.request("GET", f"/arbitrate?prompt_size={self.random.randrange(100, 4000)}&strategy={strategy}")
        response = self.connection.getresponse()
        response.read()
        # The made-up providers fail at times, which the server says in its answer.
        if response.status >= 500 and response.status not in (502, 503, 504):
            raise ValueError(response.status)


class RedisLoad(Load):
    def __init__(self, port, rate):
        super().__init__(rate)
        self.port, self.random, self.sent = port, random.Random(8), 0
        self.connection = socket.socket()

    def once(self):
        self.sent += 1
        if self.sent % 200 == 0:  # connections come and go
            self.connection.close()
        if self.connection.fileno() < 0 or self.sent == 1:
            self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            self.answers = self.connection.makefile("rb")
        key, value = self.random.randrange(2000), "v" * self.random.randrange(50, 400)
        commands = [("SET", f"key:{key}", value), ("GET", f"key:{(key * 7) % 2000}"), ("LPUSH", "list", value),
                    ("LTRIM", "list", "0", "999"), ("HSET", f"hash:{key % 50}", f"field{key % 20}", value), ("INCR", "count")]
        if self.sent % round(self.rate * 60) == 0:
            commands.append(("BGSAVE",))
        text = "".join(f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words) for words in commands)
        self.connection.sendall(text.encode())
        for _ in commands:
            line = self.answers.readline()
            if line[:1] == b"-" and b"in progress" not in line or not line:
                raise ValueError(line)
            if line[:1] == b"$" and int(line[1:]) >= 0:
                self.answers.read(int(line[1:]) + 2)


# ---------------------------------------------------------------------------------------------------------- the soak

# What is judged, and the least growth an hour that is worth a word. Of a table: a hundredth of it, which fills it in 100 hours.
JUDGED = {
    "reserved": ("region bytes, rings left out", 160 << 10),
    "live": ("entries of the live table", LIVE / 100),
    "stacks": ("entries of the stack depot", STACK_SLOTS / 100),
    "names": ("entries of the name table", NAME_SLOTS / 100),
    "descriptors": ("open entries of the descriptor table", 2),
    "lanes": ("lanes", 1),
    "library_kib": ("KiB of the library's written memory", 64),
    "threads": ("threads of the server", 1),
    "fds": ("descriptors of the server", 2),
    # What a process may have in its user's signal queue: a timer holds a place there, and so does a signal not taken yet.
    "timers": ("timers of the server", 1),
    "pending": ("signals waiting in the server", 1),
    "shm_files": ("regions in /dev/shm", 1),
    "collector_rss_kib": ("KiB resident of the collector", 1024),
    "collector_threads": ("threads of the collector", 1),
    "collector_fds": ("descriptors of the collector", 2),
    "collector_cpu": ("CPU seconds a second of the collector", 0.01),
    "run_kib_a_minute": ("KiB a minute that the run file grows by", 60),
}


def line_of(minute, name, values, latencies, errors):
    def quantile(q):
        return latencies[min(len(latencies) - 1, int(q * len(latencies)))] * 1000 if latencies else float("nan")
    return (f"{minute:4d} min  {name:<10}  region {values['reserved'] / 1024:5.0f} KiB + rings {values['rings'] / 1024:5.0f}"
            f"  live {values['live']:5d}  stacks {values['stacks']:5d}  names {values['names']:3d}  fds {values['fds']:3d}"
            f" ({values['descriptors']} in the table)  threads {values['threads']:2d}  timers {values['timers']}"
            f"  library {values['library_kib']:4d} KiB  server {values['rss_kib'] / 1024:5.1f} MiB {values['cpu'] * 100:4.1f} %"
            f"  collector {values['collector_rss_kib'] / 1024:5.1f} MiB {values['collector_cpu'] * 100:4.2f} %"
            f" {values['collector_threads']} threads {values['collector_fds']} fds  run {values['run_kib'] / 1024:6.2f} MiB"
            f"  shm {values['shm_files']}  p50 {quantile(0.5):5.1f} ms p99 {quantile(0.99):6.1f} ms  errors {errors}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=65, help="how long (65)")
    parser.add_argument("--rate", type=int, default=60, help="requests a second to each server (60)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="where bin/ and lib/ are (build)")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the runs in this directory")
    parser.add_argument("--json", type=pathlib.Path, help="every value that was read, and the verdicts")
    options = parser.parse_args()
    if options.minutes < 1 or options.rate < 1:
        parser.error("--minutes and --rate are at least 1")
    with copy_of_build("soak", options.build, needs="redis-server") as directory:
        code = soak(options, directory)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            for run in directory.glob("*.camrun"):
                shutil.copy(run, options.keep)
    sys.exit(code)


def soak(options, directory):
    started, loads, programs = [], [], []
    try:
        catalog = directory / "providers.json"
        started.append(start_providers(directory, catalog, subprocess.DEVNULL))
        camprobe = directory / "bin/camprobe"
        port, redis_port = free_port(), free_port()
        programs.append(Program("cam-server", camprobe, [directory / "bin/cam-server", "--port", str(port), "--providers", catalog],
                                port, directory))
        programs.append(Program("redis", camprobe, ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "",
                                                    "--dir", directory], redis_port, directory))
        # An arbitration waits for a provider, so several are on their way at a time.
        loads = [[HttpLoad(port, options.rate / 8) for _ in range(8)], [RedisLoad(redis_port, options.rate)]]
        for load in sum(loads, []):
            load.start()
        return watch(options, programs, loads)
    finally:
        end_load(loads)
        for program in programs:
            program.stop()
        for process in started:
            end(process)


def end_load(loads):
    for load in sum(loads, []):
        load.is_ending = True
    for load in sum(loads, []):
        if load.ident is not None:
            load.join(15)


def watch(options, programs, loads):
    hours = []
    series = {program.name: collections.defaultdict(list) for program in programs}
    failures = []
    began, own_cpu = time.monotonic(), time.process_time()
    for program in programs:
        program.look()
    for minute in range(1, options.minutes + 1):
        while time.monotonic() < began + 60 * minute:
            time.sleep(min(1.0, max(0.0, began + 60 * minute - time.monotonic())))
            for program in programs:
                if program.collector.poll() is not None:
                    print(f"soak: FAIL: {program.name} ended after {minute} minutes with exit code {program.collector.returncode}: "
                          f"{read(program.output.name).strip()[-500:]}")
                    return 1
        hours.append((time.monotonic() - began) / 3600)
        for program, load in zip(programs, loads):
            values = program.look()
            taken = [one.take() for one in load]
            latencies, errors = sorted(sum((part for part, _ in taken), [])), sum(errors for _, errors in taken)
            before = series[program.name]["run_kib"]
            values["run_kib_a_minute"] = values["run_kib"] - before[-1] if before else 0
            values["errors"], values["requests"] = errors, len(latencies)
            values["p50_ms"] = latencies[len(latencies) // 2] * 1000 if latencies else 0
            for key, value in values.items():
                series[program.name][key].append(value)
            print(line_of(minute, program.name, values, latencies, errors), flush=True)
    load_cpu = (time.process_time() - own_cpu) / (time.monotonic() - began)
    for program in programs:
        of = series[program.name]
        print(f"{program.name}: {sum(of['requests'])} requests, {sum(of['errors'])} errors; server "
              f"{statistics.median(of['cpu']) * 100:.1f} %, collector {statistics.median(of['collector_cpu']) * 100:.2f} % of a core; "
              f"run file {(of['run_kib'][-1] - of['run_kib'][0]) / 1024 / max(1e-9, hours[-1] - hours[0]):.2f} MiB an hour")
        if sum(of["errors"]) > 0:
            failures.append(f"{program.name}: {sum(of['errors'])} of {sum(of['requests'])} requests failed")
    print(f"the load itself: {load_cpu * 100:.1f} % of a core")

    end_load(loads)
    verdicts = {}
    enough = sum(h >= max(WARM_UP_MINUTES / 60, hours[-1] * WARM_UP_SHARE) for h in hours) >= 12
    for program in programs:
        for key, (what, least) in JUDGED.items():
            if not enough:
                continue
            judgement = judge(hours, series[program.name][key], least)
            verdicts[f"{program.name}.{key}"] = judgement._asdict()
            p = "-" if judgement.p is None else f"{judgement.p:.2g}"
            print(f"  {program.name:<10}  {what:<42} {judgement.per_hour:+12.3f} an hour  (at most {least:g}; p {p})"
                  + ("  GROWS" if judgement.grows else ""))
            if judgement.grows:
                failures.append(f"{program.name}: {what}: {judgement.per_hour:+.3f} an hour: {judgement.why}")
    for program in programs:
        program.stop()
        left = regions_of(read_run_id(program.run))
        if left:
            failures.append(f"{program.name}: {left} regions were left in /dev/shm")
    if options.json:
        options.json.write_text(json.dumps({"hours": hours, "series": series, "verdicts": verdicts, "failures": failures}, indent=1))
    for failure in failures:
        print(f"soak: FAIL: {failure}")
    if failures:
        return 1
    if not enough:
        print(f"soak: nothing failed, but {options.minutes} minutes are too few to judge growth: at least 23")
        return 0
    print(f"soak: PASS: nothing of the probe grew in {options.minutes} minutes")
    return 0


def read_run_id(run):
    import sqlite3
    with sqlite3.connect(f"file:{run}?mode=ro", uri=True) as database:
        return database.execute("SELECT value FROM meta WHERE key = 'run_id'").fetchone()[0].encode()


if __name__ == "__main__":
    main()
