"""The spans cam-server reports are whole, nested right, and never left standing on a thread they have gone from."""
import collections
import http.client
import json
import os
import pathlib
import tempfile
import unittest

from servers import ServerTest, call, drive

RECORDER = os.environ.get("SPAN_RECORDER_LIBRARY", "")


class Replay:
    """Follows a recorder's log by the rules of camprobe.h and notes every breach."""

    def __init__(self, lines):
        self.spans = {}
        self.threads_of = collections.defaultdict(set)
        self.breaches = []
        stacks = collections.defaultdict(list)
        for line in lines:
            event = json.loads(line)
            kind, span, stack = event["call"], event.get("span"), stacks[event.get("thread")]
            if kind == "begin":
                parent = event["parent"] if event["has_parent"] else (stack[-1] if stack else 0)
                if parent and (parent not in self.spans or self.spans[parent]["ended"]):
                    self.breaches.append(f"{event['name']} begins under span {parent}, which is not open")
                self.spans[span] = {"name": event["name"], "parent": parent, "ended": False, "attributes": {}}
                stack.append(span)
            elif span not in self.spans or self.spans[span]["ended"]:
                self.breaches.append(f"{kind} of span {span}, which is not open")
                continue
            elif kind == "enter":
                stack.append(span)
            elif kind == "leave":
                if not stack or stack.pop() != span:
                    self.breaches.append(f"{self.spans[span]['name']} is left where it is not the innermost")
            elif kind == "set":
                self.spans[span]["attributes"][event["key"]] = event["value"]
            elif kind == "end":
                if stack and stack[-1] == span:
                    stack.pop()
                for thread, other in stacks.items():
                    if span in other:
                        self.breaches.append(f"{self.spans[span]['name']} ends while thread {thread} is in it")
                self.spans[span]["ended"] = True
            self.threads_of[span].add(event["thread"])
        self.breaches += [f"thread {thread} stays in {stack}" for thread, stack in stacks.items() if stack]
        self.breaches += [f"{span['name']} never ends" for span in self.spans.values() if not span["ended"]]

    def named(self, name):
        return [span for span in self.spans.values() if span["name"] == name]

    def root_of(self, span):
        while span["parent"]:
            span = self.spans[span["parent"]]
        return span


