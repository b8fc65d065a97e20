"""What a real program is run in: a Stage, an empty directory and an environment, and what comes of it, an Outcome.

What differs from run to run by nature (times, process ids, ports) an entry leaves out. Everything it starts ends with it; all
traffic stays on 127.0.0.1.
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
