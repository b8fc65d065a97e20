"""`camprobe set`: what a process records changes while it runs, the run says so, and estimates stay right."""
import concurrent.futures
import json
import math
import subprocess
import time
import unittest

from target import estimate, harness, holds, preloaded, recorded, regions_of, set_


class WithoutARecording(unittest.TestCase):
    def test_shows_and_changes_what_holds(self):
        with preloaded() as target:
            before = holds(target.pid)
            self.assertEqual(before["heap"].split(",")[0], "auto")
            self.assertEqual((before["cpu"], before["wait"], before["socket"], before["budget"]), ("99 Hz", "every 10 ms", "on", "1 %"))
            with concurrent.futures.ThreadPoolExecutor() as pool:
                began = time.monotonic()
                changing = pool.submit(set_, target.pid, "heap=64KiB", "cpu=999", "io=off", "budget=2%")
                while not changing.done():
                    target.do("sleep 20")
                took = time.monotonic() - began
            result = changing.result()
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertLess(took, 5)
            after = holds(target.pid)
            self.assertEqual({name: after[name] for name in ("heap", "cpu", "wait", "socket", "file", "span", "budget")},
                             {"heap": "every 64 KiB", "cpu": "999 Hz", "wait": "off", "socket": "off", "file": "off", "span": "on",
                              "budget": "2 %"})

    def test_reaches_a_process_by_whatever_it_does(self):
        """Each of these alone is enough, also where the families that see it are off."""
        for families in ("all", "heap,span"):
            with preloaded(CAMPROBE_FAMILIES=families, CAMPROBE_CPU_HZ="0", CAMPROBE_HEAP_INTERVAL="1GiB") as target:
                for number, work in enumerate(("sleep 1", "io 1", "waits 1 1", "open", "alloc 40 1000000", "spin 250")):
                    budget = f"{number + 2}%"
                    self.assertIn("did nothing", set_(target.pid, f"budget={budget}").stderr, "it waits for its next line")
                    target.do(work)
                    self.assertNotIn("did nothing", set_(target.pid).stderr, (families, work))

    def test_idle_process_gets_it_when_it_works_again(self):
        with preloaded() as target:
            target.do("io 1")
            result = set_(target.pid, "cpu=off")
            self.assertEqual(result.returncode, 0)
            self.assertIn("holds from when it works again", result.stderr)
            self.assertIn("cpu      99 Hz", result.stdout, "what holds is what is shown")
            self.assertIn("did nothing", set_(target.pid).stderr)
            target.do("io 1")
            self.assertEqual(holds(target.pid)["cpu"], "off")

    def test_families_that_were_off_from_the_start_can_be_turned_on(self):
        with preloaded(CAMPROBE_FAMILIES="span", CAMPROBE_WAIT_INTERVAL="0") as target, harness.Scratch() as scratch:
            set_(target.pid, "cpu=on", "heap=on", "wait=on")
            target.do("sleep 1")
            self.assertEqual({name: value for name, value in holds(target.pid).items() if name in ("cpu", "heap", "wait", "file")},
                             {"cpu": "99 Hz", "heap": "auto, every 32 KiB now", "wait": "every 10 ms", "file": "off"})
            collector = subprocess.Popen([harness.CAMPROBE, "attach", str(target.pid), "-q", "-o", scratch.run_path])
            harness.wait_until(lambda: str(scratch.run_path) in harness.camprobe("list").stdout, what="the recording")
            time.sleep(0.3)
            used = target.do("spin 700")
            target.do("alloc 200 100000")
            target.end()
            self.assertEqual(collector.wait(30), 0)
            run = scratch.run()
            self.assertGreater(run.value("SELECT SUM(weight_ns) FROM cpu"), used / 2)
            self.assertGreater(run.value("SELECT SUM(samples) FROM alloc"), 50)

    def test_children_inherit_what_holds(self):
        with preloaded() as target:
            set_(target.pid, "heap=1MiB", "cpu=250", "socket=off")
            target.do("io 1")
            child = target.do("fork")
            harness.wait_until(lambda: regions_of(child), what="the child's region")
            ours = holds(child)
            self.assertEqual((ours["heap"], ours["cpu"], ours["socket"]), ("every 1 MiB", "250 Hz", "off"))
            with concurrent.futures.ThreadPoolExecutor() as pool:
                self.assertEqual(pool.submit(set_, child, "cpu=100").result().stderr, "", "the child sleeps now and then")
            self.assertEqual((holds(child)["cpu"], holds(target.pid)["cpu"]), ("100 Hz", "250 Hz"))

    def test_two_writers_of_different_families_both_get_theirs(self):
        with preloaded() as target:
            def flip(family):
                return [set_(target.pid, f"{family}={'off' if i % 2 == 0 else 'on'}").returncode for i in range(9)]
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                flips = [pool.submit(flip, family) for family in ("socket", "file", "thread", "map")]
                while not all(each.done() for each in flips):
                    target.do("sleep 5")
            self.assertEqual([each.result() for each in flips], [[0] * 9] * 4)
            target.do("sleep 5")
            ours = holds(target.pid)
            self.assertEqual([ours[family] for family in ("socket", "file", "thread", "map", "span")], ["off"] * 4 + ["on"])


