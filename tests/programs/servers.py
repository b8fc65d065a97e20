"""Servers of the table: each under requests whose answers are known, then ended."""
import glob
import os
import pathlib
import shutil
import signal
import socket
import threading
import time

from stage import free_port, listens, Outcome, program, wait_for, wait_until


@program("redis", "benchmark, a background save amid writes, a restart from the saved file", "redis-server", "redis-benchmark", "redis-cli")
def redis(stage):
    port = free_port()
    said, statuses = [], []

    def start():
        server = stage.start(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", stage.directory,
                              "--enable-debug-command", "yes", "--logfile", stage.path("log")])
        wait_until(lambda: listens(port), 30, "redis listening")
        return server

    def ask(*words):
        result = stage.run(["redis-cli", "-p", port, *words])
        return result.stdout.strip() + result.stderr.strip()

    def load(count, what):
        result = stage.run(["redis-benchmark", "-p", port, "-n", count, "-c", 20, "-P", 4, "-q", "-t", what])
        statuses.append(result.returncode)
        said.append("errors" if "rror" in result.stdout + result.stderr else "no error")

    server = start()
    load(20000, "set,get,incr,lpush,rpush,sadd,hset,lrange_100,mset")
    said += [ask("get", "counter:__rand_int__"), ask("dbsize"), ask("debug", "digest"), ask("bgsave")]
    load(20000, "set,get")
    wait_until(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"), 60, "the save's end")
    said += [line for line in ask("info", "persistence").splitlines() if line.startswith("rdb_last_bgsave_status")]
    said += [ask("debug", "digest"), ask("shutdown", "nosave")]
    statuses.append(server.wait(60))
    server = start()
    said += [ask("debug", "digest"), ask("shutdown", "nosave")]
    statuses.append(server.wait(60))
    said.append("bug report" if "BUG REPORT" in (stage.directory / "log").read_text() else "no bug report")
    return Outcome("\n".join(said), statuses, set(statuses) == {0} and said[5] == "no error" and said[-2 - 1] == said[-4 - 1])


class Clients:
    """Threads that ask a server for the same page again and again, one connection a request, and count what is lost."""

    def __init__(self, port, body, threads=4):
        self.port, self.body = port, body
        self.served = self.lost = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while not self.is_over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
                    connection.sendall(b"GET /page HTTP/1.0\r\nHost: x\r\n\r\n")
                    answer = b""
                    while piece := connection.recv(65536):
                        answer += piece
                good = answer.startswith(b"HTTP/1.1 200") and answer.endswith(self.body)
            except OSError:
                good = False
            with self.lock:
                self.served += good
                self.lost += not good

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


@program("nginx", "under load: a reload, then a new binary in place of the old one, without a lost request", "nginx")
def nginx(stage):
    port = free_port()
    # nginx hands on only the variables that it is told to.
    kept = "\n".join(f"env {name};" for name in stage.environment if name.startswith(("CAMPROBE_", "LD_PRELOAD")))
    body = b"0123456789" * 900
    (stage.directory / "page").write_bytes(body)
    root = stage.directory
    configuration = stage.write("nginx.conf", f"""
        daemon on; worker_processes 2; pid {root}/nginx.pid; error_log {root}/error.log notice; user root;
        {kept}
        events {{ worker_connections 256; }}
        http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
          uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; server {{ listen 127.0.0.1:{port}; root {root}; }} }}
        """)
    started = stage.run(["nginx", "-c", configuration, "-p", root, "-e", root / "error.log"])

    def master(name="nginx.pid"):
        try:
            return int((root / name).read_text())
        except (OSError, ValueError):
            return 0

    def workers(pid):
        return set(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    wait_until(lambda: master() and listens(port), 30, "nginx listening")
    old = master()
    wait_until(lambda: len(workers(old)) == 2, 30, "two workers")
    clients = Clients(port, body)
    try:
        time.sleep(0.5)
        first = workers(old)
        os.kill(old, signal.SIGHUP)
        wait_until(lambda: len(workers(old)) == 2 and not workers(old) & first, 60, "workers replaced by a reload")
        time.sleep(0.5)
        os.kill(old, signal.SIGUSR2)
        wait_until(lambda: master("nginx.pid.oldbin") == old and master() not in (0, old), 60, "the new master")
        new = master()
        wait_until(lambda: len(workers(new)) == 2, 60, "the new master's workers")
        time.sleep(0.5)
        os.kill(old, signal.SIGWINCH)
        # The new master is the old one's child, as its workers are.
        wait_until(lambda: workers(old) == {str(new)}, 60, "the old workers' end")
        served = clients.served
        os.kill(old, signal.SIGQUIT)
        old_status = wait_for(old)
        wait_until(lambda: clients.served > served + 20, 60, "requests to the new binary")
    finally:
        clients.end()
    os.kill(new, signal.SIGQUIT)
    new_status = wait_for(new)
    log = (root / "error.log").read_text()
    bad = [line for line in log.splitlines() if any(level in line for level in ("[alert]", "[emerg]", "[crit]", "exited on signal"))]
    statuses = (started.returncode, old_status, new_status)
    return Outcome("\n".join([f"lost {clients.lost}", *bad]), statuses, statuses == (0, 0, 0) and clients.lost == 0 and clients.served > 100)


def postgres_binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else "/usr/lib/postgresql/none/bin"


@program("postgres", "initdb, pgbench with four clients, parallel queries, a vacuum, a fast shutdown", postgres_binaries() + "/postgres", postgres_binaries() + "/pgbench")
def postgres(stage):
    binaries = postgres_binaries()
    as_user = {}
    directory = stage.directory / "pg"
    directory.mkdir()
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(directory, "postgres", "postgres")
    made = stage.run([binaries + "/initdb", "-D", directory / "data", "-A", "trust", "-U", "bench", "--no-sync", "--locale=C", "-E", "UTF8"], **as_user)
    with open(stage.path("log"), "wb") as log:
        server = stage.start([binaries + "/postgres", "-D", directory / "data", "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off",
                              "-c", "min_parallel_table_scan_size=0", "-c", "parallel_setup_cost=0", "-c", "parallel_tuple_cost=0"],
                             stdout=log, stderr=log, **as_user)
    wait_until(lambda: stage.run([binaries + "/pg_isready", "-q", "-h", directory]).returncode == 0, 60, "postgres accepting")
    connection = ["-h", directory, "-U", "bench", "postgres"]
    filled = stage.run([binaries + "/pgbench", "-i", "-q", "-s", 1, *connection], **as_user)
    loaded = stage.run([binaries + "/pgbench", "-c", 4, "-j", 2, "-t", 150, "-n", *connection], **as_user)
    asked = stage.run([binaries + "/psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", *connection], text="""
        select count(*) from pgbench_history;
        select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
               (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history),
               (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history);
        set max_parallel_workers_per_gather = 2;
        select count(*), sum(aid), count(distinct aid % 1000) from pgbench_accounts;
        vacuum analyze;
        create index on pgbench_accounts (abalance, aid);
        select 1 / 0;
        """, **as_user)
    server.send_signal(signal.SIGINT)
    ended = server.wait(60)
    log = (stage.directory / "log").read_text()
    bad = [line for line in log.splitlines() if "PANIC" in line or "terminated by signal" in line or "crash" in line]
    statuses = (made.returncode, filled.returncode, loaded.returncode, asked.returncode, ended)
    output = "\n".join([made.stdout, made.stderr, asked.stdout, asked.stderr, *bad])
    return Outcome(output, statuses, statuses == (0, 0, 0, 3, 0) and asked.stdout.startswith("600\nt|t|t\n") and "failed transactions: 0 " in loaded.stdout)
