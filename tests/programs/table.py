"""The table of real programs: one entry is one program and what it is made to do, with an outcome that is the same every time.

An entry's run() gets a Stage, an empty directory and an environment, and gives an Outcome. What differs from run to run by nature
(times, process ids, ports) it leaves out. Everything it starts ends with it; all traffic stays on 127.0.0.1.
"""
import ctypes
import dataclasses
import glob
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import textwrap
import threading
import time
from typing import Callable

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"


@dataclasses.dataclass
class Outcome:
    output: str
    status: object
    expected: bool = True  # the program did what it was made to do; else comparing it shows little


@dataclasses.dataclass
class Program:
    name: str
    what: str
    run: Callable
    needs: tuple = ()
    is_quick: bool = False

    def missing(self):
        """Why it cannot run here; None: it can."""
        for need in self.needs:
            if shutil.which(need) is None:
                return f"{need} is not installed"
        return None


def adopt_orphans():
    """Daemons become children of this process when their parents end, so their exit status can be waited for."""
    set_child_subreaper = 36
    if ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError("no PR_SET_CHILD_SUBREAPER here")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)
    return result


def listens(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_for(pid, seconds=60):
    """The exit status of a child, orphans that came to us too: 0.., or -signal."""
    wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), seconds, f"the end of process {pid}")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def children():
    """Process ids whose parent is this process."""
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = pathlib.Path(stat).read_text()
        except OSError:
            continue
        if int(text[text.rindex(")") + 2:].split()[1]) == os.getpid():
            found.append(int(text.split()[0]))
    return found


class Stage:
    """Where one program runs once."""

    def __init__(self, directory, environment):
        self.directory = directory
        self.is_probed = bool(environment)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CAMPROBE_", "LD_"))}
        self.environment = {**kept, "LC_ALL": "C", "HOME": str(directory), "CCACHE_DISABLE": "1", **environment}
        self.before = set(children())

    def path(self, name):
        return str(self.directory / name)

    def write(self, name, text):
        (self.directory / name).write_text(textwrap.dedent(text))
        return self.path(name)

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        environment = {**self.environment, **options.pop("extra", {})}
        return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, cwd=self.directory, env=environment, **options)

    def run(self, command, timeout=300, text=None, extra=None, **options):
        """A command from its beginning to its end: with stdout and stderr as text."""
        result = subprocess.run([str(part) for part in command], capture_output=True, timeout=timeout, check=False, cwd=self.directory,
                                input=text, text=True, errors="backslashreplace", env={**self.environment, **(extra or {})}, **options)
        return result

    def end_everything(self):
        """Ends what is left of what was started here, by process id."""
        for attempt in range(100):
            left = [pid for pid in children() if pid not in self.before]
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0 if attempt > 1 else os.WNOHANG)
                except (ProcessLookupError, ChildProcessError):
                    pass
            time.sleep(0.02)


def digest(path):
    return hashlib.sha1(pathlib.Path(path).read_bytes()).hexdigest()


PROGRAMS = []


def program(name, what, *needs, is_quick=False):
    """Puts the function below it into the table."""
    def add(function):
        PROGRAMS.append(Program(name, what, function, needs, is_quick))
        return function
    return add


def command(name, what, *arguments, status=0):
    """An entry that is one command with a known end."""
    def run(stage):
        result = stage.run(arguments)
        return Outcome(result.stdout + "\n--- stderr\n" + result.stderr, result.returncode, result.returncode == status)
    PROGRAMS.append(Program(name, what, run, (arguments[0],), is_quick=True))


# ---------------------------------------------------------------------------------------------------- small ones

command("ls", "many directory entries, sorted", "ls", "-l", "/usr/bin")
command("sh", "subshells, pipes, a status", "sh", "-c",
        "for i in 1 2 3 4 5 6 7 8 9 10; do (echo $i | tr 0-9 a-j); done; ls / | sort | head -3; exit 4", status=4)
command("bash", "forks, background jobs, an exec", "bash", "-c",
        "for i in $(seq 150); do /bin/true; x=$(echo $i); (exit 3); done; echo $x $?; sleep 0.1 & wait; exec bash -c 'echo execed; exit 9'", status=9)
