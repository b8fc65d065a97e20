#!/usr/bin/env python3
"""Writes the three dashboards beside it, so that panels are defined once and not as two thousand lines of JSON.

    make_dashboards.py           write overview.json, memory.json and arbitration.json
    make_dashboards.py --check   fail where one of them is not what this makes
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ONE = 'process=~"$process",pid=~"$pid"'
BY = "{{process}} {{pid}}"


def variable(name, query, label=None, hidden=0):
    return {"name": name, "label": label or name, "type": "query", "datasource": SOURCE, "hide": hidden,
            "query": {"query": query, "refId": "v"}, "definition": query, "refresh": 2, "sort": 1,
            "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def query(expression, legend=BY, **more):
    return {"expr": expression, "legendFormat": legend, "datasource": SOURCE, **more}


def panel(title, unit, *queries, kind="timeseries", width=12, height=8, description="", stacked=False, **options):
    custom = {"fillOpacity": 30 if stacked else 5, "stacking": {"mode": "normal" if stacked else "none"}, "showPoints": "never"}
    targets = [{**one, "refId": chr(ord("A") + i)} for i, one in enumerate(queries)]
    return {"title": title, "type": kind, "datasource": SOURCE, "description": description, "targets": targets,
            "gridPos": {"w": width, "h": height}, "options": options,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom if kind == "timeseries" else {}}, "overrides": []}}


def heat_map(title, metric, labels, **more):
    expression = f"sum by (le) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return panel(title, "s", query(expression, "{{le}}", format="heatmap"), kind="heatmap", calculate=False,
                 yAxis={"unit": "s"}, color={"mode": "scheme", "scheme": "Oranges", "steps": 64}, **more)


def number(title, unit, expression, **more):
    return panel(title, unit, query(expression, "", instant=True), kind="stat", width=4, height=4, **more)


def quantile(q, metric, labels, by):
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def rate(metric, labels=ONE, by=None):
    inner = f"rate({metric}{{{labels}}}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else inner


SPAN = "camprobe_span_duration_seconds"

OVERVIEW = [
    number("Processes", "short", "count(camprobe_probe_up{%s})" % ONE),
    number("CPU", "none", f"sum({rate('process_cpu_seconds_total')})", description="Cores in use."),
    number("Resident memory", "bytes", "sum(process_resident_memory_bytes{%s})" % ONE),
    number("Live heap", "bytes", "sum(camprobe_heap_live_bytes{%s})" % ONE),
    number("Cost of the probe", "percentunit", f"sum({rate('camprobe_probe_seconds_total')}) / sum({rate('process_cpu_seconds_total')})",
           description="Time in the probe over CPU time."),
    number("Lost records", "cps", f"sum({rate('camprobe_lost_records_total')})"),
    panel("CPU by mode", "none", query(rate("camprobe_process_cpu_seconds_total"), BY + " {{mode}}"), stacked=True, description="Cores."),
    panel("Spans ended", "cps", query(rate(SPAN + "_count", ONE + ',span=~"$span"', "span"), "{{span}}")),
    heat_map("Duration of the spans chosen", SPAN, ONE + ',span=~"$span"'),
    panel("95th percentile by span", "s", query(quantile(0.95, SPAN, ONE + ',span=~"$span"', "span"), "{{span}}")),
    panel("Socket bytes", "Bps", query(rate("camprobe_io_bytes_total", ONE + ',kind="socket"', "direction"), "{{direction}}")),
    panel("Socket operations by peer", "ops", query(rate("camprobe_socket_peer_operations_total", ONE, "role, network, direction"),
                                                    "{{role}} {{network}} {{direction}}")),
    panel("File and other I/O", "Bps", query(rate("camprobe_io_bytes_total", ONE + ',kind!="socket"', "kind, direction"), "{{kind}} {{direction}}")),
    panel("Connections", "cps", query(rate("camprobe_socket_connections_total", ONE, "role"), "{{role}}"),
          query(rate("camprobe_socket_connection_errors_total", ONE, "role"), "{{role}} failed")),
    panel("Waiting", "none", query(rate("camprobe_wait_seconds_total")), description="Threads that wait, on average."),
    panel("Failures by span", "percentunit",
          query(f"{rate('camprobe_span_failures_total', ONE, 'span')} / {rate(SPAN + '_count', ONE, 'span')}", "{{span}}")),
]

MEMORY = [
    panel("Resident memory by part", "bytes", query("camprobe_process_resident_bytes{%s}" % ONE, BY + " {{part}}"), stacked=True),
    panel("Live heap and what is resident", "bytes", query("camprobe_heap_live_bytes{%s}" % ONE, BY + " live"),
          query("camprobe_heap_mapped_bytes{%s}" % ONE, BY + " mapped"), query("process_resident_memory_bytes{%s}" % ONE, BY + " resident"),
          query("camprobe_process_memory_limit_bytes{%s}" % ONE, BY + " limit")),
    panel("Least live heap of the last 10 minutes", "bytes", query("min_over_time(camprobe_heap_live_bytes{%s}[10m])" % ONE),
          description="A leak lifts the valleys; a cache that breathes does not."),
    panel("Growth of the live heap", "Bps", query("deriv(camprobe_heap_live_bytes{%s}[15m]) > 0" % ONE)),
    panel("Allocated and freed", "Bps", query(rate("camprobe_heap_allocated_bytes_total"), BY + " allocated"),
          query(rate("camprobe_heap_freed_bytes_total"), BY + " freed (estimate)")),
    panel("Allocations", "ops", query(rate("camprobe_heap_allocations_total"), BY + " allocations"),
          query(rate("camprobe_heap_frees_total"), BY + " frees"), query(rate("camprobe_heap_temporary_objects_total"), BY + " temporary (estimate)")),
    heat_map("Lifetimes of what was freed", "camprobe_heap_lifetime_seconds", ONE),
    panel("Live blocks", "short", query("camprobe_heap_live_objects{%s}" % ONE)),
    panel("Descriptors and threads", "short", query("process_open_fds{%s}" % ONE, BY + " descriptors"),
          query("camprobe_process_threads{%s}" % ONE, BY + " threads"), query("process_max_fds{%s}" % ONE, BY + " limit")),
    panel("Memory limit reached in", "s", query("camprobe_memory_limit_reached_seconds{%s} < 30 * 86400" % ONE),
          description="At the pace of the hours that are known; nothing where it does not grow steadily."),
    panel("Suspected", "none", query('camprobe_leak_state{%s,state="suspected"}' % ONE, BY + " {{resource}}"),
          description="1 where a level grows steadily. A recording tells whether it is a leak."),
    panel("What the allocator keeps", "bytes", query("camprobe_allocator_bytes{%s}" % ONE, BY + " {{allocator}} {{state}}"),
          description="By the allocator's own figures; cached and free are kept for reuse."),
    panel("Page faults and swap", "cps", query(rate("camprobe_process_page_faults_total"), BY + " {{kind}}"),
          query("camprobe_process_swap_bytes{%s}" % ONE, BY + " in swap (bytes)")),
    panel("Heap sampling", "bytes", query("camprobe_probe_heap_interval_bytes{%s}" % ONE), description="Mean bytes between two samples."),
]

CHOSEN = ONE + ',provider=~"$provider"'
DECISION = ONE + ',span="cam.arbitration",provider=~"$provider"'
CALL = ONE + ',span="cam.provider_call",provider=~"$provider"'
ARBITRATION = [
    number("Decisions", "cps", f"sum({rate(SPAN + '_count', DECISION)})"),
    number("Switches per decision", "percentunit",
           f"sum({rate('camprobe_provider_switches_total', ONE + ',span=%s' % json.dumps('cam.arbitration'))}) / sum({rate(SPAN + '_count', DECISION)})"),
    number("Cost saved", "percentunit", f"1 - sum({rate('camprobe_cost_total', CHOSEN)}) / sum({rate('camprobe_baseline_cost_total', CHOSEN)})",
           description="1 - cost / baseline cost."),
    number("Failed calls", "percentunit", f"sum({rate('camprobe_span_failures_total', CALL)}) / sum({rate(SPAN + '_count', CALL)})"),
    number("Decision, 95th percentile", "s", f"histogram_quantile(0.95, sum by (le) (rate({SPAN}_bucket{{{DECISION}}}[$__rate_interval])))"),
    number("Consensus, 95th percentile", "s",
           f"histogram_quantile(0.95, sum by (le) (rate({SPAN}_bucket{{{ONE},span=\"cam.consensus\"}}[$__rate_interval])))"),
    heat_map("Time of decisions", SPAN, DECISION),
    heat_map("Time of provider calls", SPAN, CALL),
    panel("Provider calls", "cps", query(rate(SPAN + "_count", CALL, "provider"), "{{provider}}"), stacked=True),
    panel("Provider calls, 95th percentile", "s", query(quantile(0.95, SPAN, CALL, "provider"), "{{provider}}")),
    panel("Failed provider calls", "percentunit",
          query(f"{rate('camprobe_span_failures_total', CALL, 'provider')} / {rate(SPAN + '_count', CALL, 'provider')}", "{{provider}}")),
    panel("Provider switches", "cps", query(rate("camprobe_provider_switches_total", ONE, "span"), "{{span}}")),
    panel("Cost and baseline", "none", query(rate("camprobe_cost_total", CHOSEN, "provider"), "{{provider}}"),
          query(f"sum({rate('camprobe_baseline_cost_total', CHOSEN)})", "baseline, all"), description="A second, in the program's unit."),
    panel("Cost saved since serving began", "none", query("sum by (provider) (camprobe_cost_saved{%s})" % CHOSEN, "{{provider}}")),
    heat_map("Time of consensus", SPAN, ONE + ',span="cam.consensus"'),
    panel("Consensus", "s", query(quantile(0.5, SPAN, ONE + ',span="cam.consensus"', "span"), "median"),
          query(quantile(0.95, SPAN, ONE + ',span="cam.consensus"', "span"), "95th percentile")),
]


def placed(panels):
    """Left to right, in rows of 24 columns."""
    x = y = row = 0
    for i, one in enumerate(panels, 1):
        at = one["gridPos"]
        if x + at["w"] > 24:
            x, y, row = 0, y + row, 0
        at.update(x=x, y=y)
        x, row = x + at["w"], max(row, at["h"])
        one["id"] = i
    return panels


def dashboard(uid, title, panels, *more_variables):
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
    variables = [source, variable("process", "label_values(camprobe_probe_up, process)"),
                 variable("pid", 'label_values(camprobe_probe_up{process=~"$process"}, pid)'), *more_variables]
    restarts = {"name": "Process began", "enable": True, "iconColor": "blue", "datasource": SOURCE, "useValueForTime": True,
                "expr": "process_start_time_seconds{%s} * 1000" % ONE, "titleFormat": "{{process}} {{pid}} began"}
    windows = {"name": "Load windows", "enable": True, "iconColor": "orange", "datasource": {"type": "grafana", "uid": "-- Grafana --"},
               "target": {"type": "tags", "tags": ["load-window"], "matchAny": True, "limit": 200}, "type": "tags"}
    alerts = {"name": "Alerts", "enable": True, "iconColor": "red", "datasource": SOURCE,
              "expr": 'ALERTS{alertname=~"Camprobe.*",alertstate="firing",process=~"$process"}', "titleFormat": "{{alertname}} {{pid}}"}
    return {"uid": uid, "title": title, "tags": ["camprobe"], "schemaVersion": 38, "version": 1, "editable": True, "graphTooltip": 1,
            "time": {"from": "now-1h", "to": "now"}, "refresh": "15s", "timezone": "", "annotations": {"list": [restarts, windows, alerts]},
            "links": [{"title": "camprobe", "type": "dashboards", "tags": ["camprobe"], "keepTime": True, "includeVars": True}],
            "templating": {"list": variables}, "panels": placed(panels)}


DASHBOARDS = {
    "overview.json": dashboard("camprobe-overview", "camprobe: overview under load", OVERVIEW,
                               variable("span", f'label_values({SPAN}_count{{process=~"$process"}}, span)')),
    "memory.json": dashboard("camprobe-memory", "camprobe: memory and leaks", MEMORY),
    "arbitration.json": dashboard("camprobe-arbitration", "camprobe: arbitration and cost", ARBITRATION,
                                  variable("provider", f'label_values({SPAN}_count{{process=~"$process",provider!=""}}, provider)')),
}


def main():
    for name, board in DASHBOARDS.items():
        text = json.dumps(board, indent=1) + "\n"
        if sys.argv[1:] == ["--check"]:
            if (HERE / name).read_text() != text:
                sys.exit(f"{name} is not what make_dashboards.py makes: run it")
        else:
            (HERE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
