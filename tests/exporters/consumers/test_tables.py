"""CSV and JSON lines hold every series and event: both imported by sqlite3 itself, and compared with the run."""
import sqlite3
import subprocess
import unittest

from exported import HOSTILE, MESH, SERVER, Directory, export, need

COLUMNS = ("time_s", "utc", "width_s", "pid", "kind", "name", "of", "value", "unit")


class Tables(Directory):
    def imported(self, run, form):
        """A database that the sqlite3 command made of the export: table series, a column a field."""
        need("sqlite3")
        table, database = self.file(f"series.{form}", export(run, "--format", form)), self.directory / f"{run.stem}.{form}.db"
        if form == "csv":
            script = f".import --csv {table} series\n"
        else:  # no separator may split a line: an unused character
            members = ", ".join(f"json_extract(line, '$.{column}') AS {column}" for column in COLUMNS)
            script = f"CREATE TABLE lines(line);\n.mode ascii\n.separator \"\\037\" \"\\n\"\n.import {table} lines\nCREATE TABLE series AS SELECT {members} FROM lines;\n"
        result = subprocess.run(["sqlite3", "-bail", str(database)], input=script, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return sqlite3.connect(database)

    def test_both_hold_the_same_and_all_of_it(self):
        for run in (SERVER, MESH):
            source = sqlite3.connect(f"file:{run}?mode=ro", uri=True)
            for form in ("csv", "jsonl"):
                with self.subTest(run=run.name, format=form):
                    imported = self.imported(run, form)
                    count = lambda where: imported.execute(f"SELECT COUNT(*) FROM series WHERE {where}").fetchone()[0]
                    rows = lambda table: source.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
                    self.assertEqual(count("kind IN ('gauge', 'counter')"), rows("point"))
                    self.assertEqual(count("kind = 'load' AND name = 'requests'"), rows("load_bucket"))
                    self.assertEqual(count("kind = 'span' AND name = 'spans'"), rows("span_stat"))
                    self.assertEqual(count("kind = 'descriptor' AND name = 'opened'"), rows("descriptor_sum"))
                    self.assertEqual(count("kind = 'event' AND name = 'descriptor opened'"), rows("descriptor"))
                    self.assertEqual(count("kind = 'event' AND name = 'mark'"), rows("mark"))
                    self.assertEqual(count("kind = 'event' AND name = 'load window began'"), rows("load_window"))
                    self.assertEqual(count("kind = 'event' AND name = 'thread began'"), rows("thread"))
                    self.assertEqual(
                        imported.execute("SELECT SUM(CAST(value AS REAL)) FROM series WHERE kind = 'load' AND name = 'requests' AND of = ''").fetchone()[0],
                        source.execute("SELECT SUM(requests) FROM load_bucket WHERE endpoint = ''").fetchone()[0])

    def test_hostile_names_keep_their_columns(self):
        tables = {form: self.imported(HOSTILE, form) for form in ("csv", "jsonl")}
        for database in tables.values():
            self.assertEqual([column[1] for column in database.execute("PRAGMA table_info(series)")], list(COLUMNS))
        marks = {form: [of for (of,) in database.execute("SELECT of FROM series WHERE name = 'mark'")] for form, database in tables.items()}
        self.assertEqual(marks["csv"], marks["jsonl"])
        self.assertEqual(len(marks["csv"]), 14)

    def test_filters_hold(self):
        lines = export(MESH, "--format", "csv", "--from", "3", "--to", "5", "--process", "gateway").decode().splitlines()[1:]
        self.assertTrue(lines)
        for line in lines:
            self.assertTrue(3 <= float(line.split(",")[0]) < 5 and line.split(",")[3] == "100", line)


if __name__ == "__main__":
    unittest.main()
