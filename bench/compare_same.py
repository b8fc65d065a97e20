#!/usr/bin/env python3
"""How often `camprobe compare` is wrong on real runs: cam-server recorded again and again, unchanged, and compared with
itself.

    bench/compare_same.py [--runs N] [--seconds S] [--side K]

N recordings of S seconds each; neighbouring groups of K are compared with each other. Prints each metric's share
of worse, better, same and cannot tell, and how much runs differed: the standard deviation between runs, which the table
"usual deviation" in docs/comparing.md assumes. Takes N times (S + about 5) seconds. Wants a quiet machine.
"""
import argparse
import collections
import json
import math
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--side", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="camprobe-same-") as directory:
        runs = []
        for i in range(options.runs):
            runs.append(pathlib.Path(directory) / f"{i}.camrun")
            subprocess.run([ROOT / "examples/ci/record", runs[-1], str(options.seconds)], check=True)
        verdicts = collections.defaultdict(collections.Counter)
        values = collections.defaultdict(list)
        pairs = any_worse = 0
        groups = [runs[i:i + options.side] for i in range(0, len(runs) - options.side + 1, options.side)]
        for i in range(0, len(groups) - 1, 2):
            command = [ROOT / "build/bin/camprobe", "compare", "--format", "json"]
            for run in groups[i]:
                command += ["--base", run]
            done = subprocess.run(command + groups[i + 1], check=True, capture_output=True, text=True)
            comparison = json.loads(done.stdout)
            pairs += 1
            any_worse += comparison["verdict"] == "worse"
            for figure in comparison["figures"]:
                if figure["endpoint"] is None:
                    verdicts[figure["metric"]][figure["verdict"]] += 1
                    for side in ("base", "other"):
                        if figure[side] and figure["change_is"] == "relative" and figure[side]["value"] > 0:
                            values[figure["metric"]].append(math.log(figure[side]["value"]))
        print(f"{pairs} comparisons of an unchanged program, {options.side} runs of {options.seconds} s a side: "
              f"any figure worse in {any_worse}")
        print("| metric | worse | better | same | cannot tell | deviation between sides |\n|---|---|---|---|---|---|")
        for metric, counts in sorted(verdicts.items()):
            spread = f"{100 * statistics.stdev(values[metric]):.1f} %" if len(values[metric]) > 2 else "-"
            print(f"| {metric} | " + " | ".join(str(counts[v]) for v in ("worse", "better", "same", "cannot tell")) + f" | {spread} |")


if __name__ == "__main__":
    main()
