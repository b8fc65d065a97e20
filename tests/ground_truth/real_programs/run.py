"""Real servers under `camprobe run`, judged by `camprobe report`, against what they are known to do.

    CAMPROBE_BIN=build/bin tests/ground_truth/real_programs/run.py [--seconds N] [--only TEXT] [--keep DIRECTORY]

Prints a table in Markdown, one row a server: the verdict, and the leak's rate with its interval beside the truth. Ends with 1
where a leak was not found or an innocent server was accused."""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
import harness  # noqa: E402
import scenarios  # noqa: E402


def accusations(report):
    return [f for f in report["findings"] if f["kind"] == "leak" and f["verdict"] == "leaks" and f["confirmed"]]


def is_expected(finding, scenario):
    frames = [f"{frame['function']} {frame.get('module') or ''}" for frame in finding["where"]["stack"]]
    return finding["resource"] == scenario.resource and any(scenario.leak in frame for frame in frames or [""])


def record(scenario, directory, seconds):
    """Runs it; gives the report and what the server, or its load, wrote down as the truth."""
    place = scenarios.Place(directory, harness.free_port(), seconds, harness.BIN, directory / "providers.json",
                            directory / "truth.json")
    with harness.running([str(harness.BIN / "cam-providers"), "--free-ports", "--write-catalog", str(place.catalog)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        harness.wait_until(lambda: place.catalog.exists() and place.catalog.stat().st_size > 0, what="the providers' catalog")
        run = directory / "run.camrun"
        result = harness.camprobe("run", "-o", run, "--no-report", *scenario.options, "--load", scenario.load(place), "--",
                                  *scenario.server(place), timeout=3 * seconds + 120,
                                  env={**os.environ, "CAMPROBE_HEAP_INTERVAL": "32KiB"})
    if result.returncode != 0:
        raise RuntimeError(f"{scenario.name}: camprobe run ended with {result.returncode}: {result.stderr[-1500:]}")
    report = json.loads(harness.camprobe("report", run, "--format", "json").stdout)
    truth = json.loads(place.truth.read_text()) if place.truth.exists() else None
    return report, truth


def figure(value, unit):
    return f"{value / 1024:.0f} KiB" if unit.startswith("byte") else f"{value:.1f}"


def rates(finding, scenario, truth):
    estimate = finding["per_1000_requests"]
    if estimate is None:
        return "-", "-"
    unit = estimate["unit"]
    own = f"{figure(estimate['value'], unit)} [{figure(estimate['low'], unit)}, {figure(estimate['high'], unit)}]"
    known = scenario.per_1000
    if known is None and truth and truth["requests"]:
        known = 1000 * truth["bytes"] / truth["requests"]
    return own, "-" if known is None else figure(known, unit)


def row(scenario, report, truth):
    """(is it right, the row)"""
    accused = accusations(report)
    found = [f for f in accused if scenario.leak is not None and is_expected(f, scenario)]
    others = [f for f in accused if f not in found and f["resource"] not in scenario.also]
    right = not others and bool(found) == (scenario.leak is not None)
    suspected = sorted({f["verdict"] for f in report["findings"] if f["kind"] == "leak"} - {"leaks"})
    said = "leaks" if accused else ", ".join(suspected) or "none"
    where = (found or others or [{"title": ""}])[0]["title"]
    own, known = rates(found[0], scenario, truth) if found else ("", "")
    return right, f"| {scenario.name} | {'yes' if scenario.leak is not None else 'no'} | {said} | {where} | {own} | {known} | {'' if right else 'WRONG'} |"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=int, default=60, help="of load on each server")
    arguments.add_argument("--only", default="", help="scenarios whose name has this in it")
    arguments.add_argument("--keep", type=pathlib.Path, help="keep the runs here")
    options = arguments.parse_args()
    wrong = 0
    rows = []
    for number, scenario in enumerate(scenarios.LEAKY + scenarios.INNOCENT):
        if options.only not in scenario.name:
            continue
        if missing := harness.need("h2load", *scenario.needs):
            print(f"{scenario.name}: not run, {missing} is not installed", flush=True)
            continue
        directory = pathlib.Path(tempfile.mkdtemp(prefix="camprobe-real-"))
        try:
            report, truth = record(scenario, directory, int(options.seconds * scenario.times))
            right, text = row(scenario, report, truth)
        except (RuntimeError, json.JSONDecodeError, subprocess.TimeoutExpired) as error:
            right, text = False, f"| {scenario.name} | | | {str(error)[:300]} | | | WRONG |"
        wrong += not right
        rows.append(text)
        print(text, flush=True)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            if (directory / "run.camrun").exists():
                shutil.copy(directory / "run.camrun", options.keep / f"{number}.camrun")
        shutil.rmtree(directory, ignore_errors=True)
    print("\n| server | leaks | called | where | a 1,000 requests, with 95 % interval | truth | |\n|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{len(rows)} servers, {wrong} judged wrongly")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    os.environ.pop("CAMPROBE_RUN", None)
    sys.exit(main())
