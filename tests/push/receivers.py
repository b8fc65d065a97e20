"""What takes pushes in the tests: real ones from Debian, and a strict one of our own that checks the documented request.

Each is a with block on 127.0.0.1, on a port of its own.
"""
import contextlib
import email.parser
import gzip
import http.server
import json
import pathlib
import ssl
import struct
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parents[1]
for directory in ("e2e", "cli", "serve"):
    sys.path.insert(0, str(TESTS / directory))
import harness  # noqa: E402
from prometheus import Prometheus  # noqa: E402
from serving import parse  # noqa: E402

KEPT_FOR_A_CENTURY = "100y"  # the runs of the tests are of another day


def get(url, **parameters):
    query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
    with urllib.request.urlopen(url + query, timeout=10) as answer:
        return answer.read().decode()


def answers(url):
    try:
        get(url)
        return True
    except OSError:
        return False


@contextlib.contextmanager
def pushgateway(directory):
    port = harness.free_port()
    with open(directory / "pushgateway.log", "w") as log, \
            harness.running(["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
                             f"--persistence.file={directory / 'pushgateway'}"], stdout=log, stderr=log):
        url = f"http://127.0.0.1:{port}"
        harness.wait_until(lambda: answers(f"{url}/-/ready"), what="the Pushgateway")
        yield url


@contextlib.contextmanager
def prometheus(directory):
    """One that takes remote writes and scrapes nothing."""
    port = harness.free_port()
    (directory / "prometheus.yml").write_text("{}\n")
    command = ["prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error",
               f"--storage.tsdb.retention.time={KEPT_FOR_A_CENTURY}"]
    with open(directory / "prometheus.log", "w") as log, harness.running(command, stdout=log, stderr=log):
        one = Prometheus(port)
        harness.wait_until(one.is_ready, what="Prometheus")
        yield one


@contextlib.contextmanager
def victoriametrics(directory):
    port = harness.free_port()
    command = ["victoria-metrics", f"-storageDataPath={directory / 'victoria'}", f"-httpListenAddr=127.0.0.1:{port}",
               f"-retentionPeriod={KEPT_FOR_A_CENTURY}", "-loggerLevel=ERROR", "-memory.allowedBytes=64MB"]
    with open(directory / "victoria.log", "w") as log, harness.running(command, stdout=log, stderr=log):
        url = f"http://127.0.0.1:{port}"
        harness.wait_until(lambda: answers(f"{url}/health"), what="VictoriaMetrics")
        yield url


def exported(url, selector='{job!=""}'):
    """What VictoriaMetrics holds: {(name, labels as sorted pairs): {time in ms: value}}."""
    get(f"{url}/internal/force_flush")
    series = {}
    for line in get(f"{url}/api/v1/export", **{"match[]": selector, "reduce_mem_usage": "1"}).splitlines():
        one = json.loads(line)
        name = one["metric"].pop("__name__")
        series.setdefault((name, tuple(sorted(one["metric"].items()))), {}).update(zip(one["timestamps"], one["values"]))
    return series


def fields(message):
    """A protobuf message as {number: [value, ...]}: integers, or bytes of what is length-delimited; 64-bit ones as bytes."""
    found, at = {}, 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            value, at = message[at:at + size], at + size
            assert len(value) == size, "cut off"
        found.setdefault(key >> 3, []).append(value)
    return found


def numbers(values):
    """A repeated integer: packed or one by one."""
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(value)
            continue
        shift = number = 0
        for byte in value:
            number |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                out.append(number)
                shift = number = 0
    return out


class Profile:
    """pprof's profile.proto, as far as a store looks at it."""

    def __init__(self, compressed):
        top = fields(gzip.decompress(compressed))
        self.texts = [text.decode() for text in top[6]]
        assert self.texts[0] == ""
        def texts_of(message, *numbers_):
            return tuple(self.texts[fields(message).get(number, [0])[0]] for number in numbers_)
        self.types = [texts_of(message, 1, 2) for message in top[1]]
        self.time_ns, self.duration_ns, self.period = (top.get(number, [0])[0] for number in (9, 10, 12))
        functions = {fields(one)[1][0]: texts_of(one, 2)[0] for one in top[5]}
        self.locations = {}
        for one in map(fields, top[4]):
            self.locations[one[1][0]] = [functions[fields(line)[1][0]] for line in one[4]]
        self.samples = []
        for one in map(fields, top[2]):
            stack = [function for location in numbers(one[1]) for function in self.locations[location]]  # leaf first
            self.samples.append((stack, numbers(one[2]), dict(texts_of(label, 1, 2) for label in one.get(3, []))))

    def sum(self, kind):
        at = [name for name, _ in self.types].index(kind)
        return sum(values[at] for _, values, _ in self.samples)


