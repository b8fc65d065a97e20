"""The load scenarios name what cam-server really serves, so that nobody starts a run of refusals."""
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from servers import NODE_FOR_SYNTAX, ROOT, ServerTest, call

LOAD = ROOT / "examples" / "load"
EVERYWHERE = "http://127.0.0.1:18080"


class LoadScenarios(ServerTest):
    def setUp(self):
        self.server = self.start_server(self.start_providers(["name=only,price=1,latency=1"]))

    def test_every_url_is_answered(self):
        urls = (LOAD / "urls.txt").read_text().split()
        self.assertGreater(len(urls), 3)
        for url in urls:
            self.assertTrue(url.startswith(EVERYWHERE + "/"), url)
            self.assertEqual(call(self.server.port, url.removeprefix(EVERYWHERE))[0], 200, url)

    @unittest.skipUnless(shutil.which("h2load"), "h2load is not installed")
    def test_the_h2load_line_runs(self):
        line = re.search(r"^h2load .*$", (LOAD / "README.md").read_text(), re.M).group(0)
        with tempfile.TemporaryDirectory() as directory:
            urls = f"{directory}/urls.txt"
            with open(urls, "w") as file:
                file.write((LOAD / "urls.txt").read_text().replace(":18080", f":{self.server.port}"))
            words = shlex.split(line.replace("-D 60", "-D 2").replace("-c 200", "-c 20").replace("examples/load/urls.txt", urls))
            done = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=20)
            self.assertRegex(done.stdout, r"status codes: [1-9]\d* 2xx, 0 3xx, 0 4xx, 0 5xx")
            with open(f"{directory}/h2load.tsv") as rows:
                self.assertRegex(rows.readline(), r"^\d+\t200\t\d+$")

    def test_the_autocannon_body_is_accepted(self):
        line = re.search(r"^autocannon .*$", (LOAD / "README.md").read_text(), re.M).group(0)
        words = shlex.split(line.split(" > ")[0])
        self.assertEqual(call(self.server.port, words[-1].removeprefix(EVERYWHERE), words[words.index("-b") + 1])[0], 200)

    def test_artillery_speaks_of_what_is_there(self):
        text = (LOAD / "artillery.yml").read_text()
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is not installed")
        scenario = yaml.safe_load(text)
        variables = scenario["config"]["variables"]
        self.assertEqual(scenario["config"]["target"], EVERYWHERE)
        arbitrate = scenario["scenarios"][0]["flow"][0]["loop"][0]["get"]["url"]
        for strategy in variables["strategy"]:
            for size in variables["prompt_size"]:
                url = arbitrate.replace("{{ prompt_size }}", str(size)).replace("{{ strategy }}", strategy)
                self.assertEqual(call(self.server.port, url)[0], 200, url)
        self.assertEqual(call(self.server.port, scenario["scenarios"][1]["flow"][0]["get"]["url"])[0], 200)

    @unittest.skipUnless(NODE_FOR_SYNTAX, "node is not installed")
    def test_the_k6_script_is_javascript(self):
        with tempfile.NamedTemporaryFile("w", suffix=".mjs") as copy:
            copy.write((LOAD / "k6.js").read_text())
            copy.flush()
            done = subprocess.run([NODE_FOR_SYNTAX, "--check", copy.name], capture_output=True, text=True, timeout=10)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
