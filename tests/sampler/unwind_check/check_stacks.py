#!/usr/bin/env python3
"""Holds the stack walker against libunwind in real programs; exit code 1 where fewer than 99.5 % of native stacks agree
frame by frame or reach the root. scripts/check-stacks calls it; see docs/unwinding.md for what the classes mean.

    check_stacks.py --build DIRECTORY [--seconds S] [--json FILE] [--keep DIRECTORY] [PROGRAM...]
"""
import argparse
import contextlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2]
NEEDED_SHARE = 0.995
LEAST_SAMPLES = 20  # of a program, to say anything about it


class Absent(Exception):
    """The program is not on this machine."""


class Failed(Exception):
    """The program, or the comparison, did not end well."""


def need(*names):
    for name in names:
        for directory in [*os.environ["PATH"].split(os.pathsep), "/usr/sbin", "/usr/lib/postgresql/15/bin"]:
            if os.access(os.path.join(directory, name), os.X_OK):
                return os.path.join(directory, name)
    raise Absent(f"no {names[0]}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} did not listen within 30 s")


class Run:
    """One program's run: where it may write, what makes it record, and until when it works."""

    def __init__(self, directory, recorder, seconds, allocations, build):
        self.directory = directory
        self.seconds = seconds
        self.build = build
        self.recordings = directory / "recordings"
        self.recordings.mkdir()
        self.recordings.chmod(0o777)
        library = directory / recorder.name  # a copy that another user can read too
        shutil.copy(recorder, library)
        library.chmod(0o755)
        self.log = open(directory / "log", "wb")
        self.recorded = {**os.environ, "LD_PRELOAD": str(library), "STACK_RECORDER_DIRECTORY": str(self.recordings),
                         "STACK_RECORDER_ALLOCATIONS": str(allocations)}
        self.plain = dict(os.environ)
        self.end = time.monotonic() + seconds

    def goes_on(self):
        return time.monotonic() < self.end

    def call(self, arguments, recorded=False, statuses=(0,), **more):
        """Runs to its end. What a recorded program does must be what it does without the recorder."""
        done = subprocess.run([str(argument) for argument in arguments], env=self.recorded if recorded else self.plain,
                              stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                              timeout=self.seconds + 120, **more)
        if done.returncode not in statuses:
            raise RuntimeError(f"{arguments[0]} ended with status {done.returncode}")

    @contextlib.contextmanager
    def server(self, arguments, port, ending=signal.SIGTERM, **more):
        process = subprocess.Popen([str(argument) for argument in arguments], env=self.recorded, stdin=subprocess.DEVNULL,
                                   stdout=self.log, stderr=self.log, **more)
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.send_signal(ending)
            try:
                status = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        if status not in (0, -ending):
            raise RuntimeError(f"{arguments[0]} ended with status {status}")


def redis(run):
    server, bench, client = need("redis-server"), need("redis-benchmark"), need("redis-cli")
    port = free_port()
    script = "local s=0; for i=1,200 do s=s+#redis.call('SET','k'..i,string.rep('v',i)) end; return s"
    with run.server([server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", run.directory,
                     "--enable-debug-command", "yes"], port):
        while run.goes_on():
            run.call([bench, "-p", port, "-n", 4000, "-c", 8, "-P", 4, "-r", 1000, "-q",
                      "-t", "set,get,incr,lpush,lrange_100,sadd,hset,zadd,spop,mset"])
            run.call([client, "-p", port, "-r", 20, "eval", script, 0])
            run.call([client, "-p", port, "bgsave"])
            run.call([client, "-p", port, "debug", "reload", "nosave"], statuses=(0, 1))