class Recorded(unittest.TestCase):
    def test_estimates_stay_right_and_the_run_tells_of_each_change(self):
        with harness.Scratch() as scratch:
            used, allocated = 0, 0
            with recorded(scratch.run_path, CAMPROBE_HEAP_INTERVAL="512KiB") as target:
                for settings in ((), ("heap=16KiB", "cpu=999"), ("heap=auto",), ("heap=256KiB", "cpu=49")):
                    if settings:
                        set_(target.pid, *settings)
                    used += target.do("spin 600")
                    # At 8 KiB 1,200 samples and as many frees, at once: the thread's ring holds 4,096 records.
                    for _ in range(5):
                        target.do("alloc 4000 3000")
                        target.do("sleep 200")
                        allocated += 4000 * 3000
                used += target.do("spin 10")
                self.assertEqual(target.end(), 0)
            run = scratch.run()
            self.assertEqual(run.rows("SELECT kind, records FROM lost"), [])
            total, error = estimate(run, "allocate_here")
            self.assertGreater(error, 0)
            self.assertLess(abs(total - allocated), 6 * error + 1, f"{total:.0f} +- {error:.0f}, really {allocated}")
            periods = run.rows("SELECT weight_ns / samples, SUM(samples) FROM cpu GROUP BY 1")
            spun = run.value("SELECT SUM(weight_ns) FROM cpu c WHERE stack IN (SELECT stack FROM stack_frame s JOIN frame f "
                             "ON f.id = s.frame WHERE f.function LIKE '%spin_here%')")
            # Each tick is a systematic sample with a random phase: at most a period off for each stretch of one rate.
            self.assertLess(abs(spun - used), 0.05 * used + 3 * (1e9 / 99 + 1e9 / 49), (periods, used))
            self.assertEqual(run.rows("SELECT value FROM setting WHERE name = 'cpu_hz' ORDER BY at_ns"), [(99,), (999,), (49,)])
            heap = [value for (value,) in run.rows("SELECT value FROM setting WHERE name = 'heap_interval_bytes' ORDER BY at_ns")]
            self.assertEqual((heap[:3], heap[-1]), ([524288, 16384, 32768], 262144))
            marks = run.rows("SELECT at_ns, text FROM mark ORDER BY at_ns")
            self.assertEqual([text.split(": ", 1)[1] for _, text in marks],
                             ["heap every 16 KiB, cpu 999 Hz", "heap auto, every 32 KiB now", "heap every 256 KiB, cpu 49 Hz"])
            asked = dict(run.rows("SELECT value, at_ns FROM setting WHERE name = 'cpu_hz'"))
            self.assertEqual((marks[0][0], marks[2][0]), (asked[999], asked[49]), "mark and setting are of the same instant")

    def test_io_that_was_off_is_not_mistaken_for_none(self):
        with harness.Scratch() as scratch:
            with recorded(scratch.run_path) as target:
                target.do("io 300")
                set_(target.pid, "io=off")
                target.do("io 500")
                time.sleep(1.2)
                set_(target.pid, "io=on")
                target.do("io 1")  # the change may come with its first call, which began before it
                target.do("io 200")
                self.assertEqual(target.end(), 0)
            run = scratch.run()
            ops = dict(run.rows("SELECT kind, SUM(ops) FROM io GROUP BY kind"))
            for kind in ("socket_read", "socket_write", "file_write"):
                self.assertIn(ops[kind], range(500, 503), ops)
            masks = [int(mask) for (mask,) in run.rows("SELECT value FROM setting WHERE name = 'families' ORDER BY at_ns")]
            self.assertEqual(masks, [511, 511 & ~(4 | 8 | 16), 511])
            self.assertEqual([text.split(": ", 1)[1] for (text,) in run.rows("SELECT text FROM mark ORDER BY at_ns")],
                             ["socket off, file off, wait off", "socket on, file on, wait on, wait every 10 ms"])
            report = json.loads(harness.camprobe("report", scratch.run_path, "--format", "json").stdout)
            probe = report["processes"][0]["probe"]
            off = {gap["family"]: (gap["from_s"], gap["to_s"]) for gap in probe["not_recorded"]}
            self.assertEqual(set(off), {"socket", "file", "wait"})
            began, ended = off["socket"]
            self.assertGreater(ended - began, 1)
            self.assertTrue(any("socket" in sentence and "not zero" in sentence for sentence in report["analysis"]["not_judged"]))
            self.assertIn("every 10 ms to", harness.camprobe("report", scratch.run_path).stdout)

    def test_one_family_of_io_alone(self):
        with harness.Scratch() as scratch:
            with recorded(scratch.run_path) as target:
                target.do("io 10")
                set_(target.pid, "socket=off")
                target.do("io 10")
                target.do("io 100")
                self.assertEqual(target.end(), 0)
            ops = dict(scratch.run().rows("SELECT kind, SUM(ops) FROM io GROUP BY kind"))
            self.assertEqual(ops["file_write"], 120)
            self.assertIn(ops["socket_write"], range(10, 13))

    def test_descriptors_that_close_while_their_family_is_off_are_closed(self):
        with harness.Scratch() as scratch:
            with recorded(scratch.run_path) as target:
                descriptor = target.do("open")
                target.do("waits 20 60")
                set_(target.pid, "io=off")
                target.do("sleep 1")
                target.do(f"close {descriptor}")
                self.assertEqual(target.do("open"), descriptor, "the number is used again")
                set_(target.pid, "io=on")
                target.do("waits 20 60")
                self.assertEqual(target.end(), 0)
            rows = scratch.run().rows("SELECT opened_ns, closed_ns FROM descriptor WHERE fd = ? ORDER BY opened_ns", descriptor)
            self.assertIsNotNone(rows[0][1], rows)

    def test_waiting_is_weighed_by_the_interval_it_was_sampled_with(self):
        with harness.Scratch() as scratch:
            waits, ms, rounds = 150, 4, 4
            with recorded(scratch.run_path) as target:
                for interval in ("wait=1ms", "wait=40ms", "wait=2ms", "wait=80ms")[:rounds]:
                    set_(target.pid, interval)
                    target.do(f"waits {waits} {ms}")
                self.assertEqual(target.end(), 0)
            run = scratch.run()
            counted = run.value("SELECT SUM(ns) FROM io WHERE kind = 'wait'")
            estimated, samples = run.rows("SELECT SUM(weight_ns), SUM(samples) FROM wait WHERE call = (SELECT id FROM name WHERE text = 'poll')")[0]
            self.assertGreater(samples, 200)
            # A wait of 4 ms at an interval T is sampled with p = 1 - exp(-4 ms / T) and then stands for 4 ms / p.
            variance = sum(waits * (ms * 1e6) ** 2 * (1 - p) / p for p in (1 - math.exp(-ms / t) for t in (1, 40, 2, 80)))
            self.assertLess(abs(estimated - counted), 6 * math.sqrt(variance), (estimated, counted))

    def test_one_collector_keeps_the_region_for_another_that_goes(self):
        """The region belongs to one reader at a time: when that one ends, the other takes over, and nothing is lost to it."""
        with preloaded() as target, harness.Scratch() as scratch:
            target.do("io 1")
            paths = [scratch.directory / name for name in ("first.camrun", "second.camrun")]
            first = subprocess.Popen([harness.CAMPROBE, "attach", str(target.pid), "-q", "--duration", "6s", "-o", paths[0]])
            harness.wait_until(lambda: str(paths[0]) in harness.camprobe("list").stdout, what="the first recording")
            time.sleep(0.3)
            second = subprocess.Popen([harness.CAMPROBE, "attach", str(target.pid), "-q", "-o", paths[1]])
            harness.wait_until(lambda: str(paths[1]) in harness.camprobe("list").stdout, what="the second recording")
            set_(target.pid, "cpu=500")
            target.do("io 1")
            self.assertEqual(first.wait(30), 0)
            time.sleep(0.5)
            target.do("keep 1000 5000")
            target.end()
            self.assertEqual(second.wait(30), 0)
            run = harness.Run(paths[1])
            self.assertEqual(run.value("SELECT ended_how FROM process"), "exited", "the region was still there when it ended")
            self.assertEqual(run.value("SELECT MAX(value) FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = 'heap_allocations'") >= 1000, True)
            for path in paths:
                self.assertEqual(harness.Run(path).value("SELECT COUNT(*) FROM mark WHERE text LIKE '%cpu 500 Hz'"), 1, path)


