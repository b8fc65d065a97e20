#!/usr/bin/env python3
"""Holds the built libcamprobe.so to its laws: what it needs, what it shows, and what the fast paths cost.

    library_test.py LIBRARY EXPORTS_MAP
"""
import platform
import re
import subprocess
import sys

library, exports_map = sys.argv[1:]
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


# What it needs: the C library and the loader, nothing else.
needed = set(re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", library)))
check({"libc.so.6"} <= needed <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}, f"needs {sorted(needed)}")

# What it shows: exactly the names in the map.
listed = set(re.findall(r"(\w+);", re.sub(r"#.*|local:.*", "", open(exports_map).read(), flags=re.M)))
shown = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--defined-only", library).splitlines()}
api = {name for name in shown if name.startswith("camprobe_v1_")}
check(len(api) == 7, f"API: {sorted(api)}")
check(shown - api == listed, f"shown but not listed: {sorted(shown - api - listed)}; listed but not shown: {sorted(listed - shown)}")

# Nothing of C++'s runtime is asked for.
undefined = run("nm", "-D", "--undefined-only", library)
for name in ("_ZSt", "__cxa_throw", "__cxa_guard", "__gxx_personality", "_Unwind", "__tls_get_addr", "_Znwm",
             "memcpy", "memmove", "memset", "memcmp"):  # these are its own: probe/memory_functions.cc says why
    check(not re.search(rf"\b{name}", undefined), f"wants {name}")

# What every hook reads lies in one page (shm/placement.h says why).
HOT = {"camprobe::sampler::g_ns_per_cycle", "camprobe::sampler::g_families", "camprobe::sampler::g_region", "camprobe::sampler::g_own_memory",
       "camprobe::sampler::g_heap_draw", "camprobe::sampler::g_control_seen", "camprobe::sampler::g_has_threads",
       "camprobe::probe::g_real", "camprobe::probe::g_real_is_resolved", "camprobe::probe::(anonymous namespace)::g_counted"}
hot = [(int(address, 16), int(size, 16), name) for address, size, _, name in
       (line.split(maxsplit=3) for line in run("nm", "-CS", library).splitlines() if line.split(maxsplit=3)[-1] in HOT)]
check({name for _, _, name in hot} == HOT, f"not found: {sorted(HOT - {name for _, _, name in hot})}")
if hot:
    first, last = min(hot), max(hot)
    check(first[0] // 4096 == (last[0] + last[1] - 1) // 4096, f"hot words in several pages: {[(hex(address), size, name) for address, size, name in sorted(hot)]}")

# The fast paths: how many instructions from the entry to the jump into the real function, on the path that is nearly
# always taken, and how many of them load from memory (an addition to memory loads too, so does the jump). A change of
# these numbers is a decision.
EXPECTED = {"malloc": (6, 5), "free": (10, 5), "calloc": (9, 5), "realloc": (15, 7), "memalign": (7, 5), "aligned_alloc": (7, 5), "posix_memalign": (6, 5),
            "_Znwm": (13, 6), "_ZdlPvm": (12, 6)}
# Looks at what the real function gives, so it calls it instead of jumping: a new_handler is asked where there is no memory.
CALLING = {"_Znwm"}
BRANCH = re.compile(r"^j[a-z]+$")


def instructions(name):
    text = run("objdump", "-d", "--no-show-raw-insn", f"--disassemble={name}", library)
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
        if match:
            yield int(match.group(1), 16), match.group(2), match.group(3)


def loads(mnemonic, operands):
    """Whether an instruction, as objdump writes it, reads memory: the operand with the parentheses, unless it is only written."""
    is_address_only = mnemonic.startswith(("lea", "nop"))
    is_store = mnemonic.startswith("mov") and operands.split("#")[0].split(" <")[0].strip().endswith(")")
    return "(" in operands and not is_address_only and not is_store


for instruction, expected in {"mov 0x8(%rax),%rdx": True, "mov %rdx,0x8(%rax)": False, "movl $0x1,(%rax)": False, "lea 0x0(%rip),%rax": False,
                              "addq $0x1,0x8(%rax)": True, "sub %rdi,(%rax)": True, "cmpb $0x0,(%rdx,%rax,1)": True, "jmp *0x10(%rip)": True,
                              "mov %fs:(%rax),%rax": True, "mov %rax,%rdx": False}.items():
    check(loads(*instruction.split(" ", 1)) == expected, f"the test itself misjudges {instruction}")

if platform.machine() == "x86_64":
    for name, expected in EXPECTED.items():
        code = {address: (mnemonic, operands) for address, mnemonic, operands in instructions(name)}
        addresses = sorted(code)
        count, loaded, at = 0, 0, addresses[0] if addresses else None
        path = []
        while at is not None and count < 100:
            mnemonic, operands = code[at]
            path.append(f"{mnemonic} {operands}")
            count += 1
            loaded += loads(mnemonic, operands)
            if name in CALLING and mnemonic == "call" and operands.startswith("*"):
                break
            banned = ("call", "syscall", "lock", "xchg", "rdtsc", "cpuid") + (() if name in CALLING else ("push",))
            check(mnemonic not in banned, f"{name}: {mnemonic} {operands} on the fast path")
            if mnemonic == "jmp":
                check(operands.startswith("*"), f"{name}: ends in {mnemonic} {operands}")
                break
            following = [a for a in addresses if a > at]
            at = following[0] if following else None
        check((count, loaded) == expected, f"{name}: {count} instructions and {loaded} loads, {expected} expected:\n    " + "\n    ".join(path))

for failure in failures:
    print(failure)
sys.exit(1 if failures else 0)
