"""A real Prometheus for the length of a with block, scraping every half second, on ports of its own."""
import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request

from serving import harness


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path, **parameters):
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as wrong:
            return json.load(wrong)

    def is_ready(self):
        """It listens before it can answer, and says so in words, not in JSON."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def query(self, expression):
        """[(labels, number)]; what cannot be evaluated fails."""
        answer = self.get("/api/v1/query", query=expression)
        assert answer["status"] == "success", f"{expression}: {answer}"
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def value(self, expression):
        """The number of the one series, or None."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None


@contextlib.contextmanager
def prometheus(directory, target_port, token_file=None, rules=None):
    port = harness.free_port()
    def job(name, **more):
        return {"job_name": name, "scrape_interval": "500ms", "scrape_timeout": "500ms",
                "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}], **more}
    jobs = [job("camprobe")]
    if token_file is not None:  # a second one knows no token: it takes five seconds until a Prometheus scrapes at all
        jobs = [job("camprobe", authorization={"credentials_file": str(token_file)}), job("without")]
    config = {"scrape_configs": jobs, "global": {"evaluation_interval": "1s"}, "rule_files": [str(rules)] if rules else []}
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", "--query.lookback-delta=5s"]
    with open(directory / "prometheus.log", "w") as log, harness.running(command, stdout=log, stderr=log):
        one = Prometheus(port)
        harness.wait_until(one.is_ready, what="Prometheus")
        yield one


def with_values(expression, **chosen):
    """A dashboard's expression as Prometheus takes it: Grafana's variables have the values that are `chosen`, else all of them."""
    values = {"__rate_interval": "5s", "process": ".*", "pid": ".*", "span": ".*", "provider": ".*", **chosen}
    for name, value in values.items():
        expression = expression.replace(f"${name}", value)
    assert "$" not in expression, expression
    return expression
