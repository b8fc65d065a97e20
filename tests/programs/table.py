"""The table of real programs: one entry is one program and what it is made to do, with an outcome that is the same every time.

An entry's run() gets a Stage and gives an Outcome (stage.py). Servers and the browser have files of their own;
compare.py takes them all.
"""
import pathlib
import subprocess

from stage import command, digest, free_port, Outcome, program, PROJECT, PYTHON

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
