"""Some of what a Python server does, for as many seconds as the argument says: JSON, regular expressions, compression,
hashes, SQLite, sorting through a C callback, threads, child processes."""
import ctypes
import hashlib
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
import zlib

END = time.monotonic() + float(sys.argv[1])
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
LIBC = ctypes.CDLL(None)


def sort_by_callback(count):
    numbers = (ctypes.c_int * count)(*[i * 7919 % count for i in range(count)])
    LIBC.qsort(numbers, count, ctypes.sizeof(ctypes.c_int), COMPARE(lambda a, b: a[0] - b[0]))
    return list(numbers)


def descend(depth, value):
    return descend(depth - 1, value + 1) if depth else sorted(str(value) * 8)


def work(number):
    rows = [{"id": i ^ number, "name": f"row {i}", "tags": ["a", "b", str(i)]} for i in range(100)]
    text = json.dumps(rows)
    names = [row["name"] for row in json.loads(text) if re.search(r"row \d*7", row["name"])]
    packed = zlib.compress(text.encode())
    base = sqlite3.connect(":memory:")
    base.execute("create table rows (id integer primary key, name text)")
    base.executemany("insert or replace into rows values (?, ?)", [(row["id"], row["name"]) for row in rows])
    found = base.execute("select name, count(*) from rows group by substr(name, 5, 1) order by 2").fetchall()
    base.close()
    return hashlib.sha256(packed).hexdigest(), names, found, sort_by_callback(64), descend(30, number)


def keep_working():
    number = 0
    while time.monotonic() < END:
        work(number)
        number += 1


THREADS = [threading.Thread(target=keep_working) for _ in range(2)]
for thread in THREADS:
    thread.start()
while time.monotonic() < END:
    subprocess.run([sys.executable, "-c", "import json, decimal; print(decimal.Decimal(2).sqrt())"], check=True,
                   stdout=subprocess.DEVNULL)
    time.sleep(0.2)
for thread in THREADS:
    thread.join()
