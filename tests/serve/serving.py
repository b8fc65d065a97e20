"""What the tests of camprobe serve share: starting it, asking it, and reading the text it gives."""
import contextlib
import http.client
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
for directory in ("e2e", "cli", "examples"):
    sys.path.insert(0, str(TESTS / directory))
import harness  # noqa: E402
import target  # noqa: E402,F401

SOURCE = TESTS.parent
LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Server:
    def __init__(self, process, url):
        self.process, self.url = process, url
        self.port = int(url.split(":")[2].split("/")[0]) if url.startswith("http") else None

    def get(self, path="/metrics", method="GET", headers=None, timeout=10):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def text(self):
        status, _, text = self.get()
        assert status == 200, (status, text)
        return text

    def scrape(self):
        return parse(self.text())


@contextlib.contextmanager
def served(*arguments):
    listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
    with harness.running([harness.CAMPROBE, "serve", *listen, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("camprobe: metrics at "), line
        with process.stdout:
            yield Server(process, line.split(" at ")[1].strip())


class Samples(list):
    """(name, {label: value}, number)"""

    def of(self, name, **labels):
        return [value for n, have, value in self if n == name and all(have.get(k) == str(v) for k, v in labels.items())]

    def one(self, name, **labels):
        found = self.of(name, **labels)
        assert len(found) == 1, f"{name} {labels}: {found}"
        return found[0]

    def has(self, name, **labels):
        return bool(self.of(name, **labels))


def parse(text):
    samples = Samples()
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        match = LINE.match(line)
        assert match, f"no sample: {line!r}"
        samples.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
    return samples


def promtool(*arguments, **options):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options)