class WrongUse(unittest.TestCase):
    def refused(self, *arguments, mentions=()):
        result = harness.camprobe("set", *arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), f"{arguments}: {result.stdout}{result.stderr}")
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for text in mentions:
            self.assertIn(text, result.stderr, arguments)

    def test_settings(self):
        with preloaded() as target:
            before = holds(target.pid)
            for setting, mentioned in (("heap=64KB", "64 bytes"), ("heap=1", "64 bytes"), ("heap=-5", "64 bytes"), ("cpu=20000", "10000"),
                                       ("cpu=fast", "10000"), ("wait=10", "us, ms or s"), ("wait=2h", "us, ms or s"), ("io=64KiB", "on or off"),
                                       ("socket=maybe", "on or off"), ("disk=off", "no setting disk"), ("heap", "NAME=VALUE"),
                                       ("=on", "NAME=VALUE"), ("heap=", "64 bytes"), ("budget=0", "100%"), ("budget=off", "100%"), ("cpu=auto", "10000")):
                self.refused(target.pid, setting, mentions=[setting, mentioned])
            self.refused(target.pid, "io=off", "socket=on", mentions=["io=off", "socket=on", "say it once"])
            self.refused(target.pid, "heap=on", "heap=off", mentions=["heap=on", "heap=off"])
            self.refused(target.pid, "cpu=500", "heap=1KB", mentions=["heap=1KB"])
            target.do("io 1")
            # What the budget makes of the automatic interval meanwhile is its own business.
            after = holds(target.pid)
            self.assertEqual([held.pop("heap").split(",")[0] for held in (before, after)], ["auto", "auto"])
            self.assertEqual(after, before, "nothing was changed by half")

    def test_processes(self):
        self.refused("4194301", "cpu=99", mentions=["4194301"])
        self.refused("1", mentions=["1"])
        self.refused("zero", mentions=["zero"])
        self.refused(mentions=["PID"])
        with harness.running(["sleep", "20"]) as bare:
            self.refused(bare.pid, "cpu=99", mentions=["without the probe", "camprobe run"])
        with preloaded() as target:
            target.process.kill()
            target.process.wait()
            self.refused(target.pid, "cpu=99", mentions=[str(target.pid)])
            harness.camprobe("list", "--clean")


if __name__ == "__main__":
    unittest.main()
