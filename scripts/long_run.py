"""scripts/long-run [--minutes N] [--rate R] [--build DIR] [--keep DIR]: one real run of hours, held against the truth.

cam-server leaks slowly under an even, bounded load (h2load), and one run file holds all of it:

  at a sixth of the time       the server is ended and started again, and becomes another process of the same run
  at half of the time          the collector is killed (SIGKILL), and `camprobe attach --resume` goes on

Once ten minutes a line says what the collector and the file take. At the end the load tool's results go into the run, and each
promise is checked: what a killed collector loses, what the file and the collector take, the leak and its rate against what the
server itself counted, nothing else accused. The exit code is 1, with the reasons, if one is not kept.

Programs and library are copied first, so build/ may change meanwhile. Everything runs on 127.0.0.1, on free ports, and is
ended by its pid.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from started_programs import children_of, copy_of_build, end, free_port, listens, start_providers, status_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of requests. Enough that each life is surely above a hundredth of a large machine's memory a day, the least that matters.
LEAK = {"bytes": 1024, "share": 0.2}
LIMITS = {"collector_mib": 64, "file_mib": 100, "lost_seconds": 1.0}  # the first two are meant for 72 hours


def server_stats(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/stats")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def ask(run, query, *values):
    with sqlite3.connect(f"file:{run}?mode=ro", uri=True, timeout=20) as database:
        return database.execute(query, values).fetchall()


class LongRun:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.seconds = options.minutes * 60
        self.camprobe, self.run = directory / "bin/camprobe", directory / "long.camrun"
        self.catalog, self.load_results = directory / "providers.json", directory / "load.log"
        self.started, self.truth = [], 0.0
        self.collector_peak_kib = 0
        self.kept_output = open(directory / "output", "w+", encoding="utf-8")

    def start(self, *command, **environment):
        process = subprocess.Popen([str(part) for part in command], cwd=self.directory, env=dict(os.environ, **environment),
                                   stdout=self.kept_output, stderr=subprocess.STDOUT)
        self.started.append(process)
        return process

    def fail(self, why):
        self.kept_output.seek(0)
        raise SystemExit(f"long-run: {why}: {self.kept_output.read().strip()[-600:]}")

    def wait_for(self, condition, what, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if condition():
                return
            time.sleep(0.1)
        self.fail(f"{what} did not come in {seconds} s")

    def server_command(self, port):
        leak = f"heap-leak={LEAK['bytes']}:{LEAK['share']}"
        return [self.directory / "bin/cam-server", "--port", port, "--providers", self.catalog, "--fault", leak]

    def load(self, port, seconds, part):
        url = f"http://127.0.0.1:{port}"
        return self.start("h2load", "--h1", "-c", 8, "-D", int(seconds), "--rps", self.options.rate / 8, f"--log-file=load.{part}",
                          f"{url}/arbitrate?prompt_size=800&strategy=balanced", f"{url}/collaborate?agents=3&question=route")

    def watch(self, collector, until):
        """Looks at the collector until then; a line every ten minutes."""
        while time.monotonic() < until:
            if collector.poll() is not None:
                self.fail(f"the collector ended with exit code {collector.returncode}")
            self.collector_peak_kib = max(self.collector_peak_kib, int(status_of(collector.pid)["VmHWM"].split()[0]))
            minute = int((time.monotonic() - self.began) / 60)
            if minute >= self.said + 10:
                self.said = minute
                size = sum(path.stat().st_size for path in self.directory.glob("long.camrun*"))
                recorded = ask(self.run, "SELECT coalesce(max(second), 0) FROM point")[0][0]
                print(f"{minute:4d} min  collector {int(status_of(collector.pid)['VmRSS'].split()[0]) / 1024:.1f} MiB"
                      f" (at most {self.collector_peak_kib / 1024:.1f})  run {size / 2**20:.2f} MiB, {recorded} s in it", flush=True)
            time.sleep(min(5.0, max(0.1, until - time.monotonic())))

    def attach(self, *more):
        return self.start(self.camprobe, "attach", "-q", "--no-report", "--resume", self.run, *more)

    def last_truth(self, port):
        stats = server_stats(port)
        self.truth = stats["faults"]["heap-leak"]["bytes_held"] / stats["requests"] * 1000

    def record(self):
        self.began, self.said = time.monotonic(), 0
        self.started.append(start_providers(self.directory, self.catalog, self.kept_output))
        port = free_port()
        collector = self.start(self.camprobe, "run", "-q", "--no-report", "-o", self.run, "--", *self.server_command(port))
        self.wait_for(lambda: listens(port), "cam-server")
        server, = children_of(collector.pid)
        load = self.load(port, self.seconds / 6, 1)
        self.watch(collector, self.began + self.seconds / 6)

        print("the server is started again", flush=True)
        load.wait(60)
        os.kill(server, signal.SIGTERM)
        collector.wait(120)
        run_id = ask(self.run, "SELECT value FROM meta WHERE key = 'run_id'")[0][0]
        port = free_port()
        again = self.start(*self.server_command(port), LD_PRELOAD=str(self.directory / "lib/libcamprobe.so"), CAMPROBE_RUN=run_id)
        self.wait_for(lambda: listens(port), "the second cam-server")
        collector = self.attach("--load-results", self.load_results)
        load = self.load(port, self.began + self.seconds - 15 - time.monotonic(), 2)
        self.watch(collector, self.began + self.seconds / 2)

        print("the collector is killed", flush=True)
        collector.kill()
        collector.wait()
        collector = self.attach("--load-results", self.load_results)
        self.watch(collector, self.began + self.seconds - 10)
        load.wait(60)
        self.last_truth(port)
        # h2load's lines say when each request began, so two logs after each other are one.
        with open(self.load_results, "wb") as both:
            for part in (1, 2):
                both.write((self.directory / f"load.{part}").read_bytes())
        again.terminate()
        again.wait(60)
        if collector.wait(300) != 0:
            self.fail(f"the last collector ended with exit code {collector.returncode}")

    def check(self):
        failures = []

        def hold(is_kept, what):
            print(f"  {'kept ' if is_kept else 'BROKEN'} {what}", flush=True)
            if not is_kept:
                failures.append(what)

        began = time.monotonic()
        report = json.loads(subprocess.run([self.camprobe, "report", "--format", "json", self.run], capture_output=True, text=True,
                                           check=True).stdout)
        print(f"the report took {time.monotonic() - began:.1f} s; verdict: {report['verdict']}")
        processes = ask(self.run, "SELECT id FROM process ORDER BY id")
        hold(len(processes) == 2, f"two processes in one run: {len(processes)}")
        hold(ask(self.run, "SELECT value FROM meta WHERE key = 'state'")[0][0] == "complete", "the run is complete")
        size = self.run.stat().st_size / 2**20
        folds = ask(self.run, "SELECT width, until FROM folded ORDER BY width")
        hold(size < LIMITS["file_mib"], f"{size:.2f} MiB for {report['run']['seconds'] / 3600:.2f} hours; folded: "
             + (", ".join(f"to {width} s until {until} s" for width, until in folds) or "nothing yet"))
        hold(self.collector_peak_kib / 1024 < LIMITS["collector_mib"], f"the collector took at most {self.collector_peak_kib / 1024:.1f} MiB")
        resumed_ns = ask(self.run, "SELECT max(at_ns) FROM mark WHERE source = 'collector' AND text LIKE 'recording went on%'")[0][0]
        width, = ask(self.run, "SELECT coalesce(max(width), 1) FROM folded WHERE until > ?", resumed_ns / 1e9)[0]
        seconds = [second for second, in ask(
            self.run, "SELECT DISTINCT p.second FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = 'process_resident_bytes' "
            "AND p.process = 2 AND abs(p.second - ?) < 300 ORDER BY 1", resumed_ns / 1e9)]
        gap = max(later - earlier for earlier, later in zip(seconds, seconds[1:])) - width
        hold(gap <= LIMITS["lost_seconds"], f"the series around the killed collector: {gap} s without a value, in buckets of {width} s")
        sent = sum(1 for _ in open(self.load_results, "rb"))
        loaded, = ask(self.run, "SELECT sum(requests) FROM load_bucket WHERE endpoint = ''")[0]
        hold(sent == loaded, f"{sent} requests in the load tool's log, {loaded} in the run")

        leaks = [finding for finding in report["findings"] if finding["verdict"] == "leaks"]
        found = [leak for leak in leaks if any("remember_forever" in frame["function"] for frame in leak["where"]["stack"])]
        hold(bool(found), f"the leak is found ({len(found)} finding)")
        hold(len(leaks) == len(found), f"nothing else is accused ({len(leaks) - len(found)})")
        lives = [evidence["text"] for leak in found for evidence in leak["evidence"] if "leaked there as well" in evidence["text"]]
        hold(len(found) == 1 and len(lives) == 1, f"it is one finding, and the first server's leak is in it: {lives}")
        for leak in found:
            rate = leak["per_1000_requests"]
            hold(rate["low"] <= self.truth <= rate["high"],
                 f"per 1,000 requests: {rate['value']:,.0f} bytes [{rate['low']:,.0f}, {rate['high']:,.0f}]; the server counted {self.truth:,.0f}")
        degraded = [finding["title"] for finding in report["findings"] if finding["kind"] == "degradation" and finding["confirmed"]]
        hold(not degraded, f"no degradation is claimed: {degraded}")
        return failures

    def stop(self):
        for process in reversed(self.started):
            end(process)
        self.kept_output.close()
        # A collector that was killed left its server behind.
        if self.run.exists():
            for pid, in ask(self.run, "SELECT pid FROM process"):
                maps = pathlib.Path(f"/proc/{pid}/maps")
                if maps.exists() and str(self.directory) in maps.read_text():
                    os.kill(pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=125, help="how long (125)")
    parser.add_argument("--rate", type=int, default=104, help="requests a second (104)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="where bin/ and lib/ are (build)")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the run in this directory")
    options = parser.parse_args()
    if options.minutes < 30 or options.rate < 8:
        parser.error("--minutes is at least 30 (the leak is slow), --rate at least 8")
    with copy_of_build("long-run", options.build, needs="h2load") as directory:
        long_run = LongRun(options, directory)
        try:
            long_run.record()
            failures = long_run.check()
        finally:
            long_run.stop()
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                for run in directory.glob("long.camrun*"):
                    shutil.copy(run, options.keep)
    for failure in failures:
        print(f"long-run: FAIL: {failure}")
    if failures:
        sys.exit(1)
    print(f"long-run: PASS: {options.minutes} minutes, through a killed collector and a restarted server")


if __name__ == "__main__":
    main()
