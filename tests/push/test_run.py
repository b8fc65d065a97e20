"""camprobe push RUN: a recorded run whose every figure is known, to real receivers and to a strict one."""
import os
import pathlib
import unittest

import receivers
from receivers import Imported, Ingested, Strict, exported, get, harness, listening, parse

RUNS = pathlib.Path(os.environ["CAMPROBE_RUNS"])
MESH, EMPTY = RUNS / "mesh.camrun", RUNS / "empty.camrun"
BEGAN_S = 1795453200  # tests/exporters/export_runs.cc
ENV = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def push(run, receiver, url, *arguments):
    return harness.camprobe("push", run, "--to", receiver, url, *arguments, env=ENV)


class Case(unittest.TestCase):
    def setUp(self):
        scratch = harness.Scratch()
        self.directory = scratch.__enter__().directory
        self.addCleanup(scratch.__exit__)

    def pushed(self, run, receiver, url, *arguments):
        result = push(run, receiver, url, *arguments)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)
        self.assertRegex(result.stderr, r"^camprobe push: \d+ requests delivered to http[^\n]*\n$")
        return int(result.stderr.split()[2])

    def refused(self, *arguments):
        """The one line that it says; nothing was pushed."""
        result = harness.camprobe("push", *arguments, env=ENV)
        lines = result.stderr.splitlines()
        self.assertEqual((result.returncode, result.stdout, len(lines)), (2, "", 1), result.stderr)
        self.assertTrue(lines[0].startswith("camprobe push: "), lines)
        return lines[0]


class RealReceivers(Case):
    def test_a_pushgateway_has_the_last_values(self):
        with receivers.pushgateway(self.directory) as url:
            self.assertEqual(self.pushed(MESH, "pushgateway", url, "--job", "nightly load", "--label", "branch=feature/x"), 1)
            samples = parse("\n".join(line for line in get(f"{url}/metrics").splitlines() if 'job="nightly load"' in line))
            group = {"job": "nightly load", "instance": "bench-3", "branch": "feature/x"}
            self.assertEqual(samples.one("process_resident_memory_bytes", pid=100, process="gateway", **group), 1.9e6)
            self.assertEqual(samples.one("camprobe_process_cpu_seconds_total", pid=100, mode="user", **group), 2.25)
            self.assertEqual(samples.one("camprobe_span_duration_seconds_count", pid=100, span="cam.request", **group), 1)
            self.assertAlmostEqual(samples.one("camprobe_span_duration_seconds_sum", pid=100, span="cam.request", **group), 1.4)
            self.assertEqual(samples.one("camprobe_load_errors_total", **group), 1)
            self.assertEqual(samples.one("push_failure_time_seconds", **group), 0)
            # Pushed again, it replaces what was there: no second group, and nothing adds up.
            self.pushed(MESH, "pushgateway", url + "/metrics", "--job", "nightly load", "--label", "branch=feature/x", "--label", "instance=ci")
            self.pushed(MESH, "pushgateway", url + "/", "--job", "nightly load", "--label", "branch=feature/x")
            text = get(f"{url}/metrics")
            self.assertEqual(text.count("\npush_time_seconds{"), 2)
            self.assertEqual(text.count("\ncamprobe_load_errors_total{"), 2)

    def test_victoriametrics_and_prometheus_hold_the_same_series_over_time(self):
        with receivers.victoriametrics(self.directory) as victoria, receivers.prometheus(self.directory) as prometheus:
            self.assertEqual(self.pushed(MESH, "victoriametrics", victoria, "--every", "2", "--label", "way=text"), 5)
            self.assertEqual(self.pushed(MESH, "remote-write", victoria, "--every", "2", "--label", "way=protobuf"), 6)
            self.assertEqual(self.pushed(MESH, "remote-write", prometheus.url, "--every", "2", "--label", "way=protobuf"), 6)
            by_way = {way: {(name, tuple(label for label in labels if label[0] != "way")): points
                            for (name, labels), points in exported(victoria, f'{{way="{way}"}}').items()} for way in ("text", "protobuf")}
            # The protobuf says when a series ends, a NaN that the export shows as null.
            protobuf = {key: {at: value for at, value in points.items() if value is not None} for key, points in by_way["protobuf"].items()}
            self.assertEqual(by_way["text"], protobuf)
            self.assertGreater(len(protobuf), 80)
            resident = ("process_resident_memory_bytes",
                        (("instance", "bench-3"), ("job", "camprobe"), ("pid", "100"), ("process", "gateway")))
            expected = {(BEGAN_S + second) * 1000: 1e6 + 1e5 * (second - 1) for second in (2, 4, 6, 8, 10)}
            self.assertEqual(by_way["text"][resident], expected)
            asked = prometheus.get("/api/v1/query", query='process_resident_memory_bytes{pid="100"}[20s]', time=BEGAN_S + 15)
            self.assertEqual([[at * 1000, float(value)] for at, value in asked["data"]["result"][0]["values"]],
                             [[at, value] for at, value in expected.items()])
            # Prometheus' look-back is five minutes, but it has been told that they ended.
            def at(seconds, query):
                return prometheus.get("/api/v1/query", query=query, time=BEGAN_S + seconds)["data"]["result"]
            self.assertEqual(at(10, 'sum(camprobe_load_requests_total)')[0]["value"][1], "100")
            self.assertEqual(at(11, 'sum(camprobe_load_requests_total)'), [])
            quantile = at(10, 'histogram_quantile(0.5, sum by (le) (camprobe_span_duration_seconds_bucket{span="cam.request"}))')
            self.assertGreater(float(quantile[0]["value"][1]), 0)


