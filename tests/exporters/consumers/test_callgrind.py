"""callgrind's format: callgrind_annotate itself reads it, by function, line and call."""
import re
import subprocess
import unittest

from exported import CPU_BY_FUNCTION, CPU_NS, HOSTILE, LIVE_BYTES, MESH, Directory, export, need


class Callgrind(Directory):
    def annotate(self, run, what, *options):
        need("callgrind_annotate")
        path = self.file(f"callgrind.out.{what}", export(run, "--what", what, "--format", "callgrind"))
        result = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", *options, str(path)], capture_output=True,
                                timeout=60, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout.decode("utf-8")

    @staticmethod
    def figures(text):
        """{function: figures of its row}."""
        rows = {}
        for line in text.splitlines():
            found = re.match(r"^\s*((?:[\d,]+ \([ \d.]+%\)\s+)+)(?:[^:\s]*:)?(.+?)(?: \[.*\])?$", line)
            if found:
                rows[found.group(2)] = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) \(", found.group(1))]
        return rows

    def test_self_cost_by_function(self):
        text = self.annotate(MESH, "cpu")
        rows = self.figures(text)
        self.assertEqual(rows["PROGRAM TOTALS"], [CPU_NS, 239])
        for function, weight in CPU_BY_FUNCTION.items():
            self.assertEqual(rows[function], [weight, weight // 10_000_000], text)

    def test_inclusive_cost_goes_up_the_callers(self):
        rows = self.figures(self.annotate(MESH, "cpu", "--inclusive=yes"))
        self.assertEqual(rows["cam::Loop::run()"][0], 1_000_000_000)
        self.assertEqual(rows["cam::parse(std::string_view)"][0], 700_000_000)

    def test_a_function_has_its_lines(self):
        path = self.file("callgrind.out.lines", export(MESH, "--what", "cpu", "--format", "callgrind"))
        text = path.read_text()
        number = re.search(r"\((\d+)\) cam::compute\(int\)$", text, re.M).group(1)  # names are written out once
        block = re.search(rf"^fn=\({number}\).*?\n\n", text, re.M | re.S).group(0)
        self.assertIn("60 700000000 70\n", block)
        self.assertIn("61 100000000 10\n", block)

    def test_the_heap_has_all_four_figures(self):
        text = self.annotate(MESH, "live")
        self.assertIn("inuse_space_bytes inuse_objects_count alloc_objects_count alloc_space_bytes", " ".join(text.split()))
        self.assertEqual(self.figures(text)["PROGRAM TOTALS"], [LIVE_BYTES, 47, 1015, 60003])

    def test_hostile_names_are_read(self):
        self.assertEqual(self.figures(self.annotate(HOSTILE, "cpu"))["PROGRAM TOTALS"], [1_400_000_000, 140])


if __name__ == "__main__":
    unittest.main()
