#!/usr/bin/env python3
"""Whether the probe stays inside its budget on a program whose allocation rate changes a thousandfold in steps.

    bench/budget.py [--pairs N] [--rounds N] [--budget 1%] [--rates BYTES...] [--json FILE]

The program (tests/e2e/stepped_allocator.cc) does the same fixed work with and without the probe, in turn; what the probe costs is
seen from outside as the CPU time of each step with it over that without, and from inside as the probe's own measure (probe_ns over
the CPU time that the kernel counted). Printed for each step: allocation rate, the interval that held at its end, both costs, and per
stack the estimate over the truth with its standard error; medians over the pairs, of the outside ratio with the interval that covers the true
median with 95 % confidence (order statistics). About 20 s a pair and a minute at the end at the default rounds; exits with 1 where the budget was left.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402
import steps  # noqa: E402


def covering_median(values):
    """The narrowest pair of order statistics around the true median with at least 95 % confidence; the extremes of few values."""
    ordered, n = sorted(values), len(values)
    for k in range(n // 2, -1, -1):
        outside = 2 * sum(math.comb(n, i) for i in range(k)) / 2 ** n
        if outside <= 0.05:
            return ordered[k - 1] if k > 0 else ordered[0], ordered[n - k] if k > 0 else ordered[-1]
    return ordered[0], ordered[-1]


def bare(command):
    return steps.read(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def probed(command, budget, directory):
    """The steps under camprobe run, and what the run says of each."""
    path = directory / "budget.camrun"
    result = harness.camprobe("run", "-q", "-o", path, "--overwrite", "--", *command, timeout=1200, env={**os.environ, "CAMPROBE_BUDGET": budget})
    if result.returncode != 0:
        sys.exit(f"budget: camprobe run failed: {result.stderr}")
    run, truth = harness.Run(path), steps.read(result.stdout)
    held = steps.intervals(run)
    stacks = []
    for step in truth:
        # Only whole seconds of the step are its own: the truth is scaled by their share of its rounds, which take the same time each.
        row = {}
        for name, (size, objects) in step.stacks.items():
            if objects == 0:
                continue
            total, error = steps.estimate(run, name, math.ceil(step.began_s(run)), math.floor(step.ended_s(run)))
            part = (math.floor(step.ended_s(run)) - math.ceil(step.began_s(run))) / (step.ended_s(run) - step.began_s(run))
            row[name] = {"estimate": total, "truth": size * objects * part, "error": error}
        stacks.append(row)
    whole = {}
    for name, (size, objects) in steps.totals(truth).items():
        total, error = steps.estimate(run, name)
        whole[name] = {"estimate": total, "truth": size * objects, "error": error}
    return truth, {"own_share": steps.probe_shares(run, truth), "interval": [steps.interval_at(held, step.ended_s(run)) for step in truth],
                   "stacks": stacks, "whole": whole,
                   "lost": dict(run.rows("SELECT kind, SUM(records) FROM lost GROUP BY kind"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=6000, help="of about a millisecond, in each step")
    parser.add_argument("--budget", default="1%")
    parser.add_argument("--rates", type=int, nargs="+", default=[2_000, 20_000, 200_000, 2_000_000, 200_000, 20_000, 2_000], help="bytes a round, one a step")
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()
    budget = float(options.budget.rstrip("%")) / 100
    command = [steps.PROGRAM, str(options.rounds), *map(str, options.rates)]

    pairs = []
    with tempfile.TemporaryDirectory(prefix="camprobe-budget-") as directory:
        for pair in range(options.pairs):
            if pair % 2 == 0:
                without = bare(command)
                with_, said = probed(command, options.budget, pathlib.Path(directory))
            else:
                with_, said = probed(command, options.budget, pathlib.Path(directory))
                without = bare(command)
            pairs.append((without, with_, said))

    results, is_inside = [], True
    print(f"{options.pairs} pairs, budget {budget:.2%}: by step; cost in CPU time from inside (probe's own measure) and outside (with over without)")
    print(f"{'MB/s':>8} {'interval':>9} {'inside':>7} {'worst':>7}   outside (95 %)")
    for i, rate in enumerate(options.rates):
        inside = [said["own_share"][i] for _, _, said in pairs]
        outside = [with_[i].cpu_ns / without[i].cpu_ns - 1 for without, with_, _ in pairs]
        low, high = covering_median(outside)
        row = {"bytes_a_round": rate, "bytes_per_cpu_second": statistics.median(without[i].rate() for without, _, _ in pairs),
               "interval": statistics.median(said["interval"][i] for _, _, said in pairs), "inside": statistics.median(inside), "inside_worst": max(inside),
               "outside": statistics.median(outside), "outside_95": [low, high], "all_inside": inside, "all_outside": outside,
               "stacks": [said["stacks"][i] for _, _, said in pairs]}
        results.append(row)
        is_inside &= row["inside_worst"] <= budget
        print(f"{row['bytes_per_cpu_second'] / 1e6:8.1f} {row['interval'] / 1024:6.0f}KiB {row['inside']:7.2%} {row['inside_worst']:7.2%}   "
              f"{row['outside']:+.2%} [{low:+.2%}, {high:+.2%}]")
    # What the collector came too late for (a busy machine) is missing from the estimates, and the run says how much.
    for number, (_, _, said) in enumerate(pairs):
        if said["lost"]:
            print(f"pair {number}: records were lost, so its estimates are low: {said['lost']}")
    print("estimate over truth, whole run (standard error, and how many of them it is off):")
    is_unbiased = True
    for name in pairs[0][2]["whole"]:
        for number, (_, _, said) in enumerate(pairs):
            entry = said["whole"][name]
            off = (entry["estimate"] - entry["truth"]) / entry["error"] if entry["error"] > 0 else 0
            is_unbiased &= abs(off) <= 6 or bool(said["lost"])
            if number < 3:
                print(f"  {name:17} {entry['estimate'] / entry['truth']:.4f} ({entry['error'] / entry['truth']:.4f}, {off:+.1f})")
        scores = [(said["whole"][name]["estimate"] - said["whole"][name]["truth"]) / said["whole"][name]["error"] for _, _, said in pairs]
        print(f"  {name:17} mean of {len(scores)} runs off by {statistics.mean(scores):+.2f} standard errors (+- {1 / math.sqrt(len(scores)):.2f} is chance)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({
            "benchmark": "budget", "cpus": os.cpu_count(), "budget": budget, "rounds": options.rounds, "pairs": options.pairs, "steps": results,
            "lost": [said["lost"] for _, _, said in pairs], "whole": [said["whole"] for _, _, said in pairs]}, indent=1) + "\n")
    if not is_inside or not is_unbiased:
        print("budget: " + ("the probe's own measure left the budget" if not is_inside else "an estimate is more than six standard errors off"))
        sys.exit(1)


if __name__ == "__main__":
    main()
