"""pprof's profile.proto, read by the npm package pprof-format (an independent reader), by speedscope, and through protoc and back."""
import collections
import gzip
import json
import pathlib
import subprocess
import unittest

from exported import CPU_BY_FUNCTION, CPU_NS, HOSTILE, LIVE_BYTES, MESH, ODD_NAME, SERVER, SOURCE, Directory, export, in_speedscope, modules, need, self_weights


class Pprof(Directory):
    def read(self, run, *arguments):
        path = self.file("profile.pb.gz", export(run, "--format", "pprof", *arguments))
        script = pathlib.Path(__file__).with_name("pprof.mjs")
        result = subprocess.run(["node", str(script), str(modules("tests/e2e") / "pprof-format"), str(path)],
                                capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_cpu_has_time_and_samples_by_function(self):
        profile = self.read(MESH, "--what", "cpu")
        self.assertEqual(profile["types"], [["cpu", "nanoseconds"], ["samples", "count"]])
        self.assertEqual(profile["defaultType"], "cpu")
        self.assertEqual(profile["period"], 10_000_000)
        self.assertEqual((profile["time"], profile["duration"]), ("1795453200000000000", 10_000_000_000))
        leaves = collections.Counter()
        for sample in profile["samples"]:
            leaves[sample["locations"][0]["lines"][0]["name"]] += sample["values"][0]
        self.assertEqual(sum(leaves.values()), CPU_NS)
        for function, weight in CPU_BY_FUNCTION.items():
            self.assertEqual(leaves[function], weight)
        self.assertEqual(leaves[ODD_NAME], 60_000_000)

    def test_inlined_calls_are_lines_of_one_location_in_its_module(self):
        profile = self.read(MESH, "--what", "cpu")
        leaf = next(sample["locations"] for sample in profile["samples"]
                    if sample["locations"][0]["lines"][0]["name"] == "cam::scan(char const*)")
        self.assertEqual([(line["name"], line["file"], line["line"]) for line in leaf[0]["lines"]],
                         [("cam::scan(char const*)", "src/scan.h", 50), ("cam::parse(std::string_view)", "src/parse.h", 40),
                          ("cam::handle(cam::Request const&)", "src/handle.cc", 30)])
        self.assertEqual([location["lines"][-1]["name"] for location in leaf],
                         ["cam::handle(cam::Request const&)", "cam::Loop::run()", "main"])
        mapping = leaf[0]["mapping"]
        self.assertEqual((mapping["file"], mapping["buildId"]), ("/srv/bin/gateway", "00aa11bb22cc33dd44ee55ff0011223344556677"))
        self.assertEqual(int(leaf[0]["address"]), 0x555500000000 + 0x1000)
        self.assertTrue(int(mapping["start"]) <= int(leaf[0]["address"]) < int(mapping["limit"]))
        self.assertEqual({m["buildId"] for m in profile["mappings"]},
                         {"00aa11bb22cc33dd44ee55ff0011223344556677", "8899aabbccddeeff00112233445566778899aabb",
                          "ffeeddccbbaa99887766554433221100ffeeddcc"})

    def test_labels_tell_thread_span_window_and_provider(self):
        by = lambda profile, key: {value: sum(sample["values"][0] for sample in profile["samples"] if sample["labels"].get(key, "") == value)
                                   for value in {sample["labels"].get(key, "") for sample in profile["samples"]}}
        cpu = self.read(MESH, "--what", "cpu")
        self.assertEqual(by(cpu, "thread"), {"loop (101)": 1_110_000_000, "worker (102)": 880_000_000, "serve (201)": 400_000_000})
        self.assertEqual(by(cpu, "span"), {"cam.request": 700_000_000, "cam.arbitration": 800_000_000, "provider.answer": 400_000_000, "": 490_000_000})
        self.assertEqual(by(cpu, "window")["warm-up"], 3 * 170_000_000)
        self.assertEqual(by(cpu, "process"), {"gateway (pid 100)": 1_990_000_000, "provider (pid 200)": 400_000_000})
        spans = self.read(MESH, "--what", "spans")
        self.assertEqual(by(spans, "provider"), {"atlas": 70_000_000, "borealis": 600_000_000, "": 760_000_000})
        io = self.read(MESH, "--what", "io")
        self.assertEqual(by(io, "peer"), {"10.0.0.1:443": 4608})

    def test_the_heap_has_allocated_and_in_use(self):
        for what, default in (("live", "inuse_space"), ("alloc", "alloc_space")):
            profile = self.read(MESH, "--what", what)
            self.assertEqual(profile["defaultType"], default)
            self.assertEqual(sorted(map(tuple, profile["types"])),
                             [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")])
            sums = {name: sum(sample["values"][at] for sample in profile["samples"]) for at, (name, _) in enumerate(profile["types"])}
            self.assertEqual(sums, {"alloc_objects": 1015, "alloc_space": 60003, "inuse_objects": 47, "inuse_space": LIVE_BYTES})

    def test_protoc_takes_it_apart_and_puts_it_together_again(self):
        need("protoc")
        protoc = ["protoc", f"--proto_path={SOURCE / 'exporters/proto'}"]
        for run in (MESH, SERVER, HOSTILE):
            binary = gzip.decompress(export(run, "--what", "cpu", "--format", "pprof"))
            text = subprocess.run([*protoc, "--decode=camprobe.pprof.Profile", "profile.proto"], input=binary, capture_output=True, check=True)
            again = subprocess.run([*protoc, "--encode=camprobe.pprof.Profile", "profile.proto"], input=text.stdout, capture_output=True, check=True)
            self.assertEqual(again.stdout, binary)
            self.assertNotIn(b"\n1: ", text.stdout)  # a field that the definition does not know

    def test_speedscope_opens_it(self):
        path = self.file("cpu.pb.gz", export(MESH, "--what", "cpu", "--format", "pprof"))
        group = in_speedscope(path)[path]
        weights = self_weights(group, group["profiles"][0])
        self.assertEqual(sum(weights.values()), CPU_NS)
        self.assertEqual(weights["memcpy"], CPU_BY_FUNCTION["memcpy"])


if __name__ == "__main__":
    unittest.main()
