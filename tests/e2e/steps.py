"""What tests/e2e/test_budget.py and bench/budget.py read of a run of e2e_stepped_allocator: truth, estimates, intervals."""
import dataclasses
import math
import pathlib
import os
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(os.environ.get("CAMPROBE_TESTS", ROOT / "build/release/tests")).resolve() / "e2e_stepped_allocator")
ROUNDS = 4000


@dataclasses.dataclass
class Step:
    bytes: int  # a round
    began_ns: int  # CLOCK_MONOTONIC
    ended_ns: int
    cpu_ns: int
    stacks: dict  # {function: (size, objects)}

    def rate(self):
        """Bytes allocated in a second of CPU time."""
        return sum(size * objects for size, objects in self.stacks.values()) / (self.cpu_ns / 1e9)

    def began_s(self, run):
        return (self.began_ns - started_ns(run)) / 1e9

    def ended_s(self, run):
        return (self.ended_ns - started_ns(run)) / 1e9


def read(output):
    """The steps that the program printed."""
    steps = []
    for line in output.splitlines():
        word, *numbers = line.split()
        if word == "step":
            steps.append(Step(*map(int, numbers), {}))
        elif word == "stack":
            steps[-1].stacks[numbers[0]] = (int(numbers[1]), int(numbers[2]))
    return steps


def rounds_for(seconds):
    """So many rounds that a step of the rarest allocations takes about this long on this machine: at least ROUNDS."""
    trial = read(subprocess.run([PROGRAM, "300", "2000"], capture_output=True, text=True, check=True).stdout)[0]
    return max(ROUNDS, math.ceil(seconds * 1e9 * 300 / trial.cpu_ns))


def totals(steps):
    """{function: (size, objects)} over all steps."""
    sums = {}
    for step in steps:
        for name, (size, objects) in step.stacks.items():
            sums[name] = (size, sums.get(name, (size, 0))[1] + objects)
    return sums


def started_ns(run):
    return int(run.value("SELECT value FROM meta WHERE key = 'started_monotonic_ns'"))


def estimate(run, function, from_s=0, to_s=1e9):
    """(bytes, standard error) of what a function of one block size allocated in whole seconds of the run."""
    total = variance = 0.0
    for samples, objects, weight in run.rows(
            "SELECT a.samples, a.objects, a.bytes FROM alloc a WHERE a.samples > 0 AND a.second >= ? AND a.second < ? AND a.stack IN "
            "(SELECT s.stack FROM stack_frame s JOIN frame f ON f.id = s.frame WHERE f.function LIKE ?)", from_s, to_s, f"%{function}%"):
        size, probability = weight / objects, min(1.0, samples / objects)
        total += weight
        variance += samples * (1 - probability) * (size / probability) ** 2
    return total, math.sqrt(variance)


def intervals(run):
    """[(second, bytes)] from when on each heap interval held."""
    return [(at / 1e9, value) for at, value in run.rows("SELECT at_ns, value FROM setting WHERE name = 'heap_interval_bytes' ORDER BY at_ns, rowid")]


def interval_at(held, second):
    return [value for at, value in held if at <= second][-1]


def points(run, metric):
    return dict(run.rows("SELECT p.second, p.value FROM point p JOIN metric m ON m.id = p.metric WHERE m.name = ? AND p.process != 0", metric))


def probe_shares(run, steps):
    """What the probe took by its own measure over the CPU time that the kernel counted, in the whole seconds of each step but
    its first; the growth of two counters that are read together."""
    probe, user, system = (points(run, name) for name in ("probe_ns", "process_cpu_user_ns", "process_cpu_system_ns"))
    shares = []
    for step in steps:
        seconds = [s for s in range(math.ceil(step.began_s(run)), math.floor(step.ended_s(run))) if s in probe and s in user]
        if len(seconds) < 2:
            raise ValueError(f"the step of {step.bytes} bytes has only {len(seconds)} whole seconds: give it more rounds")
        first, last = seconds[0], seconds[-1]
        cpu = user[last] + system[last] - user[first] - system[first]
        shares.append((probe[last] - probe[first]) / cpu)
    return shares