class Profiles(Case):
    def test_pyroscope_gets_each_process_and_stretch_with_all_that_is_documented(self):
        strict = Strict(Ingested)
        with listening(strict) as url:
            requests = self.pushed(MESH, "pyroscope", url, "--every", "5s", "--label", "env=test")
        self.assertEqual(strict.wrong, [])
        self.assertEqual(len(strict.taken), requests)
        cpu = [one for one in strict.taken if "samples" in one.config]
        heap = [one for one in strict.taken if "inuse_space" in one.config]
        self.assertEqual(len(cpu) + len(heap), requests)
        self.assertEqual([(one.application, one.begin - BEGAN_S, one.end - BEGAN_S) for one in cpu],
                         [("gateway", 0, 5), ("provider", 0, 5), ("gateway", 5, 10), ("provider", 5, 10)])
        for one in strict.taken:
            pid = {"gateway": "100", "provider": "200"}[one.application]
            self.assertEqual(one.labels, {"pid": pid, "job": "camprobe", "instance": "bench-3", "env": "test"})
            for _, _, labels in one.profile.samples:
                self.assertLessEqual(set(labels), {"span"}, "a label is a series: threads and windows are none here")
        # 10 ms a sample, as exported.py has it for the whole run.
        self.assertEqual(sum(one.profile.sum("cpu") for one in cpu), 2_390_000_000)
        self.assertEqual(sum(one.profile.sum("samples") for one in cpu), 239)
        self.assertTrue(all(one.profile.period == 10_000_000 and one.profile.duration_ns == 5_000_000_000 for one in cpu))
        self.assertEqual([one.profile.sum("alloc_space") for one in heap], [55001, 5001])  # 5 x 1000.25 + 50000, and 5 x 1000.25
        self.assertEqual([one.profile.sum("inuse_space") for one in heap], [55001, 53701])  # 3000.5 + 2000 + 50000, then one died
        self.assertNotIn("cumulative", heap[0].config["alloc_space"])
        self.assertIn("cam::scan(char const*)", {sample[0][0] for sample in cpu[0].profile.samples})

    def test_many_stretches_are_made_fewer_and_it_is_said(self):
        strict = Strict(Ingested)
        with listening(strict) as url:
            result = push(RUNS / "server.camrun", "pyroscope", url, "--every", "1")
        self.assertEqual((result.returncode, strict.wrong), (0, []), result.stderr)
        self.assertRegex(result.stderr.splitlines()[0], "server.camrun is long: a profile every 3 s$")
        self.assertEqual({one.end - one.begin for one in strict.taken}, {3})