def nginx(run):
    server, load = need("nginx"), need("wrk")
    port = free_port()
    site = run.directory / "site"
    site.mkdir()
    (site / "index.html").write_text("<p>hello\n" * 2000)
    config = run.directory / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    config.write_text(f"""{user} daemon off; worker_processes 2; pid {run.directory}/nginx.pid; error_log {run.directory}/error;
events {{ worker_connections 64; }}
http {{ access_log {run.directory}/access; gzip on; gzip_min_length 0; gzip_types text/plain; types {{ text/html html; }}
  client_body_temp_path {run.directory}/b; proxy_temp_path {run.directory}/p; fastcgi_temp_path {run.directory}/f;
  uwsgi_temp_path {run.directory}/u; scgi_temp_path {run.directory}/s;
  server {{ listen 127.0.0.1:{port}; root {site}; location /again/ {{ proxy_pass http://127.0.0.1:{port}/; }} }} }}""")
    with run.server([server, "-c", config, "-p", run.directory], port, signal.SIGQUIT) as master:
        while run.goes_on():
            for path, header in (("", "accept-encoding: gzip"), ("", "x-none: 1"), ("again/index.html", "x-none: 1"), ("none", "x-none: 1")):
                run.call([load, "-t", 1, "-c", 8, "-d", f"{max(1, round(run.seconds / 8))}s", "-H", header, f"http://127.0.0.1:{port}/{path}"])
            master.send_signal(signal.SIGHUP)


def node(run):
    run.call([need("node"), HERE / "work.js", run.seconds], recorded=True)


def python3(run):
    interpreter = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    run.call([interpreter, HERE / "work.py", run.seconds], recorded=True)


