#!/usr/bin/env python3
"""Holds the demo's two reports against what cam-server itself counted; exit code 1 where they disagree.

    demo_check.py DIRECTORY      the directory that scripts/demo filled (build/demo)
"""
import datetime
import json
import pathlib
import sys

# What the demo promises.
RATE_TOLERANCE = 0.15  # of the true rate
ONSET_TOLERANCE = 0.10  # of the run's length

FAULTS = {  # fault: resource of the finding, function that must be in its stack, what the server counted
    "heap-leak": ("heap", "remember_forever", lambda fault: fault["bytes_held"], "bytes"),
    "unclosed-connections": ("fd", "open_and_forget", lambda fault: fault["sockets_left_open"], "descriptors"),
}


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def leaks(report):
    return [finding for finding in report["findings"] if finding["verdict"] == "leaks"]


def check_leaky(directory):
    report, stats = load(directory / "leaky.json"), load(directory / "leaky.stats.json")
    started = datetime.datetime.fromisoformat(report["run"]["started_at"]).timestamp()
    complaints, accused = [], leaks(report)
    print(f"{'fault':22} {'counted by the server':>26} {'reported':>40} {'off by':>8} {'onset off by':>13}")
    for name, (resource, function, amount, unit) in FAULTS.items():
        fault = stats["faults"][name]
        switch = fault["switched"][0]
        truth = amount(fault) / (stats["requests"] - switch["request"]) * 1000
        found = [finding for finding in accused if finding["resource"] == resource]
        if len(found) != 1:
            complaints.append(f"{name}: expected one finding on {resource}, found {len(found)}")
            continue
        finding = found[0]
        accused.remove(finding)
        rate = finding["per_1000_requests"]
        off = rate["value"] / truth - 1
        onset_off = (finding["since"]["at_s"] - (switch["epoch_ns"] / 1e9 - started)) / report["run"]["seconds"]
        stack = finding["where"]["stack"]
        reported = f"{rate['value']:,.1f} [{rate['low']:,.1f}, {rate['high']:,.1f}]"
        print(f"{name:22} {truth:>15,.1f} /1,000 req {reported:>40} {off:>+8.1%} {onset_off:>+13.1%}")
        culprit = next((frame for frame in stack if function in frame["function"]), None)
        if culprit is not None:
            print(f"{'':22} {culprit['function']} at {culprit.get('file')}:{culprit.get('line')}")
        if abs(off) > RATE_TOLERANCE:
            complaints.append(f"{name}: rate off by {off:+.1%}")
        if abs(onset_off) > ONSET_TOLERANCE:
            complaints.append(f"{name}: onset off by {onset_off:+.1%} of the run")
        if not any(function in frame["function"] and frame.get("file") and frame.get("line") for frame in stack):
            complaints.append(f"{name}: {function} with file and line is not in the reported stack")
    complaints += [f"accuses something else: {finding['resource']} {finding['id']}" for finding in accused]
    if report["verdict"] != "fail":
        complaints.append(f"verdict is {report['verdict']}, not fail")
    return complaints


def check_innocent(directory):
    report = load(directory / "innocent.json")
    accused = leaks(report)
    print(f"innocent look-alikes: {len(accused)} leaks reported, verdict {report['verdict']}")
    complaints = [f"innocent run: accuses {finding['resource']} {finding['id']}" for finding in accused]
    if report["verdict"] == "fail":
        complaints.append("innocent run: verdict is fail")
    return complaints


def main():
    if len(sys.argv) != 2:
        sys.exit("demo_check: give the directory that scripts/demo filled, e.g. build/demo")
    directory = pathlib.Path(sys.argv[1])
    complaints = check_leaky(directory) + check_innocent(directory)
    for complaint in complaints:
        print(f"demo: {complaint}", file=sys.stderr)
    if complaints:
        sys.exit(1)
    print("the report agrees with what the server counted")


if __name__ == "__main__":
    main()
