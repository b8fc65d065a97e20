"""OTLP JSON: by the protocol's JSON rules, with W3C trace ids where the server sets them, and a tree across two services."""
import json
import re
import unittest

from exported import MESH, SERVER, export

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def spans_of(test, run, *arguments):
    """[(service, span)], each held to the protocol: ids in hexadecimal, times as texts, values in one of their kinds."""
    request = json.loads(export(run, "--format", "otlp", *arguments))
    test.assertEqual(set(request), {"resourceSpans"})
    found = []
    for resource in request["resourceSpans"]:
        attributes = {a["key"]: a["value"] for a in resource["resource"]["attributes"]}
        for scope in resource["scopeSpans"]:
            test.assertEqual(scope["scope"]["name"], "camprobe")
            for span in scope["spans"]:
                test.assertRegex(span["traceId"], r"^(?!0{32})[0-9a-f]{32}$")
                test.assertRegex(span["spanId"], r"^(?!0{16})[0-9a-f]{16}$")
                test.assertRegex(span.get("parentSpanId", "1" * 16), r"^[0-9a-f]{16}$")
                test.assertTrue(re.fullmatch(r"\d+", span["startTimeUnixNano"]) and re.fullmatch(r"\d+", span["endTimeUnixNano"]))
                test.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
                test.assertIn(span["kind"], range(1, 6))
                for attribute in span["attributes"]:
                    test.assertEqual(len(attribute["value"]), 1)
                    test.assertLessEqual(set(attribute["value"]), {"stringValue", "boolValue", "intValue", "doubleValue"})
                found.append((attributes["service.name"]["stringValue"], span))
    test.assertEqual(len({(span["traceId"], span["spanId"]) for _, span in found}), len(found), "ids are not unique")
    return found


def tree(spans, trace):
    """The trace as indented lines, as Jaeger shows it: children below their parents, by time."""
    rows = [(service, span) for service, span in spans if span["traceId"] == trace]
    known = {span["spanId"] for _, span in rows}

    def lines(parent, depth):
        for service, span in sorted(rows, key=lambda row: int(row[1]["startTimeUnixNano"])):
            above = span.get("parentSpanId")
            if above == parent or (parent is None and above not in known):
                yield "  " * depth + f"{service}: {span['name']}"
                yield from lines(span["spanId"], depth + 1)
    return list(lines(None, 0))


class Otlp(unittest.TestCase):
    def test_a_request_is_one_tree_across_services(self):
        self.assertEqual(tree(spans_of(self, MESH), TRACE),
                         ["gateway: cam.request", "  gateway: cam.arbitration", "  gateway: cam.provider_call", "    provider: provider.answer"])

    def test_the_caller_of_all_is_kept_as_the_remote_parent(self):
        request = next(span for _, span in spans_of(self, MESH) if span["traceId"] == TRACE and span["name"] == "cam.request")
        self.assertEqual((request["parentSpanId"], request["kind"]), ("00f067aa0ba902b7", 2))
        self.assertEqual((request["startTimeUnixNano"], request["endTimeUnixNano"]), ("1795453201000000000", "1795453201100000000"))
        self.assertIn({"key": "cached", "value": {"boolValue": False}}, request["attributes"])

    def test_what_has_no_trace_gets_one_of_its_own(self):
        spans = spans_of(self, MESH)
        self.assertEqual(len({span["traceId"] for _, span in spans}), 3)
        call = next(span for _, span in spans if {"key": "provider", "value": {"stringValue": "borealis"}} in span["attributes"])
        self.assertEqual(tree(spans, call["traceId"]), ["gateway: cam.request", "  gateway: cam.provider_call"])

    def test_the_same_run_gives_the_same_ids(self):
        self.assertEqual(export(SERVER, "--format", "otlp"), export(SERVER, "--format", "otlp"))
        self.assertEqual(len(spans_of(self, SERVER)), 150)

    def test_one_process_alone(self):
        self.assertEqual([span["name"] for _, span in spans_of(self, MESH, "--process", "provider")], ["provider.answer"])


if __name__ == "__main__":
    unittest.main()
