#!/usr/bin/env python3
"""What the probe adds to the life of a program that does nothing, and what memory it takes.

    bench/start.py [--runs N] [--threads N ...] [--json FILE]

Start-up: /bin/true from its spawn to its end, with and without the probe in turn, so that both see the same machine; and a fork
whose child ends at once. Memory: a program of so many threads, each of which has allocated, written to a pipe and been
sampled a few times: private dirty memory and the region, over the same program without the probe.
"""
import argparse
import os
import random
import subprocess
import time

from measurement import BUILT, PROBE, Program, Report, interleaved, median_interval, need_built, without_probe_settings


def milliseconds(environment, command=("/bin/true",)):
    began = time.perf_counter_ns()
    pid = os.posix_spawn(command[0], list(command), environment)
    os.waitpid(pid, 0)
    return (time.perf_counter_ns() - began) / 1e6


def start_up(options, report):
    environments = {"bare": without_probe_settings(), "probe": without_probe_settings(LD_PRELOAD=str(PROBE))}
    differences, bare = [], []
    for _ in range(options.runs):
        took = {name: milliseconds(environments[name]) for name in random.sample(list(environments), 2)}
        differences.append(took["probe"] - took["bare"])
        bare.append(took["bare"])
    print(f"start-up of /bin/true: {median_interval(bare)[0]:.2f} ms without the probe")
    report.add("start-up of /bin/true", "start-up", "bare", "ms", median_interval(differences), options.runs, reach=3.0, bare_ms=median_interval(bare)[0])


def fork(options, report):
    count = 20
    variants = {"bare": {}, "probe": {"LD_PRELOAD": str(PROBE)}}
    results, _, broken = interleaved({name: lambda environment=environment: Program([BUILT / "fork_bench", count], environment)
                                      for name, environment in variants.items()}, 1, max(3, options.runs // count))
    for name, why in broken.items():
        report.skip(f"fork, {name}", why)
    if broken:
        return
    differences = [(mine[0] - base[0]) / 1000 for mine, base in zip(results["probe"][0], results["bare"][0])]
    report.add("fork and end of a child", "fork", "bare", "ms", median_interval(differences), len(differences), reach=3.0)


def memory(options, report):
    for threads in options.threads:
        held = {}
        for name, environment in (("bare", {}), ("probe", {"LD_PRELOAD": str(PROBE)})):
            run = subprocess.run([BUILT / "threads_bench", "memory", str(threads)], env=without_probe_settings(**environment), stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, check=True, timeout=300)
            held[name] = [int(word) for word in run.stdout.split()]
        own, region = held["probe"][0] - held["bare"][0], held["probe"][1]
        mib = (own + region) / 1024
        report.add(f"memory, {threads} threads", f"memory, {threads} threads", "bare", "MiB", (mib, mib, mib), 1, interval="none: one run",
                   reach=16 + threads * 4 / 1024, private_dirty_mib=own / 1024, region_mib=region / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="starts of each (default 300)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 100, 1000], help="for the memory (default 1 100 1000)")
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()
    need_built(PROBE, BUILT / "fork_bench", BUILT / "threads_bench")
    report = Report("start")
    start_up(options, report)
    fork(options, report)
    memory(options, report)
    report.write(options.json)


if __name__ == "__main__":
    main()
