"""Perfetto's trace, read by the numbers of its documented fields, and taken apart and put together again by protoc."""
import collections
import struct
import subprocess
import unittest

from exported import CPU_BY_FUNCTION, HOSTILE, MESH, ODD_NAME, SERVER, SOURCE, export, need

# TracePacket, TrackEvent and TrackDescriptor, as perfetto.dev/docs/reference/trace-packet-proto numbers them.
CLOCKS, TIMESTAMP, SEQUENCE, EVENT, INTERNED, FLAGS, DEFAULTS, TRACK, SAMPLE = 6, 8, 10, 11, 12, 13, 59, 60, 66
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7f) << shift, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """{number: [values]} of one message; messages and texts are bytes."""
    found, at = collections.defaultdict(list), 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        else:
            assert kind == 2, kind
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        found[number].append(value)
    return found


class Trace:
    """Tracks, slices, counters and instants, by the rules for one sequence with interned names."""

    def __init__(self, data):
        self.tracks, self.slices, self.counters, self.instants = {}, [], collections.defaultdict(list), []
        names, keys, open_slices = {}, {}, collections.defaultdict(list)
        self.samples, functions, frames, callstacks, paths, mappings = [], {}, {}, {}, {}, {}
        for number, packet in enumerate(fields(data)[1]):
            packet = fields(packet)
            assert packet[SEQUENCE] == [1]
            if number == 0:
                assert packet[FLAGS] == [1]
                self.clock = fields(packet[DEFAULTS][0])[58]
                snapshot = fields(packet[CLOCKS][0])
                self.primary = snapshot[2]
                self.clocks = {clock[1][0]: clock[2][0] for clock in map(fields, snapshot[1])}
            for interned in map(fields, packet[INTERNED]):
                names.update((entry[1][0], entry[2][0].decode()) for entry in map(fields, interned[2]))
                keys.update((entry[1][0], entry[2][0].decode()) for entry in map(fields, interned[3]))
                for table, number_of in ((functions, 5), (paths, 17)):
                    table.update((entry[1][0], entry[2][0].decode()) for entry in map(fields, interned[number_of]))
                mappings.update((entry[1][0], paths[entry[7][0]]) for entry in map(fields, interned[19]))
                for frame in map(fields, interned[6]):
                    assert not frame[3] or frame[4], "an address where there is a mapping"
                    frames[frame[1][0]] = (functions[frame[2][0]], mappings[frame[3][0]] if frame[3] else "")
                callstacks.update((entry[1][0], [frames[frame] for frame in entry[2]]) for entry in map(fields, interned[7]))
            if SAMPLE in packet:
                assert packet[FLAGS] == [2], "a stack is interned"
                sample = fields(packet[SAMPLE][0])
                self.samples.append((packet[TIMESTAMP][0], *((sample[field] or [0])[0] for field in (2, 3)), callstacks[sample[4][0]]))
            if TRACK in packet:
                track = fields(packet[TRACK][0])
                assert track[1][0] not in self.tracks
                self.tracks[track[1][0]] = track
                assert not track[5] or track[5][0] in self.tracks, "a parent comes first"
            if EVENT not in packet:
                continue
            event, at = fields(packet[EVENT][0]), packet[TIMESTAMP][0]
            kind, track = event[9][0], event[11][0]
            assert track in self.tracks
            if kind == COUNTER:
                self.counters[track].append((at, struct.unpack("<d", event[44][0])[0]))
            elif kind == END:
                began, row = open_slices[track].pop()
                row["dur"] = at - began
                assert row["dur"] >= 0
            else:
                assert packet[FLAGS] == [2], "a name is interned"
                arguments = {}
                for note in map(fields, event[4]):
                    value = note[6][0].decode() if note[6] else struct.unpack("<d", note[5][0])[0] if note[5] else bool(note[2][0])
                    arguments[keys[note[1][0]]] = value
                row = {"name": names[event[10][0]], "track": track, "ts": at, "args": arguments, "out": event[47], "in": event[48]}
                if kind == INSTANT:
                    self.instants.append(row)
                else:
                    assert kind == BEGIN
                    around = open_slices[track]
                    assert not around or around[-1][0] <= at
                    around.append((at, row))
                    self.slices.append(row)
        assert not any(open_slices.values()), "a slice never ends"

    def name_of(self, track):
        row = self.tracks[track]
        if row[3]:
            return fields(row[3][0])[6][0].decode()
        return fields(row[4][0])[5][0].decode() if row[4] else row[2][0].decode()


