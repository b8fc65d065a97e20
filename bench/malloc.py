#!/usr/bin/env python3
"""What the probe adds to a malloc and a free, over an interposer that only jumps.

    bench/malloc.py [--threads N ...] [--starts N] [--rounds N] [--seconds S] [--samples N] [--peers] [--json FILE]

One process of every variant is alive at once and measures when it is its turn; in each round all have one, in an order drawn
anew. A variant's cost is the difference to the pass-through in the same round; the interval is a bootstrap over starts first,
rounds second (bench/measurement.py).

    fresh            a new process
    aged             after ten million samples with 500 alive at a time (--samples): do the tables rot?
    50,000 live      in a heap of 400 MiB of which 50,000 blocks are live samples, the hot blocks among them; held against the
                     pass-through in the same heap

--peers adds other tools on the same pairs (bench/peers.py).
"""
import argparse
import pathlib
import statistics
import tempfile

from measurement import BUILT, LIBRARIES, PROBE, Program, Report, hierarchical_bootstrap, interleaved, need_built
from peers import peers

BENCH = BUILT / "malloc_bench"
PASSTHROUGH = LIBRARIES / "libpassthrough.so"
HEAP_MIB = 391  # times 1 MiB over 8 KiB: 50,000 samples


def probe(interval=None, **more):
    return {"LD_PRELOAD": str(PROBE), **({"CAMPROBE_HEAP_INTERVAL": interval} if interval else {}), **more}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--starts", type=int, default=4, help="times that all processes are started anew (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements in each start (default 5)")
    parser.add_argument("--seconds", type=float, default=0.15, help="per measurement (default 0.15)")
    parser.add_argument("--samples", type=int, default=10_000_000, help="samples that age the probe (default 10 million)")
    parser.add_argument("--peers", action="store_true", help="also other tools")
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()
    need_built(BENCH, PASSTHROUGH, PROBE)
    report = Report("malloc")
    with tempfile.TemporaryDirectory(prefix="camprobe-bench-") as scratch:
        for threads in options.threads:
            one(threads, options, scratch, report)
    report.write(options.json)


def one(threads, options, scratch, report):
    def starts(environment, samples=0, heap=0):
        return lambda: Program([BENCH, threads, options.seconds, samples, heap], environment)

    passthrough = {"LD_PRELOAD": str(PASSTHROUGH)}
    variants = {
        "bare": starts({}),
        "passthrough": starts(passthrough),
        "passthrough, 400 MiB": starts(passthrough, heap=HEAP_MIB),
        "camprobe off": starts(probe(CAMPROBE_FAMILIES="none")),
        "camprobe, auto": starts(probe()),
        "camprobe, 512 KiB": starts(probe("512KiB")),
        "camprobe, 512 KiB, aged": starts(probe("64"), samples=options.samples),
        "camprobe, 512 KiB, 50,000 live": starts(probe("8KiB"), heap=HEAP_MIB),
    }
    against = {"camprobe, 512 KiB, 50,000 live": "passthrough, 400 MiB"}
    reach = {"camprobe, 512 KiB": 1.5}
    if options.peers:
        for peer in peers():
            if peer.missing:
                report.skip(peer.name, peer.missing)
            elif peer.attach:
                report.skip(peer.name, "looks on from outside: see bench/servers.py")
            else:
                variants[peer.name] = starts(peer.environment(scratch))
    results, said, broken = interleaved(variants, options.starts, options.rounds)
    for name, why in broken.items():
        report.skip(name, why)
    ns = {name: [[words[0] for words in cluster] for cluster in clusters] for name, clusters in results.items()}

    def differences(name, other):
        return [[mine - base for mine, base in zip(*pair)] for pair in zip(ns[name], ns[other])]

    what = f"malloc+free, {threads} thread{'s' if threads > 1 else ''}"
    print(f"{what}: {statistics.median(sum(ns['passthrough'], [])):.2f} ns a pair over the pass-through")
    for name in ns:
        base = against.get(name, "passthrough")
        if name == base or base not in ns:
            continue
        live, taken = (statistics.median(words[i] for words in said[name]) if said[name][0] else 0 for i in (0, 1))
        report.add(what, name, base, "ns", hierarchical_bootstrap(differences(name, base)), sum(map(len, ns[name])),
                   interval=f"95 %, hierarchical bootstrap over {len(ns[name])} starts", reach=reach.get(name), threads=threads,
                   ns=statistics.median(sum(ns[name], [])), live_samples=live, samples_taken=taken)
    # What age and a large heap add to a fresh state's cost.
    for name, limit in (("camprobe, 512 KiB, aged", 1.0), ("camprobe, 512 KiB, 50,000 live", 2.0)):
        fresh = differences("camprobe, 512 KiB", "passthrough")
        cost = differences(name, against.get(name, "passthrough"))
        clusters = [[mine - base for mine, base in zip(*pair)] for pair in zip(cost, fresh)]
        report.add(f"{what}: beyond fresh", name, "camprobe, 512 KiB", "ns", hierarchical_bootstrap(clusters), sum(map(len, clusters)),
                   interval=f"95 %, hierarchical bootstrap over {len(clusters)} starts", reach=limit, threads=threads)


if __name__ == "__main__":
    main()
