"""Starts cam-server and cam-providers on free ports for a test, talks to them, and ends them by their pid."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CAMPROBE_BIN", ROOT / "build" / "bin"))
NODE_FOR_SYNTAX = shutil.which("node") or shutil.which("nodejs")
THREE = ["name=cheap,price=0.2,latency=8", "name=middle,price=1,latency=4", "name=fast,price=4,latency=1"]


class Process:
    """A server that says `listening on 127.0.0.1:PORT` once for each of its ports."""

    def __init__(self, command, ports=1, env=None):
        self.command = [str(part) for part in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self.ports = []
        for _ in range(ports):
            line = self.process.stdout.readline()
            match = re.match(r"listening on 127\.0\.0\.1:(\d+)", line)
            if not match:
                self.process.wait(5)
                text = self.error_text()
                self.stop()
                raise AssertionError(f"{self.command}: said {line!r}, and {text!r}")
            self.ports.append(int(match.group(1)))
        self.port = self.ports[0]

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()

    def stop(self, with_signal=signal.SIGTERM, within=10):
        """Ends it and returns its exit status; a server that does not end is killed and is a failure."""
        if self.process.poll() is not None and self.process.stdout.closed:
            return self.process.returncode
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command[0]} did not stop within {within} s") from None
        finally:
            self.process.stdout.close()
            self.errors.close()
        return self.process.returncode


def call(port, path, body=None, method=None, timeout=10):
    """One request on a connection of its own; returns (status, JSON)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = None if body is None else (body if isinstance(body, (str, bytes)) else json.dumps(body))
        connection.request(method or ("GET" if body is None else "POST"), path, data)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Client:
    """One kept-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path):
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def close(self):
        self.connection.close()


def drive(port, requests, path="/arbitrate?prompt_size=400", clients=8):
    """`requests` requests over `clients` kept-alive connections; returns how many had each status."""
    def share(count):
        client = Client(port)
        try:
            return [client.get(path)[0] for _ in range(count)]
        finally:
            client.close()
    shares = [requests // clients + (1 if i < requests % clients else 0) for i in range(clients)]
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for statuses in pool.map(share, shares):
            for status in statuses:
                counts[status] = counts.get(status, 0) + 1
    return counts


def wait_until(condition, what, seconds=8):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def dead_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ServerTest(unittest.TestCase):
    """Each test starts what it needs; all of it is ended after the test, whatever happened."""

    def start_providers(self, providers=THREE, env=None):
        catalog = tempfile.NamedTemporaryFile("w", suffix=".json", delete=False)
        catalog.close()
        self.addCleanup(os.unlink, catalog.name)
        flags = [part for provider in providers for part in ("--provider", provider)]
        started = Process([BIN / "cam-providers", "--free-ports", "--write-catalog", catalog.name, *flags], ports=len(providers), env=env)
        self.addCleanup(started.stop)
        started.catalog = catalog.name
        started.port_of = {entry["name"]: entry["port"] for entry in json.loads(pathlib.Path(catalog.name).read_text())}
        return started

    def start_server(self, providers, *flags, env=None, expect_healthy=True):
        started = Process([BIN / "cam-server", "--port", "0", "--providers", providers.catalog, *flags], env=env)
        self.addCleanup(started.stop)
        if expect_healthy and "--health-check-ms" not in flags:
            # The first round of health checks has measured each provider.
            wait_until(lambda: all(p["calls"] > 0 for p in self.stats(started)["providers"]), "each provider has been measured")
        return started

    def stats(self, server):
        status, stats = call(server.port, "/stats")
        self.assertEqual(status, 200)
        return stats

    def fault(self, server, name):
        return self.stats(server)["faults"][name]

    def set_fault(self, server, **setting):
        status, answer = call(server.port, "/faults", setting)
        self.assertEqual(status, 200, answer)


def open_sockets(pid):
    count = 0
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def status_field(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)
