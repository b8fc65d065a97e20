"""Folded stacks: exact sums whatever is in the names, read as flamegraph.pl reads them, and by speedscope."""
import collections
import unittest

from exported import CPU_BY_FUNCTION, CPU_NS, HOSTILE, MESH, SERVER, Directory, export, in_speedscope, self_weights


def read(text):
    """[(frames, weight)] by flamegraph.pl's rule: the number after the last space, semicolons between frames."""
    stacks = []
    for line in text.decode("utf-8").split("\n")[:-1]:
        stack, weight = line.rsplit(" ", 1)
        assert weight.isdecimal() and all(frame.strip() for frame in stack.split(";")), line
        stacks.append((stack.split(";"), int(weight)))
    return stacks


class Folded(Directory):
    def test_sums_are_exact_and_names_stay_one_frame(self):
        stacks = read(export(MESH, "--what", "cpu"))
        self.assertEqual(sum(weight for _, weight in stacks), CPU_NS)
        leaves = collections.Counter()
        for frames, weight in stacks:
            leaves[frames[-1]] += weight
        for function, weight in CPU_BY_FUNCTION.items():
            self.assertEqual(leaves[function], weight)
        self.assertEqual(leaves['a:b -- "c" <d> \u00e9\u6f22'], 60_000_000)

    def test_hostile_names_stay_line_by_line(self):
        stacks = read(export(HOSTILE, "--what", "alloc"))
        self.assertEqual(sum(weight for _, weight in stacks), 14_000_000)

    def test_what_changed_has_two_columns(self):
        text = export(SERVER, "--what", "alloc", "--base", SERVER).decode()
        for line in text.splitlines():
            _, before, after = line.rsplit(" ", 2)
            self.assertEqual(before, after)

    def test_speedscope_reads_it(self):
        path = self.file("cpu.folded.txt", export(MESH, "--what", "cpu"))
        group = in_speedscope(path)[path]
        weights = self_weights(group, group["profiles"][0])
        self.assertEqual(sum(weights.values()), CPU_NS)
        self.assertEqual(weights["cam::compute(int)"], CPU_BY_FUNCTION["cam::compute(int)"])


if __name__ == "__main__":
    unittest.main()
