"""A collector that is killed, and a program that is started again: one run goes on through both, and loses nothing that it need not."""
import os
import signal
import socket
import subprocess
import time
import unittest

from harness import CAMPROBE, PROBE, Scratch, Run, camprobe, free_port, listens, need, running, wait_until

PING = b"PING\r\n"


def redis(port, directory):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.bytes = 0

    def ping(self, times):
        for _ in range(times):
            self.socket.sendall(PING)
            self.bytes += len(PING)
            answer = b""
            while len(answer) < 7:
                answer += self.socket.recv(7 - len(answer))

    def close(self):
        self.socket.close()


def value(path, query, *values):
    run = Run(path)
    try:
        return run.value(query, *values)
    finally:
        run.database.close()


def seconds_recorded(path):
    return value(path, "SELECT coalesce(max(second), -1) FROM point") + 1


@unittest.skipIf(need("redis-server"), "no redis-server")
class Resume(unittest.TestCase):
    def record(self, scratch, port):
        """redis under camprobe run: the collector, and the pid of redis."""
        collector = subprocess.Popen([CAMPROBE, "run", "-q", "--no-report", "-o", str(scratch.run_path), "--", *redis(port, scratch.directory)],
                                     stdout=subprocess.DEVNULL)
        wait_until(lambda: listens(port), what="redis")
        with open(f"/proc/{collector.pid}/task/{collector.pid}/children", encoding="ascii") as children:
            return collector, int(children.read().split()[0])

    def end(self, pid):
        try:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the end of redis")
        except ProcessLookupError:
            pass

    def kill_collector(self, scratch, collector):
        # A whole second with all that was asked must be in the file: what is younger is what may be lost.
        before = seconds_recorded(scratch.run_path)
        wait_until(lambda: seconds_recorded(scratch.run_path) >= before + 2, what="the collector's next seconds")
        collector.kill()
        collector.wait()

    def test_a_killed_collector_goes_on_and_counts_nothing_twice(self):
        port = free_port()
        with Scratch() as scratch:
            collector, server = self.record(scratch, port)
            try:
                client = Client(port)
                client.ping(300)
                self.kill_collector(scratch, collector)
                client.ping(500)  # nobody watches
                with running([CAMPROBE, "attach", "-q", "--no-report", "--resume", str(scratch.run_path)]) as resumed:
                    wait_until(lambda: value(scratch.run_path, "SELECT count(*) FROM mark WHERE source = 'collector'") == 1, what="the mark")
                    client.ping(200)
                    time.sleep(1.5)
                    self.end(server)
                    self.assertEqual(resumed.wait(60), 0)
                client.close()
                run = scratch.run()
                self.assertEqual(run.value("SELECT value FROM meta WHERE key = 'state'"), "complete")
                self.assertEqual(run.value("SELECT count(*) FROM process WHERE pid = ?", server), 1, "it is the same process")
                self.assertEqual(run.rows("SELECT ended_how FROM process WHERE pid = ?", server), [("exited",)])
                # listens() connected and closed without a word; all else is ours, to the byte.
                self.assertEqual(run.value("SELECT sum(bytes) FROM io WHERE kind = 'socket_read'"), client.bytes)
                connections = run.rows("SELECT read_bytes FROM descriptor WHERE kind = 'accept' AND read_bytes > 0")
                self.assertEqual(connections, [(client.bytes,)], "one connection, open through it all")
                self.assertEqual(run.value("SELECT count(*) FROM (SELECT tid FROM thread GROUP BY tid HAVING count(*) > 1)"), 0)
                self.assertEqual(run.value("SELECT count(*) FROM (SELECT low FROM module GROUP BY process, low, path HAVING count(*) > 1)"), 0)
                self.assertEqual(run.value("SELECT count(*) FROM (SELECT 1 FROM stack WHERE region_id IS NOT NULL AND id IN (SELECT stack FROM stack_frame) GROUP BY process, region_id, instruction HAVING count(*) > 1)"), 0)
                self.assertEqual(run.value("SELECT count(*) FROM unnamed_stack"), 0)
                self.assertIn("main", run.functions_anywhere("heap_object"))
            finally:
                self.end(server)

    def test_what_a_killed_collector_left_has_names_when_it_is_read(self):
        port = free_port()
        with Scratch() as scratch:
            collector, server = self.record(scratch, port)
            try:
                client = Client(port)
                client.ping(100)
                self.kill_collector(scratch, collector)
                self.assertGreater(value(scratch.run_path, "SELECT count(*) FROM unnamed_stack"), 0)
                folded = camprobe("export", scratch.run_path, "--what", "live", "--format", "folded")
                self.assertEqual(folded.returncode, 0, folded.stderr)
                self.assertIn("main", folded.stdout)
                client.close()
            finally:
                self.end(server)

    def test_a_program_started_again_is_another_process_of_the_run(self):
        port = free_port()
        with Scratch() as scratch:
            collector, server = self.record(scratch, port)
            client = Client(port)
            client.ping(50)
            client.close()
            self.end(server)
            self.assertEqual(collector.wait(60), 0)
            run_id = value(scratch.run_path, "SELECT value FROM meta WHERE key = 'run_id'")
            environment = dict(os.environ, LD_PRELOAD=PROBE, CAMPROBE_RUN=run_id)
            with running(redis(port, scratch.directory), env=environment, stdout=subprocess.DEVNULL) as again:
                wait_until(lambda: listens(port), what="redis")
                with running([CAMPROBE, "attach", "-q", "--no-report", "--resume", str(scratch.run_path)]) as resumed:
                    client = Client(port)
                    client.ping(70)
                    client.close()
                    time.sleep(1.5)
                    again.terminate()
                    again.wait(30)
                    self.assertEqual(resumed.wait(60), 0)
            rows = scratch.run().rows("SELECT p.pid, sum(i.bytes) FROM process p JOIN io i ON i.process = p.id WHERE i.kind = 'socket_read' "
                                      "GROUP BY p.id ORDER BY p.id")
            self.assertEqual(rows, [(server, 50 * len(PING)), (again.pid, 70 * len(PING))])

    def test_what_cannot_go_on_says_why(self):
        with Scratch() as scratch:
            missing = camprobe("attach", "--resume", scratch.run_path)
            self.assertEqual((missing.returncode, len(missing.stderr.splitlines())), (2, 1), missing.stderr)
            port = free_port()
            collector, server = self.record(scratch, port)
            try:
                wait_until(lambda: seconds_recorded(scratch.run_path) > 0, what="the first second")
                busy = camprobe("attach", "--resume", scratch.run_path)
                self.assertEqual(busy.returncode, 2)
                self.assertIn("is being recorded", busy.stderr)
            finally:
                self.end(server)
                collector.wait(60)


if __name__ == "__main__":
    unittest.main()
