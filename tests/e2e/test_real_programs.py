"""Servers nobody here wrote, under `camprobe run`, driven by load tools nobody here wrote: no error that is not there without
the probe, workers in one run, and their own function names in the CPU flame graph."""
import os
import pathlib
import textwrap
import unittest

import harness


def record(scratch, load, program, **options):
    """camprobe run --load; gives the finished process."""
    return harness.camprobe("run", "-o", scratch.run_path, "--load", load, "--", *program, timeout=180, **options)


def requests(scratch):
    return scratch.run().value("SELECT COALESCE(SUM(requests), 0) FROM load_source")


class Redis(unittest.TestCase):
    def test_under_redis_benchmark(self):
        if missing := harness.need("redis-server", "redis-benchmark", "redis-cli"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        load = (f"redis-benchmark -p {port} -n 200000 -c 20 -P 8 -q -t set,get,lpush,lrange_100 && "
                f"redis-cli -p {port} bgsave && sleep 1 && redis-cli -p {port} ping")
        with harness.Scratch() as scratch:
            result = record(scratch, load, ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir", str(scratch.directory)])
            self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])
            self.assertNotRegex(result.stdout, r"(?i)crash|assert|segmentation|# === REDIS BUG")
            self.assertIn("DB saved on disk", result.stdout)
            run = scratch.run()
            functions = run.functions_anywhere("cpu")
            self.assertTrue({"main", "aeMain"} & functions or any("redis-server" in name for name in functions), sorted(functions)[:40])
            self.assertGreater(run.value("SELECT SUM(samples) FROM cpu"), 50)
            self.assertGreater(run.value("SELECT SUM(bytes) FROM io WHERE kind = 'socket_read'"), 200000 * 20)
            # The background save's child is a process of the run.
            self.assertGreaterEqual(run.value("SELECT COUNT(*) FROM process WHERE pid != 0"), 2)


class Nginx(unittest.TestCase):
    def test_with_two_workers_under_h2load(self):
        if missing := harness.need("nginx", "h2load"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        with harness.Scratch() as scratch:
            root = scratch.directory
            (root / "index.html").write_text("x" * 2000)
            (root / "nginx.conf").write_text(textwrap.dedent(f"""
                daemon off; worker_processes 2; pid {root}/nginx.pid; error_log {root}/error.log; user root;
                events {{ worker_connections 512; }}
                http {{ access_log {root}/access.log; client_body_temp_path {root}/b; proxy_temp_path {root}/p;
                  fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
                  server {{ listen 127.0.0.1:{port} reuseport; location / {{ root {root}; }} }} }}"""))
            os.chmod(root, 0o755)
            result = record(scratch, f"h2load --h1 -c 16 -n 40000 http://127.0.0.1:{port}/index.html",
                            ["nginx", "-c", str(root / "nginx.conf"), "-p", str(root)])
            self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])
            self.assertEqual((root / "error.log").read_text().count("[alert]"), 0, (root / "error.log").read_text())
            self.assertEqual(requests(scratch), 40000)
            run = scratch.run()
            workers = run.value("SELECT COUNT(DISTINCT process) FROM io WHERE kind = 'socket_write' AND bytes > 100000")
            self.assertEqual(workers, 2)
            # 40,000 answers of 2,000 bytes went through sockets by sendfile or write.
            self.assertGreater(run.value("SELECT SUM(bytes) FROM io WHERE kind = 'socket_write'"), 40000 * 2000)
            self.assertEqual(len((root / "access.log").read_text().splitlines()), 40000 + 0, "requests lost")


class Node(unittest.TestCase):
    SERVER = """
        const http = require('http');
        // The listener itself, which emit() calls: V8 inlines a function called by its name.
        function hashTheBody(request, response) {
          const text = request.url + 'abc';
          let h = 7;
          for (let i = 0; i < 20000; i++) h = (h * 31 + text.charCodeAt(i % text.length)) | 0;
          response.end(String(h));
        }
        http.createServer(hashTheBody).listen(PORT, '127.0.0.1');
        process.on('SIGTERM', () => process.exit(0));
    """

    def test_shows_javascript_names_under_load(self):
        if missing := harness.need("node", "h2load"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        autocannon = pathlib.Path(__file__).parent / "node_modules/.bin/autocannon"
        load = (f"{autocannon} -j -c 10 -d 6 http://127.0.0.1:{port}/" if autocannon.exists()
                else f"h2load --h1 -c 10 -D 6 http://127.0.0.1:{port}/")
        with harness.Scratch() as scratch:
            (scratch.directory / "server.js").write_text(self.SERVER.replace("PORT", str(port)))
            result = record(scratch, load, ["node", str(scratch.directory / "server.js")])
            self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])
            run = scratch.run()
            share = {name: weight for name, weight in run.by_frame("cpu", "weight_ns").items()}
            total = run.value("SELECT SUM(weight_ns) FROM cpu")
            ours = sum(weight for name, weight in share.items() if "hashTheBody" in name)
            self.assertGreater(ours / total, 0.2, sorted(share, key=share.get, reverse=True)[:30])
            kinds = dict(run.rows("SELECT kind, COUNT(*) FROM frame GROUP BY kind"))
            self.assertIn("js", kinds)
            self.assertGreater(requests(scratch), 1000)


class Python(unittest.TestCase):
    SERVER = """
        import http.server, signal, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def do_GET(self):
                body = (str(sum(i * i for i in range(3000))) * 10).encode()
                self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
            def log_message(self, *_): pass
        server = http.server.ThreadingHTTPServer(('127.0.0.1', PORT), Handler)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server.serve_forever()
    """

    def test_threaded_server_under_h2load(self):
        if missing := harness.need("h2load"):
            self.skipTest(f"{missing} is not installed")
        port = harness.free_port()
        with harness.Scratch() as scratch:
            (scratch.directory / "server.py").write_text(textwrap.dedent(self.SERVER).replace("PORT", str(port)))
            result = record(scratch, f"h2load --h1 -c 6 -n 3000 http://127.0.0.1:{port}/",
                            ["/usr/bin/python3", str(scratch.directory / "server.py")])
            self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])
            self.assertNotIn("Traceback", result.stderr)
            self.assertEqual(requests(scratch), 3000)
            run = scratch.run()
            self.assertIn("_PyEval_EvalFrameDefault", run.functions_anywhere("cpu"))
            self.assertGreaterEqual(run.value("SELECT COUNT(*) FROM thread"), 7)


if __name__ == "__main__":
    unittest.main()
