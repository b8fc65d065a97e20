"""--from --to --process --thread --span --window mean the same in every format, and what cannot be is one line and exit code 2."""
import unittest

from exported import EMPTY, MESH, RUNS, SERVER, SLICES, error_of, export, run

ALL_SLICE_FORMATS = ("folded", "svg", "pprof", "speedscope", "callgrind")


def cpu(*arguments):
    """Milliseconds of CPU in folded stacks."""
    text = export(MESH, "--what", "cpu", *arguments).decode()
    return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()) / 1e6


class Filters(unittest.TestCase):
    def test_each_option_takes_its_part(self):
        self.assertEqual(cpu(), 2390)
        self.assertEqual(cpu("--from", "0", "--to", "4"), 4 * 10 * (7 + 3 + 2 + 1 + 4))
        self.assertEqual(cpu("--process", "gateway"), 1990)
        self.assertEqual(cpu("--process", "200"), 400)
        self.assertEqual(cpu("--pid", "200"), 400)
        self.assertEqual(cpu("--process", "/srv/bin/provider"), 400)
        self.assertEqual(cpu("--thread", "worker"), 880)
        self.assertEqual(cpu("--thread", "102"), 880)
        self.assertEqual(cpu("--span", "cam.request"), 700)
        self.assertEqual(cpu("--span", "cam.arbitration", "--to", "5"), 150)

    def test_a_window_is_its_time_and_a_kind_all_of_its_windows(self):
        steady = 3 * 10 * (10 + 4) + 50 + 60 + 10 * (3 + 3 + 13)
        self.assertEqual(cpu("--window", "steady 10/s"), steady)
        self.assertEqual(cpu("--window", "steady"), steady + 2 * 10 * (10 + 13 + 4))
        self.assertEqual(cpu("--window", "steady", "--from", "9"), 10 * (10 + 13 + 4))

    def test_options_add_up(self):
        self.assertEqual(cpu("--process", "gateway", "--thread", "loop", "--span", "cam.request", "--from", "1", "--to", "3"), 140)

    def test_the_heap_by_thread_and_span(self):
        live = lambda *arguments: export(MESH, "--what", "live", *arguments).decode().rsplit(" ", 1)[1]
        self.assertEqual(int(live("--thread", "worker")), 50000)
        self.assertEqual(int(live("--span", "cam.request")), 3001)
        self.assertEqual(int(live("--span", "cam.request", "--to", "3")), 5001)

    def test_spans_by_name_take_what_is_inside_them(self):
        text = export(MESH, "--what", "spans", "--span", "cam.request", "--process", "gateway").decode()
        self.assertIn("cam.request;cam.provider_call 650000000\n", text)
        self.assertNotIn("provider.answer", text)

    def test_what_is_not_there_is_named_with_what_is(self):
        for arguments, parts in [
            (("--process", "nginx"), ("--process nginx: no such process", "100 (gateway), 200 (provider)")),
            (("--thread", "gc"), ("--thread gc: no such thread", "101 (loop)")),
            (("--process", "200", "--thread", "loop"), ("--thread loop: no such thread", "201 (serve)")),
            (("--span", "none"), ("--span none: no such span", "cam.arbitration, cam.provider_call, cam.request")),
            (("--window", "spike"), ("--window spike: no such load window", "steady 10/s")),
            (("--window", "warm-up", "--from", "5"), ("--window warm-up: no part of it lies between 5 s and 10 s",)),
            (("--from", "11.5"), ("beyond the end of the run, which lasted 10 s",)),
            (("--from", "9", "--to", "2"), ("--from 9 comes after --to 2",)),
            (("--from", "4", "--to", "4"), ("from 4 to 4 is an empty range",)),
            (("--to", "0"), ("is an empty range",)),
            (("--from", "100%"), ("is an empty range",)),
            (("--format", "png"), ("--format png: no such format; choose one of folded, svg, pprof",)),
            (("--what", "memory"), ("--what memory: no such slice; choose one of cpu, alloc",)),
            (("--what", "alloc", "--thread", "loop"), ("--thread: alloc is not recorded by thread", "choose --what cpu, live")),
            (("--what", "io", "--span", "cam.request"), ("--span: io is not recorded by span",)),
            (("--what", "io", "--format", "gperftools"), ("gperftools has CPU and heap profiles only",)),
            (("--what", "cpu", "--format", "chrome"), ("--what cpu: chrome holds spans, counters and marks",)),
            (("--what", "live", "--format", "csv"), ("--what live: csv holds all series and events",)),
            (("--format", "csv", "--thread", "loop"), ("--thread: series and events are not recorded by thread",)),
            (("--format", "otlp", "--to", "0.5"), ("nothing to export for spans between 0 s and 0.5 s",)),
            (("--format", "pprof", "--base", SERVER), ("--base: pprof has no place",)),
            (("--format", "pprof", "--colour", "module"), ("--colour: pprof has no colours",)),
            (("--format", "svg", "--colour", "blue"), ("--colour blue: choose module or language",)),
            (("--format", "svg", "--base", RUNS / "none.camrun"), ("--base: ", "none.camrun")),
        ]:
            with self.subTest(arguments=arguments):
                line = error_of(MESH, *arguments)
                for part in parts:
                    self.assertIn(part, line)

    def test_a_range_without_that_family_says_so_in_every_format(self):
        for what in SLICES:
            for form in ALL_SLICE_FORMATS:
                with self.subTest(what=what, format=form):
                    self.assertIn(f"nothing to export for {what} between 0 s and 5 s", error_of(EMPTY, "--what", what, "--format", form))
        for form in ("chrome", "perfetto", "otlp", "csv", "jsonl"):
            with self.subTest(format=form):
                self.assertIn("nothing to export", error_of(EMPTY, "--format", form))
        self.assertIn("no wait was recorded", error_of(MESH, "--what", "wait", "--from", "5"))

    def test_every_slice_exports_to_every_format(self):
        for what in SLICES:
            for form in ALL_SLICE_FORMATS:
                with self.subTest(what=what, format=form):
                    self.assertEqual(run(SERVER, "--what", what, "--format", form).returncode, 0)


if __name__ == "__main__":
    unittest.main()
