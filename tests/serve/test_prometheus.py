"""A real Prometheus that scrapes camprobe serve: restarts, a token, and twenty processes."""
import contextlib
import os
import time
import unittest

from prometheus import prometheus
from serving import harness, promtool, served, target


class OverRestarts(unittest.TestCase):
    def test_scrapes_with_a_token_and_over_restarts(self):
        with harness.Scratch() as scratch:
            token = scratch.directory / "token"
            token.touch(0o600)
            token.write_text("a-token-of-this-test-only-0123456789\n")
            with served("--token-file", token) as server, prometheus(scratch.directory, server.port, token) as database:
                harness.wait_until(lambda: database.value('up{job="camprobe"}') == 1, what="the first scrape")
                pids = []
                for writes in (11, 22):
                    with target.preloaded() as program:
                        pids.append(program.pid)
                        program.do(f"io {writes}")
                        wrote = f'camprobe_io_operations_total{{pid="{program.pid}",kind="socket",direction="write"}}'
                        harness.wait_until(lambda: database.value(wrote) == writes, what=wrote)
                    # Prometheus marks what a scrape no longer has as stale: it is gone at once, not after the look-back.
                    harness.wait_until(lambda: database.query(f'{{pid="{program.pid}"}}') == [], seconds=4, what="the dead one's end")
                history = database.query('count by (pid) (last_over_time(process_start_time_seconds{process="cli_control_target"}[1m]))')
                self.assertLessEqual(set(map(str, pids)), {labels["pid"] for labels, _ in history})
                self.assertEqual(database.value('min_over_time(up{job="camprobe"}[1m])'), 1, "no scrape failed")
                self.assertEqual(database.value('max_over_time(up{job="without"}[1m])'), 0)
                without = database.get("/api/v1/targets", scrapePool="without")["data"]["activeTargets"]
                self.assertIn("401", next(t["lastError"] for t in without if t["scrapePool"] == "without"))


class TwentyProcesses(unittest.TestCase):
    def test_twenty_processes_come_and_go(self):
        with harness.Scratch() as scratch, served() as server, prometheus(scratch.directory, server.port) as database, \
                contextlib.ExitStack() as first_half, contextlib.ExitStack() as second_half:
            programs = [(first_half if i < 10 else second_half).enter_context(target.preloaded()) for i in range(20)]
            for i, program in enumerate(programs):
                program.do(f"io {100 + i}")
                program.do("keep 300 1000")
            mine = "|".join(str(program.pid) for program in programs)
            wrote = f'sum(camprobe_io_operations_total{{pid=~"{mine}",kind="socket",direction="write"}})'
            harness.wait_until(lambda: database.value(wrote) == sum(range(100, 120)), what="all that was written")
            text = server.text()
            checked = promtool("check", "metrics", input=text)
            self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))
            harness.wait_until(lambda: database.value("camprobe_exporter_collect_seconds") > 0, what="a second collection")
            series = database.value("camprobe_exporter_series")
            self.assertLess(series, database.value("camprobe_exporter_series_limit"))
            self.assertGreater(series, 20 * 90)
            print(f"{series:.0f} series, collected in {database.value('camprobe_exporter_collect_seconds') * 1e3:.1f} ms, "
                  f"scraped in {database.value('scrape_duration_seconds') * 1e3:.1f} ms, {len(text) >> 10} KiB", flush=True)
            first_half.close()
            harness.wait_until(lambda: database.value(f'count(camprobe_probe_up{{pid=~"{mine}"}})') == 10, what="ten left")
            self.assertEqual(database.value(wrote), sum(range(110, 120)))
            descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            second_half.close()
            harness.wait_until(lambda: database.query(f'camprobe_probe_up{{pid=~"{mine}"}}') == [], what="none left")
            time.sleep(0.3)
            self.assertLess(len(os.listdir(f"/proc/{server.process.pid}/fd")), descriptors, "the dead hold nothing open")
            self.assertEqual(database.value('min_over_time(up{job="camprobe"}[1m])'), 1, "no scrape failed")


if __name__ == "__main__":
    unittest.main()