command("pipes", "long pipelines, SIGPIPE", "bash", "-c",
        "set -o pipefail; seq 100000 | sort -R | sort -n | md5sum; yes | head -1000 | wc -l; false | true", status=1)
command("killed", "a signal's end", "bash", "-c", "kill -TERM $$", status=-15)
command("find", "a walk through directories", "find", "/usr/include/linux", "-name", "a*.h")
command("sort", "sorting with temporary files", "sort", "-S", "1M", "/usr/share/common-licenses/GPL-3")
command("tar", "an archive through a pipe", "bash", "-c", "tar -C $0 -cf - shm sampler | tar -tf - | sort | md5sum", str(PROJECT))
command("xz", "compression with large buffers", "bash", "-c", "xz -9 -k -c /usr/share/common-licenses/GPL-3 | md5sum")
command("sqlite3", "a recursive query", "sqlite3", ":memory:", "with recursive t(i) as (select 1 union all select i+1 from t where i < 5000) select sum(i) from t")
command("awk", "an associative array", "awk", "BEGIN { for (i = 0; i < 200000; i++) a[i] = i \"x\"; print length(a) }")
command("curl", "a library full of start-up code", "curl", "-s", "file:///etc/passwd")
command("perl", "hashes, a fork, a backquote", "perl", "-e",
        "my %h = map {$_ => $_*2} 1..20000; print scalar(keys %h), qq(\\n); my $p = fork(); if (!$p) { print qq(child\\n); exit 3 } waitpid($p, 0); "
        "print $? >> 8, qq(\\n); print `echo z`; $_ = join ',', 1..5000; my $n = () = /\\d+/g; print qq($n\\n); exit 7", status=7)
command("java-version", "a JVM's start and end", "java", "-version")


@program("gcc-small", "a C and a C++ program, compiled and run", "gcc", "g++", is_quick=True)
def compile_small(stage):
    stage.write("c.c", "int main(void) { return 11; }\n")
    stage.write("cc.cc", "#include <map>\n#include <string>\nint main() { std::map<std::string, int> m{{\"a\", 1}}; return m[\"a\"]; }\n")
    statuses = [stage.run(each).returncode for each in (["gcc", "-O2", "c.c", "-o", "c"], [stage.path("c")], ["g++", "-O2", "cc.cc", "-o", "cc"], [stage.path("cc")])]
    return Outcome(digest(stage.path("c")) + digest(stage.path("cc")), statuses, statuses == [0, 11, 0, 1])


@program("bash-forks", "thousands of forks", "bash")
def fork_thousands(stage):
    result = stage.run(["bash", "-c", "n=0; for i in $(seq 1500); do (exit 3); n=$((n + $?)); x=$(echo $i); n=$((n + x)); done; echo $n; "
                        "for i in $(seq 300); do /bin/true & done; wait; echo $?; exit 6"])
    return Outcome(result.stdout + result.stderr, result.returncode, result.stdout == f"{4500 + 1500 * 1501 // 2}\n0\n")


# ---------------------------------------------------------------------------------------------------- languages

@program("python", "multiprocessing by fork, spawn and forkserver; subprocesses; threads", PYTHON, is_quick=True)
def python(stage):
    script = stage.write("many.py", """
        import json, multiprocessing, os, subprocess, sys, threading

        def square(n):
            return n * n

        def put(queue, n):
            queue.put(n)

        if __name__ == "__main__":
            for method in ("fork", "spawn", "forkserver"):
                context = multiprocessing.get_context(method)
                with context.Pool(2) as pool:
                    print(method, sum(pool.map(square, range(2000))))
                queue = context.Queue()
                processes = [context.Process(target=put, args=(queue, n)) for n in range(3)]
                [p.start() for p in processes]
                print(sorted(queue.get() for _ in processes))
                [p.join() for p in processes]
                print([p.exitcode for p in processes])
            for n in range(20):
                done = subprocess.run(["sh", "-c", f"cat; echo {n}; exit {n}"], input=b"in ", capture_output=True)
                print(done.returncode, done.stdout)
            print(subprocess.run("kill -9 $$", shell=True).returncode)
            results = []
            threads = [threading.Thread(target=lambda k=k: results.append(sum(range(k * 50000)))) for k in range(8)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            print(sorted(results), len(json.dumps(list(range(50000)))))
            if os.fork() == 0:
                os._exit(9)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
            sys.exit(5)
        """)
    result = stage.run([PYTHON, script])
    return Outcome(result.stdout + result.stderr, result.returncode, result.returncode == 5)


