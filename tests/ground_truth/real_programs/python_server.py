"""python_server.py PORT TRUTH WHAT: an HTTP server with a known fault, or none. WHAT:
  native    each request leaves a block of malloc's, asked for through ctypes
  list      each request leaves its answer in a list
  lru       answers are kept in functools.lru_cache, which is full after a part of the run
When it is ended it writes to the file TRUTH how many bytes it kept, and of how many requests."""
import ctypes
import functools
import http.server
import json
import signal
import sys

PORT, TRUTH, WHAT = sys.argv[1:]
LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
SIZE = 3000
history = []
kept = {"bytes": 0, "requests": 0}


def leave_block():
    LIBC.malloc(ctypes.c_size_t(SIZE))
    kept["bytes"] += SIZE
    return b"left"


def remember():
    answer = bytes(SIZE)
    history.append(answer)
    kept["bytes"] += SIZE
    return answer[:16]


@functools.lru_cache(maxsize=3000)
def answer_of(question):
    return str(question).encode() * (SIZE // 6)


def cached():
    return answer_of(100_000 + kept["requests"] * 7919 % 40_000)[:16]


HANDLE = {"native": leave_block, "list": remember, "lru": cached}[WHAT]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        kept["requests"] += 1
        body = HANDLE()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


def end(*_):
    with open(TRUTH, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
server.daemon_threads = True
server.serve_forever()
