"""Programs that a long script starts from a copy of the build, on free ports of 127.0.0.1, watches in /proc and ends by their pids."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def copy_of_build(who, build, needs):
    """A directory of one's own with a copy of build/bin and build/lib, while it is used; ends with a sentence where something is missing."""
    for path in ("bin/camprobe", "bin/cam-server", "bin/cam-providers", "lib/libcamprobe.so"):
        if not (build / path).exists():
            sys.exit(f"{who}: {build / path} is not there: run ./scripts/build first")
    if shutil.which(needs) is None:
        sys.exit(f"{who}: needs {needs}: ./scripts/setup installs it")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{who}: ended by SIGTERM"))
    with tempfile.TemporaryDirectory(prefix=f"camprobe-{who}-") as scratch:
        directory = pathlib.Path(scratch)
        for part in ("bin", "lib"):
            shutil.copytree(build / part, directory / part)
        yield directory


def start_providers(directory, catalog, output):
    """cam-providers, on free ports that are in `catalog` when this returns."""
    providers = subprocess.Popen([directory / "bin/cam-providers", "--free-ports", "--write-catalog", catalog], stdout=output, stderr=output)
    try:
        for _ in range(300):
            if catalog.exists() and catalog.stat().st_size > 0:
                return providers
            time.sleep(0.1)
        sys.exit("cam-providers did not come up in 30 s")
    except BaseException:
        end(providers)
        raise


def end(process, seconds=30):
    """Its exit code: after SIGTERM, or, where that takes longer, SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(path):
    return pathlib.Path(path).read_text(errors="replace")


def cpu_seconds(pid):
    fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def status_of(pid):
    return dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)


def children_of(pid):
    return [int(child) for task in os.listdir(f"/proc/{pid}/task") for child in read(f"/proc/{pid}/task/{task}/children").split()]
