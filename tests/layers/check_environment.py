#!/usr/bin/env python3
"""docs/environment.md shows every CAMPROBE_* variable that the code reads, as the code has it, and no other.

    check_environment.py SOURCE_DIRECTORY

The code's tables are kEnvironment (sampler/settings.cc: what the probe reads) and the CommandVariables of
collector/attach/environment.h. A name that is spelled anywhere else in the product must stand in one of them.
"""
import pathlib
import re
import sys

LAYERS = ("shm", "sampler", "probe", "run", "collector", "exporters", "viewer", "push", "cli", "examples")
SOURCE = {".h", ".cc", ".c", ".S", ".ts", ".js", ".mjs"}
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def texts_of(fields):
    """The strings of a C++ initializer's fields; neighbouring literals are one."""
    parts, rest = [], fields
    for field in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", rest):
        literals = LITERAL.findall(field)
        if literals:
            parts.append("".join(literals))
    return parts


def rows_of_code(root):
    settings = (root / "sampler/settings.cc").read_text()
    table = settings[settings.index("const EnvironmentVariable kEnvironment[] = {"):]
    table = table[:table.index("\n};")]
    rows = [texts_of(entry) for entry in re.findall(r"\{(\"CAMPROBE_.*?)\}", table, re.DOTALL)]
    command = (root / "collector/attach/environment.h").read_text()
    rows += [texts_of(entry) for entry in re.findall(r"=\s*\{\s*(\"CAMPROBE_.*?)\};", command, re.DOTALL)]
    return rows


def rows_of_document(text):
    return [line.strip() for line in text.splitlines() if line.startswith("| `CAMPROBE_")]


def names_in_sources(root):
    names = {}
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*")):
            if path.suffix not in SOURCE or "node_modules" in path.parts:
                continue
            text = path.read_text(errors="replace")
            found = re.findall(r"[\"'](CAMPROBE_[A-Z][A-Z_]*[A-Z])(?:=[^\"']*)?[\"']", text) + re.findall(r"\benv\.(CAMPROBE_[A-Z_]+)", text)
            for name in found:
                names.setdefault(name, path.relative_to(root).as_posix())
    return names


def differences(rows, shown, named):
    found = []
    wanted = {row[0]: f"| `{row[0]}` | {f'`{row[1]}`' if row[1] else ''} | {row[2]} | {row[3]} |" for row in rows}
    for name, row in wanted.items():
        if row not in shown:
            found.append(f"docs/environment.md wants the row\n    {row}")
    for row in shown:
        name = re.match(r"\| `([A-Z_]+)`", row).group(1)
        if name not in wanted:
            found.append(f"docs/environment.md has {name}, which nothing reads")
        elif row != wanted[name] and wanted[name] in shown:
            found.append(f"docs/environment.md has {name} twice, once wrong:\n    {row}")
    for name, path in named.items():
        if name not in wanted:
            found.append(f"{path} reads {name}: put it into kEnvironment (the probe) or collector/attach/environment.h (the command)")
    return found


def self_check():
    """A check that cannot fail is none."""
    rows = [["CAMPROBE_A", "1", "`0` or `1`", "what"]]
    right = "| `CAMPROBE_A` | `1` | `0` or `1` | what |"
    assert differences(rows, [right], {"CAMPROBE_A": "x.cc"}) == []
    assert differences(rows, [], {}) and differences(rows, [right.replace("`1` |", "`2` |", 1)], {})
    assert differences(rows, [right, "| `CAMPROBE_B` |  | x | y |"], {}) and differences(rows, [right], {"CAMPROBE_C": "x.cc"})
    assert texts_of('"CAMPROBE_A", "", "one, " "two", read') == ["CAMPROBE_A", "", "one, two"]


def main():
    self_check()
    root = pathlib.Path(sys.argv[1])
    rows, named = rows_of_code(root), names_in_sources(root)
    malformed = [row for row in rows if len(row) != 4]
    if len(rows) < 9 or malformed or "CAMPROBE_LIBRARY" not in named:
        sys.exit(f"check_environment: the tables in the code are not read any more: {len(rows)} rows, malformed {malformed}")
    found = differences(rows, rows_of_document((root / "docs/environment.md").read_text()), named)
    for difference in found:
        print(difference)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
