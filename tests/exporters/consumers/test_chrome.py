"""Chrome's Trace Event JSON: every event by the format's rules, and speedscope's Chrome importer."""
import collections
import json
import unittest

from exported import CPU_BY_FUNCTION, HOSTILE, MESH, ODD_NAME, SERVER, Directory, export, in_speedscope, self_weights

# Which members an event of a phase must have ("Trace Event Format"), beside ph, pid and tid.
MEMBERS = {"X": {"name", "cat", "ts", "dur"}, "C": {"name", "ts", "args"}, "s": {"name", "cat", "id", "ts"},
           "f": {"name", "cat", "id", "ts", "bp"}, "i": {"name", "cat", "s", "ts"}, "M": {"name", "args"},
           "P": {"name", "cat", "ts", "sf"}}


def check(events, test):
    """Holds events to the format: members, complete events that nest on each thread, flows in pairs that lie on slices."""
    slices, flows = collections.defaultdict(list), collections.defaultdict(dict)
    for event in events:
        test.assertLessEqual(MEMBERS[event["ph"]] | {"pid", "tid"}, set(event), event)
        test.assertIsInstance(event["pid"], int)
        test.assertIsInstance(event["tid"], int)
        if event["ph"] == "X":
            test.assertGreaterEqual(event["dur"], 0)
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "C":
            test.assertTrue(all(isinstance(value, (int, float)) for value in event["args"].values()))
        elif event["ph"] in "sf":
            test.assertNotIn(event["ph"], flows[event["id"]])
            flows[event["id"]][event["ph"]] = event
    for rows in slices.values():
        around = []
        for begins, ends in sorted(rows, key=lambda row: (row[0], -row[1])):
            while around and around[-1] <= begins + 1e-6:
                around.pop()
            test.assertTrue(not around or ends <= around[-1] + 1e-6, "slices of one thread overlap")
            around.append(ends)
    for flow in flows.values():
        test.assertEqual(set(flow), {"s", "f"})
        for event in flow.values():
            test.assertTrue(any(begins <= event["ts"] <= ends for begins, ends in slices[event["pid"], event["tid"]]))
    return flows


class Chrome(Directory):
    def events(self, run, *arguments):
        return json.loads(export(run, "--format", "chrome", *arguments))["traceEvents"]

    def test_spans_nest_by_thread_and_flow_across(self):
        events = self.events(MESH)
        flows = check(events, self)
        spans = [event for event in events if event.get("cat") == "span"]
        self.assertEqual(len(spans), 8)
        self.assertEqual(len(flows), 1)  # the request on the loop, its arbitration on the worker
        flow = next(iter(flows.values()))
        self.assertEqual((flow["s"]["tid"], flow["f"]["tid"], flow["f"]["ts"]), (101, 102, 1_010_000))
        arbitration = next(span for span in spans if span["name"] == "cam.arbitration")
        self.assertEqual((arbitration["ts"], arbitration["dur"], arbitration["args"]), (1_010_000, 20_000, {"provider": "atlas", "cost": 0.25, "tokens": 120}))
        # Two requests at once on one thread lie on tracks of their own; one of them never ended.
        names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name" and event["pid"] == 100}
        self.assertEqual(sorted(names.values()), ["loop", "loop (2)", "worker"])
        self.assertTrue([span for span in spans if span["args"].get("never ended")])

    def test_counters_windows_and_marks(self):
        events = self.events(MESH)
        series = collections.defaultdict(list)
        for event in events:
            if event["ph"] == "C":
                series[event["name"]].append((event["ts"], event["args"]))
        self.assertEqual(series["process_resident_bytes"][3], (3_000_000, {"bytes": 1_300_000}))
        self.assertEqual(series["heap_live_bytes"][0][1], {"bytes": 500_000})
        self.assertEqual(series["process_open_fds"][9][1], {"count": 29})
        self.assertEqual({value["cores"] for _, value in series["process_cpu_user_ns"]}, {0.25})
        self.assertEqual({value["cores"] for _, value in series["js_gc_ns"]}, {0.01})
        self.assertEqual(series["load requests"][0][1], {"per second": 10})
        windows = [(event["name"], event["ts"], event["dur"]) for event in events if event.get("cat") == "load"]
        self.assertEqual(windows, [("warm-up", 0, 3e6), ("steady 10/s", 3e6, 3e6), ("steady again", 8e6, 2e6)])
        self.assertIn(("failover of \"atlas\"", 7e6, "g"), [(event["name"], event["ts"], event["s"]) for event in events if event["ph"] == "i"])

    def test_cpu_samples_have_their_stacks(self):
        trace = json.loads(export(MESH, "--format", "chrome"))
        frames, samples = trace["stackFrames"], [event for event in trace["traceEvents"] if event["ph"] == "P"]

        def stack(frame):
            names = []
            while frame is not None:
                names.append(frames[frame]["name"])
                self.assertLess(len(names), 100, "frames form a ring")
                frame = frames[frame].get("parent")
            return names
        by_leaf = collections.Counter(stack(sample["sf"])[0] for sample in samples)
        # A sample is 10 ms; the time that exported.py has of each function is its own.
        self.assertEqual({name: count * 10_000_000 for name, count in by_leaf.items()}, {**CPU_BY_FUNCTION, ODD_NAME: 60_000_000})
        self.assertIn(["memcpy", "cam::compute(int)", "cam::compute(int)", "main"], [stack(sample["sf"]) for sample in samples])
        self.assertTrue(any(frame["category"] == "/srv/bin/gateway" for frame in frames.values()))
        of_a_second = [sample for sample in samples if sample["tid"] == 101 and 2e6 <= sample["ts"] < 3e6]
        self.assertEqual((len(of_a_second), len({sample["ts"] for sample in of_a_second})), (10, 10), "spread over their second")
        self.assertEqual(len([event for event in self.events(MESH, "--thread", "worker") if event["ph"] == "P"]), 88)

    def test_filters_leave_only_their_part(self):
        spans = [event["name"] for event in self.events(MESH, "--thread", "worker") if event["ph"] == "X"]
        self.assertEqual(spans, ["cam.arbitration"])
        self.assertFalse([event for event in self.events(MESH, "--span", "provider.answer") if event["ph"] == "C"])

    def test_other_runs_keep_to_the_rules(self):
        check(self.events(SERVER), self)
        check(self.events(HOSTILE), self)

    def test_speedscope_opens_it(self):
        path = self.file("trace.json", export(MESH, "--format", "chrome", "--span", "cam.request"))
        group = in_speedscope(path)[path]
        weights = collections.Counter()
        for profile in group["profiles"]:
            for name, weight in self_weights(group, profile).items():
                weights[name.split(" ")[0]] += weight
        self.assertEqual(weights["cam.arbitration"], 20_000)  # microseconds
        self.assertEqual(weights["cam.provider_call"], 650_000)


if __name__ == "__main__":
    unittest.main()
