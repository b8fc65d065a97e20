#!/usr/bin/env python3
"""Runs every benchmark of the probe, one after the other, and leaves build/bench/NAME.json of each.

    bench/all.py [--long] [--only NAME ...]

About a quarter of an hour; --long takes two hours and gives intervals narrow enough to tell a percent of a server from none.
The machine should do nothing else meanwhile. A benchmark that fails does not keep the others from running.
"""
import argparse
import subprocess
import sys
import time

from measurement import ROOT

BENCHMARKS = {  # name: script and arguments, and what --long adds
    "hooks": (["hooks.py"], ["--starts", "20"]),
    "malloc": (["malloc.py"], ["--starts", "12", "--rounds", "10"]),
    "malloc-peers": (["malloc.py", "--peers", "--threads", "1", "--starts", "2", "--samples", "1000000"], ["--starts", "6"]),
    "start": (["start.py"], ["--runs", "2000"]),
    "losses": (["losses.py"], ["--seconds", "10"]),
    "servers": (["servers.py"], ["--starts", "10", "--bursts", "8", "--burst-seconds", "0.5", "--run"]),
    "servers-peers": (["servers.py", "--server", "redis-pipelined", "--peers", "--starts", "2", "--instances", "1"], ["--starts", "8"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    options = parser.parse_args()
    failed = []
    for name in options.only:
        command, longer = BENCHMARKS[name]
        command = [sys.executable, str(ROOT / "bench" / command[0]), *command[1:], *(longer if options.long else []),
                   "--json", str(ROOT / "build/bench" / f"{name}.json")]
        print(f"== {name}", flush=True)
        began = time.monotonic()
        if subprocess.run(command).returncode != 0:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - began:.0f} s\n", flush=True)
    if failed:
        sys.exit(f"all: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
