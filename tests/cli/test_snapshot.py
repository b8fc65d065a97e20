"""`camprobe snapshot`: what a running process holds, without it or anybody else noticing."""
import time
import unittest

from target import harness, preloaded, recorded, regions_of


def reader_of(pid):
    """ControlBlock::reader_pid (shm/layout.h): which collector the region belongs to."""
    with open(f"/dev/shm/{regions_of(pid)[0]}", "rb") as region:
        region.seek(4096 + 32)
        return int.from_bytes(region.read(4), "little")


class Snapshot(unittest.TestCase):
    def test_holds_the_heap_descriptors_threads_and_spans_of_now(self):
        with preloaded(CAMPROBE_HEAP_INTERVAL="16KiB") as target, harness.Scratch() as scratch:
            target.do("keep 4000 2000")
            target.do("alloc 4000 2000")
            target.do("thread")
            target.do("open")
            target.do("span cam.arbitration")
            target.do("io 5")
            result = harness.camprobe("snapshot", target.pid, "-o", scratch.run_path)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIsNone(target.process.poll(), "the process goes on")
            self.assertEqual(target.do("io 1"), 0)
            run = scratch.run()
            self.assertEqual(run.value("SELECT value FROM meta WHERE key = 'state'"), "snapshot")
            self.assertEqual(run.rows("SELECT pid, ended_how, probe_state FROM process"), [(target.pid, "running", "sampling")])
            # 4,000 blocks of 2,000 bytes at 16 KiB: p = 0.115, so 460 samples, +- 4.4 %.
            live = run.functions("heap_object", "bytes")
            kept = sum(weight for name, weight in live.items() if "keep_here" in name)
            self.assertLess(abs(kept - 8e6), 6 * 8e6 * (0.885 / 460) ** 0.5, live)
            self.assertEqual(sum(weight for name, weight in live.items() if "allocate_here" in name), 0, "what was freed is not held")
            self.assertEqual(run.value("SELECT SUM(ops) FROM io WHERE kind = 'socket_write'"), 5)
            self.assertEqual(run.value("SELECT COUNT(*) FROM thread WHERE ended_ns IS NULL"), 2)
            kinds = dict(run.rows("SELECT kind, COUNT(*) FROM descriptor WHERE closed_ns IS NULL GROUP BY kind"))
            self.assertEqual((kinds["socket"], kinds["file"]), (2, 2), kinds)
            self.assertGreater(run.value("SELECT COUNT(*) FROM descriptor d JOIN stack_frame s ON s.stack = d.stack "
                                         "JOIN frame f ON f.id = s.frame WHERE f.function = 'main'"), 0, "with the stacks that opened them")
            self.assertEqual(run.rows("SELECT n.text, s.ended_ns, s.attributes FROM span s JOIN name n ON n.id = s.name"),
                             [("cam.arbitration", None, '{"provider":"openai"}')])
            self.assertEqual(run.rows("SELECT * FROM lost"), [], "what nobody recorded is not lost")
            for text in (f"pid {target.pid}", "threads      2", "2 socket", "cam.arbitration", "keep_here"):
                self.assertIn(text, result.stdout)
            folded = harness.camprobe("export", scratch.run_path, "--what", "live", "--format", "folded")
            self.assertEqual(folded.returncode, 0, folded.stderr)
            self.assertRegex(folded.stdout, r"(?m)^.*main.*keep_here.* \d{6,}$")
            report = harness.camprobe("report", scratch.run_path)
            self.assertEqual(report.returncode, 0, report.stderr)
            self.assertIn("What holds most at the end", report.stdout)
            self.assertRegex(report.stdout, r"^INCONCLUSIVE", "who is alive at one instant is a survivor, not a leak")
            self.assertNotIn("LEAK ", report.stdout)

    def test_disturbs_no_collector(self):
        with harness.Scratch() as scratch:
            with recorded(scratch.run_path) as target:
                target.do("keep 1000 3000")
                reader = harness.wait_until(lambda: reader_of(target.pid), what="the collector's claim")
                for i in range(3):
                    shot = scratch.directory / f"{i}.camrun"
                    self.assertEqual(harness.camprobe("snapshot", target.pid, "-q", "-o", shot).returncode, 0)
                    self.assertEqual(reader_of(target.pid), reader)
                target.do("io 50")
                time.sleep(1.1)
                self.assertEqual(target.end(), 0)
            run = scratch.run()
            self.assertEqual(run.rows("SELECT ended_how, exit_status FROM process"), [("exited", 0)])
            self.assertEqual(run.value("SELECT SUM(ops) FROM io WHERE kind = 'socket_write'"), 50)
            self.assertEqual(run.rows("SELECT kind FROM lost"), [])

    def test_leaves_nobody_in_charge(self):
        with preloaded() as target, harness.Scratch() as scratch:
            self.assertEqual(harness.camprobe("snapshot", target.pid, "-q", "-o", scratch.run_path).returncode, 0)
            self.assertEqual(reader_of(target.pid), 0)
            target.end()
            self.assertEqual(regions_of(target.pid), [], "the program took its region away at its end")

    def test_wrong_use(self):
        with preloaded() as target, harness.Scratch() as scratch, harness.running(["sleep", "20"]) as bare:
            scratch.run_path.write_text("precious")
            for arguments, mentioned in ((["4194301"], "4194301"), ([bare.pid], "without the probe"), (["x"], "x"),
                                         ([target.pid, "-o", scratch.run_path], str(scratch.run_path)),
                                         ([target.pid, "--overwrite", "-o", scratch.run_path], "not replaced"),
                                         ([target.pid, "-o", "/nonexistent/x.camrun"], "/nonexistent")):
                result = harness.camprobe("snapshot", *arguments, cwd=scratch.directory)
                self.assertEqual(result.returncode, 2, (arguments, result.stdout, result.stderr))
                self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
                self.assertIn(mentioned, result.stderr)
            self.assertEqual(scratch.run_path.read_text(), "precious")


if __name__ == "__main__":
    unittest.main()
