"""The line that says how a recording goes, seen as a terminal shows it: read through a pseudo-terminal, and put on a screen
that breaks lines as terminals do."""
import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

# Prints a line now and then, and keeps what it allocates, so that there is RSS to show.
TARGET = ["sh", "-c", "sleep 2.6; echo 'the program says something'; sleep 3"]


class Screen:
    """What a terminal shows of text, line breaks, carriage returns and the three sequences that camprobe sends."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = [""]
        self.continues = [False]  # a row that is the rest of the one above
        self.row = self.column = 0

    def feed(self, text):
        for token in re.findall(r"\x1b\[\d*[A-Za-z]|\x1b.|.|\n|\r", text, re.S):
            if token == "\n":
                self.down(False)
                self.column = 0 if token == "\n" else self.column
            elif token == "\r":
                self.column = 0
            elif token == "\x1b[K":
                self.rows[self.row] = self.rows[self.row][:self.column]
            elif token == "\x1b[J":
                self.rows[self.row] = self.rows[self.row][:self.column]
                del self.rows[self.row + 1:], self.continues[self.row + 1:]
            elif re.fullmatch(r"\x1b\[\d+A", token):
                self.row = max(0, self.row - int(token[2:-1]))
            elif token.startswith("\x1b"):
                raise AssertionError(f"a sequence that is not known: {token!r}")
            else:
                if self.column == self.columns:
                    self.down(True)
                    self.column = 0
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[:self.column] + token + line[self.column + 1:]
                self.column += 1

    def down(self, continues):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")
            self.continues.append(continues)

    def lines(self):
        """With the rows of a broken line put together."""
        lines = []
        for row, rest in zip(self.rows, self.continues):
            if rest:
                lines[-1] += row
            else:
                lines.append(row)
        return lines

    def resize(self, columns):
        """Lines that do not fit any more are broken, as most terminals do; the cursor stays behind its character."""
        rows, continues = [], []
        for row, rest in zip(self.rows, self.continues):
            pieces = [row[at:at + columns] for at in range(0, len(row), columns)] or [""]
            rows += pieces
            continues += [rest] + [True] * (len(pieces) - 1)
        self.columns, self.rows, self.continues = columns, rows, continues
        self.row, self.column = len(rows) - 1, len(rows[-1])


def set_columns(terminal, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def watch(columns, then=None, **environment):
    """Records the target on a terminal of so many columns, `then` so many after three and a half seconds. Gives the screen at the
    end, all that was written, and the longest line that stood at a time."""
    terminal, side = pty.openpty()
    set_columns(terminal, columns)
    with harness.Scratch() as scratch:
        process = subprocess.Popen([harness.CAMPROBE, "run", "--no-report", "-o", scratch.run_path, "--", *TARGET],
                                   stdin=side, stdout=side, stderr=side,
                                   env={**os.environ, "TERM": "xterm", **environment})
        os.close(side)
        screen, written, longest = Screen(columns), "", 0
        resize_at = time.monotonic() + 3.5 if then else None
        try:
            while True:
                if resize_at and time.monotonic() > resize_at:
                    resize_at = None
                    set_columns(terminal, then)
                    screen.resize(then)
                if not select.select([terminal], [], [], 0.1)[0]:
                    if process.poll() is not None:
                        break
                    continue
                try:
                    text = os.read(terminal, 65536).decode()
                except OSError:  # the other side is closed
                    break
                written += text
                screen.feed(text)
                if "suspects" in screen.rows[screen.row]:
                    longest = max(longest, len(screen.rows[screen.row]))
        finally:
            process.wait(30)
            os.close(terminal)
    return screen, written, longest


class StatusLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All at once: each waits for seconds."""
        cls.seen = {}
        kinds = {"wide": dict(columns=80), "narrow": dict(columns=40), "tiny": dict(columns=24),
                 "shrinks": dict(columns=120, then=30), "no colour": dict(columns=80, NO_COLOR="1"),
                 "dumb": dict(columns=80, TERM="dumb")}
        threads = [threading.Thread(target=lambda n=name, k=kind: cls.seen.update({n: watch(**k)}))
                   for name, kind in kinds.items()]
        plain = harness.Scratch()
        with plain as scratch:
            for thread in threads:
                thread.start()
            cls.plain = subprocess.run([harness.CAMPROBE, "run", "--no-report", "-o", scratch.run_path, "--", *TARGET],
                                       capture_output=True, text=True, timeout=60, check=False)
            for thread in threads:
                thread.join()

    def test_stands_in_one_row_and_leaves_nothing_behind(self):
        for name, columns in (("wide", 80), ("narrow", 40), ("tiny", 24), ("no colour", 80)):
            screen, written, longest = self.seen[name]
            self.assertIn("suspects", written, name)
            self.assertGreater(longest, 0, name)
            self.assertLess(longest, columns, name)
            # What the program says comes behind the line and takes its row; nothing else keeps one.
            left = [row for row in screen.lines() if "suspects" in row and "the program says" not in row]
            self.assertEqual(left, [], name)

    def test_fits_a_terminal_that_became_narrower(self):
        _, written, _ = self.seen["shrinks"]
        lines = [line for line in written.split("\r\x1b[K") if "suspects" in line]
        self.assertGreater(len(lines), 1)
        self.assertGreater(len(lines[0].split("\r\n")[0]), 30)
        self.assertLess(len(lines[-1].split("\r\n")[0]), 30)

    def test_says_what_is_dearest_where_there_is_little_room(self):
        _, wide, _ = self.seen["wide"]
        _, tiny, _ = self.seen["tiny"]
        self.assertIn("RSS", wide)
        self.assertNotIn("RSS", tiny)

    def test_has_no_control_characters_where_they_would_be_in_the_way(self):
        self.assertNotRegex(self.seen["dumb"][1], r"\x1b|\r(?!\n)")
        self.assertNotRegex(self.plain.stderr + self.plain.stdout, r"\x1b|\r")
        self.assertNotIn("suspects", self.plain.stderr)

    def test_has_no_colours(self):
        for name in ("wide", "no colour"):
            self.assertNotRegex(self.seen[name][1], r"\x1b\[[\d;]*m")


if __name__ == "__main__":
    unittest.main()
