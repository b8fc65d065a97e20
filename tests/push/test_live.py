"""camprobe push --live: what processes with the probe do right now, through outages, unnoticed by them."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import unittest

import receivers
import target
from receivers import Imported, Ingested, Strict, harness, listening

os.environ.pop("CAMPROBE_RUNS", None)  # ours, not the probe's
ENV = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


class Pusher:
    def __init__(self, process):
        self.process = process

    def end(self):
        """(exit code, lines of standard error)"""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said.splitlines()


@contextlib.contextmanager
def pushing(program, receiver, url, *arguments):
    """Of this program only, whatever else runs here with the probe."""
    command = [harness.CAMPROBE, "push", "--live", "--pid", str(program.pid), "--to", receiver, url, *map(str, arguments)]
    with harness.running(command, stderr=subprocess.PIPE, text=True, env=ENV) as process, process.stderr:
        yield Pusher(process)


def reader_of(pid):
    """ControlBlock::reader_pid (shm/layout.h): which collector the region belongs to."""
    with open(f"/dev/shm/{target.regions_of(pid)[0]}", "rb") as region:
        region.seek(4096 + 32)
        return int.from_bytes(region.read(4), "little")


class Live(unittest.TestCase):
    def test_prometheus_follows_a_process_to_its_end(self):
        with harness.Scratch() as scratch, receivers.prometheus(scratch.directory) as prometheus, target.preloaded() as program, \
                pushing(program, "remote-write", prometheus.url, "--every", "1", "--job", "tests") as pusher:
            program.do("io 11")
            wrote = f'camprobe_io_operations_total{{job="tests",pid="{program.pid}",kind="socket",direction="write"}}'
            harness.wait_until(lambda: prometheus.value(wrote) == 11, what=wrote)
            program.do("io 22")
            harness.wait_until(lambda: prometheus.value(wrote) == 33, what="what came later")
            self.assertEqual(reader_of(program.pid), 0, "nobody has claimed the region")
            self.assertEqual(program.end(), 0)
            # Told that it is gone: without that it would be shown for five minutes more.
            harness.wait_until(lambda: prometheus.query(f'{{pid="{program.pid}"}}') == [], seconds=10, what="the end of its series")
            code, said = pusher.end()
            self.assertEqual(code, 0, said)
            self.assertRegex("\n".join(said), r"^camprobe push: \d+ requests delivered to [^\n]*$")
            self.assertEqual(prometheus.query('{job="tests"}'), [], "and so are the pusher's own")

    def test_a_spool_outlives_a_pusher_that_is_killed(self):
        strict = Strict(Imported)
        port = harness.free_port()
        url = f"http://127.0.0.1:{port}"
        with harness.Scratch() as scratch, target.preloaded() as program:
            spool = str(scratch.directory / "spool")
            waiting = lambda: [name for name in os.listdir(spool) if name.endswith(".parcel")] if os.path.isdir(spool) else []
            with pushing(program, "victoriametrics", url, "--every", "1", "--spool", spool) as pusher:
                harness.wait_until(lambda: len(waiting()) >= 2, what="pushes that nobody takes")
                pusher.process.kill()
                pusher.process.communicate(timeout=30)
            left = len(waiting())
            with listening(strict, port), pushing(program, "victoriametrics", url, "--every", "1", "--spool", spool) as pusher:
                harness.wait_until(lambda: strict.count() > left, what="what was left, and something new")
                code, said = pusher.end()
            self.assertEqual(code, 0, said)
            self.assertIn(f"camprobe push: {left} requests of an earlier push wait in {spool}: they go first", said)
            times = [taken.time_ms for taken in strict.taken]
            self.assertEqual(times, sorted(set(times)), "in order, and none twice")
            self.assertEqual(waiting(), [])

    def test_an_outage_loses_nothing_and_keeps_the_order(self):
        strict = Strict(Imported)
        port = harness.free_port()
        url = f"http://127.0.0.1:{port}"
        with target.preloaded() as program, pushing(program, "victoriametrics", url, "--every", "1") as pusher:
            time.sleep(1.2)  # nobody is there yet
            with listening(strict, port):
                harness.wait_until(lambda: strict.count() >= 2, what="pushes after the receiver came up")
            program.do("io 5")
            time.sleep(1.2)  # it is gone again
            strict.status, strict.retry_after = 503, 1
            with listening(strict, port):
                harness.wait_until(lambda: strict.statuses.count(503) >= 2, what="attempts that were put off")
                strict.status = 200
                wrote = dict(pid=program.pid, kind="socket", direction="write")
                harness.wait_until(lambda: strict.taken and strict.taken[-1].samples.of("camprobe_io_operations_total", **wrote) == [5],
                                   what="what happened meanwhile")
                code, said = pusher.end()
            self.assertEqual((code, strict.wrong), (0, []), said)
        times = [one.time_ms for one in strict.taken]
        self.assertEqual(times, sorted(set(times)), "in order, each once")
        self.assertIn(f"camprobe push: {len(times)} requests delivered to {url}", said, "none is missing")
        self.assertEqual(strict.taken[-1].samples.one("camprobe_push_requests_total", outcome="dropped"), 0)
        self.assertGreaterEqual(strict.taken[-1].samples.one("camprobe_push_failed_attempts_total"), 3)
        self.assertEqual(sum("trying again" in line for line in said), 2, said)
        self.assertEqual(sum("the receiver is back" in line for line in said), 2, said)

    def test_a_pushgateway_holds_the_last_values_of_each(self):
        with harness.Scratch() as scratch, receivers.pushgateway(scratch.directory) as url, target.preloaded() as program, \
                pushing(program, "pushgateway", url, "--every", "1") as pusher:
            def samples():
                return receivers.parse("\n".join(line for line in receivers.get(f"{url}/metrics").splitlines() if 'job="camprobe"' in line))
            wrote = dict(pid=program.pid, kind="socket", direction="write")
            program.do("io 3")
            harness.wait_until(lambda: samples().of("camprobe_io_operations_total", **wrote) == [3], what="three writes")
            program.do("io 4")
            code, said = pusher.end()  # what came last is pushed on the way out
            self.assertEqual(code, 0, said)
            self.assertEqual(samples().one("camprobe_io_operations_total", **wrote), 7)


class Hindered(unittest.TestCase):
    def test_a_receiver_that_takes_a_request_and_never_answers_holds_nothing_up(self):
        strict = Strict(Imported)
        port = harness.free_port()
        with target.preloaded(CAMPROBE_HEAP_INTERVAL="4096") as program, socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            silent.bind(("127.0.0.1", port))
            silent.listen(8)
            with pushing(program, "victoriametrics", f"http://127.0.0.1:{port}", "--every", "1") as pusher:
                held, _ = silent.accept()
                with held:
                    self.assertTrue(held.recv(100).startswith(b"POST /api/v1/import/prometheus "))
                    for _ in range(8):  # 8,000 records; a ring that nobody drains holds 4,096
                        program.do("alloc 500 65536")
                        time.sleep(0.25)
                    silent.close()
                with listening(strict, port):
                    harness.wait_until(lambda: strict.count() >= 4, what="all that waited")
                    code, said = pusher.end()
        self.assertEqual((code, strict.wrong), (0, []), said)
        last = strict.taken[-1].samples
        self.assertGreater(last.one("camprobe_records_total", pid=program.pid, kind="allocation"), 3900)
        self.assertEqual(last.one("camprobe_lost_records_total", pid=program.pid, reason="lapped"), 0, "rings were drained all the while")
        times = [one.time_ms for one in strict.taken]
        self.assertEqual(times, sorted(set(times)))

    def test_beyond_the_bound_the_oldest_are_dropped_and_it_is_said(self):
        strict = Strict(Imported)
        port = harness.free_port()
        with target.preloaded() as program, pushing(program, "victoriametrics", f"http://127.0.0.1:{port}", "--every", "1", "--keep-at-most", "4KiB") as pusher:
            line = ""
            while "the oldest are dropped from here on" not in line:
                line = pusher.process.stderr.readline()
                self.assertTrue(line, "it has ended")
            program.do("io 7")
            with listening(strict, port):
                wrote = dict(pid=program.pid, kind="socket", direction="write")
                harness.wait_until(lambda: strict.taken and strict.taken[-1].samples.of("camprobe_io_operations_total", **wrote) == [7],
                                   what="the newest")
                code, said = pusher.end()
        self.assertEqual(code, 1)
        dropped = int(re.search(r"(\d+) requests were dropped as too much was waiting and 0 were refused, about \S+ to \S+$", "\n".join(said), re.M)[1])
        self.assertGreaterEqual(dropped, 1)
        self.assertEqual(strict.taken[-1].samples.one("camprobe_push_requests_total", outcome="dropped"), dropped)


class Profiles(unittest.TestCase):
    def test_pyroscope_gets_profiles_with_names_and_the_process_notices_nothing(self):
        strict = Strict(Ingested)
        with target.preloaded(CAMPROBE_HEAP_INTERVAL="4096") as program, listening(strict) as url, \
                pushing(program, "pyroscope", url, "--every", "2", "--label", "env=test") as pusher:
            program.do("keep 400 1000")
            program.do("spin 600")
            mine = lambda kind: [one for one in list(strict.taken) if one.labels["pid"] == str(program.pid) and kind in one.config]
            harness.wait_until(lambda: mine("samples") and mine("inuse_space"), what="a profile of CPU and one of the heap")
            self.assertEqual(reader_of(program.pid), 0, "nobody has claimed the region")
            marked = harness.camprobe("mark", "now", "--pid", program.pid)
            self.assertEqual(marked.returncode, 2, "a pusher's own file is no recording")
            self.assertIn(f"pid {program.pid} is not being recorded", marked.stderr)
            program.do("spin 300")
            code, said = pusher.end()
            self.assertEqual((code, strict.wrong), (0, []), said)
            self.assertTrue(target.regions_of(program.pid))
            cpu, heap = mine("samples"), mine("inuse_space")
            self.assertEqual(cpu[0].application, "cli_control_target")
            self.assertEqual(cpu[0].labels["env"], "test")
            functions = {function for one in cpu for stack, _, _ in one.profile.samples for function in stack}
            self.assertTrue({name for name in functions if "spin" in name}, functions)
            self.assertTrue([one for one in heap for stack, values, _ in one.profile.samples if any("keep_here" in name for name in stack)])
            spun = sum(one.profile.sum("cpu") for one in cpu)
            self.assertGreater(spun, 0.5e9, "the last, shorter stretch is there too")
            self.assertEqual([(one.begin, one.end) for one in cpu], sorted({(one.begin, one.end) for one in cpu}), "stretches do not overlap")


if __name__ == "__main__":
    unittest.main()