def postgres(run):
    initdb, server, bench = need("initdb"), need("postgres"), need("pgbench")
    bin_directory = pathlib.Path("/usr/lib/postgresql/15/bin")
    if (bin_directory / "postgres").exists():
        initdb, server, bench = (bin_directory / name for name in ("initdb", "postgres", "pgbench"))
    port = free_port()
    data = run.directory / "data"
    data.mkdir()
    as_user, user = [], pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:  # which postgres refuses
        user = "postgres"
        entry = pwd.getpwnam(user)
        os.chown(data, entry.pw_uid, entry.pw_gid)
        as_user = [need("setpriv"), f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    run.call([*as_user, initdb, "-D", data, "-A", "trust", "-N", "-U", user], cwd="/")
    with run.server([*as_user, server, "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data, "-c", "fsync=off",
                     "-c", "shared_buffers=16MB", "-c", "max_parallel_workers_per_gather=2"], port, signal.SIGINT, cwd="/"):
        to = ["-h", "127.0.0.1", "-p", port, "-U", user]
        # It listens before it lets anybody in.
        deadline = time.monotonic() + 30
        while subprocess.run([need("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError("postgres was not ready within 30 s")
            time.sleep(0.1)
        run.call([bench, "-i", "-q", "-s", 2, *to, "postgres"])
        queries = run.directory / "queries.sql"
        queries.write_text("""select count(*), sum(a.abalance), string_agg(b.filler, ',') from pgbench_accounts a
 join pgbench_branches b using (bid) where a.aid % 7 = 3 and a.filler like '% %';
select to_char(now(), 'YYYY-MM-DD'), regexp_replace(repeat('abc', 100), 'b(c)', '\\1', 'g'), md5(random()::text);
select x, sqrt(x::numeric), percent_rank() over (order by x % 10) from generate_series(1, 500) x order by 3, 1;
with recursive t(n) as (values (1) union all select n + 1 from t where n < 200) select sum(n) from t;
""")
        while run.goes_on():
            seconds = max(1, round(run.seconds / 6))
            run.call([bench, "-n", "-c", 4, "-j", 2, "-T", seconds, *to, "postgres"])
            run.call([bench, "-n", "-c", 2, "-T", seconds, "-f", queries, *to, "postgres"])


def java(run):
    run.call([need("java"), "-Xmx256m", "-XX:+PreserveFramePointer", HERE / "Work.java", run.seconds], recorded=True)


def compile_with(run, compiler, *options):
    sources = [*sorted((SOURCE / "sampler").glob("*.cc")), *sorted((SOURCE / "shm").glob("*.cc"))]
    number = 0
    while run.goes_on():
        run.call([compiler, "-std=c++20", *options, "-I", SOURCE, "-c", sources[number % len(sources)], "-o",
                  run.directory / "object.o"], recorded=True)
        number += 1


def gcc(run):
    compile_with(run, need("g++"), "-O2", "-g")


def clang(run):
    compile_with(run, need("clang++"), "-O2", "-g")


def tests(run):
    # They were built with this project, and run at most some seconds each. Left out are those that make stacks which cannot
    # be walked on purpose: while modules are unloaded all the time, without what the loader knows, in undescribed code.
    on_purpose = "--gtest_filter=-*Unload*:*AnothersAddress:*DoesNotMove:*LoaderTellsNothing:*NothingDescribes"
    names = ["unwind_test", "unwind_cfi_test", "sampler_interval_test", "sampler_heap_budget_test", "sampler_settings_test",
             *sorted(path.name for path in (run.build / "tests").glob("shm_*_test")),
             *sorted(path.name for path in (run.build / "tests").glob("run_*_test"))]
    programs = [run.build / "tests" / name for name in names if (run.build / "tests" / name).exists()]
    if not programs:
        raise Absent("no tests built")
    number = 0
    while run.goes_on():
        run.call([programs[number % len(programs)], "--gtest_brief=1", on_purpose], recorded=True, cwd=run.directory)
        number += 1


PROGRAMS = {function.__name__: function for function in (redis, nginx, node, python3, postgres, java, gcc, clang, tests)}


def check(name, build, recorder, seconds, allocations, keep):
    checker = build / "tests" / "stack_checker"
    with tempfile.TemporaryDirectory(prefix="check-stacks.") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        run = Run(directory, recorder, seconds, allocations, build)
        try:
            PROGRAMS[name](run)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            run.log.flush()
            sys.stderr.write((directory / "log").read_text(errors="replace")[-3000:])
            raise Failed(f"{name}: {error}") from error
        finally:
            run.log.close()
        files = sorted(run.recordings.iterdir())
        if keep:
            shutil.copytree(run.recordings, pathlib.Path(keep) / name, dirs_exist_ok=True)
        if not files:
            raise Failed(f"{name} recorded nothing")
        done = subprocess.run([checker, *files], stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Failed(f"{name}: stack_checker ended with status {done.returncode}")
        return {"program": name, "processes": len(files), **json.loads(done.stdout)}


def total(results, kind):
    return {key: sum(result[kind][key] for result in results) for key in results[0][kind]}


def share(counts):
    """Of the stacks that could be compared: those that agree frame by frame, or reach the root."""
    judged = counts["samples"] - counts["beyond_the_copy"]
    return (counts["same_and_whole"] + counts["same_but_cut"] + counts["other_but_whole"]) / judged if judged else 1.0


def row(name, counts):
    return (f"{name:12} {counts['samples']:>9,} {counts['same_and_whole']:>11,} {counts['same_but_cut']:>9,} "
            f"{counts['other_but_whole']:>11,} {counts['differ']:>7,} {counts['beyond_the_copy']:>7,} {share(counts):>9.3%}")


HEADING = (f"{'':12} {'stacks':>9} {'same, whole':>11} {'same, cut':>9} {'other,whole':>11} {'differ':>7} "
           f"{'no copy':>7} {'pass':>9}")


IMPOSSIBLE = "libunwind's impossible"

# docs/unwinding.md explains each; the first that fits is taken.
CLASSES = {
    "a module being unloaded": lambda one: one["ours_ended"] == "closing",
    "exception in flight": lambda one: one["where"].startswith("libgcc_s") or "_Unwind_" in one["where"],
    "V8's built-in functions": lambda one: one["where"].startswith(("node Builtins_", "node construct_stub")),
    "a JIT's code": lambda one: one["where"] == "code without a file",
    "called from a JIT's code": lambda one: one["has_jit"],
    "start and exit code of crt": lambda one: one["is_leaf"] and one["libunwind"] == "ends here" or any(".fini" in line or ".init" in line or "_init" in line for line in one["example_ours"][:2]),
    "linkage table": lambda one: ".plt" in one["where"],
}


def class_of(one):
    return next((name for name, fits in CLASSES.items() if fits(one)), "not explained")


def class_table(results):
    """Of each class and program: how many stacks, and how many of them pass and are judged possible on either side."""
    table = {}
    for result in results:
        for one in result["classes"]:
            entry = table.setdefault((class_of(one), result["program"]), {"stacks": 0, "pass": 0, "ours impossible": 0, IMPOSSIBLE: 0})
            entry["stacks"] += one["count"]
            entry["pass"] += one["count"] if one["outcome"] != "differ" else 0
            entry["ours impossible"] += one["count"] if one["ours"] == "impossible" else 0
            entry[IMPOSSIBLE] += one["count"] if one["libunwind"] == "impossible" else 0
    return [{"class": name, "program": program, **entry} for (name, program), entry in sorted(table.items())]


def print_report(results, examples):
    for kind, title in (("native", "native stacks"), ("jit", "stacks with a JIT's code")):
        shown = [result for result in results if result[kind]["samples"]]
        if not shown:
            continue
        print(f"\n{title}\n{HEADING}")
        for result in shown:
            print(row(result["program"], result[kind]))
        print(row("all", total(shown, kind)))
    print(f"\nwhere the two walkers part, or neither reaches the root\n{'class':26} {'program':10} {'stacks':>7} {'pass':>6} "
          f"{'ours impossible':>16} {'libunwind impossible':>21}")
    for entry in class_table(results):
        print(f"{entry['class']:26} {entry['program']:10} {entry['stacks']:>7} {entry['pass']:>6} {entry['ours impossible']:>16} "
              f"{entry[IMPOSSIBLE]:>21}")
    print()
    classes = [{**one, "program": result["program"]} for result in results for one in result["classes"]]
    for one in sorted(classes, key=lambda one: -one["count"])[:None if examples else 12]:
        print(f"{one['count']:>7} {one['program']:9} {one['outcome']:7} {one['where']}{' (leaf)' if one['is_leaf'] else ''}"
              f"{' [jit]' if one['has_jit'] else ''}: ours {one['ours']}, {one['ours_ended']}; libunwind's {one['libunwind']}, "
              f"{one['libunwind_ended']}")
        if examples:
            for who in ("ours", "libunwind"):
                print(f"          {who}:")
                for line in one[f"example_{who}"]:
                    print(f"            {line}")


def main():
    parser = argparse.ArgumentParser(prog="check-stacks", description="The stack walker against libunwind in real programs.")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a build directory, e.g. build/release")
    parser.add_argument("--recorder", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=20, help="of load for each program (default 20)")
    parser.add_argument("--allocations", type=int, default=1000, help="of a thread between two samples (mean; default 1000)")
    parser.add_argument("--json", type=pathlib.Path, help="write all that was counted to this file")
    parser.add_argument("--keep", help="copy the recordings to this directory")
    parser.add_argument("--examples", action="store_true", help="print an example of each class")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"some of {', '.join(PROGRAMS)} (default: all)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.programs if name not in PROGRAMS]
    if unknown:
        parser.error(f"unknown program {unknown[0]}; known are {', '.join(PROGRAMS)}")
    recorder = arguments.recorder or arguments.build / "tests" / "libstack_recorder.so"
    if not recorder.exists():
        parser.error(f"{recorder} does not exist: build the targets stack_recorder and stack_checker first")
    results, absent, failed = [], [], []
    for name in arguments.programs or PROGRAMS:
        try:
            results.append(check(name, arguments.build.resolve(), recorder.resolve(), arguments.seconds,
                                 arguments.allocations, arguments.keep))
            print(f"check-stacks: {name} done", file=sys.stderr)
        except Absent as why:
            absent.append(name)
            print(f"check-stacks: {name} left out: {why}", file=sys.stderr)
        except Failed as why:
            failed.append(name)
            print(f"check-stacks: {why}", file=sys.stderr)
    if not results:
        raise SystemExit("check-stacks: none of these programs could be run on this machine")
    print_report(results, arguments.examples)
    if arguments.json:
        arguments.json.write_text(json.dumps({
            "seconds_each": arguments.seconds, "absent": absent, "failed": failed, "native": total(results, "native"),
            "native_share": share(total(results, "native")), "classes": class_table(results), "programs": results}, indent=1))
    few = [result["program"] for result in results if result["native"]["samples"] < LEAST_SAMPLES]
    if few:
        raise SystemExit(f"check-stacks: fewer than {LEAST_SAMPLES} native stacks of {', '.join(few)}: too few to say anything")
    reached = share(total(results, "native"))
    print(f"\n{reached:.3%} of native stacks agree frame by frame or reach the root; {NEEDED_SHARE:.1%} are needed")
    if reached < NEEDED_SHARE or failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
