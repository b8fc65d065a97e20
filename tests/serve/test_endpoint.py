"""`camprobe serve` and clients that mean no good: what is refused, what is cut off, and that it goes on serving."""
import contextlib
import os
import random
import socket
import subprocess
import unittest

from serving import harness, parse, served

TOKEN = "0123456789abcdef0123456789abcdef"


def raw(port, data, timeout=15):
    """Sends bytes and reads until the other side closes; what came."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        received = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(data)
            while part := client.recv(65536):
                received += part
        return received


class Access(unittest.TestCase):
    def refused(self, *arguments):
        result = harness.camprobe("serve", *arguments, timeout=20)
        self.assertEqual(result.returncode, 2, result)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def test_others_need_a_token(self):
        self.assertIn("--token-file", self.refused("--listen", "0.0.0.0:0"))
        self.assertIn("--token-file", self.refused("--listen", "[::]:0"))

    def test_wrong_arguments_are_one_line(self):
        for listen in ("9187", "example.org:9187", "127.0.0.1:99999", "127.0.0.1:", ":9187", "::1:9187", "127.0.0.1:9187x", "unix:here"):
            self.assertIn(listen, self.refused("--listen", listen))
        with harness.Scratch() as scratch:
            path = scratch.directory / "token"
            self.assertIn("cannot be read", self.refused("--token-file", path))
            path.write_text(TOKEN)
            path.chmod(0o644)
            self.assertIn("chmod 600", self.refused("--token-file", path))
            path.chmod(0o600)
            path.write_text("short\n")
            self.assertIn("16 to 512", self.refused("--token-file", path))
        with served() as server:
            self.assertIn("cannot listen", self.refused("--listen", f"127.0.0.1:{server.port}"))

    def test_the_token_and_nothing_else_opens(self):
        with harness.Scratch() as scratch:
            path = scratch.directory / "token"
            path.touch(0o600)
            path.write_text(TOKEN + "\n")
            with served("--token-file", path, "--listen", "0.0.0.0:0") as server:
                for wrong in ({}, {"Authorization": TOKEN}, {"Authorization": "Bearer " + TOKEN[:-1]}, {"Authorization": f"Bearer {TOKEN}0"},
                              {"Authorization": "Basic " + TOKEN}, {"Authorization": "Bearer "}):
                    status, headers, text = server.get(headers=wrong)
                    self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), wrong)
                    self.assertNotIn("camprobe_", text)
                self.assertEqual(server.get(headers={"Authorization": "Bearer " + TOKEN, "Host": "example.org"})[0], 200)

    def test_a_unix_socket_is_the_users_own_and_goes_with_the_server(self):
        with harness.Scratch() as scratch:
            path = scratch.directory / "metrics.sock"
            for _ in range(2):  # the second finds what a killed one would leave
                with served("--listen", f"unix:{path}") as server:
                    self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                    text = subprocess.run(["curl", "-s", "--unix-socket", path, "http://localhost/metrics"], capture_output=True, text=True,
                                          timeout=20, check=True).stdout
                    self.assertTrue(parse(text).has("camprobe_targets"))
                    self.assertIn("another process listens", harness.camprobe("serve", "--listen", f"unix:{path}").stderr)
                    server.process.kill()
                    server.process.wait(10)
                self.assertTrue(path.exists())
            with served("--listen", f"unix:{path}") as server:
                server.process.terminate()
                self.assertEqual(server.process.wait(10), 0)
            self.assertFalse(path.exists())


class HostileClients(unittest.TestCase):
    def test_only_get_without_a_body_of_this_machine(self):
        with served() as server:
            for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"):
                answer = raw(server.port, f"{method} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                self.assertTrue(answer.startswith(b"HTTP/1.1 405 "), answer)
                self.assertNotIn(b"camprobe_", answer)
            self.assertTrue(raw(server.port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello").startswith(b"HTTP/1.1 413 "))
            self.assertEqual(server.get(headers={"Host": "evil.example"})[0], 403)
            self.assertEqual(server.get(headers={"Host": "localhost:1"})[0], 200)
            self.assertEqual(server.get("/../../etc/passwd")[0], 404)
            self.assertEqual(server.get("/metrics?name=x")[0], 200)

    def test_large_headers_are_refused(self):
        with served() as server:
            for head in (b"GET /" + b"a" * 20000, b"GET / HTTP/1.1\r\nX: " + b"b" * 20000, b"GET / HTTP/1.1\r\n" + b"c: d\r\n" * 3000):
                answer = raw(server.port, head + b"\r\n\r\n")
                self.assertIn(answer[:12], (b"HTTP/1.1 431", b"HTTP/1.1 400", b""))
            self.assertTrue(server.scrape().has("camprobe_targets"))

    def test_slow_clients_are_cut_off(self):
        """One that never ends its request, a byte at a time."""
        with served() as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1) as drip:
                closed = False
                for _ in range(100):  # each byte would be in time; the whole is not
                    try:
                        drip.sendall(b"G")
                        if drip.recv(1) == b"":
                            closed = True
                            break
                    except TimeoutError:
                        continue
                    except ConnectionError:
                        closed = True
                        break
                self.assertTrue(closed)
            self.assertTrue(server.scrape().has("camprobe_targets"))

    def test_many_silent_connections_keep_nobody_out(self):
        with served() as server, contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(200)]
            silent[-1].sendall(b"GET /me")
            self.assertTrue(server.scrape().has("camprobe_targets"))
            descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            self.assertLess(descriptors, 100, "connections are bounded")

    def test_garbage_leaves_it_serving(self):
        """Mutations of requests, seeded: never a crash, a hang, or anybody else's figures."""
        chance = random.Random(20261128)
        seeds = [b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET / HTTP/1.0\r\n\r\n" * 3,
                 b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: [::1]:9\r\nContent-Length: 18446744073709551615\r\n\r\n"]
        with served() as server:
            for _ in range(600):
                data = bytearray(chance.choice(seeds))
                for _ in range(chance.randint(0, 8)):
                    at = chance.randrange(len(data) + 1)
                    action = chance.randrange(4)
                    if action == 0:
                        data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
                    elif action == 1:
                        del data[at:at + chance.randint(1, 12)]
                    elif action == 2 and at < len(data):
                        data[at] = chance.randrange(256)
                    else:
                        data[at:at] = data[:chance.randrange(len(data) + 1)]
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                    with contextlib.suppress(ConnectionError):
                        client.sendall(bytes(data))
                        client.shutdown(socket.SHUT_WR)
                        answer = b""
                        while part := client.recv(65536):
                            answer += part
                        self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1."), answer[:80])
            self.assertIsNone(server.process.poll())
            after = harness.wait_until(lambda: (s := server.scrape()).one("camprobe_exporter_requests_total", outcome="refused") > 50 and s,
                                       what="what was refused is counted")
            self.assertLess(after.one("camprobe_exporter_resident_memory_bytes"), 64 << 20)


if __name__ == "__main__":
    unittest.main()
