"""`camprobe doctor` where something is wrong: in mount namespaces with another /dev/shm or /proc/sys, under seccomp filters, with
allocators, stripped programs and a Node.js that was preloaded by hand."""
import ctypes
import os
import pathlib
import platform
import shlex
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

CAN_MOUNT = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0
TIMER_CREATE = {"x86_64": 222, "aarch64": 107}.get(platform.machine())


def doctor_after(preparation, *arguments):
    """In a mount namespace of its own, behind a line of shell."""
    script = f"set -e; {preparation}; exec {shlex.join([harness.CAMPROBE, 'doctor', *map(str, arguments)])}"
    return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)


def under_filter(answer):
    """For preexec_fn: from here on timer_create gets `answer`."""
    def statement(code, yes, no, value):
        return struct.pack("HBBI", code, yes, no, value)

    def install():
        code = ctypes.create_string_buffer(statement(0x20, 0, 0, 0) + statement(0x15, 0, 1, TIMER_CREATE) + statement(0x06, 0, 0, answer) +
                                           statement(0x06, 0, 0, 0x7FFF0000))
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
        libc = ctypes.CDLL(None)
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program, 0, 0) != 0:
            os._exit(77)
    return install


def compiled(directory, name, source, *flags):
    program = directory / name
    subprocess.run(["gcc", "-x", "c", "-", "-o", program, *flags], input=source, text=True, check=True)
    return program


@unittest.skipUnless(CAN_MOUNT, "no mount namespaces here")
class TheMachine(unittest.TestCase):
    def test_small_and_full_shared_memory(self):
        small = doctor_after("mount -t tmpfs -o size=8m none /dev/shm")
        self.assertEqual(small.returncode, 1, small.stderr)
        self.assertIn("BAD   /dev/shm: 8 MiB, 8 MiB free", small.stdout)
        self.assertIn("--shm-size", small.stdout)
        tight = doctor_after("mount -t tmpfs -o size=40m none /dev/shm")
        self.assertEqual(tight.returncode, 0, tight.stdout)
        self.assertIn("room for about 2 processes", tight.stdout)

    def test_shared_memory_that_nothing_can_be_written_to(self):
        result = doctor_after("mount -t tmpfs -o ro none /dev/shm")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"BAD +/dev/shm")

    def test_kernel_settings(self):
        with harness.Scratch() as scratch:
            (scratch.directory / "yama").mkdir()
            (scratch.directory / "yama/ptrace_scope").write_text("2\n")
            (scratch.directory / "perf_event_paranoid").write_text("4\n")
            result = doctor_after(f"mount --bind {scratch.directory} /proc/sys/kernel")
        self.assertIn("ok    kernel.perf_event_paranoid (4) does not matter", result.stdout)
        self.assertIn("note  kernel.yama.ptrace_scope is 2", result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)


@unittest.skipIf(TIMER_CREATE is None, "no number of timer_create for this machine")
class Seccomp(unittest.TestCase):
    def test_calls_that_are_refused_or_kill_are_named_with_what_is_lost(self):
        for answer in (0x00050001, 0x80000000):  # EPERM, and the end of the process
            result = harness.camprobe("doctor", preexec_fn=under_filter(answer))
            self.assertIn("note  a seccomp filter does not allow timer_create: threads have no CPU samples", result.stdout, result.stderr)
            self.assertNotIn("does not allow madvise", result.stdout)

    def test_filter_that_allows_all_is_no_trouble(self):
        result = harness.camprobe("doctor", preexec_fn=under_filter(0x7FFF0000))
        self.assertIn("ok    a seccomp filter is in force; it allows what the probe needs", result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout)


class TheProgram(unittest.TestCase):
    def test_debug_information_symbols_or_neither(self):
        with harness.Scratch() as scratch:
            for flags, said in (["-g"], "has debug information"), (["-g0"], "has no debug information"), (["-s"], "is stripped"):
                program = compiled(scratch.directory, f"with{flags[0]}", "int main(void) { return 0; }", *flags)
                result = harness.camprobe("doctor", program)
                self.assertIn(f"{program} {said}", result.stdout)
                self.assertEqual(result.returncode, 0, result.stdout)

    def test_allocator_of_its_own_is_in_the_way(self):
        source = "#include <stddef.h>\nvoid* malloc(size_t size) { (void)size; return 0; }\nvoid free(void* block) { (void)block; }\nint main(void) { return 0; }"
        with harness.Scratch() as scratch:
            program = compiled(scratch.directory, "own", source)
            result = harness.camprobe("doctor", program)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"BAD   {program} has an allocator linked into it", result.stdout)


class Preloaded(unittest.TestCase):
    def test_order_of_an_allocator_and_the_probe(self):
        allocator = next(pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"), None)
        if allocator is None:
            self.skipTest("libjemalloc2 is not installed")
        alone = harness.camprobe("doctor", env={**os.environ, "LD_PRELOAD": str(allocator)})
        self.assertIn(f"ok    {allocator} is preloaded: camprobe run puts the probe before it", alone.stdout)
        wrong = harness.camprobe("doctor", env={**os.environ, "LD_PRELOAD": f"{allocator}:{harness.PROBE}"})
        self.assertIn(f"BAD   LD_PRELOAD names {allocator} before libcamprobe.so", wrong.stdout)
        self.assertEqual(wrong.returncode, 1)
        right = harness.camprobe("doctor", env={**os.environ, "LD_PRELOAD": f"{harness.PROBE}:{allocator}"})
        self.assertEqual(right.returncode, 0, right.stdout)

    @unittest.skipIf(harness.need("node"), "node is not installed")
    def test_node_that_nobody_asked_for_names(self):
        for options, is_named in (("", False), ("--perf-basic-prof", True)):
            environment = {**os.environ, "LD_PRELOAD": harness.PROBE, "NODE_OPTIONS": options}
            command = ["node", "-e", "console.log('up'); setTimeout(() => {}, 60000)"]
            with harness.running(command, stdout=subprocess.PIPE, text=True, env=environment) as node:
                self.assertEqual(node.stdout.readline(), "up\n")
                said = f"Node.js process {node.pid} writes no /tmp/perf-{node.pid}.map"
                result = harness.camprobe("doctor")
                (self.assertNotIn if is_named else self.assertIn)(said, result.stdout)
                node.stdout.close()
            pathlib.Path(f"/tmp/perf-{node.pid}.map").unlink(missing_ok=True)


if __name__ == "__main__":
    unittest.main()
