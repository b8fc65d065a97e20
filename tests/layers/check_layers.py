#!/usr/bin/env python3
"""Reads every #include "layer/..." of the tree and fails on an arrow that points the wrong way (docs/architecture.md).

    check_layers.py ROOT        check a tree
    check_layers.py --self-test prove that the check finds each kind of violation
"""
import pathlib
import re
import sys
import tempfile

# A layer may include itself and what is listed here.
MAY_INCLUDE = {
    "shm": set(),
    "sampler": {"shm"},
    "probe": {"sampler", "shm"},
    "run": set(),
    "collector": {"shm", "run"},
    "exporters": {"run"},
    "viewer": {"run", "exporters"},
    "push": {"collector", "run", "exporters"},
    "suite": {"collector", "run", "exporters", "viewer"},
    "cli": {"collector", "run", "exporters", "viewer", "push", "suite"},
    "examples": {"probe"},
}
# Inside collector/ these stand alone: they know no region and no run file's writer.
LEAVES = {"collector/symbols": set(), "collector/load": {"run/histogram.h", "run/result.h"}}
# Code that is loaded into a target: nothing that needs libstdc++ at run time, allocates or knows locales.
INJECTED = ("shm", "sampler", "probe")
INJECTED_EXCEPT = {"shm/region_reader.h", "shm/region_reader.cc"}  # the collector's half of the contract
BANNED_IN_TARGET = {
    "iostream", "ostream", "istream", "sstream", "fstream", "string", "string_view", "vector", "map", "set", "list", "deque",
    "unordered_map", "unordered_set", "memory", "functional", "thread", "mutex", "condition_variable", "future", "locale",
    "regex", "filesystem", "format", "random", "chrono", "exception", "stdexcept", "optional", "variant", "any",
}
SOURCE = {".h", ".cc", ".cpp", ".hpp", ".c", ".S"}
QUOTED = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
ANGLED = re.compile(r"^\s*#\s*include\s+<([^>]+)>")


def violations(root):
    found = []
    for layer, allowed in MAY_INCLUDE.items():
        for path in sorted((root / layer).rglob("*")):
            if path.suffix not in SOURCE or "node_modules" in path.parts:
                continue
            name = path.relative_to(root).as_posix()
            leaf = next((rest for prefix, rest in LEAVES.items() if name.startswith(prefix + "/")), None)
            injected = layer in INJECTED and name not in INJECTED_EXCEPT
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                where = f"{name}:{number}"
                if match := QUOTED.match(line):
                    target = match.group(1)
                    other = target.split("/")[0]
                    if other not in MAY_INCLUDE:
                        continue
                    if other != layer and other not in allowed:
                        found.append(f"{where}: {layer} may not include {target}")
                    elif leaf is not None and not target.startswith("/".join(name.split("/")[:2])) and target not in leaf:
                        found.append(f"{where}: {'/'.join(name.split('/')[:2])} stands alone and may not include {target}")
                    elif injected and target in INJECTED_EXCEPT:
                        found.append(f"{where}: code loaded into a target may not include the collector's {target}")
                elif (match := ANGLED.match(line)) and injected:
                    header = match.group(1)
                    if header in BANNED_IN_TARGET or header.split("/")[0] in {"spdlog", "fmt", "boost", "nlohmann"}:
                        found.append(f"{where}: code loaded into a target may not include <{header}>")
    return found


def self_test():
    cases = {
        "shm/a.h": '#include "run/reader.h"',
        "run/a.h": '#include "collector/drain/x.h"',
        "exporters/a.cc": '#include "viewer/html.h"',
        "sampler/a.cc": "#include <vector>",
        "probe/a.cc": '#include "shm/region_reader.h"',
        "collector/symbols/a.cc": '#include "run/writer.h"',
        "probe/b.cc": "  #  include <spdlog/spdlog.h>",
    }
    fine = {
        "probe/c.cc": '#include "sampler/thread_lane.h"\n#include <atomic>',
        "cli/main.cc": '#include "viewer/html.h"\n#include <vector>',
        "shm/region_reader.cc": "#include <vector>",
        "collector/load/k6.cc": '#include "collector/load/timeline.h"\n#include "run/histogram.h"',
    }
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in {**cases, **fine}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        found = {line.split(":")[0] for line in violations(root)}
    if found != set(cases):
        sys.exit(f"self-test failed: missed {sorted(set(cases) - found)}, wrongly found {sorted(found - set(cases))}")
    print(f"self-test: {len(cases)} violations found, {len(fine)} right files left alone")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1])
    for layer in MAY_INCLUDE:
        if not (root / layer).is_dir():
            sys.exit(f"{root / layer} is missing: the layout of docs/architecture.md changed without this check")
    found = violations(root)
    print("\n".join(found) if found else "every include points the right way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
