"""gperftools' CPU profile (binary) and heap profile (text): google-pprof itself gives the same top ten."""
import collections
import re
import subprocess
import unittest

from exported import HOSTILE, MESH, SERVER, Directory, export, need


def short(name):
    """google-pprof's name of a function: without its arguments and template arguments."""
    while True:
        shorter = re.sub(r"\([^()]*\)(\s*const)?", "", name)
        shorter = re.sub(r"<[^<>]*>", "", shorter)
        if shorter == name:
            return re.sub(r"^.*\s+(\w+::)", r"\1", name)
        name = shorter


class Gperftools(Directory):
    def top(self, path, *options):
        """[(function, flat)], heaviest first, as google-pprof prints it, in its own unit."""
        need("google-pprof")
        result = subprocess.run(["google-pprof", "--text", *options, str(path)], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = re.findall(r"^\s*([\d.]+)\s+[\d.]+%\s+[\d.]+%\s+([\d.]+)\s+[\d.]+%\s+(.+)$", result.stdout, re.M)
        self.assertTrue(rows, result.stdout + result.stderr)
        return [(name.replace(";", ":"), float(flat)) for flat, _, name in rows]  # as folded stacks write it

    def own(self, run, what, skipped=()):
        """The same from folded stacks: weight by leaf, the innermost frames in `skipped` left out as google-pprof leaves them out."""
        leaves = collections.Counter()
        for line in export(run, "--what", what).decode().splitlines():
            stack, weight = line.rsplit(" ", 1)
            frames = [frame for frame in map(short, stack.replace("--", "- -").split(";")) if frame not in skipped]
            leaves[frames[-1]] += int(weight)
        return leaves

    def check(self, run, what, scale, skipped=(), *options):
        path = self.file(f"{what}.prof", export(run, "--what", what, "--format", "gperftools"))
        ours = self.own(run, what, skipped)
        theirs = [row for row in self.top(path, *options) if row[1] > 0][:10]
        expected = ours.most_common(10)
        self.assertEqual(len(theirs), min(10, len(expected)))
        for (name, flat), (_, weight) in zip(theirs, expected):
            self.assertAlmostEqual(flat / scale, ours[name], delta=max(1, 0.01 * ours[name]) + 1.01 / scale, msg=name)
            self.assertAlmostEqual(weight, ours[name], delta=1.01 / scale + 1, msg=f"{name} is not among the ten heaviest")

    def test_cpu(self):
        # A row counts samples: 10 ms each here, 1/99 s there.
        self.check(MESH, "cpu", 1 / 10e6)
        self.check(SERVER, "cpu", 99 / 1e9)

    def test_heap(self):
        skipped = {"malloc", "operator new", "realloc"}  # which google-pprof takes away from heap profiles
        for what in ("live", "retained", "growth"):
            with self.subTest(what=what):
                self.check(SERVER, what, 1, skipped, "--inuse_space", "--show_bytes")
        self.check(SERVER, "alloc", 1, skipped, "--alloc_space", "--show_bytes")
        self.check(MESH, "live", 1, skipped, "--inuse_space", "--show_bytes")

    def test_names_with_dashes_and_spaces_stay_one_function(self):
        path = self.file("hostile.prof", export(HOSTILE, "--what", "cpu", "--format", "gperftools"))
        self.assertAlmostEqual(sum(flat for _, flat in self.top(path)), 140, delta=0.5)


if __name__ == "__main__":
    unittest.main()
