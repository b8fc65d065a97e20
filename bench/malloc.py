#!/usr/bin/env python3
"""What the probe adds to a malloc and a free, over an interposer that only jumps.

    bench/malloc.py [--rounds N] [--seconds S] [--json FILE]

Every round runs every variant once, in another order, so that whatever the machine does meanwhile falls on all alike; a
variant's cost is the median over rounds of its difference to the pass-through in the same round, and the spread is the
range that the middle half of the rounds lies in.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROBE = str(ROOT / "build/lib/libcamprobe.so")
PASSTHROUGH = str(ROOT / "build/lib/libpassthrough.so")
BENCH = str(ROOT / "build/bin/malloc_bench")

VARIANTS = {
    "bare": ({}, 0),
    "passthrough": ({"LD_PRELOAD": PASSTHROUGH}, 0),
    "camprobe off": ({"LD_PRELOAD": PROBE, "CAMPROBE_FAMILIES": "none"}, 0),
    "camprobe 512KiB": ({"LD_PRELOAD": PROBE, "CAMPROBE_HEAP_INTERVAL": "512KiB"}, 0),
    "camprobe auto": ({"LD_PRELOAD": PROBE}, 0),
    "camprobe 512KiB aged": ({"LD_PRELOAD": PROBE, "CAMPROBE_HEAP_INTERVAL": "512KiB"}, 20),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.5, help="per measurement")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()

    results = []
    for threads in options.threads:
        rounds = []
        for _ in range(options.rounds):
            order = list(VARIANTS)
            random.shuffle(order)
            measured = {}
            for name in order:
                environment, age = VARIANTS[name]
                out = subprocess.run([BENCH, str(threads), str(options.seconds), str(age)], env={**os.environ, **environment},
                                     check=True, capture_output=True, text=True).stdout
                measured[name] = float(out)
            rounds.append(measured)
        print(f"{threads} thread{'s' if threads > 1 else ''}, {options.rounds} rounds: ns a pair, and over the pass-through")
        for name in VARIANTS:
            values = [measured[name] for measured in rounds]
            over = sorted(measured[name] - measured["passthrough"] for measured in rounds)
            ratio = sorted(measured[name] / measured["passthrough"] for measured in rounds)
            quarter = len(over) // 4
            row = {"threads": threads, "variant": name, "ns": statistics.median(values), "over_passthrough_ns": statistics.median(over),
                   "over_passthrough_ns_middle_half": [over[quarter], over[-1 - quarter]], "ratio": statistics.median(ratio),
                   "ratio_middle_half": [ratio[quarter], ratio[-1 - quarter]], "all_ns": values}
            results.append(row)
            print(f"  {name:22} {row['ns']:7.2f}   {row['over_passthrough_ns']:+6.2f}  [{over[quarter]:+.2f}, {over[-1 - quarter]:+.2f}]   x{row['ratio']:.3f}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"benchmark": "malloc", "cpus": os.cpu_count(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
