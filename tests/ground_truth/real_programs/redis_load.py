"""redis_load.py PORT SECONDS RATE TRUTH append|cache: requests at an even rate to a Redis server.
  append   a Lua script puts a line about each request on a list that nobody reads
  cache    keys are set at random among far more than maxmemory holds
At the end it writes to the file TRUTH what Redis itself says it came to use, and for how many requests."""
import json
import random
import socket
import sys
import time

PORT, SECONDS, RATE, TRUTH, WHAT = sys.argv[1:]
SCRIPT = "redis.call('rpush', 'audit', ARGV[1]); return redis.call('incr', 'requests')"


def command(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


connection = socket.create_connection(("127.0.0.1", int(PORT)))
answers = connection.makefile("rb")


def ask(*words):
    connection.sendall(command(*words))
    line = answers.readline()
    if line.startswith(b"-"):
        sys.exit(line.decode())
    if line.startswith(b"$") and int(line[1:]) >= 0:
        return answers.read(int(line[1:]) + 2)
    return line


def used():
    text = ask("INFO", "memory").decode()
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).split(":")[1])


source = random.Random(1)
before = used()
began = time.monotonic()
requests = 0
while (now := time.monotonic()) < began + float(SECONDS):
    if requests >= (now - began) * float(RATE):
        time.sleep(0.002)
        continue
    requests += 1
    if WHAT == "append":
        ask("EVAL", SCRIPT, 0, f"{requests} " + "audited " * 60)
    else:
        ask("SET", f"answer:{source.randrange(100_000)}", b"x" * source.randrange(500, 3000))
with open(TRUTH, "w", encoding="utf-8") as file:
    json.dump({"bytes": used() - before, "requests": requests}, file)