class Ingested:
    """A request to Pyroscope's /ingest; what its documentation asks for is checked here."""
    UNITS = {"samples", "objects", "bytes"}

    def __init__(self, request):
        assert request.method == "POST" and request.path == "/ingest", (request.method, request.path)
        query = urllib.parse.parse_qs(request.query, strict_parsing=True)
        assert set(query) <= {"name", "from", "until", "sampleRate", "spyName", "units", "aggregationType"}, query
        assert {"name", "from", "until"} <= set(query) and all(len(values) == 1 for values in query.values()), query
        name = query["name"][0]
        assert name.endswith("}") and name.count("{") == name.count("}") == 1, name
        self.application, labels = name[:-1].split("{")
        assert self.application and all(c.isalnum() or c in "-._/" for c in self.application), name
        self.labels = dict(pair.split("=", 1) for pair in labels.split(","))
        assert len(self.labels) == labels.count("=") and all(key.isidentifier() for key in self.labels), name
        self.begin, self.end = int(query["from"][0]), int(query["until"][0])
        assert 0 < self.begin < self.end < 1 << 33, "seconds since the epoch"
        content = request.headers["Content-Type"]
        assert content.startswith("multipart/form-data; boundary="), content
        form = email.parser.BytesParser().parsebytes(f"Content-Type: {content}\r\n\r\n".encode() + request.body)
        assert form.is_multipart() and not form.defects, form.defects
        parts = {}
        for part in form.get_payload():
            assert part.get_content_disposition() == "form-data" and part.get_filename() and not part.defects
            parts[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True)
        assert set(parts) == {"profile", "sample_type_config"}, set(parts)
        self.profile = Profile(parts["profile"])
        self.config = json.loads(parts["sample_type_config"])
        for kind, one in self.config.items():
            assert set(one) == {"units", "aggregation", "display-name", "sampled"}, one
            assert one["units"] in self.UNITS and one["aggregation"] in {"sum", "average"} and one["sampled"] in {True, False}, one
            assert kind in [name for name, _ in self.profile.types], (kind, self.profile.types)
        assert abs(self.profile.time_ns / 1e9 - self.begin) < 1, "the profile is of that time"


class Imported:
    """A request to VictoriaMetrics' /api/v1/import/prometheus: the text format, each sample with a time in milliseconds."""

    def __init__(self, request):
        assert (request.method, request.path, request.query) == ("POST", "/api/v1/import/prometheus", ""), request.path
        assert request.headers["Content-Encoding"] == "gzip"
        lines = [line for line in gzip.decompress(request.body).decode().splitlines() if line and not line.startswith("#")]
        times = {int(line.rsplit(" ", 1)[1]) for line in lines}
        assert len(times) == 1, times
        self.time_ms = times.pop()
        self.samples = parse("\n".join(line.rsplit(" ", 1)[0] for line in lines))
        assert all(labels.get("job") and labels.get("instance") for _, labels, _ in self.samples)


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body = method, headers, body
        self.path, _, self.query = target.partition("?")


class Strict:
    """Takes what `reads` takes; answers with `status`, which a test changes as it goes. What it refused to read is in `wrong`."""

    def __init__(self, reads, token=None):
        self.reads, self.token = reads, token
        self.status, self.retry_after = 200, None
        self.taken, self.wrong, self.statuses = [], [], []
        self.lock = threading.Lock()

    def handle(self, request):
        with self.lock:
            self.statuses.append(self.status)
            if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
                return 401, {}
            if self.status != 200:
                return self.status, {"Retry-After": str(self.retry_after)} if self.retry_after else {}
            try:
                self.taken.append(self.reads(request))
            except (AssertionError, KeyError, ValueError, OSError, struct.error) as why:
                self.wrong.append(repr(why))
                return 400, {}
            return 200, {}

    def count(self):
        with self.lock:
            return len(self.taken)


@contextlib.contextmanager
def listening(strict, port=0, certificate=None):
    """Its address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = strict.handle(Request(self.command, self.path, self.headers, body))
            said = b"said the receiver\n"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        do_POST = do_PUT = handle_any

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        connections = []

        def process_request(self, request, client_address):
            self.connections.append(request)
            super().process_request(request, client_address)

        def handle_error(self, *_):  # a connection that was cut, or a handshake that failed: the test looks at camprobe's end
            pass

    server = Server(("127.0.0.1", port), Handler)
    server.connections = []
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for connection in server.connections:  # as a process that ends: kept-alive connections go too
            with contextlib.suppress(OSError):
                connection.shutdown(2)


def make_certificates(directory):
    """A CA, another CA, and a certificate of the first for 127.0.0.1: (ca, other_ca, (certificate, key))."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=directory, capture_output=True, check=True)
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", "-subj", f"/CN=camprobe test {name}", "-days", "2")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=127.0.0.1")
    (directory / "san.cnf").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2",
            "-extfile", "san.cnf")
    return directory / "ca.pem", directory / "other.pem", (directory / "server.pem", directory / "server.key")
