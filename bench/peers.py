"""Other tools that watch a program's memory or CPU, as variants to run next to the probe: name -> how to start a program under it.

A tool that this machine does not have is named with the reason and left out.
"""
import glob
import os
import pathlib
import shutil
import subprocess


class Peer:
    """`environment(scratch)`: what to add to the program's; `attach(pid, scratch)`: a command that runs beside it."""

    def __init__(self, name, what, against="bare", environment=None, attach=None, missing=None):
        self.name, self.what, self.against = name, what, against
        self.environment = environment or (lambda scratch: {})
        self.attach = attach
        self.missing = missing


def library(name, *also):
    """The file of a shared library that the loader would find, or one of the places Debian puts it."""
    for pattern in (f"/usr/lib/*/{name}", f"/usr/lib/{name}", f"/usr/local/lib/{name}", *also):
        if found := sorted(glob.glob(pattern)):
            return found[0]
    return None


def jemalloc_can_profile(path):
    """Whether this jemalloc was built with its profiler: otherwise it says that the setting is none."""
    asked = subprocess.run(["/bin/true"], env={**os.environ, "LD_PRELOAD": path, "MALLOC_CONF": "prof:true"}, capture_output=True, text=True)
    return "nvalid conf" not in asked.stderr


def peers():
    heaptrack = library("heaptrack/libheaptrack_preload.so", "/usr/lib/*/heaptrack/libheaptrack_preload.so")
    tcmalloc = library("libtcmalloc.so.4") or library("libtcmalloc.so")
    profiler = library("libprofiler.so.0") or library("libprofiler.so")
    jemalloc = library("libjemalloc.so.2")
    perf = shutil.which("perf")
    no_gperftools = None if tcmalloc else "no libtcmalloc.so.4 (libgoogle-perftools4)"
    no_jemalloc = None if jemalloc else "no libjemalloc.so.2"
    if jemalloc and not jemalloc_can_profile(jemalloc):
        no_jemalloc_profiler = f"{jemalloc} was built without its profiler (--enable-prof)"
    else:
        no_jemalloc_profiler = no_jemalloc
    return [
        # Its events go to /dev/null: without the pipe and the interpreter behind it, which flatters it.
        Peer("heaptrack", "every allocation with its stack", missing=None if heaptrack else "no libheaptrack_preload.so (heaptrack)",
             environment=lambda scratch: {"LD_PRELOAD": heaptrack, "DUMP_HEAPTRACK_OUTPUT": "/dev/null"}),
        Peer("tcmalloc", "gperftools' allocator without a profiler: what its profilers are held against", missing=no_gperftools,
             environment=lambda scratch: {"LD_PRELOAD": tcmalloc}),
        Peer("gperftools heap profiler", "HEAPPROFILE", against="tcmalloc", missing=no_gperftools,
             environment=lambda scratch: {"LD_PRELOAD": tcmalloc, "HEAPPROFILE": str(pathlib.Path(scratch) / "heap")}),
        Peer("gperftools sampling", "TCMALLOC_SAMPLE_PARAMETER=524288", against="tcmalloc", missing=no_gperftools,
             environment=lambda scratch: {"LD_PRELOAD": tcmalloc, "TCMALLOC_SAMPLE_PARAMETER": "524288"}),
        Peer("gperftools CPU profiler", "CPUPROFILE at 99 Hz", missing=None if profiler else "no libprofiler.so.0 (libgoogle-perftools4)",
             environment=lambda scratch: {"LD_PRELOAD": profiler, "CPUPROFILE": str(pathlib.Path(scratch) / "cpu"), "CPUPROFILE_FREQUENCY": "99"}),
        Peer("jemalloc", "jemalloc without its profiler: what that is held against", missing=no_jemalloc,
             environment=lambda scratch: {"LD_PRELOAD": jemalloc}),
        Peer("jemalloc profiler", "prof:true at 512 KiB", against="jemalloc", missing=no_jemalloc_profiler,
             environment=lambda scratch: {"LD_PRELOAD": jemalloc, "MALLOC_CONF": "prof:true,lg_prof_sample:19"}),
        Peer("perf record -F 99 -g", "the kernel's sampler, from outside", missing=None if perf else "no perf (linux-perf)",
             attach=lambda pid, scratch: [perf, "record", "-q", "-F", "99", "-g", "-p", str(pid), "-o", str(pathlib.Path(scratch) / f"perf.{pid}")]),
    ]