@program("node", "worker threads, a cluster that serves HTTP, child processes", "node", is_quick=True)
def node(stage):
    script = stage.write("many.js", """
        const cluster = require('cluster'), http = require('http'), {execFileSync} = require('child_process');
        const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
        const port = Number(process.argv[2]);
        if (!isMainThread) {
          let sum = 0;
          for (let i = 0; i < 2e6; i++) sum = (sum + i * workerData) % 1000003;
          const kept = [];
          for (let i = 0; i < 2e5; i++) kept.push({i, text: 'x' + i});
          parentPort.postMessage(sum + kept.length);
        } else if (cluster.isWorker) {
          http.createServer((request, response) => response.end(request.url.split('').reverse().join(''))).listen(port, '127.0.0.1');
        } else {
          (async () => {
            const sums = await Promise.all([1, 2, 3, 4].map(n => new Promise((done, failed) => {
              const worker = new Worker(__filename, {workerData: n, argv: [port]});
              worker.on('message', done); worker.on('error', failed);
            })));
            console.log(sums.join(' '));
            console.log(execFileSync('sh', ['-c', 'echo from a child']).toString());
            let listening = 0; const ends = [];
            const workers = [cluster.fork(), cluster.fork()];
            await Promise.all(workers.map(w => new Promise(done => w.once('listening', done))));
            const agent = new http.Agent({keepAlive: true, maxSockets: 8});
            let good = 0;
            await Promise.all(Array.from({length: 1000}, (_, i) => new Promise(done => http.get(
              {host: '127.0.0.1', port, path: '/' + i, agent}, response => {
                let body = ''; response.on('data', d => body += d);
                response.on('end', () => { good += body === String(i).split('').reverse().join('') + '/'; done(); });
              }).on('error', done))));
            console.log('good answers', good);
            agent.destroy();
            await Promise.all(workers.map((w, i) => new Promise(done => {
              w.on('exit', (code, signal) => { ends[i] = [code, signal]; done(); });
              if (i === 0) w.process.kill('SIGTERM'); else w.disconnect();
            })));
            console.log(JSON.stringify(ends));
            process.exitCode = 4;
          })();
        }
        """)
    result = stage.run(["node", script, free_port()])
    return Outcome(result.stdout + result.stderr, result.returncode, result.returncode == 4 and "good answers 1000\n" in result.stdout)


@program("java", "javac, then threads, locks, streams and much garbage in a small heap", "java", "javac")
def java(stage):
    stage.write("Main.java", """
        import java.util.*;
        import java.util.concurrent.*;
        import java.util.stream.*;

        public class Main {
          static int shared = 0;
          static synchronized void add() { shared++; }
          public static void main(String[] arguments) throws Exception {
            ExecutorService pool = Executors.newFixedThreadPool(4);
            List<Future<Long>> sums = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
              final int seed = t;
              sums.add(pool.submit(() -> {
                long sum = 0;
                Map<Integer, byte[]> kept = new HashMap<>();
                for (int i = 0; i < 60000; i++) {
                  kept.put(i % 500, new byte[1000 + (i * 7 + seed) % 1000]);
                  sum += kept.get(i % 500).length;
                  if (i % 10 == 0) add();
                }
                return sum;
              }));
            }
            for (Future<Long> sum : sums) System.out.println(sum.get());
            pool.shutdown();
            System.out.println(shared);
            System.out.println(IntStream.range(0, 300000).parallel().mapToObj(Integer::toString).mapToLong(String::hashCode).sum());
            try { Object nothing = null; nothing.hashCode(); } catch (NullPointerException e) { System.out.println("caught"); }
            try { deep(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
            Process child = new ProcessBuilder("sh", "-c", "echo child; exit 8").start();
            System.out.print(new String(child.getInputStream().readAllBytes()));
            System.out.println(child.waitFor());
            System.gc();
            System.exit(3);
          }
          static int deep(int n) { return deep(n + 1) + 1; }
        }
        """)
    compiled = stage.run(["javac", "-d", ".", "Main.java"])
    result = stage.run(["java", "-Xmx48m", "-XX:+UseG1GC", "-cp", ".", "Main"])
    return Outcome(compiled.stdout + compiled.stderr + result.stdout + result.stderr, (compiled.returncode, result.returncode),
                   (compiled.returncode, result.returncode) == (0, 3) and "overflow" in result.stdout)


