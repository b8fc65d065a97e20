"""`camprobe serve`: what it tells of processes is what they did, by Prometheus' rules."""
import re
import signal
import time
import unittest

from serving import harness, parse, promtool, served, target
from servers import BIN, Process, call

PROVIDERS = ["name=cheap,price=0.2,latency=12", "name=fast,price=0.8,latency=2"]


class OneProcess(unittest.TestCase):
    def test_exact_counts_are_the_programs_own(self):
        with served() as server, target.preloaded(CAMPROBE_HEAP_INTERVAL="16KiB") as program:
            of = {"pid": program.pid}
            harness.wait_until(lambda: server.scrape().has("camprobe_heap_live_bytes", **of), what="the target's live heap")
            before = server.scrape()
            program.do("keep 4000 2000")
            program.do("alloc 3000 1500")
            program.do("io 70")
            program.do("waits 5 20")
            kept = before.one("camprobe_heap_live_bytes", **of) + 4e6  # the live table is read every five seconds
            after = harness.wait_until(lambda: (s := server.scrape()).one("camprobe_heap_live_bytes", **of) > kept and s, what="what is kept")
            # All that is live is in use, and more: what blocks are rounded up by, what is not sampled.
            in_use = after.one("camprobe_allocator_bytes", allocator="glibc", state="in_use", **of)
            held = after.one("camprobe_allocator_held_bytes", allocator="glibc", **of)
            self.assertGreater(in_use, 8e6)
            self.assertAlmostEqual(in_use + after.one("camprobe_allocator_bytes", allocator="glibc", state="free", **of), held)
            grown = lambda name, **labels: after.one(name, **of, **labels) - before.one(name, **of, **labels)  # noqa: E731
            self.assertGreaterEqual(grown("camprobe_heap_allocations_total"), 7000)
            self.assertGreaterEqual(grown("camprobe_heap_allocated_bytes_total"), 4000 * 2000 + 3000 * 1500)
            self.assertGreaterEqual(grown("camprobe_heap_frees_total"), 3000)
            self.assertEqual(grown("camprobe_io_operations_total", kind="socket", direction="write"), 70)
            self.assertGreaterEqual(grown("camprobe_waits_total"), 5)
            # 4,000 blocks of 2,000 bytes at 16 KiB: p = 0.115, 460 samples, +- 4.4 %; six times that and what else lives.
            live = after.one("camprobe_heap_live_bytes", **of) - before.one("camprobe_heap_live_bytes", **of)
            self.assertLess(abs(live - 8e6), 6 * 0.044 * 8e6, live)
            freed = grown("camprobe_heap_freed_bytes_total")
            self.assertLess(abs(freed - 4.5e6), 6 * 0.06 * 4.5e6, freed)
            # A histogram's buckets grow, and the last is the count.
            buckets = after.of("camprobe_heap_lifetime_seconds_bucket", **of)
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], after.one("camprobe_heap_lifetime_seconds_count", **of))
            self.assertEqual(after.one("process_resident_memory_bytes", **of), sum(after.of("camprobe_process_resident_bytes", **of)))
            self.assertAlmostEqual(after.one("process_cpu_seconds_total", **of), sum(after.of("camprobe_process_cpu_seconds_total", **of)))
            self.assertLess(abs(after.one("process_start_time_seconds", **of) - time.time()), 60)
            self.assertGreater(after.one("camprobe_probe_seconds_total", **of), 0)
            self.assertEqual(sum(after.of("camprobe_lost_records_total", **of)), 0)

    def test_nobody_notices(self):
        """The region's control block stays as it was: no collector is named in it, nothing is asked of the probe."""
        with served() as server, target.preloaded() as program:
            harness.wait_until(lambda: server.scrape().has("camprobe_probe_up", pid=program.pid), what="the target")
            with open(f"/dev/shm/{target.regions_of(program.pid)[0]}", "rb") as region:
                region.seek(4096)
                self.assertEqual(region.read(40)[32:36], b"\0\0\0\0", "reader_pid")
            self.assertEqual(program.end(), 0)
            self.assertEqual(target.regions_of(program.pid), [], "what nobody records goes with its process")

    def test_the_dead_disappear_and_the_restarted_are_new(self):
        with served() as server:
            seen = lambda pid: server.scrape().has("camprobe_heap_allocations_total", pid=pid)  # noqa: E731
            with target.preloaded() as first:
                harness.wait_until(lambda: seen(first.pid), what="the first")
                first.process.send_signal(signal.SIGKILL)
                first.process.wait(10)
                time.sleep(0.6)  # a text is at most half a second old
                self.assertFalse(seen(first.pid), "killed, its region left behind")
            with target.preloaded() as second:
                harness.wait_until(lambda: seen(second.pid), what="the second")
                second.do("io 3")
                time.sleep(0.6)
                self.assertEqual(server.scrape().one("camprobe_io_operations_total", pid=second.pid, kind="socket", direction="write"), 3)
            harness.camprobe("list", "--clean")

    def test_more_processes_than_asked_for_are_counted_not_shown(self):
        with served("--max-targets", "1") as server, target.preloaded(), target.preloaded():
            samples = harness.wait_until(lambda: (s := server.scrape()).one("camprobe_targets_left_out") >= 1 and s, what="both")
            self.assertEqual(samples.one("camprobe_targets"), 1)


