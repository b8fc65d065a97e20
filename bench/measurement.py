"""What the benchmarks share: how a comparison becomes a figure with its spread, and the one shape of their JSON.

Everything here compares: a figure is a difference or a ratio between two variants that ran next to each other, never a
time alone. Two ways to its spread:

  median_interval()         of differences from independent rounds: the order statistics that cover the true median with
                            at least 95 %. No assumption about the distribution.
  hierarchical_bootstrap()  of ratios that come in clusters. Bursts of load on one started server are no independent
                            measurements of "the server": where its memory came to lie makes a fresh start a percent
                            faster or slower for its whole life. So pairs of instances are drawn first, bursts inside them
                            second; with n clusters the percentile interval is too narrow by sqrt((n - 1) / n) and by the
                            normal quantile that it implies, and is widened by both.
"""
import json
import math
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROBE = ROOT / "build/lib/libcamprobe.so"
BUILT = ROOT / "build/bin"
LIBRARIES = ROOT / "build/lib"

# Two-sided 95 % quantiles of Student's t by degrees of freedom.
STUDENT = [math.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09]


def student_quantile(freedom):
    return STUDENT[freedom] if freedom < len(STUDENT) else 1.96 + 2.6 / freedom


def median_interval(values):
    """Median, and the order statistics that cover the true one with at least 95 % (all values, where they are few)."""
    ordered, n = sorted(values), len(values)
    low = 0
    while low + 1 < n / 2 and 2 * sum(math.comb(n, i) for i in range(low + 2)) / 2**n <= 0.05:
        low += 1
    return statistics.median(ordered), ordered[low], ordered[n - 1 - low]


def hierarchical_bootstrap(clusters, resamples=2000, seed=1):
    """The mean over clusters of the median within each, with its 95 % interval. `clusters`: lists of numbers."""
    generator = random.Random(seed)
    estimate = statistics.fmean(statistics.median(cluster) for cluster in clusters)
    means = []
    for _ in range(resamples):
        drawn = generator.choices(clusters, k=len(clusters))
        means.append(statistics.fmean(statistics.median(generator.choices(cluster, k=len(cluster))) for cluster in drawn))
    means.sort()
    n = len(clusters)
    if n < 2:  # nothing is known of how starts differ: the spread of the one is all there is
        return median_interval(clusters[0])
    widen = student_quantile(n - 1) / 1.96 * math.sqrt(n / (n - 1))
    low, high = means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]
    return estimate, estimate + (low - estimate) * widen, estimate + (high - estimate) * widen


def machine():
    def read(path):
        try:
            return pathlib.Path(path).read_text().strip()
        except OSError:
            return None

    model = next((line.split(":", 1)[1].strip() for line in (read("/proc/cpuinfo") or "").splitlines() if line.startswith("model name")), None)
    return {"cpus": os.cpu_count(), "model": model, "kernel": platform.release(),
            "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource"), "load_average": os.getloadavg()[0]}


class Report:
    """Rows of one benchmark, printed as they come and written as JSON at the end.

    A row: {"what", "variant", "against", "unit", "value", "low", "high", "interval", "runs", "reach", "inside", ...}. `reach`
    is the largest value that the project allows itself, `inside` whether `value` keeps to it; both null where there is
    no such promise. What could not be run is named in `skipped` with the reason.
    """

    def __init__(self, benchmark):
        self.benchmark, self.began, self.rows, self.skipped = benchmark, time.time(), [], []

    def add(self, what, variant, against, unit, triple, runs, interval="95 % of the median", reach=None, **more):
        value, low, high = triple
        inside = None if reach is None else value <= reach
        self.rows.append({"what": what, "variant": variant, "against": against, "unit": unit, "value": value, "low": low, "high": high,
                          "interval": interval, "runs": runs, "reach": reach, "inside": inside, **more})
        digits = 4 if unit == "ratio" else 2
        compared = f" over {against}" if against else ""
        judged = "" if inside is None else f"   reach {reach:g}: {'inside' if inside else 'OVER'}"
        print(f"  {variant + compared:44} {value:{'' if unit == 'ratio' else '+'}.{digits}f} {unit} [{low:.{digits}f}, {high:.{digits}f}]{judged}", flush=True)

    def skip(self, variant, why):
        self.skipped.append({"variant": variant, "why": why})
        print(f"  {variant}: left out: {why}", flush=True)

    def write(self, path):
        if path is None:
            return
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        report = {"benchmark": self.benchmark, "machine": machine(), "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.began)),
                  "seconds": round(time.time() - self.began, 1), "rows": self.rows, "skipped": self.skipped}
        pathlib.Path(path).write_text(json.dumps(report, indent=1) + "\n")


def need_built(*paths):
    for path in paths:
        if not path.exists():
            sys.exit(f"bench: {path.relative_to(ROOT)} is missing: run scripts/build first")


def without_probe_settings(**more):
    """The environment with nothing of ours in it, and then `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CAMPROBE_") and name != "LD_PRELOAD"}
    return {**kept, **more}


class Program:
    """A benchmark program that stays alive and measures once for each line on its stdin: prints "ready ..." first."""

    def __init__(self, command, environment=None, cpu=None):
        self.process = subprocess.Popen([str(part) for part in command], env=without_probe_settings(**(environment or {})), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}))
        self.ready = [float(word) for word in self._line().split()[1:]]

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{pathlib.Path(self.process.args[0]).name} ended with status {self.process.wait()}")
        return line

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [float(word) for word in self._line().split()]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def interleaved(variants, starts, rounds):
    """Starts a Program of every variant (name -> function that gives one), lets each measure once a round, in an order drawn
    anew each time, `rounds` times; all that `starts` times. Gives name -> one list a start -> one measurement a round, and
    name -> what each program said when it was ready. A variant that cannot start is left out and comes back in the third."""
    results, said, broken = {name: [] for name in variants}, {name: [] for name in variants}, {}
    for _ in range(starts):
        alive = {}
        try:
            for name in random.sample(list(variants), len(variants)):
                if name in broken:
                    continue
                try:
                    alive[name] = variants[name]()
                    said[name].append(alive[name].ready)
                    results[name].append([])
                except RuntimeError as problem:
                    broken[name] = str(problem)
            for _ in range(rounds):
                for name in random.sample(list(alive), len(alive)):
                    try:
                        results[name][-1].append(alive[name].measure())
                    except (RuntimeError, OSError) as problem:
                        broken[name] = str(problem)
                        alive.pop(name).close()
        finally:
            for program in alive.values():
                program.close()
    return {name: clusters for name, clusters in results.items() if name not in broken}, said, broken
