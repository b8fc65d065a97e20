"""Bytes and operations of every socket agree to the unit with what a scripted client sent and received."""
import signal
import socket
import struct
import subprocess
import time
import unittest

import harness


def talk(port, messages):
    """Sends each message with its length, reads the echo; gives the client's port. Lives over a second, so that the run keeps
    the connection as a row of its own."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        own_port = client.getsockname()[1]
        for message in messages:
            client.sendall(struct.pack("=I", len(message)) + message)
            left = len(message)
            while left > 0:
                left -= len(client.recv(min(left, 65536)))
            time.sleep(0.02)
        time.sleep(1.6)
        return own_port


class ExactSockets(unittest.TestCase):
    def test_each_connection_is_counted_to_the_unit(self):
        conversations = [[b"x" * size for size in sizes] for sizes in ([1], [100, 1000, 1024], [5000] * 7, [60000], [1023] * 20)]
        port = harness.free_port()
        with harness.Scratch() as scratch:
            recorder = subprocess.Popen([harness.CAMPROBE, "run", "-o", str(scratch.run_path), "--",
                                         str(harness.TESTS / "e2e_workload"), "serve", str(port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                harness.wait_until(lambda: harness.listens(port), what="the echo server listening")
                truth = {}
                for messages in conversations:
                    truth[talk(port, messages)] = sum(map(len, messages)), len(messages)
                time.sleep(0.5)
            finally:
                recorder.send_signal(signal.SIGTERM)
                recorder.wait(30)
            run = scratch.run()
            for client_port, (payload, messages) in truth.items():
                rows = run.rows("SELECT read_bytes, write_bytes, write_ops, read_ops, closed_ns IS NOT NULL FROM descriptor "
                                "WHERE kind = 'accept' AND peer = ?", f"127.0.0.1:{client_port}")
                self.assertEqual(len(rows), 1, f"client {client_port}")
                read_bytes, write_bytes, write_ops, read_ops, closed = rows[0]
                self.assertEqual(read_bytes, payload + 4 * messages)
                self.assertEqual(write_bytes, payload)
                self.assertTrue(closed)
                # Every send of the server takes at most 1 KiB and is never cut short on an idle loopback.
                sizes = next(sizes for sizes in conversations if (sum(map(len, sizes)), len(sizes)) == (payload, messages))
                self.assertEqual(write_ops, sum(-(-len(message) // 1024) for message in sizes))
                # At least the length and one piece each; the last read sees the end.
                self.assertGreaterEqual(read_ops, write_ops + messages + 1)
            total = run.value("SELECT SUM(bytes) FROM io WHERE kind = 'socket_write'")
            self.assertEqual(total, sum(payload for payload, _ in truth.values()))
            # The listening probe of wait_until is an accepted connection too: it brought no bytes.
            self.assertEqual(run.value("SELECT SUM(bytes) FROM io WHERE kind = 'socket_read'"),
                             sum(payload + 4 * messages for payload, messages in truth.values()))


if __name__ == "__main__":
    unittest.main()
