#!/usr/bin/env python3
"""What the probe's single operations take: a sampled allocation, a CPU sample, a span, a send or a receive, the opening of a file.

    bench/hooks.py [--starts N] [--rounds N] [--seconds S] [--only NAME ...] [--json FILE]

With and without the probe, both alive at once, taking turns in an order drawn anew each round; a cost is the difference within
a round, its interval a bootstrap over starts first, rounds second (bench/measurement.py). Bounds that hold for single events
(a 99.9th percentile) are of all events of a round, and include what the machine itself interrupts.
"""
import argparse
import statistics

from measurement import BUILT, PROBE, Program, Report, hierarchical_bootstrap, interleaved, need_built


KINDS = ("span", "socket", "file", "sample", "tick")


def differences(mine, base, word=0):
    return [[a[word] - b[word] for a, b in zip(*pair)] for pair in zip(mine, base)]


def column(clusters, word):
    return [[words[word] for words in cluster] for cluster in clusters]


class Bench:
    def __init__(self, options, report):
        self.options, self.report = options, report

    def run(self, program, arguments, **variants):
        def start(environment):
            return lambda: Program([BUILT / program, *arguments], environment)

        results, said, broken = interleaved({name: start(environment) for name, environment in variants.items()}, self.options.starts, self.options.rounds)
        for name, why in broken.items():
            self.report.skip(f"{program}, {name}", why)
        return results, said

    def add(self, what, unit, clusters, reach=None, against="bare", **more):
        self.report.add(what, what, against, unit, hierarchical_bootstrap(clusters), sum(map(len, clusters)),
                        interval=f"95 %, hierarchical bootstrap over {len(clusters)} starts", reach=reach, **more)

    def span(self):
        results, _ = self.run("span_bench", [self.options.seconds], bare={}, probe={"LD_PRELOAD": str(PROBE)})
        self.add("span begin+end", "ns", differences(results["probe"], results["bare"]), reach=30)

    def socket(self):
        results, _ = self.run("socket_bench", [self.options.seconds], bare={}, probe={"LD_PRELOAD": str(PROBE)},
                              off={"LD_PRELOAD": str(PROBE), "CAMPROBE_FAMILIES": "none"})
        bare = statistics.median(sum(column(results["bare"], 0), []))
        self.add("send or receive", "ns", differences(results["probe"], results["bare"]), reach=60, bare_ns=bare)
        self.add("send or receive, all families off", "ns", differences(results["off"], results["bare"]), bare_ns=bare)

    def file(self):
        results, _ = self.run("file_bench", [self.options.seconds], bare={}, probe={"LD_PRELOAD": str(PROBE)})
        bare = statistics.median(sum(column(results["bare"], 0), []))
        self.add("open, read and close of a plain file", "ns", differences(results["probe"], results["bare"]), bare_ns=bare)

    def sample(self):
        results, said = self.run("sample_bench", [self.options.seconds], bare={},
                                 probe={"LD_PRELOAD": str(PROBE), "CAMPROBE_HEAP_INTERVAL": "64", "CAMPROBE_CPU_HZ": "0"})
        # Sampling throws the real malloc's caches no worse than its own time; the bare medians, clock included, come off.
        self.add("sampled malloc, 30 frames, median", "ns", differences(results["probe"], results["bare"], 0), reach=1000)
        self.add("sampled malloc, 30 frames, 99.9th percentile", "ns", column(results["probe"], 1), reach=10_000, against=None,
                 bare_ns=statistics.median(sum(column(results["bare"], 1), [])))
        self.add("free of a sample, median", "ns", differences(results["probe"], results["bare"], 2))
        self.add("free of a sample, 99.9th percentile", "ns", column(results["probe"], 3), against=None)
        self.add("first sample from an unknown stack of 30 frames", "ns", [[words[0]] for words in said["probe"]], against=None)
        self.add("first sample of the process", "ns", [[words[1]] for words in said["probe"]], against=None)

    def tick(self):
        # A tick comes at the kernel's own timer interrupt, however often one asks: a second has a few hundred.
        results, _ = self.run("tick_bench", [max(0.5, self.options.seconds), 1000], bare={},
                              probe={"LD_PRELOAD": str(PROBE), "CAMPROBE_CPU_HZ": "1000"})
        self.add("CPU sample: handler, stack of 30 frames, record, median", "ns", column(results["probe"], 1), reach=2000, against=None)
        self.add("CPU sample: the same, 99.9th percentile", "ns", column(results["probe"], 2), against=None)
        self.add("CPU sample beyond a handler that does nothing, whole interruption", "ns", differences(results["probe"], results["bare"]),
                 against="an empty handler", empty_handler_ns=statistics.median(sum(column(results["bare"], 0), [])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5, help="times that all processes are started anew (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements in each start (default 5)")
    parser.add_argument("--seconds", type=float, default=0.2, help="per measurement (default 0.2)")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", help="write every figure there")
    options = parser.parse_args()
    need_built(PROBE, BUILT / "span_bench")
    report = Report("hooks")
    bench = Bench(options, report)
    for name in options.only:
        print(f"{name}:")
        getattr(bench, name)()
    report.write(options.json)


if __name__ == "__main__":
    main()
