#!/usr/bin/env python3
"""Draws the dashboards' main queries as a real Prometheus shows them: cam-server under load with the probe, camprobe serve, Prometheus and
headless Chromium, for a minute and a half. The pictures in docs/ are made by this.

    scripts/dashboard_pictures.py [--seconds 75] [--to docs/pictures]
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CAMPROBE_BIN", str(ROOT / "build/bin"))
os.environ.setdefault("CAMPROBE_LIB", str(ROOT / "build/lib"))
os.environ.setdefault("CAMPROBE_TESTS", str(ROOT / "build/release/tests"))
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/serve"))
from prometheus import prometheus, with_values  # noqa: E402
from serving import harness, served  # noqa: E402
from servers import BIN, Process, call  # noqa: E402

# By dashboard: the panels that say most.
PANELS = {
    "overview": ["CPU by mode", "95th percentile by span", "Socket bytes"],
    "memory": ["Resident memory by part", "Allocated and freed", "Allocations"],
    "arbitration": ["Provider calls, 95th percentile", "Cost and baseline", "Failed provider calls"],
}


def expressions(board, titles):
    panels = {panel["title"]: panel for panel in json.loads((ROOT / f"examples/grafana/{board}.json").read_text())["panels"]}
    for title in titles:
        # `or` keeps one of two series whose labels are the same: the label `line` makes them differ.
        parts = [target["expr"] for target in panels[title]["targets"]]
        joined = " or ".join(f'label_replace({part}, "line", "{i}", "", "")' for i, part in enumerate(parts)) if len(parts) > 1 else parts[0]
        yield with_values(joined, __rate_interval="10s", process="cam-server")


def page(url, board, seconds):
    """The address of Prometheus' own graphs of those panels."""
    query = []
    for i, expression in enumerate(expressions(board, PANELS[board])):
        query += [(f"g{i}.expr", expression), (f"g{i}.tab", "0"), (f"g{i}.stacked", "0"), (f"g{i}.range_input", f"{seconds}s"),
                  (f"g{i}.step_input", "1")]
    return f"{url}/graph?{urllib.parse.urlencode(query)}"


def drive(port, done):
    draw = random.Random(1)
    i = 0
    while not done.wait(draw.uniform(0.001, 0.008)):
        i += 1
        call(port, f"/arbitrate?prompt_size={i % 400}&strategy={'cost' if i % 3 else 'latency'}")
        if i % 12 == 0:
            call(port, f"/collaborate?agents=3&question=q{i}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=75, help="how long the server is under load before the pictures")
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "docs/pictures", help="the directory of the pictures")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    providers = Process([BIN / "cam-providers", "--provider", "name=cheap,port=0,price=0.2,latency=8,errors=0.02", "--provider",
                         "name=fast,port=0,price=0.8,latency=2"], ports=2)
    mesh = Process([BIN / "cam-server", "--port", "0", "--provider", f"name=cheap,port={providers.ports[0]},price=0.2,latency=8",
                    "--provider", f"name=fast,port={providers.ports[1]},price=0.8,latency=2"], env={"LD_PRELOAD": harness.PROBE})
    done = threading.Event()
    drivers = [threading.Thread(target=drive, args=(mesh.port, done)) for _ in range(4)]
    try:
        with harness.Scratch() as scratch, served() as server, prometheus(scratch.directory, server.port) as database:
            for driver in drivers:
                driver.start()
            time.sleep(options.seconds)
            for board in PANELS:
                picture = options.to / f"{board}.png"
                subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={scratch.directory / 'chromium'}",
                                "--window-size=1100,2200", "--virtual-time-budget=8000", f"--screenshot={picture}",
                                page(database.url, board, options.seconds)], check=True, timeout=120, stderr=subprocess.DEVNULL)
                print(f"{picture}: {picture.stat().st_size // 1024} KiB")
    finally:
        done.set()
        for driver in drivers:
            if driver.ident:
                driver.join()
        mesh.stop()
        providers.stop()


if __name__ == "__main__":
    main()