# ---------------------------------------------------------------------------------------------------- tools

@program("git", "commits, a clone, a gc, a check", "git", is_quick=True)
def git(stage):
    fixed = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
             "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_CONFIG_NOSYSTEM": "1"}
    script = """
        set -e
        git init -q -b main repo; cd repo
        cp -r "$0/shm" "$0/sampler" "$0/probe" .
        git add .; git commit -qm one
        for i in 1 2 3 4 5 6 7 8; do echo "$i" >>shm/layout.h; git commit -qam "change $i"; done
        git checkout -qb side HEAD~4; echo side >side.txt; git add .; git commit -qm side
        git checkout -q main; git merge -q --no-edit side
        cd ..; git clone -q --no-local repo copy; cd copy
        git -c gc.autoDetach=false gc -q --prune=now; git fsck --full --strict; git repack -adq
        git rev-list --all --objects | sort | sha1sum; git log --stat -3; git blame shm/ring.h | sha1sum; git status --short; git rev-parse HEAD
        """
    result = stage.run(["sh", "-c", script, str(PROJECT)], extra=fixed)
    return Outcome(result.stdout + result.stderr, result.returncode, result.returncode == 0)


def compile_sources(stage, sources):
    outcomes = []
    for source in sources:
        result = stage.run(["g++", "-std=c++20", "-O2", "-I", PROJECT, "-c", PROJECT / source, "-o", "object.o"])
        built = digest(stage.path("object.o")) if result.returncode == 0 else ""
        outcomes.append((source, result.returncode, built, result.stdout + result.stderr))
    good = all(status == 0 for _, status, _, _ in outcomes)
    return Outcome("\n".join(f"{source} {built} {said}" for source, _, built, said in outcomes), [status for _, status, _, _ in outcomes], good)


@program("gcc", "three sources of this project, to the same objects", "g++", is_quick=True)
def gcc(stage):
    return compile_sources(stage, ["sampler/interval.cc", "sampler/settings.cc", "shm/region.cc"])


@program("gcc-project", "the whole of the probe's library, by cmake and ninja", "g++", "cmake", "ninja")
def gcc_project(stage):
    if not (PROJECT / "CMakePresets.json").exists():
        return Outcome("", "no sources", False)
    configured = stage.run(["cmake", "-S", PROJECT, "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"], timeout=600)
    built = stage.run(["cmake", "--build", "build", "--target", "camprobe_so"], timeout=1800)
    objects = sorted(pathlib.Path(stage.path("build")).rglob("*.o"))
    return Outcome("\n".join(f"{path.name} {digest(path)}" for path in objects), (configured.returncode, built.returncode),
                   (configured.returncode, built.returncode) == (0, 0) and len(objects) > 20)


