"""A request through two probed processes is one trace: in the OTLP export, and in the page of the report."""
import json
import os
import pathlib
import sys
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import harness  # noqa: E402

BIN = pathlib.Path(harness.CAMPROBE).parent
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Traces(unittest.TestCase):
    def test_a_request_is_one_tree_over_both_processes(self):
        with harness.Scratch() as scratch:
            run, catalog, port = scratch.directory / "mesh.camrun", scratch.directory / "providers.json", harness.free_port()
            servers = (f'"{BIN}/cam-providers" --free-ports --write-catalog "{catalog}" & while [ ! -s "{catalog}" ]; do sleep 0.05; done; '
                       f'"{BIN}/cam-server" --port {port} --health-check-ms 0 --providers "{catalog}"; kill $!; wait $!')
            with harness.running([BIN / "camprobe", "run", "-q", "-o", run, "--", "sh", "-c", servers]) as recording:
                harness.wait_until(lambda: harness.listens(port), what="cam-server listens")
                for number in range(40):
                    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"} if number == 7 else {}
                    request = urllib.request.Request(f"http://127.0.0.1:{port}/arbitrate?prompt_size=400", headers=headers)
                    self.assertEqual(urllib.request.urlopen(request, timeout=10).status, 200)
                time.sleep(0.3)  # for the collector to see the last of them
                server = next(int(path.name) for path in pathlib.Path("/proc").iterdir()
                              if path.name.isdigit() and self.is_server(path, port))
                os.kill(server, 15)
                recording.wait(30)
            exported = json.loads(harness.camprobe("export", run, "--format", "otlp").stdout)
            spans = [(resource["resource"]["attributes"][0]["value"]["stringValue"], span) for resource in exported["resourceSpans"]
                     for scope in resource["scopeSpans"] for span in scope["spans"]]
            ours = {span["name"]: (service, span) for service, span in spans if span["traceId"] == TRACE}
            self.assertEqual({name: service for name, (service, _) in ours.items()},
                             {"cam.request": "cam-server", "cam.arbitration": "cam-server", "cam.provider_call": "cam-server", "cam.provider": "cam-providers"})
            self.assertEqual(ours["cam.request"][1]["parentSpanId"], "b7ad6b7169203331")
            self.assertEqual(ours["cam.provider_call"][1]["parentSpanId"], ours["cam.request"][1]["spanId"])
            self.assertEqual(ours["cam.provider"][1]["parentSpanId"], ours["cam.provider_call"][1]["spanId"])
            # The others began traces of their own, which go on in the other process just the same.
            by_id = {span["spanId"]: span for _, span in spans}
            answers = [span for service, span in spans if service == "cam-providers" and span.get("parentSpanId") in by_id]
            self.assertGreaterEqual(len(answers), 10)
            for span in answers:
                call = by_id[span["parentSpanId"]]
                self.assertEqual((call["name"], call["traceId"]), ("cam.provider_call", span["traceId"]))
                self.assertEqual(by_id[call["parentSpanId"]]["traceId"], span["traceId"])
            page = scratch.directory / "report.html"
            harness.camprobe("report", run, "--format", "html", "-o", page)
            self.assertIn(TRACE, page.read_text(encoding="utf-8"))

    @staticmethod
    def is_server(path, port):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0].endswith(b"/cam-server") and str(port).encode() in words


if __name__ == "__main__":
    unittest.main()