@unittest.skipUnless(RECORDER, "SPAN_RECORDER_LIBRARY names no library")
class Spans(ServerTest):
    def record(self, providers, work, *flags):
        with tempfile.TemporaryDirectory() as directory:
            log = pathlib.Path(directory) / "spans"
            server = self.start_server(providers, "--threads", "4", "--health-check-ms", "0", *flags,
                                       env={"LD_PRELOAD": RECORDER, "SPAN_RECORDER": str(log)})
            work(server)
            self.assertEqual(server.stop(), 0)
            return Replay(log.read_text().splitlines())

    def test_a_request_is_one_tree(self):
        replay = self.record(self.start_providers(), lambda server: self.assertEqual(drive(server.port, 200), {200: 200}))
        self.assertEqual(replay.breaches, [])
        requests = [span for span in replay.named("cam.request") if span["attributes"]["endpoint"] == "/arbitrate"]
        self.assertEqual(len(requests), 200)
        self.assertEqual({span["attributes"]["status"] for span in requests}, {200})
        for name in ("cam.arbitration", "cam.provider_call"):
            spans = replay.named(name)
            self.assertEqual(len(spans), 200, name)
            self.assertTrue(all(replay.spans[span["parent"]]["name"] == "cam.request" for span in spans), name)
        for span in replay.named("cam.arbitration"):
            self.assertEqual(set(span["attributes"]), {"provider", "cost", "baseline_cost", "strategy"})
            self.assertGreaterEqual(span["attributes"]["baseline_cost"], span["attributes"]["cost"])
        for span in replay.named("cam.provider_call"):
            self.assertEqual(set(span["attributes"]), {"provider", "cost", "tokens", "status", "traceparent"})
            self.assertEqual((span["attributes"]["status"], span["attributes"]["tokens"]), (200, 164))
        self.assertTrue(any(len(threads) > 1 for threads in replay.threads_of.values()), "spans did cross threads")

    def test_a_trace_goes_on_to_the_providers(self):
        """What a request comes with is on its span, and its calls go out as parts of the same trace, or of a new one."""
        trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        headers = [f"00-{trace}-{parent}-01", None, "nonsense", f"00-{'0' * 32}-{parent}-01"]
        with tempfile.TemporaryDirectory() as directory:
            log = pathlib.Path(directory) / "providers"
            providers = self.start_providers(env={"LD_PRELOAD": RECORDER, "SPAN_RECORDER": str(log)})

            def work(server):
                for header in headers:
                    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                    connection.request("GET", "/arbitrate?prompt_size=400", headers={"traceparent": header} if header else {})
                    self.assertEqual(connection.getresponse().status, 200)
                    connection.close()
            replay = self.record(providers, work)
            self.assertEqual(providers.stop(), 0)
            answers = Replay(log.read_text().splitlines())
        self.assertEqual(replay.breaches + answers.breaches, [])
        self.assertEqual([span["attributes"].get("traceparent") for span in replay.named("cam.request")], [headers[0], None, None, None])
        calls = [span["attributes"]["traceparent"] for span in replay.named("cam.provider_call")]
        self.assertEqual([span["attributes"]["traceparent"] for span in answers.named("cam.provider")], calls)
        for span in answers.named("cam.provider"):
            self.assertEqual((span["attributes"]["status"], span["attributes"]["tokens"]), (200, 164))
        for text in calls:
            self.assertRegex(text, r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$")
        self.assertEqual(calls[0][3:35], trace)
        self.assertNotEqual(calls[0][36:52], parent)
        self.assertEqual(len({text[3:35] for text in calls}), 4)

    def test_failover_holds_the_second_decision_and_call(self):
        providers = self.start_providers()
        call(providers.port_of["cheap"], "/control", {"error_rate": 1})

        def work(server):
            for _ in range(3):
                self.assertEqual(call(server.port, "/arbitrate?prompt_size=4&strategy=cost")[0], 200)
        replay = self.record(providers, work, "--breaker-failures", "1000")
        self.assertEqual(replay.breaches, [])
        failovers = replay.named("cam.failover")
        self.assertEqual(len(failovers), 3)
        for span in failovers:
            self.assertEqual((span["attributes"]["from"], span["attributes"]["to"]), ("cheap", "middle"))
        inside = [span["name"] for span in replay.spans.values() if span["parent"] and replay.spans[span["parent"]] in failovers]
        self.assertEqual(collections.Counter(inside), {"cam.arbitration": 3, "cam.provider_call": 3})

    def test_failing_calls_and_open_breakers_leave_no_span_open(self):
        providers = self.start_providers()
        for port in providers.ports:
            call(port, "/control", {"error_rate": 0.6})
        replay = self.record(providers, lambda server: drive(server.port, 300), "--breaker-open-ms", "5")
        self.assertEqual(replay.breaches, [])

    def test_consensus_is_one_span_over_all_agents(self):
        def work(server):
            for number in range(20):
                self.assertEqual(call(server.port, "/collaborate", {"question": f"q{number}", "agents": 6})[0], 200)
        replay = self.record(self.start_providers(), work)
        self.assertEqual(replay.breaches, [])
        spans = replay.named("cam.consensus")
        self.assertEqual(len(spans), 20)
        self.assertEqual({span["attributes"]["agents"] for span in spans}, {6})
        rounds = sum(span["attributes"]["rounds"] for span in spans)
        calls = replay.named("cam.provider_call")
        self.assertEqual(len(calls), rounds * 6)
        self.assertTrue(all(replay.spans[span["parent"]]["name"] == "cam.consensus" for span in calls))
        self.assertTrue(all(replay.root_of(span)["name"] == "cam.request" for span in calls))


if __name__ == "__main__":
    unittest.main()
