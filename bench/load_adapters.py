#!/usr/bin/env python3
"""How fast each load adapter reads, and in how much memory: MiB of uncompressed text a second, plain, gzip and zstd, and the peak
of the process's memory while the file grows tenfold.

    bench/load_adapters.py [--mib N] [--only NAME,...] [--runs N] [--json FILE] [--camprobe PATH]

The files are made up in each tool's format: 2,000 requests a second of four endpoints, 1 % of them failed, latencies between 1
and 60 ms. Their time goes on from block to block, so a file ten times as large is a run ten times as long. (The two binary
formats repeat the same minute.) Every measurement is one `camprobe load FILE`: best of --runs, and its ru_maxrss. A second is one of the
process's CPU time (it has one thread), so that others who work on the machine do not count; the last column is by the clock.
"""
import argparse
import base64
import collections
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE, SECONDS = 2000, 60  # of one block
EPOCH = 1795444020  # a whole minute: 2026-11-23T14:27:00Z
MIB = 1 << 20

Row = collections.namedtuple("Row", "at_us took_us endpoint failed")


def rows():
    """One block's requests, in the order in which they ended."""
    draw = random.Random(3)
    out = []
    for i in range(RATE * SECONDS):
        took = int(1000 + draw.expovariate(1 / 6000)) % 60000
        out.append(Row(i * 1_000_000 // RATE, took, draw.randrange(4), draw.random() < 0.01))
    return sorted(out, key=lambda row: row.at_us + row.took_us)


def minute(i):
    """Of block i: its minute in seconds since the epoch, and as RFC 3339 has it."""
    at = EPOCH + 60 * i
    return at, time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(at))


def by_text(lines):
    """Blocks of a text format: `lines(at, stamp)` writes the block that begins at `at`; every hundredth is written, those
    between are that one with its time replaced (bytes.replace is fast enough for gigabytes)."""
    def block(i, cache={}):
        key = id(lines)
        if key not in cache:
            cache.clear()
            cache[key] = lines(RENDERED)
        text = cache[key]
        at, stamp = minute(i)
        for digits in range(6):  # the epoch's seconds of one minute share no prefix: ten seconds do
            text = text.replace(b"@%d@" % digits, b"%d" % (at // 10 + digits))
        return text.replace(b"#STAMP#", stamp.encode())
    return block


RENDERED = None


def epoch(us):
    """Seconds since the epoch as digits, microseconds behind them: the tens of seconds are a mark that by_text() replaces."""
    second, rest = divmod(us, 1_000_000)
    return "@%d@%d" % (second // 10, second % 10), rest


def rfc(us):
    second, rest = divmod(us, 1_000_000)
    return "#STAMP#%02d.%06d" % (second % 60, rest)


def text_format(header, row_text):
    return header.encode(), by_text(lambda block: "".join(row_text(row) for row in block).encode())


def within(row):  # a stamp must lie in its block's minute
    return min(row.at_us + row.took_us, 59_999_999)


def h2load(row):
    second, us = epoch(row.at_us)
    return f"{second}{us:06d}\t{500 if row.failed else 200}\t{row.took_us}\n"


def k6_json(row):
    tags = (f'"tags":{{"expected_response":"{"false" if row.failed else "true"}","group":"","method":"GET","name":"/e{row.endpoint}",'
            f'"proto":"HTTP/1.1","scenario":"default","status":"{500 if row.failed else 200}","url":"http://127.0.0.1:8080/e{row.endpoint}"}}')
    values = [("http_reqs", 1), ("http_req_duration", row.took_us / 1000), ("http_req_blocked", 0.002), ("http_req_connecting", 0),
              ("http_req_tls_handshaking", 0), ("http_req_sending", 0.011), ("http_req_waiting", row.took_us / 1000 - 0.03),
              ("http_req_receiving", 0.019), ("http_req_failed", int(row.failed))]
    at = rfc(within(row))
    return "".join(f'{{"metric":"{name}","type":"Point","data":{{"time":"{at}Z","value":{value},{tags}}}}}\n' for name, value in values)


def k6_csv(row):
    second, us = epoch(within(row))
    tail = (f',,,{"false" if row.failed else "true"},,GET,/e{row.endpoint},HTTP/1.1,default,,{500 if row.failed else 200},,,'
            f'http://127.0.0.1:8080/e{row.endpoint},,\n')
    names = [("http_reqs", 1), ("http_req_duration", row.took_us / 1000), ("http_req_blocked", 0.002), ("http_req_connecting", 0),
             ("http_req_tls_handshaking", 0), ("http_req_sending", 0.011), ("http_req_waiting", row.took_us / 1000 - 0.03),
             ("http_req_receiving", 0.019), ("http_req_failed", int(row.failed))]
    return "".join(f"{name},{second}{us // 1000:03d},{value:.6f}{tail}" for name, value in names)


def jmeter_csv(row):
    second, us = epoch(row.at_us)
    return (f"{second}{us // 1000:03d},{row.took_us // 1000},GET /e{row.endpoint},{500 if row.failed else 200},"
            f"{'Internal Server Error' if row.failed else 'OK'},users 1-7,text,{'false' if row.failed else 'true'},,202,118,16,16,"
            f"http://127.0.0.1:8080/e{row.endpoint},{row.took_us // 1000},0,0\n")


def jmeter_xml(row):
    second, us = epoch(row.at_us)
    return (f'<httpSample t="{row.took_us // 1000}" it="0" lt="{row.took_us // 1000}" ct="0" ts="{second}{us // 1000:03d}" '
            f's="{"false" if row.failed else "true"}" lb="GET /e{row.endpoint}" rc="{500 if row.failed else 200}" '
            f'rm="{"Internal Server Error" if row.failed else "OK"}" tn="users 1-7" dt="text" by="202" ng="16" na="16"/>\n')


def locust_requests(row):
    second, us = epoch(row.at_us)
    return f"{second}.{us:06d},GET,/e{row.endpoint},{row.took_us / 1000:.2f},46,{500 if row.failed else 200},\r\n"


HEADERS = base64.b64encode(b"Connection: keep-alive\r\nContent-Length: 46\r\nContent-Type: application/json\r\n\r\n").decode()
BODY = base64.b64encode(b'{"id":107865,"bids":4,"winner":1,"price":1.25}').decode()


def vegeta_csv(row):
    second, us = epoch(row.at_us)
    return (f"{second}{us:06d}000,{500 if row.failed else 200},{row.took_us * 1000},0,46,"
            f"{'500 Internal Server Error' if row.failed else ''},{BODY},mix,7,GET,http://127.0.0.1:8080/e{row.endpoint},{HEADERS}\n")


def vegeta_json(row):
    return (f'{{"attack":"mix","seq":7,"code":{500 if row.failed else 200},"timestamp":"{rfc(row.at_us)}Z","latency":{row.took_us * 1000},'
            f'"bytes_out":0,"bytes_in":46,"error":"{"500 Internal Server Error" if row.failed else ""}","body":"{BODY}","method":"GET",'
            f'"url":"http://127.0.0.1:8080/e{row.endpoint}","headers":{{"Content-Type":["application/json"],"Content-Length":["46"]}}}}\n')


def gatling_text(row):
    start, us = epoch(row.at_us)
    end, end_us = epoch(within(row))
    return (f"REQUEST\tauction\tGET e{row.endpoint}\t{start}{us // 1000:03d}\t{end}{end_us // 1000:03d}\t"
            f"{'KO' if row.failed else 'OK'}\t{'status.find.in(200,304), found 500' if row.failed else ' '}\n")


def gatling_binary():
    def text(value):
        return struct.pack(">i", len(value)) + value.encode() + b"\0" if value else struct.pack(">i", 0)
    header = b"\0" + text("3.12.0") + text("Bench") + struct.pack(">q", EPOCH * 1000) + text("") + struct.pack(">i", 1) + text("mix") + \
        struct.pack(">i", 0)
    names = ["auction", "status.find.in(200,304), found 500", "", "GET e0", "GET e1", "GET e2", "GET e3"]
    for i, name in enumerate(names):  # errors define the texts
        header += b"\4" + struct.pack(">i", i + 1) + text(name) + struct.pack(">i", 0)
    block = b"".join(b"\1" + struct.pack(">iiiii", 1, -1, -(4 + row.endpoint), row.at_us // 1000, (row.at_us + row.took_us) // 1000) +
                     bytes([not row.failed]) + struct.pack(">i", -2 if row.failed else -3) for row in RENDERED)
    return header, lambda i: block


def vegeta_gob():
    """The type definitions and results of the fixture, the results again and again."""
    data = (ROOT / "tests/load/fixtures/vegeta_gob/mix.gob").read_bytes()
    at, messages = 0, []
    while at < len(data):
        length, first = data[at], 1
        if length >= 128:
            first = 1 + 256 - length
            length = int.from_bytes(data[at + 1:at + first], "big")
        messages.append(data[at:at + first + length])
        at += first + length
    values = next(i for i, message in enumerate(messages) if len(messages) - i == 60)
    block = b"".join(messages[values:]) * 500
    return b"".join(messages[:values]), lambda i: block


def artillery():
    def period(at):
        names = {f"plugins.metrics-by-endpoint./e{e}.codes.200": 5000 for e in range(4)}
        counters = {"vusers.created": 20000, "http.requests": 20000, "http.codes.200": 19800, "http.codes.500": 200, **names}
        quantiles = {"min": 1, "max": 60, "count": 20000, "mean": 7.1, "p50": 6, "median": 6, "p75": 9, "p90": 15, "p95": 20, "p99": 31, "p999": 52}
        return {"counters": counters, "rates": {"http.request_rate": 2000}, "firstMetricAt": at * 1000, "lastMetricAt": at * 1000 + 9999,
                "period": str(at * 1000), "summaries": {f"http.response_time{s}": quantiles for s in ("", ".2xx")},
                "histograms": {f"http.response_time{s}": quantiles for s in ("", ".2xx")}}
    def block(i):
        return ",".join(json.dumps(period(EPOCH + 60 * i + 10 * k), indent=2) for k in range(6)).encode() + b","
    return b'{"intermediate": [', block


def locust_history():
    header = ("Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%,Total Request Count,"
              "Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,Total Max Response Time,"
              "Total Average Content Size\r\n")
    def block(i):
        out = []
        for s in range(60):
            n = (60 * i + s) * 500
            for e in range(4):
                out.append(f"{EPOCH + 60 * i + s},16,GET,/e{e},500.0,5.0,6,7,9,10,15,20,26,31,52,58,60,{n},{n // 100},6,7.123456789,1.0,60.1,46.0\r\n")
            out.append(f"{EPOCH + 60 * i + s},16,,Aggregated,2000.0,20.0,6,7,9,10,15,20,26,31,52,58,60,{4 * n},{4 * n // 100},6,7.123456789,1.0,60.1,46.0\r\n")
        return "".join(out).encode()
    return header.encode(), block


CASES = {
    "h2load": lambda: text_format("", h2load),
    "k6 JSON": lambda: text_format("", k6_json),
    "k6 CSV": lambda: text_format("metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,scenario,"
                                  "service,status,subproto,tls_version,url,extra_tags,metadata\n".replace("check,error,error_code,", "check,error,"), k6_csv),
    "JMeter CSV": lambda: text_format("timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,"
                                      "sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect\n", jmeter_csv),
    "JMeter XML": lambda: text_format('<?xml version="1.0" encoding="UTF-8"?>\n<testResults version="1.2">\n', jmeter_xml),
    "Locust history": locust_history,
    "Locust requests": lambda: text_format("timestamp,request_type,name,response_time_ms,response_length,status_code,exception\r\n", locust_requests),
    "vegeta gob": vegeta_gob,
    "vegeta JSON": lambda: text_format("", vegeta_json),
    "vegeta CSV": lambda: text_format("", vegeta_csv),
    "Gatling text": lambda: text_format(f"RUN\tbench.Bench\tbench\t{EPOCH}000\t \t3.10.5\n", gatling_text),
    "Gatling binary": gatling_binary,
    "Artillery": artillery,
}


def write(path, case, size):
    header, block = case
    with open(path, "wb") as out:
        out.write(header)
        i = 0
        while out.tell() < size:
            out.write(block(i))
            i += 1


def write_apart(path, name, mib):
    """In a process of its own: a child's ru_maxrss begins with what its parent had when it forked, so this one stays small."""
    subprocess.run([sys.executable, __file__, "--write", path, "--only", name, "--mib", str(mib)], check=True)
    return os.path.getsize(path)


def measure(camprobe, path, runs):
    """Least CPU time and least wall time in seconds, peak memory in MiB, requests understood, rows skipped."""
    best = wall = peak = None
    for _ in range(runs):
        began = time.monotonic()
        process = subprocess.Popen([camprobe, "load", "--format", "json", path], stdout=subprocess.PIPE)
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = status
        if status != 0:
            sys.exit(f"load_adapters: camprobe load {path} failed")
        cpu = usage.ru_utime + usage.ru_stime
        best, wall = min(best or cpu, cpu), min(wall or took, took)
        peak = max(peak or 0, usage.ru_maxrss / 1024)
    read = json.loads(answer)
    return best, wall, peak, read["requests"], read["skipped"]["rows"]


def main():
    global RENDERED
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mib", type=int, default=50, help="size of the smaller file; the larger has ten times as much")
    options.add_argument("--only", default="", help="names of adapters, separated by commas")
    options.add_argument("--runs", type=int, default=2)
    options.add_argument("--json", type=pathlib.Path)
    options.add_argument("--write", help=argparse.SUPPRESS)
    options.add_argument("--camprobe", default=str(ROOT / "build/bin/camprobe"))
    chosen = options.parse_args()
    names = [name.strip() for name in chosen.only.split(",") if name.strip()] or list(CASES)
    for name in names:
        if name not in CASES:
            sys.exit(f"load_adapters: there is no adapter {name}; there are: {', '.join(CASES)}")
    if chosen.write:
        RENDERED = rows()
        write(chosen.write, CASES[names[0]](), chosen.mib * MIB)
        return
    results = []
    print(f"{'adapter':<16}{'plain':>8}{'gz':>8}{'zstd':>8}  MiB/s   peak {chosen.mib} MiB / {10 * chosen.mib} MiB    requests/s   by the clock")
    with tempfile.TemporaryDirectory(prefix="camprobe-load-") as directory:
        for name in names:
            small, large = (os.path.join(directory, which) for which in ("small", "large"))
            size, large_size = write_apart(small, name, chosen.mib), write_apart(large, name, 10 * chosen.mib)
            subprocess.run(["gzip", "-k", small], check=True)
            subprocess.run(["zstd", "-q", "-f", small, "-o", small + ".zst"], check=True)
            _, _, small_peak, _, skipped = measure(chosen.camprobe, small, 1)
            took, wall, large_peak, requests, large_skipped = measure(chosen.camprobe, large, chosen.runs)
            gz, _, gz_peak, *_ = measure(chosen.camprobe, small + ".gz", chosen.runs)
            zst, _, zst_peak, *_ = measure(chosen.camprobe, small + ".zst", chosen.runs)
            row = {"adapter": name, "plain_mib_s": large_size / MIB / took, "gz_mib_s": size / MIB / gz, "zstd_mib_s": size / MIB / zst,
                   "peak_small_mib": small_peak, "peak_large_mib": large_peak, "peak_gz_mib": gz_peak, "peak_zstd_mib": zst_peak,
                   "plain_wall_mib_s": large_size / MIB / wall, "requests": requests, "requests_s": requests / took, "skipped": skipped + large_skipped}
            results.append(row)
            print(f"{name:<16}{row['plain_mib_s']:8.0f}{row['gz_mib_s']:8.0f}{row['zstd_mib_s']:8.0f}{'':9}{small_peak:6.1f} / {large_peak:6.1f}"
                  f"{row['requests_s']:16,.0f}{row['plain_wall_mib_s']:15.0f}" + (f"   {row['skipped']} rows skipped" if row["skipped"] > 12 else ""), flush=True)
            for path in (small, large, small + ".gz", small + ".zst"):
                os.unlink(path)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
