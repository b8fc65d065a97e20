"""Real servers whose truth is known: by what was written into them, or by what they count themselves.

A scenario starts a server under `camprobe run`, puts an even load on it, and says what a right judgement finds: the function (or
part of its name) on the stack of the leak, or nothing. Rates are a few hundred requests a second, so that two busy cores do.

Time-scaled: a minute stands for hours, so the heap is sampled every 32 KiB, where hours would do with a hundred times that. V8
takes a minute alone to grow its heap to what it works in, so what leaks into that runs for three."""
import dataclasses
import pathlib
import textwrap
from typing import Callable, Optional

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Place:
    """Where one scenario runs."""
    directory: pathlib.Path
    port: int
    seconds: int
    bin: pathlib.Path
    catalog: pathlib.Path  # of cam-providers that run beside it
    truth: pathlib.Path    # {"bytes", "requests"}: written by the server, or its load, at the end


@dataclasses.dataclass
class Scenario:
    name: str
    server: Callable[[Place], list]
    load: Callable[[Place], str]
    leak: Optional[str] = None       # on the stack of the finding; None: innocent
    resource: Optional[str] = None   # of the leak
    per_1000: Optional[float] = None  # the truth where nobody writes it down
    also: tuple = ()                 # resources that the same fault makes grow as well
    times: float = 1                 # as long as the others
    options: tuple = ()              # of camprobe run
    needs: tuple = ()


def http(rate, path="/", clients=8):
    return lambda p: f"h2load --h1 -c {clients} -D {p.seconds} --rps {rate // clients} 'http://127.0.0.1:{p.port}{path}'"


def redis(*options):
    return lambda p: ["redis-server", "--port", str(p.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(p.directory),
                      "--loglevel", "warning", *options]


def redis_load(what, rate):
    return lambda p: f"/usr/bin/python3 {HERE}/redis_load.py {p.port} {p.seconds} {rate} {p.truth} {what}"


def node(what):
    return lambda p: ["node", str(HERE / "node_server.js"), str(p.port), str(p.truth), what]


def python(what):
    return lambda p: ["/usr/bin/python3", str(HERE / "python_server.py"), str(p.port), str(p.truth), what]


def cam(*options):
    return lambda p: [str(p.bin / "cam-server"), "--port", str(p.port), "--providers", str(p.catalog), *options]


ASK = "/arbitrate?prompt_size=200"


def nginx(p):
    (p.directory / "index.html").write_text("x" * 2000)
    p.directory.chmod(0o755)
    (p.directory / "nginx.conf").write_text(textwrap.dedent(f"""
        daemon off; worker_processes 2; pid {p.directory}/nginx.pid; error_log {p.directory}/error.log; user root;
        events {{ worker_connections 512; }}
        http {{ access_log {p.directory}/access.log; client_body_temp_path {p.directory}/b; proxy_temp_path {p.directory}/p;
          fastcgi_temp_path {p.directory}/f; uwsgi_temp_path {p.directory}/u; scgi_temp_path {p.directory}/s;
          server {{ listen 127.0.0.1:{p.port}; location / {{ root {p.directory}; }} }} }}"""))
    return ["nginx", "-c", str(p.directory / "nginx.conf"), "-p", str(p.directory)]


def nginx_load(p):
    reload = f"kill -HUP $(cat {p.directory}/nginx.pid)"
    return (f"(sleep {p.seconds // 3}; {reload}; sleep {p.seconds // 4}; {reload}) & " +
            http(400)(p) + "; wait")


def bursts(p):
    """Twice as many clients in the middle of the run as before and after: pools and arenas reach a high-water mark."""
    third = p.seconds // 3
    load = f"h2load --h1 -D {third} 'http://127.0.0.1:{p.port}{ASK}'"
    return f"{load} -c 8 --rps 30; {load} -c 48 --rps 10; {load} -c 8 --rps 30"


LEAKY = [
    Scenario("redis: a script fills a list", redis(), redis_load("append", 400), leak="evalGenericCommand", resource="heap",
             needs=("redis-server",)),
    Scenario("Node: closures kept", node("closures"), http(400), leak="", resource="js-heap", times=3, needs=("node",)),
    # V8's heap holds a map entry and an object for each buffer.
    Scenario("Node: buffers kept", node("buffers"), http(400), leak="", resource="heap", also=("js-heap",), needs=("node",)),
    Scenario("Python: malloc through ctypes", python("native"), http(200), leak="", resource="heap"),
    Scenario("Python: a list grows", python("list"), http(200), leak="", resource="heap"),
    Scenario("cam-server: a connection left open", cam("--fault", "unclosed-connections=1:0.02"), http(240, ASK),
             leak="open_and_forget", resource="fd", per_1000=20),
]

INNOCENT = [
    Scenario("redis: a cache of 24 MB fills", redis("--maxmemory", "24mb", "--maxmemory-policy", "allkeys-lru"),
             redis_load("cache", 800), needs=("redis-server",)),
    Scenario("Node: V8 warms up", node("churn"), http(400), needs=("node",)),
    Scenario("Python: lru_cache fills", python("lru"), http(200)),
    Scenario("nginx: reloaded twice", nginx, nginx_load, needs=("nginx",)),
    Scenario("cam-server: answer cache fills", cam("--cache-capacity", "4096"), http(400, "/arbitrate?prompt_size=200&strategy=cost")),
    Scenario("cam-server: bounded cache", cam("--fault", "bounded-cache=2048:1.0:5000"), http(400, ASK)),
    Scenario("cam-server: sawtooth", cam("--fault", "sawtooth-arena"), http(400, ASK)),
    Scenario("cam-server: pools at high water", cam("--pool-size", "64"), bursts),
    Scenario("cam-server: warm-up", cam("--fault", "warm-up"), http(400, ASK)),
    Scenario("jemalloc gives back by decay", cam("--fault", "sawtooth-arena"), bursts, options=("--allocator", "jemalloc")),
    Scenario("mimalloc keeps pages", cam("--fault", "fragmentation"), bursts, options=("--allocator", "mimalloc")),
]
