#!/usr/bin/env python3
"""Whether anything is lost of CPU samples at 1,000 Hz on 64 threads under a real collector, and whether their weights add up.

    bench/losses.py [--threads N] [--seconds S] [--hz N] [--json FILE]

Starts `camprobe run` on a program whose threads all spin for as many seconds of their own CPU time, and holds the run file
against what the program counted itself. Ends with 1 where a record was lost, or where weights and CPU time differ by more
than two periods and 2 % a thread: a timer's first tick comes at a random phase, and a thread's last period has none.
"""
import argparse
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

from measurement import BUILT, Report, need_built, without_probe_settings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5, help="of CPU time, each thread (default 0.5)")
    parser.add_argument("--hz", type=int, default=1000)
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()
    camprobe, program = BUILT / "camprobe", BUILT / "threads_bench"
    need_built(camprobe, program)
    report = Report("losses")
    with tempfile.TemporaryDirectory(prefix="camprobe-bench-") as scratch:
        run_file = pathlib.Path(scratch) / "losses.camrun"
        run = subprocess.run([camprobe, "run", "-o", run_file, "--", program, "busy", str(options.threads), str(options.seconds)],
                             env=without_probe_settings(CAMPROBE_CPU_HZ=str(options.hz)), capture_output=True, text=True, timeout=600)
        if run.returncode != 0:
            sys.exit(f"losses: camprobe run ended with status {run.returncode}: {run.stderr}")
        cpu_ns = float(next(line for line in run.stdout.splitlines() if line.isdigit()))
        run_db = sqlite3.connect(f"file:{run_file}?mode=ro", uri=True)
        samples, weight_ns, threads = run_db.execute("SELECT sum(samples), sum(weight_ns), count(DISTINCT thread) FROM cpu").fetchone()
        lost = dict(run_db.execute("SELECT kind, sum(records) FROM lost GROUP BY kind"))
        run_db.close()
    lost = {kind: count for kind, count in lost.items() if count}
    share = weight_ns / cpu_ns
    allowed = 0.02 + options.threads * 2 * (1e9 / options.hz) / cpu_ns
    print(f"{options.threads} threads at {options.hz} Hz: {cpu_ns / 1e9:.2f} s of CPU time, {samples} samples of {threads} threads, lost {json.dumps(lost) if lost else 'nothing'}")
    report.add("records lost", "records lost", None, "records", (sum(lost.values()),) * 3, 1, interval="none: a count", reach=0, lost=lost)
    report.add("weights over CPU time", "sum of weights", "CPU time", "ratio", (share,) * 3, 1, interval="none: a count", samples=samples,
               threads=options.threads, hz=options.hz)
    report.write(options.json)
    if lost or abs(share - 1) > allowed or threads < options.threads:
        sys.exit(f"losses: lost {lost}, weights are {share:.4f} of the CPU time (1 within {allowed:.4f} expected), {threads} of {options.threads} threads seen")


if __name__ == "__main__":
    main()
