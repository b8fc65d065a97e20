"""What a stranger on the wire, a wrong flag and a signal get."""
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from servers import BIN, Client, ServerTest, call, open_sockets, wait_until


def raw(port, data):
    """Sends bytes, returns all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
        return received


class Requests(ServerTest):
    def setUp(self):
        self.providers = self.start_providers(["name=only,price=1,latency=1"])

    def test_wrong_requests_get_one_clear_sentence(self):
        server = self.start_server(self.providers)
        for path, body, status, why in [
                ("/arbitrate", None, 400, "prompt or prompt_size is missing"),
                ("/arbitrate?prompt_size=many", None, 400, "prompt_size must be a whole number from 0"),
                ("/arbitrate?prompt_size=-1", None, 400, "prompt_size must be a whole number from 0"),
                ("/arbitrate?prompt_size=4&strategy=best", None, 400, "cost, latency or balanced"),
                ("/arbitrate?prompt_size=4&stratgy=cost", None, 400, "unknown field 'stratgy'"),
                ("/arbitrate?prompt=%zz", None, 400, "'%' without two hexadecimal"),
                ("/arbitrate", '{"prompt": "hi"', 400, "not JSON: wrong at byte"),
                ("/arbitrate", "[1]", 400, "must be a JSON object"),
                ("/arbitrate", '{"prompt": 7}', 400, "prompt must be a text"),
                ("/arbitrate", '{"prompt": "a", "prompt_size": 4}', 400, "not both"),
                ("/collaborate", "{}", 400, "question is missing"),
                ("/collaborate?question=why&agents=1", None, 400, "agents must be a whole number from 2 to 32"),
                ("/nowhere", None, 404, "no such path: /nowhere"),
                ("/stats", "{}", 405, "takes GET")]:
            with self.subTest(path=path, body=body):
                got, answer = call(server.port, path, body)
                self.assertEqual((got, list(answer)), (status, ["error"]))
                self.assertIn(why, answer["error"])
        self.assertEqual(self.stats(server)["requests"], 0, "a refused request is not counted as work")

    def test_sizes_are_bounded(self):
        server = self.start_server(self.providers, "--max-body", "1000")
        self.assertEqual(call(server.port, "/arbitrate", "x" * 1001)[0], 413)
        self.assertIn(b" 431 ", raw(server.port, b"GET /health HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n"))
        self.assertIn(b" 400 ", raw(server.port, b"\x16\x03\x01 this is not HTTP\r\n\r\n"))
        self.assertEqual(call(server.port, "/health")[0], 200)

    def test_keep_alive_and_close(self):
        server = self.start_server(self.providers)
        before = self.stats(server)["http"]["accepted"]
        client = Client(server.port)
        for _ in range(50):
            self.assertEqual(client.get("/health")[0], 200)
        client.close()
        self.assertEqual(self.stats(server)["http"]["accepted"] - before, 2)
        answer = raw(server.port, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertIn(b"Connection: close", answer)

    def test_idle_clients_are_closed(self):
        server = self.start_server(self.providers, "--client-idle-ms", "200")
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            begin = time.monotonic()
            self.assertEqual(connection.recv(1), b"")
            self.assertLess(time.monotonic() - begin, 3)

    def test_too_many_clients_are_turned_away(self):
        server = self.start_server(self.providers, "--max-connections", "5")
        # What is left are the listening socket and the one to the provider: the client that waited for the start counts too.
        wait_until(lambda: open_sockets(server.pid) <= 2, "the client that waited for the start is gone")
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(5)]
        wait_until(lambda: open_sockets(server.pid) >= 7, "all are accepted")
        time.sleep(0.1)
        self.assertEqual(raw(server.port, b""), b"")
        for client in clients:
            client.close()

    @unittest.skipUnless(shutil.which("h2load"), "h2load is not installed")
    def test_a_thousand_connections_without_an_error(self):
        server = self.start_server(self.providers)
        done = subprocess.run(["h2load", "--h1", "-c1000", "-n5000", f"http://127.0.0.1:{server.port}/arbitrate?prompt_size=400"],
                              capture_output=True, text=True, timeout=25)
        self.assertIn("5000 succeeded, 0 failed, 0 errored, 0 timeout", done.stdout)
        stats = self.stats(server)
        self.assertEqual((stats["arbitration"]["answered"], stats["http"]["replies_5xx"]), (5000, 0))
        self.assertGreaterEqual(stats["http"]["accepted"], 1000)
        wait_until(lambda: self.stats(server)["http"]["open_connections"] == 1, "all clients are gone but the one that asks")


class Stopping(ServerTest):
    def test_a_request_under_way_is_answered_before_the_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            providers = self.start_providers(["name=slow,price=1,latency=400"])
            server = self.start_server(providers, "--health-check-ms", "0")
            idle = Client(server.port)
            idle.get("/health")
            results = []
            asking = threading.Thread(target=lambda: results.append(call(server.port, "/arbitrate?prompt_size=4")))
            asking.start()
            wait_until(lambda: self.stats(server)["arbitration"]["requests"] == 1, "the request is under way")
            self.assertEqual(server.stop(number, within=4), 0)
            asking.join()
            idle.close()
            self.assertEqual(results[0][0], 200)

    def test_it_stops_though_a_fault_left_threads_and_sockets(self):
        server = self.start_server(self.start_providers(), "--fault", "thread-leak=1:1:5", "--fault", "unclosed-connections=1:1:5")
        for _ in range(10):
            call(server.port, "/arbitrate?prompt_size=4")
        self.assertEqual(server.stop(), 0)


class Flags(unittest.TestCase):
    def refused(self, program, *flags):
        done = subprocess.run([BIN / program, *flags], capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_wrong_flags_are_one_line_and_exit_2(self):
        for flags, why in [(["--no-such"], "--no-such"), (["--port", "many"], "--port"), (["--port", "70000"], "--port"),
                           (["--threads", "0"], "--threads"), (["--fault", "nothing"], "no fault 'nothing'"),
                           (["--fault", "heap-leak=x"], "'x' is not a number"), (["--fault", "heap-leak=1:2"], "share"),
                           (["--fault", "heap-leak=1:1:1:1"], "at most three"), (["--fault", "heap-leak@"], "'@'"),
                           (["--fault", "heap-leak=1:"], "'' is not a number"),
                           (["--providers", "/nowhere.json"], "/nowhere.json: cannot be read"),
                           (["--provider", "price=1"], "name"), (["--provider", "name=a,color=1"], "color"),
                           (["--provider", "name=a", "--provider", "name=a"], "twice")]:
            with self.subTest(flags=flags):
                self.assertIn(why, self.refused("cam-server", *flags))
        for flags, why in [(["--provider", "name=a,errors=2"], "errors"), (["--provider", "name=a,latency=-1"], "latency")]:
            self.assertIn(why, self.refused("cam-providers", *flags))

    def test_a_port_in_use_is_said(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            self.assertIn(f"cannot listen on 127.0.0.1:{port}", self.refused("cam-server", "--port", str(port)))
            self.assertIn("cannot listen", self.refused("cam-providers", "--provider", f"name=a,port={port}"))

    def test_help_names_every_fault(self):
        text = subprocess.run([BIN / "cam-server", "--help"], capture_output=True, text=True, timeout=10)
        self.assertEqual(text.returncode, 0)
        for name in ("heap-leak", "unclosed-connections", "unbounded-cache", "thread-leak", "slow-scan", "lock-convoy",
                     "fragmentation", "bounded-cache", "sawtooth-arena", "warm-up"):
            self.assertIn(name + "=", text.stdout)


if __name__ == "__main__":
    unittest.main()
