"""speedscope's format, by its schema and by its own importer: sampled and evented, several profiles in one file."""
import json
import unittest

from exported import CPU_BY_FUNCTION, CPU_NS, HOSTILE, LIVE_BYTES, MESH, Directory, export, in_speedscope, modules, self_weights

try:
    import jsonschema
except ImportError:
    jsonschema = None


class Speedscope(Directory):
    def test_profiles_by_thread_add_up_to_everything(self):
        group = json.loads(export(MESH, "--what", "cpu", "--format", "speedscope"))
        profiles = group["profiles"]
        self.assertEqual([profile["name"] for profile in profiles],
                         ["cpu: everything", "gateway (pid 100), loop (101)", "gateway (pid 100), worker (102)",
                          "provider (pid 200), serve (201)"])
        sums = [sum(profile["weights"]) for profile in profiles]
        self.assertEqual(sums, [CPU_NS, 1_110_000_000, 880_000_000, 400_000_000])

    def test_samples_are_in_the_order_of_time(self):
        group = json.loads(export(MESH, "--what", "cpu", "--format", "speedscope", "--thread", "worker"))
        names = [frame["name"] for frame in group["shared"]["frames"]]
        leaves = [names[stack[-1]] for stack in group["profiles"][0]["samples"]]
        self.assertEqual(leaves.count("memcpy"), 1)  # in second 6, after seven seconds of compute
        self.assertGreaterEqual(leaves.index("memcpy"), 6)

    def test_it_keeps_to_the_schema(self):
        if jsonschema is None:
            self.skipTest("python3-jsonschema is not installed: ./scripts/setup")
        schema = json.loads((modules("tests/e2e") / "speedscope/dist/release/file-format-schema.json").read_text())
        for run, what in ((MESH, "cpu"), (MESH, "spans"), (HOSTILE, "cpu")):
            jsonschema.validate(json.loads(export(run, "--what", what, "--format", "speedscope")), schema)

    def test_speedscope_opens_it(self):
        files = {what: self.file(f"{what}.json", export(MESH, "--what", what, "--format", "speedscope"))
                 for what in ("cpu", "live", "spans")}
        seen = in_speedscope(*files.values())
        cpu = seen[files["cpu"]]
        weights = self_weights(cpu, cpu["profiles"][0])
        self.assertEqual(sum(weights.values()), CPU_NS)
        for function, weight in CPU_BY_FUNCTION.items():
            self.assertEqual(weights[function], weight)
        live = seen[files["live"]]
        self.assertEqual(live["profiles"][0]["unit"], "bytes")
        self.assertEqual(sum(self_weights(live, live["profiles"][0]).values()), LIVE_BYTES)
        spans = seen[files["spans"]]
        self.assertEqual([profile["name"] for profile in spans["profiles"]],
                         ["gateway (pid 100), loop", "gateway (pid 100), worker", "provider (pid 200), serve", "gateway (pid 100), loop (2)"])
        second = self_weights(spans, spans["profiles"][3])
        self.assertEqual(second, {"cam.request": 200_000_000, "cam.provider_call": 600_000_000})


if __name__ == "__main__":
    unittest.main()