class Security(Case):
    def test_certificates_and_tokens(self):
        ca, other, certificate = receivers.make_certificates(self.directory)
        token = self.directory / "token"
        token.touch(0o600)
        token.write_text("a-token-of-this-test-only\n")
        strict = Strict(Imported, token="a-token-of-this-test-only")
        with listening(strict, certificate=certificate) as url:
            self.pushed(MESH, "victoriametrics", url, "--ca", ca, "--token-file", token)
            self.assertEqual((strict.count(), strict.wrong), (1, []))
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url, "--ca", other, "--token-file", token), "certificate")
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url, "--token-file", token), "certificate")
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url, "--ca", ca), r"HTTP 401: said the receiver .*--token-file")
            self.assertEqual(strict.count(), 1)
            token.chmod(0o640)
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url, "--ca", ca, "--token-file", token), "may be read by others")
        self.assertNotIn("a-token", " ".join(self.refused(MESH, "--to", "victoriametrics", url, "--token-file", f) for f in (token, other)))

    def test_bad_input_is_one_line(self):
        nothing = self.directory / "nothing"
        text = self.directory / "text"
        text.write_text("no certificate\n")
        token = self.directory / "token"
        token.touch(0o600)
        token.write_text("a-token-of-this-test-only\n")
        here = ("victoriametrics", "http://127.0.0.1:1")
        for arguments, expected in [
                ((MESH, "--to", "carrier-pigeon", "http://127.0.0.1"), "choose one of pyroscope, pushgateway, victoriametrics, remote-write"),
                ((MESH, "--to", "pyroscope", "127.0.0.1:4040"), "no address to push to"),
                ((MESH, "--to", "pyroscope", "ftp://127.0.0.1"), "no address to push to"),
                ((MESH, "--to", "pyroscope", "http://"), "no address to push to"),
                ((MESH, "--to", "pyroscope", "http://user:secret@127.0.0.1"), "has a user or a password in it"),
                ((MESH, "--to", "pyroscope", "http://127.0.0.1/?x=1"), "leave out what stands behind the path"),
                ((MESH, "--to", *here, "--label", "env"), "env=staging"),
                ((MESH, "--to", *here, "--label", "__name__=x"), "env=staging"),
                ((MESH, "--to", *here, "--label", "pid=1"), "have a label pid of their own"),
                ((MESH, "--to", *here, "--label", "job=x"), "use --job"),
                ((MESH, "--to", *here, "--label", "a=1", "--label", "a=2"), "given twice"),
                ((MESH, "--to", *here, "--job", ""), "--job"),
                ((MESH, "--to", *here, "--token-file", nothing), "cannot be read: No such file"),
                ((MESH, "--to", *here, "--ca", text), "--ca is for https"),
                ((MESH, "--to", "pyroscope", "https://127.0.0.1:1", "--ca", nothing), "No such file"),
                ((MESH, "--to", "pyroscope", "https://127.0.0.1:1", "--ca", text), "no certificate in it"),
                ((MESH, "--to", "pyroscope", "http://192.0.2.1", "--token-file", token), "in the clear: use https"),
                ((MESH, "--to", *here, "--every", "0"), "too short"),
                ((MESH, "--to", *here, "--keep-at-most", "much"), "keep-at-most"),
                ((MESH, "--live", "--to", *here), "not both"),
                ((MESH, "--pid", "1", "--to", *here), "--live"),
                (("--live", "--pid", "999999999", "--to", *here), "999999999"),
                (("--to", *here), "name a run, or give --live"),
                ((MESH,), "--to is required"),
                ((nothing, "--to", *here), "No such file"),
                ((text, "--to", *here), "is not a camprobe run"),
                ((EMPTY, "--to", *here), "does not say when it was recorded")]:
            with self.subTest(arguments=arguments[1:]):
                line = self.refused(*arguments)
                self.assertIn(expected, line)
                self.assertNotIn("secret", line)

    def test_a_wrong_path_is_one_line(self):
        strict = Strict(Imported)
        strict.status = 404
        with listening(strict) as url:
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url), "HTTP 404.*nothing takes pushes at this address")
            strict.status = 302
            self.assertRegex(self.refused(MESH, "--to", "victoriametrics", url), "redirects are not followed")
        self.assertEqual(len(strict.statuses), 2, "neither is tried again")


class Away(Case):
    def test_what_a_receiver_refuses_is_said_and_the_rest_arrives(self):
        strict = Strict(Imported)
        refuse_from = BEGAN_S * 1000 + 5000
        def reads(request):
            one = Imported(request)
            assert one.time_ms < refuse_from or one.time_ms > refuse_from + 2000, "not that one"
            return one
        strict.reads = reads
        with listening(strict) as url:
            result = push(MESH, "victoriametrics", url, "--every", "2")
        self.assertEqual((result.returncode, strict.count()), (1, 4), result.stderr)
        first, lost, last = result.stderr.splitlines()
        self.assertIn("refused, and not sent again: HTTP 400: said the receiver", first)
        self.assertIn("0 requests were dropped as too much was waiting and 1 were refused", lost)
        self.assertIn("4 requests delivered", last)

    def test_one_that_is_not_there_is_given_up_in_the_end(self):
        result = push(MESH, "victoriametrics", f"http://127.0.0.1:{harness.free_port()}", "--give-up-after", "1")
        self.assertEqual(result.returncode, 1)
        first, left, last = result.stderr.splitlines()
        self.assertRegex(first, "Failed to connect to 127.0.0.1 .*; trying again")
        self.assertRegex(left, r"1 of 1 requests did not reach http://127.0.0.1:\d+: Failed to connect")
        self.assertIn("0 requests delivered", last)


if __name__ == "__main__":
    unittest.main()
