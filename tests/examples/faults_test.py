"""Each fault does what its counters say, and the counters say what it did."""
import pathlib
import time
import unittest

from servers import ServerTest, call, drive, open_sockets, status_field, wait_until

KIB = 1024


class Faults(ServerTest):
    def setUp(self):
        self.providers = self.start_providers(["name=only,price=1,latency=0"])

    def start(self, *flags):
        return self.start_server(self.providers, "--health-check-ms", "0", "--pool-size", "8", *flags)

    def test_heap_leak_counts_exactly_its_share(self):
        server = self.start("--fault", "heap-leak=65536:0.25")
        before = status_field(server.pid, "VmRSS")
        self.assertEqual(drive(server.port, 1000), {200: 1000})
        fault = self.fault(server, "heap-leak")
        self.assertEqual((fault["strikes"], fault["bytes_held"]), (250, 250 * 64 * KIB))
        grown = (status_field(server.pid, "VmRSS") - before) * KIB
        self.assertGreater(grown, 250 * 64 * KIB * 0.95)
        self.assertLess(grown, 250 * 64 * KIB * 1.6)

    def test_heap_leak_stops_at_its_cap_and_when_switched_off(self):
        server = self.start("--fault", "heap-leak=1000:1:5500")
        drive(server.port, 20)
        self.assertEqual(self.fault(server, "heap-leak")["bytes_held"], 5000)
        self.set_fault(server, fault="heap-leak", on=False)
        self.set_fault(server, fault="unbounded-cache", bytes=100, share=1)
        drive(server.port, 20)
        self.assertEqual(self.fault(server, "heap-leak")["bytes_held"], 5000)
        cache = self.fault(server, "unbounded-cache")
        self.assertEqual((cache["entries"], cache["bytes_held"]), (20, 2000))

    def test_switching_says_when_and_at_which_request(self):
        server = self.start("--fault", "heap-leak=1000:1@11")
        drive(server.port, 10)
        self.assertFalse(self.fault(server, "heap-leak")["on"])
        begin = time.time_ns()
        drive(server.port, 10)
        fault = self.fault(server, "heap-leak")
        self.assertEqual((fault["on"], fault["strikes"]), (True, 10))
        self.set_fault(server, fault="heap-leak", on=False)
        on, off = self.fault(server, "heap-leak")["switched"]
        self.assertEqual((on["on"], on["request"], off["on"], off["request"]), (True, 11, False, 20))
        self.assertTrue(begin <= on["epoch_ns"] <= off["epoch_ns"] <= time.time_ns())

    def test_unclosed_connections_are_really_open(self):
        server = self.start()
        self.set_fault(server, fault="unclosed-connections", share=0.1)
        self.assertEqual(drive(server.port, 400), {200: 400})
        fault = self.fault(server, "unclosed-connections")
        self.assertEqual(fault["sockets_left_open"], 40)
        self.assertEqual(fault["bytes_held"], 0)
        in_pool = self.stats(server)["providers"][0]["pool"]["open"]
        wait_until(lambda: open_sockets(server.pid) == 1 + in_pool + 40, "the listening one, the pool's and 40 more are open")
        # and the other side holds them too, besides the connection that asks
        self.assertEqual(call(self.providers.ports[0], "/stats")[1]["open_connections"], in_pool + 40 + 1)

    def test_unclosed_connections_keep_to_their_cap(self):
        server = self.start("--fault", "unclosed-connections=1:1:7")
        drive(server.port, 100)
        self.assertEqual(self.fault(server, "unclosed-connections")["sockets_left_open"], 7)

    def test_unclosed_connections_count_none_where_there_was_none(self):
        server = self.start("--fault", "unclosed-connections=1:1")
        call(self.providers.ports[0], "/control", {"down": True, "for_ms": 1000})
        time.sleep(0.1)
        self.assertEqual(call(server.port, "/arbitrate?prompt_size=4")[0], 502)
        left_open = self.fault(server, "unclosed-connections")["sockets_left_open"]
        wait_until(lambda: open_sockets(server.pid) == 1 + left_open, "as many sockets as counted")

    def test_thread_leak(self):
        server = self.start("--threads", "2")
        wait_until(lambda: status_field(server.pid, "Threads") == 2, "both I/O threads run")
        before = status_field(server.pid, "Threads")
        self.set_fault(server, fault="thread-leak", share=0.1, cap_threads=6)
        drive(server.port, 100)
        self.assertEqual(self.fault(server, "thread-leak")["threads_left_waiting"], 6)
        self.assertEqual(status_field(server.pid, "Threads") - before, 6)

    def cpu_of(self, server, requests):
        def ticks():
            fields = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        drive(server.port, requests)
        return ticks() - before

    def test_slow_scan_costs_more_and_more(self):
        server = self.start("--fault", "slow-scan=4000")
        self.cpu_of(server, 1)
        early = self.cpu_of(server, 200)
        self.set_fault(server, fault="slow-scan", entries=1_000_000)
        drive(server.port, 3)
        self.set_fault(server, fault="slow-scan", entries=0)
        late = self.cpu_of(server, 200)
        fault = self.fault(server, "slow-scan")
        self.assertEqual(fault["entries_scanned_by_each"], 201 * 4000 + 3_000_000)
        self.assertEqual(fault["strikes"], 404)
        self.assertGreater(late, early + 10)

    def test_lock_convoy_holds_longer_and_longer(self):
        server = self.start("--fault", "lock-convoy=10000")
        self.assertEqual(drive(server.port, 200), {200: 200})
        self.assertEqual(self.fault(server, "lock-convoy")["lock_held_ns_by_each"], 200 * 10_000)

    def test_fragmentation_is_resident_but_not_live(self):
        server = self.start("--fault", "fragmentation=16384:1", "--threads", "2")
        drive(server.port, 100)  # arenas are there
        first = self.fault(server, "fragmentation")
        before = status_field(server.pid, "VmRSS")
        drive(server.port, 2000)
        fault = self.fault(server, "fragmentation")
        holes = fault["bytes_in_holes"] - first["bytes_in_holes"]
        # each thread keeps its last buffer whole, so as many of the first buffers left no hole as there are threads
        self.assertEqual(fault["bytes_held"] + fault["bytes_in_holes"], 2100 * 16384)
        self.assertIn(2100 - fault["bytes_in_holes"] // (16384 - 64), range(1, 3))
        grown = (status_field(server.pid, "VmRSS") - before) * KIB
        self.assertGreater(grown, holes * 0.8)

    def test_bounded_cache_is_bounded(self):
        server = self.start("--fault", "bounded-cache=4096:1:100")
        drive(server.port, 60)
        self.assertEqual(self.fault(server, "bounded-cache")["entries"], 60)
        drive(server.port, 940)
        fault = self.fault(server, "bounded-cache")
        self.assertEqual((fault["entries"], fault["evicted"], fault["bytes_held"]), (100, 900, 100 * 4096))

    def test_sawtooth_is_freed_at_once(self):
        server = self.start("--fault", "sawtooth-arena=4096:1:100")
        drive(server.port, 100)
        self.assertEqual(self.fault(server, "sawtooth-arena")["bytes_held"], 100 * 4096)
        drive(server.port, 1)
        fault = self.fault(server, "sawtooth-arena")
        self.assertEqual((fault["bytes_held"], fault["times_freed"]), (4096, 1))

    def test_warm_up_ends(self):
        server = self.start("--fault", "warm-up=4096:1:50")
        drive(server.port, 200)
        fault = self.fault(server, "warm-up")
        self.assertEqual((fault["strikes"], fault["bytes_held"], fault["innocent"]), (50, 50 * 4096, True))

    def test_wrong_settings_change_nothing(self):
        server = self.start()
        for wrong, why in [({"fault": "no-such"}, "no fault 'no-such'"), ({"fault": "heap-leak", "share": 2}, "between 0 and 1"),
                           ({"fault": "heap-leak", "bites": 2}, "bites"), ({"fault": "heap-leak", "on": 1}, "true or false"),
                           ([{"fault": "heap-leak"}, {"fault": "heap-leak", "bytes": -1}], "amount"), ("nonsense", "not JSON"),
                           ({"on": True}, "heap-leak"), ([1], "object")]:
            status, answer = call(server.port, "/faults", wrong)
            self.assertEqual(status, 400, wrong)
            self.assertIn(why, answer["error"])
        self.assertFalse(any(fault["on"] for fault in self.stats(server)["faults"].values()))


if __name__ == "__main__":
    unittest.main()