class Perfetto(unittest.TestCase):
    def test_spans_lie_on_threads_of_processes_and_flow_across(self):
        trace = Trace(export(MESH, "--format", "perfetto"))
        began = 5_000_000_000  # of the run, on the monotonic clock
        self.assertEqual((trace.clock, trace.primary, trace.clocks), ([3], [3], {3: began, 1: 1795453200000000000}))
        spans = [row for row in trace.slices if row["name"].startswith(("cam.", "provider."))]
        self.assertEqual(len(spans), 8)
        arbitration = next(row for row in spans if row["name"] == "cam.arbitration")
        self.assertEqual((arbitration["ts"] - began, arbitration["dur"]), (1_010_000_000, 20_000_000))
        self.assertEqual(arbitration["args"], {"provider": "atlas", "cost": 0.25, "tokens": 120.0})
        self.assertEqual(trace.name_of(arbitration["track"]), "worker")
        parent = trace.tracks[arbitration["track"]][5][0]
        self.assertEqual(trace.name_of(parent), "gateway (pid 100)")
        thread = fields(trace.tracks[arbitration["track"]][4][0])
        self.assertEqual((thread[1], thread[2]), ([100], [102]))
        request = next(row for row in spans if row["ts"] == began + 1_000_000_000)
        self.assertEqual(request["out"], arbitration["in"])
        self.assertEqual(len(request["out"]), 1)

    def test_cpu_samples_have_their_stacks(self):
        trace = Trace(export(MESH, "--format", "perfetto"))
        by_leaf = collections.Counter(stack[-1][0] for _, _, _, stack in trace.samples)
        self.assertEqual({name: count * 10_000_000 for name, count in by_leaf.items()}, {**CPU_BY_FUNCTION, ODD_NAME: 60_000_000})
        self.assertEqual({(pid, tid) for _, pid, tid, _ in trace.samples}, {(100, 101), (100, 102), (200, 201)})
        times = collections.defaultdict(list)
        for at, pid, tid, _ in trace.samples:
            times[pid, tid].append(at)
            self.assertTrue(5_000_000_000 <= at < 15_000_000_000, at)
        for of_one_thread in times.values():
            self.assertEqual(of_one_thread, sorted(of_one_thread))
        self.assertIn([("main", "/srv/bin/provider"), ("answer()", "/srv/bin/provider")], [stack for _, _, _, stack in trace.samples])

    def test_counters_windows_and_marks(self):
        trace = Trace(export(MESH, "--format", "perfetto"))
        counters = {trace.name_of(track): points for track, points in trace.counters.items()}
        self.assertEqual(counters["process_resident_bytes"][3], (8_000_000_000, 1_300_000.0))
        self.assertEqual({value for _, value in counters["process_cpu_user_ns"]}, {0.25})
        self.assertEqual(len(counters["load requests"]), 10)
        self.assertEqual([(row["name"], row["dur"]) for row in trace.slices if trace.name_of(row["track"]) == "load windows"],
                         [("warm-up", 3_000_000_000), ("steady 10/s", 3_000_000_000), ("steady again", 2_000_000_000)])
        self.assertIn("failover of \"atlas\"", [row["name"] for row in trace.instants])

    def test_protoc_takes_it_apart_and_puts_it_together_again(self):
        need("protoc")
        protoc = ["protoc", f"--proto_path={SOURCE / 'exporters/proto'}"]
        for run in (MESH, SERVER, HOSTILE):
            binary = export(run, "--format", "perfetto")
            Trace(binary)
            text = subprocess.run([*protoc, "--decode=camprobe.perfetto.Trace", "trace.proto"], input=binary, capture_output=True, check=True)
            again = subprocess.run([*protoc, "--encode=camprobe.perfetto.Trace", "trace.proto"], input=text.stdout, capture_output=True, check=True)
            self.assertEqual(again.stdout, binary)

    def test_it_is_much_smaller_than_the_same_as_json(self):
        self.assertLess(3 * len(export(SERVER, "--format", "perfetto")), len(export(SERVER, "--format", "chrome")))


if __name__ == "__main__":
    unittest.main()