DEBUGGED = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    volatile unsigned total;
    __attribute__((noinline)) void step(int n) { for (int i = 0; i < 60000000; i++) total += i ^ n; }
    void* work(void* out) { free(malloc(100000)); step(7); *(int*)out = 5; return 0; }
    int main(int count, char** arguments) {
      int answer = 0;
      pthread_t thread;
      pthread_create(&thread, 0, work, &answer);
      pthread_join(thread, 0);
      for (int n = 0; n < 3; n++) step(n);
      if (count > 1) { puts("ready"); fflush(stdout); for (int i = 0; i < atoi(arguments[1]); i++) usleep(10000); }
      printf("answer %d total %u\\n", answer, total);
      return 42;
    }
    """


def build_debugged(stage):
    stage.write("debugged.c", DEBUGGED)
    subprocess.run(["gcc", "-g", "-O1", "-pthread", "debugged.c", "-o", "debugged"], cwd=stage.directory, check=True, timeout=60)
    return stage.path("debugged")


@program("gdb-run", "a debugger with breakpoints on a probed program", "gdb", "gcc", is_quick=True)
def gdb_run(stage):
    built = build_debugged(stage)
    # The program writes to a file of its own: in a pipe that both share, its line may be cut into the middle of one of the debugger's.
    result = stage.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set print thread-events off", "-ex", "set print inferior-events off",
                        "-ex", "break step", "-ex", "run > said", "-ex", "backtrace 1", "-ex", "continue", "-ex", "print n", "-ex", "delete", "-ex", "continue",
                        "-ex", "print $_exitcode", built])
    # Addresses and thread numbers are left out.
    kept = [line for line in result.stdout.splitlines() if not line.startswith(("[", "Thread", "Using host", "Breakpoint 1 at", "#0"))]
    said = (stage.directory / "said").read_text()
    return Outcome("\n".join(kept) + "\n" + said, result.returncode, "answer 5" in said and "$2 = 42" in result.stdout)


@program("gdb-attach", "a debugger that looks into a running probed program and leaves it", "gdb", "gcc", is_quick=True)
def gdb_attach(stage):
    built = build_debugged(stage)
    with stage.start([built, "150"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        # The debugger itself runs without the probe: it would wait for a library of symbols at 4 kHz.
        looked = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-p", str(process.pid), "-ex", "print answer", "-ex", "backtrace", "-ex", "detach"],
                                capture_output=True, text=True, timeout=120, check=False)
        out = process.stdout.read().decode()
    seen = "main (count=" in looked.stdout
    return Outcome(f"main seen: {seen}\n{out}", process.returncode, seen and out.startswith("answer 5"))


@program("strace", "a tracer of system calls, with forks", "strace", "gcc", is_quick=True)
def strace(stage):
    built = build_debugged(stage)
    followed = stage.run(["strace", "-f", "-o", "calls", "bash", "-c", f"for i in 1 2 3; do (exit 4); {built}; echo $?; done; exit 7"])
    counted = stage.run(["strace", "-c", "-o", "table", built])
    traced = "exit_group(7)" in (stage.directory / "calls").read_text()
    return Outcome(followed.stdout + followed.stderr + counted.stdout + counted.stderr, (followed.returncode, counted.returncode, traced),
                   (followed.returncode, counted.returncode, traced) == (7, 42, True))


# ---------------------------------------------------------------------------------------------------- servers

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


# ---------------------------------------------------------------------------------------------------- a browser

PAGE = """<!doctype html><title>before</title><ul id="list"></ul><canvas id="c" width="64" height="64"></canvas><script>
  setTimeout(async () => {
    let sum = 0;
    for (let i = 0; i < 2e6; i++) sum = (sum * 31 + i) | 0;
    for (let i = 0; i < 200; i++) { const li = document.createElement('li'); li.textContent = 'item ' + i * i; list.append(li); }
    const pen = c.getContext('2d'); pen.fillStyle = 'rgb(10, 200, 30)'; pen.fillRect(0, 0, 64, 64);
    const hash = await crypto.subtle?.digest('SHA-256', new TextEncoder().encode(list.textContent));
    document.title = ['after', sum, ...pen.getImageData(9, 9, 1, 1).data, ...new Uint8Array(hash ?? [])].join(',');
  }, 50);
</script>"""
QUIET_BROWSER = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def browse(stage, *more, **options):
    (stage.directory / "page.html").write_text(PAGE)
    result = stage.run(["chromium", *QUIET_BROWSER, *more, f"--user-data-dir={stage.path('profile')}", "--virtual-time-budget=20000", "--dump-dom",
                        f"file://{stage.path('page.html')}"], **options)
    # What it writes to stderr depends on what the machine has (a D-Bus, an X server) and on time.
    return Outcome(result.stdout, result.returncode, result.returncode == 0 and "<li>item 39601</li>" in result.stdout and ",10,200,30,255" in result.stdout)


@program("chromium", "headless: a page with script, a canvas and a few hundred elements", "chromium")
def chromium(stage):
    return browse(stage, "--no-sandbox")