class Mesh(unittest.TestCase):
    def test_arbitration_by_provider_with_cost_and_peers(self):
        providers = Process([BIN / "cam-providers", *[w for p in PROVIDERS for w in ("--provider", p.replace(",", ",port=0,", 1))]], ports=2)
        self.addCleanup(providers.stop)
        configured = [w for p, port in zip(PROVIDERS, providers.ports) for w in ("--provider", p.replace(",", f",port={port},", 1))]
        mesh = Process([BIN / "cam-server", "--port", "0", "--health-check-ms", "0", *configured], env={"LD_PRELOAD": harness.PROBE})
        self.addCleanup(mesh.stop)
        with served() as server:
            requests = 24
            for i in range(requests):  # six of one strategy, six of the other: four changes and none within
                strategy = "cost" if i // 6 % 2 == 0 else "latency"
                self.assertEqual(call(mesh.port, f"/arbitrate?prompt_size={500 + i}&strategy={strategy}")[0], 200)
            decided = {"pid": mesh.pid, "span": "cam.arbitration"}
            stats = call(mesh.port, "/stats")[1]["arbitration"]
            samples = harness.wait_until(
                lambda: (s := server.scrape()).has("camprobe_provider_switches_total", **decided)
                and s.one("camprobe_provider_switches_total", **decided) == stats["switches"] and s, what="the switches")
            counts = {p: samples.one("camprobe_span_duration_seconds_count", provider=p, **decided) for p in ("cheap", "fast")}
            self.assertEqual(sum(counts.values()), requests, counts)
            self.assertEqual(sum(samples.of("camprobe_span_duration_seconds_count", pid=mesh.pid, span="cam.provider_call")), requests)
            self.assertEqual(sum(samples.of("camprobe_span_failures_total", pid=mesh.pid)), 0)
            cost, baseline = (sum(samples.of(f"camprobe_{kind}_total", **decided)) for kind in ("cost", "baseline_cost"))
            self.assertGreater(cost, 0)
            self.assertGreater(baseline, cost)
            self.assertAlmostEqual(sum(samples.of("camprobe_cost_saved", **decided)), baseline - cost, places=9)
            # What went to and came from loopback peers is all that did, exactly, once the last closings are drained.
            for direction in ("read", "write"):
                def agree():
                    now = server.scrape()
                    peers = sum(now.of("camprobe_socket_peer_bytes_total", pid=mesh.pid, network="loopback", direction=direction))
                    return peers == now.one("camprobe_io_bytes_total", pid=mesh.pid, kind="socket", direction=direction) > 0
                harness.wait_until(agree, what=f"peers' bytes, {direction}")
            self.assertGreater(sum(samples.of("camprobe_socket_peer_bytes_total", pid=mesh.pid, role="connected")), 0)
            self.check_rules(server.text())
            # A failure is a provider's: one that is down.
            call(providers.ports[0], "/control", {"error_rate": 1})
            call(mesh.port, "/arbitrate?prompt_size=999&strategy=cost")
            harness.wait_until(lambda: server.scrape().one("camprobe_span_failures_total", pid=mesh.pid, span="cam.provider_call",
                                                           provider="cheap") >= 1, what="the failure")

    def check_rules(self, text):
        checked = promtool("check", "metrics", input=text)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))
        samples = parse(text)
        keys = [(name, tuple(sorted(labels.items()))) for name, labels, _ in samples]
        self.assertEqual(len(keys), len(set(keys)), "no series twice")
        self.assertEqual(samples.one("camprobe_exporter_series"), len(samples))
        self.assertLess(len(samples), samples.one("camprobe_exporter_series_limit"))
        allowed = {"process", "pid", "mode", "kind", "part", "direction", "role", "network", "span", "provider", "reason", "le",
                   "version", "tier", "outcome", "allocator", "state", "resource"}
        self.assertLessEqual({label for _, labels, _ in samples for label in labels}, allowed)
        for _, labels, _ in samples:
            for value in labels.values():
                self.assertNotRegex(value, r"0x[0-9a-f]{4}|127\.0\.0\.1|/")
        for name in {name for name, _, _ in samples}:
            self.assertRegex(name, r"^(process|camprobe)_")
        helped = set(re.findall(r"^# HELP (\S+) .{5,}", text, re.M))
        self.assertEqual(helped, set(re.findall(r"^# TYPE (\S+)", text, re.M)))


if __name__ == "__main__":
    unittest.main()
