#!/usr/bin/env python3
"""Runs real programs without the probe and with it, and compares what they print and how they end.

    scripts/real-programs [--list] [--quick] [--dense | --default] [--json FILE] [PROGRAM...]

Each program runs once without the probe, once with its defaults and once as dense as it goes (4 kHz of CPU samples, a heap
sample every 4 KiB). A line of the table is one such comparison. That the probe was really on is shown by the regions that its
processes left, the allocations that they count and the records in them: none is a failure too, unless the program was so short
that chance may have left it without a record (a shell that kills itself allocates for one sample or two). Exit code: 0 all the same, 1 something differs, 2 wrong use.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import browser  # noqa: F401
import servers  # noqa: F401
import table  # noqa: F401
from stage import PROGRAMS, Outcome, Stage, adopt_orphans

DENSE = {"CAMPROBE_CPU_HZ": "4000", "CAMPROBE_HEAP_INTERVAL": "4KiB"}
SETTINGS = {"default": {}, "dense": DENSE}
HERE = pathlib.Path(__file__).resolve().parent


class Watch:
    """Collects the regions of one run while a program runs; `seen` are the sums."""

    def __init__(self, program, run):
        self.process = subprocess.Popen([program, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate()
        self.seen = json.loads(out)


def run_once(program, environment, scratch):
    """What the program yields in an empty directory of always the same name; an exception is an outcome too."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    scratch.chmod(0o755)
    stage = Stage(scratch, environment)
    try:
        return program.run(stage)
    except (subprocess.TimeoutExpired, TimeoutError, OSError) as error:
        return Outcome(f"{type(error).__name__}: {error}", "did not finish")
    finally:
        stage.end_everything()


def difference(one, other):
    """The first line in which two texts differ."""
    left, right = str(one).splitlines(), str(other).splitlines()
    for number in range(max(len(left), len(right))):
        a = left[number] if number < len(left) else "(nothing)"
        b = right[number] if number < len(right) else "(nothing)"
        if a != b:
            return f"line {number + 1}: without {a[:300]!r}, with {b[:300]!r}"
    return "the same text"


def compare(program, settings, arguments, scratch):
    """Rows of the table, one for each of the settings."""
    began = time.monotonic()
    plain = run_once(program, {}, scratch)
    plain_seconds = time.monotonic() - began
    for name in settings:
        run = f"programs{os.getpid()}-{program.name}-{name}"[:60]
        environment = {"LD_PRELOAD": str(arguments.library), "CAMPROBE_RUN": f"{run}:{os.getpid()}", **SETTINGS[name]}
        began = time.monotonic()
        with Watch(arguments.watch, run) as watch:
            probed = run_once(program, environment, scratch)
        row = {"program": program.name, "settings": name, "same_output": probed.output == plain.output,
               "same_status": probed.status == plain.status, "status": plain.status, **watch.seen,
               "seconds": round(time.monotonic() - began, 2), "seconds_without": round(plain_seconds, 2)}
        # With 20 samples due there is none once in e^20 runs.
        has_records = row["records"] > 0 or row["due"] < 20
        row["was_on"] = row["regions"] > 0 and row["allocations"] > 0 and has_records
        if name == "dense":
            row["was_on"] = row["was_on"] and row["cpu_hz"] == 4000
        row["as_expected"] = plain.expected
        if not row["same_output"]:
            row["difference"] = difference(plain.output, probed.output)
        elif not row["same_status"]:
            row["difference"] = difference(plain.status, probed.status)
        elif not plain.expected:
            row["difference"] = f"without the probe, not what was expected: {plain.status}; {plain.output[-300:]!r}"
        yield row


def yes(value):
    return "yes" if value else "NO"


def main():
    parser = argparse.ArgumentParser(prog="real-programs", description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="only these; see --list")
    parser.add_argument("--list", action="store_true", help="name the programs and end")
    parser.add_argument("--quick", action="store_true", help="only those that take seconds")
    parser.add_argument("--dense", action="store_true", help="only with the densest sampling")
    parser.add_argument("--default", action="store_true", help="only with the defaults")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--library", type=pathlib.Path, default=HERE.parents[1] / "build/lib/libcamprobe.so", help="the probe (default: %(default)s)")
    parser.add_argument("--watch", type=pathlib.Path, default=HERE.parents[1] / "build/release/tests/region_watch", help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    if arguments.list:
        for program in PROGRAMS:
            print(f"{program.name:<22} {'quick' if program.is_quick else '     '}  {program.what}")
        return 0
    names = {program.name for program in PROGRAMS}
    if wrong := [name for name in arguments.programs if name not in names]:
        print(f"real-programs: no program is called {wrong[0]}; --list names them", file=sys.stderr)
        return 2
    for path in (arguments.library, arguments.watch):
        if not path.exists():
            print(f"real-programs: {path} is not there: run ./scripts/build first", file=sys.stderr)
            return 2
    arguments.library, arguments.watch = arguments.library.resolve(), arguments.watch.resolve()

    wanted = [program for program in PROGRAMS
              if (program.name in arguments.programs if arguments.programs else program.is_quick or not arguments.quick)]
    settings = ["dense"] if arguments.dense else ["default"] if arguments.default else list(SETTINGS)
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"{'program':<22} {'settings':<8} {'output':<7} {'status':<7} {'probe on':<8} {'regions':>7} {'records':>9} "
          f"{'cpu':>7} {'heap':>7} {'s':>7} {'s without':>9}", flush=True)
    rows, skipped, failed = [], [], 0
    base = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-programs-"))
    base.chmod(0o755)
    try:
        for program in wanted:
            if missing := program.missing():
                skipped.append(f"{program.name}: {missing}")
                continue
            for row in compare(program, settings, arguments, base / "scratch"):
                rows.append(row)
                good = row["same_output"] and row["same_status"] and row["was_on"] and row["as_expected"]
                failed += not good
                print(f"{row['program']:<22} {row['settings']:<8} {yes(row['same_output']):<7} {yes(row['same_status']):<7} {yes(row['was_on']):<8} "
                      f"{row['regions']:>7} {row['records']:>9} {row['cpu_samples']:>7} {row['heap_samples']:>7} {row['seconds']:>7} "
                      f"{row['seconds_without']:>9}", flush=True)
                if "difference" in row:
                    print(f"    {row['difference']}", flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    for line in skipped:
        print(f"... skipped {line}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"rows": rows, "skipped": skipped}, indent=1) + "\n")
    print(f"{len(rows)} comparisons, {failed} failed, {len(skipped)} programs skipped")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
