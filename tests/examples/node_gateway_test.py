"""The Node.js gateway: the same endpoints, the same rules, and faults that count what they do."""
import os
import pathlib
import shutil
import subprocess
import unittest

from servers import ROOT, Process, ServerTest, call, drive, open_sockets, status_field, wait_until

GATEWAY = ROOT / "examples" / "node-gateway" / "dist" / "gateway.js"
NODE = os.environ.get("CAMPROBE_NODE") or shutil.which("node") or shutil.which("nodejs")


class NodeGateway(ServerTest):
    def start(self, *flags, providers=None):
        providers = providers or self.start_providers(["name=cheap,price=0.2,latency=15", "name=fast,price=8,latency=1"])
        started = Process([NODE, "--enable-source-maps", GATEWAY, "--port", "0", "--health-check-ms", "0", "--providers", providers.catalog, *flags])
        self.addCleanup(started.stop)
        return started

    def test_strategies_cache_and_consensus(self):
        server = self.start("--health-check-ms", "50")
        self.assertEqual(call(server.port, "/arbitrate?prompt_size=400&strategy=cost")[1]["provider"], "cheap")
        wait_until(lambda: call(server.port, "/arbitrate?prompt_size=400&strategy=latency")[1]["provider"] == "fast", "fast is chosen")
        first, second = (call(server.port, "/arbitrate", {"prompt": "why?"})[1] for _ in range(2))
        self.assertEqual((first["cached"], second["cached"], second["cost"]), (False, True, 0))
        status, result = call(server.port, "/collaborate", {"question": "which?", "agents": 6})
        self.assertEqual((status, len(result["votes"])), (200, 6))
        self.assertIn(result["answer"], "ABCD")
        stats = self.stats(server)
        self.assertEqual((stats["cache"]["hits"], stats["collaboration"]["requests"]), (1, 1))

    def test_failover(self):
        providers = self.start_providers()
        server = self.start(providers=providers)
        call(providers.port_of["cheap"], "/control", {"error_rate": 1})
        status, answer = call(server.port, "/arbitrate?prompt_size=400&strategy=cost")
        self.assertEqual((status, answer["provider"], answer["attempts"], answer["failovers"]), (200, "middle", 3, 1))
        for port in providers.ports:
            call(port, "/control", {"down": True, "for_ms": 5000})
        wait_until(lambda: call(server.port, "/arbitrate?prompt_size=400")[0] == 502, "no provider answers")

    def test_heap_leak_grows_the_javascript_heap(self):
        server = self.start("--fault", "heap-leak=262144:0.5", providers=self.start_providers(["name=only,price=1,latency=0"]))
        before = status_field(server.pid, "VmRSS")
        self.assertEqual(drive(server.port, 400), {200: 400})
        fault = self.fault(server, "heap-leak")
        self.assertEqual((fault["strikes"], fault["bytes_held"]), (200, 200 * 262144))
        self.assertGreater((status_field(server.pid, "VmRSS") - before) * 1024, 200 * 262144 * 0.9)

    def test_unclosed_connections_are_really_open_and_it_still_stops(self):
        providers = self.start_providers(["name=only,price=1,latency=0"])
        server = self.start(providers=providers)
        self.set_fault(server, fault="unclosed-connections", share=0.1, cap_sockets=15)
        drive(server.port, 400)
        self.assertEqual(self.fault(server, "unclosed-connections")["sockets_left_open"], 15)
        self.assertGreaterEqual(open_sockets(server.pid), 15)
        self.assertGreaterEqual(call(providers.ports[0], "/stats")[1]["open_connections"], 15)
        self.assertEqual(server.stop(), 0)

    def test_bounded_cache_is_bounded(self):
        server = self.start("--fault", "bounded-cache=1000:1:50", providers=self.start_providers(["name=only,price=1,latency=0"]))
        drive(server.port, 200)
        fault = self.fault(server, "bounded-cache")
        self.assertEqual((fault["entries"], fault["bytes_held"], fault["strikes"]), (50, 50_000, 200))

    def test_wrong_requests_and_flags(self):
        server = self.start()
        for path, body, status, why in [("/arbitrate", None, 400, "prompt_size is missing"), ("/arbitrate", "{", 400, "not JSON"),
                                        ("/arbitrate?prompt_size=x", None, 400, "whole number"),
                                        ("/arbitrate?prompt_size=4&strategy=best", None, 400, "cost, latency or balanced"),
                                        ("/arbitrate", {"prompt": "a", "stratgy": "cost"}, 400, "unknown field 'stratgy'"),
                                        ("/collaborate", "[]", 400, "JSON object"), ("/nowhere", None, 404, "no such path"),
                                        ("/faults", {"fault": "x"}, 400, "no fault 'x'"), ("/faults", {"fault": "heap-leak", "share": 7}, 400, "share"),
                                        ("/arbitrate", "x" * 70_000, 413, "larger")]:
            got, answer = call(server.port, path, body)
            self.assertEqual(got, status, path)
            self.assertIn(why, answer["error"])
        for flags in (["--port", "x"], ["--fault", "x"], ["--providers", "/nowhere"], ["--no-such"], ["--fault", "heap-leak=a"],
                      ["--port", str(server.port)]):
            done = subprocess.run([NODE, GATEWAY, *flags], capture_output=True, text=True, timeout=10)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)

    def test_source_map_leads_to_typescript(self):
        text = pathlib.Path(f"{GATEWAY}.map").read_text()
        self.assertIn("src/faults.ts", text)
        self.assertIn("function rememberForever(", GATEWAY.read_text())


if __name__ == "__main__":
    unittest.main()
