"""`cmake --install` into a prefix that is moved afterwards: the command records, and others' projects build against it."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

BUILD, LIBDIR = os.environ.pop("CAMPROBE_BUILD"), os.environ.pop("CAMPROBE_LIBDIR")


def output_of(*command, **options):
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


class InstalledTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = harness.Scratch().__enter__()
        cls.addClassCleanup(cls.scratch.__exit__)
        first = cls.scratch.directory / "first"
        output_of("cmake", "--install", BUILD, "--prefix", first)
        cls.prefix = cls.scratch.directory / "moved"
        first.rename(cls.prefix)
        cls.command, cls.library = cls.prefix / "bin/camprobe", cls.prefix / LIBDIR / "libcamprobe.so"


class Debugger(unittest.TestCase):
    """gdb, attached to a program at work, finds the script beside the library and does not stop at the probe's ticks."""
    WORK = """if 1:
        import os, sys, time
        while not os.path.exists(sys.argv[1]): time.sleep(0.01)
        while time.process_time() < 1.5: pass"""

    def session(self, *, may_load):
        """What gdb says of a probed program that it is attached to while that waits, and lets go on; and how that ended."""
        with harness.Scratch() as scratch:
            prefix, go = scratch.directory / "prefix", scratch.directory / "go"
            output_of("cmake", "--install", BUILD, "--prefix", prefix, "--component", "library")
            environment = {**os.environ, "LD_PRELOAD": str(prefix / LIBDIR / "libcamprobe.so"), "CAMPROBE_CPU_HZ": "99"}
            with harness.running([sys.executable, "-c", self.WORK, str(go)], env=environment) as program:
                harness.wait_until(lambda: "libcamprobe.so" in pathlib.Path(f"/proc/{program.pid}/maps").read_text(), what="the probe is loaded")
                trust = ["-iex", f"add-auto-load-scripts-directory {prefix}/share/gdb/auto-load", "-iex", f"add-auto-load-safe-path {prefix}"]
                said = subprocess.run(["gdb", "-nx", "-batch", *(trust if may_load else []), "-iex", "set debuginfod enabled off", "-p", str(program.pid),
                                       "-ex", f"shell touch {go}", "-ex", "continue"],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=100, check=False).stdout
                if may_load:
                    self.assertEqual(program.wait(20), 0, said)
                return said

    @unittest.skipIf(harness.need("gdb"), "gdb is not installed")
    def test_gdb_attached_does_not_stop_at_the_probes_ticks(self):
        self.assertIn("received signal SIG64", self.session(may_load=False))
        said = self.session(may_load=True)
        self.assertNotIn("SIG64", said)
        self.assertIn("exited normally", said)


class Installed(InstalledTree):
    def record(self, name, *program):
        """The rows of what the consumers' spans hold, recorded by the installed command."""
        run = self.scratch.directory / f"{name}.camrun"
        said = output_of(self.command, "run", "-q", "-o", run, "--", *program)
        self.assertEqual(said, "with the probe\n")
        rows = harness.Run(run).rows("SELECT n.text, k.text, a.text, a.sum FROM span_attribute a JOIN name n ON n.id = a.name JOIN name k ON k.id = a.key")
        loaded = harness.Run(run).rows("SELECT probe_state FROM process")
        self.assertEqual(loaded, [("sampling",)])
        return rows

    def test_command_finds_its_own_library_wherever_the_tree_lies(self):
        said = output_of(self.command, "doctor")
        self.assertIn(f"{self.library} loads", said)
        link = self.scratch.directory / "elsewhere"
        link.symlink_to(self.command)
        self.assertIn(f"{self.library} loads", output_of(link, "doctor"))

    def test_without_the_library_the_command_says_where_it_looked(self):
        alone = self.scratch.directory / "alone/bin"
        alone.mkdir(parents=True)
        shutil.copy(self.command, alone)
        result = subprocess.run([alone / "camprobe", "run", "--", "true"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(str(alone.parent / LIBDIR / "libcamprobe.so"), result.stderr)

    def test_cmake_project_builds_against_it(self):
        build = self.scratch.directory / "consumer"
        output_of("cmake", "-S", HERE / "consumer", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        output_of("cmake", "--build", build)
        self.assertEqual((build / "preload").read_text(), str(self.library))
        self.assertEqual(output_of(build / "consumer_cc"), "without the probe\n")
        self.assertEqual(self.record("cc", build / "consumer_cc"), [("consumer.work", "cost", "", 0.5)])
        self.assertEqual(self.record("c", build / "consumer_c"), [("consumer.work", "language", "c", 0.0)])

    def test_pkg_config_project_builds_against_it(self):
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.prefix / LIBDIR / "pkgconfig")}
        flags = output_of("pkg-config", "--cflags", "--libs", "camprobe", env=environment).split()
        program = self.scratch.directory / "by_pkg_config"
        output_of("gcc", "-Wall", "-Wextra", "-Werror", "-std=c99", HERE / "consumer/consumer.c", "-o", program, *flags)
        preload = output_of("pkg-config", "--variable=preload", "camprobe", env=environment).strip()
        self.assertEqual(pathlib.Path(preload).resolve(), self.library)
        self.assertEqual(output_of(program, env={**os.environ, "LD_PRELOAD": preload}), "with the probe\n")
        self.assertEqual(self.record("pkg", program), [("consumer.work", "language", "c", 0.0)])

    def complete(self, *words):
        """What bash offers for the last word."""
        script = self.prefix / "share/bash-completion/completions/camprobe"
        typed = " ".join(f"'{word}'" for word in words)
        return output_of("bash", "--norc", "-c", f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _camprobe; "
                         "printf '%s\\n' \"${COMPREPLY[@]}\"", cwd=self.prefix, env={**os.environ, "PATH": f"{self.prefix}/bin:{os.environ['PATH']}"}).split()

    def test_bash_completes_what_help_lists(self):
        commands = self.complete("camprobe", "")
        self.assertIn("export", commands)
        self.assertNotIn("pages", commands)
        helped = output_of(self.command, "--help")
        self.assertEqual([name for name in commands if f"\n  {name} " not in helped], [])
        self.assertEqual(self.complete("camprobe", "export", "--fl"), [])
        self.assertEqual(self.complete("camprobe", "export", "--fo"), ["--format"])
        self.assertEqual(self.complete("camprobe", "export", "--format", "p"), ["pprof", "perfetto"])
        self.assertEqual(self.complete("camprobe", "baseline", "sh"), ["show"])
        self.assertEqual(self.complete("camprobe", "baseline", "show", "--st"), ["--store"])
        self.assertEqual(self.complete("camprobe", "report", "sha"), ["share"])
        self.assertIn("bash", self.complete("camprobe", "run", "-q", "--", "bas"))
        for command in commands:
            for option in self.complete("camprobe", command, "--"):
                self.assertIn(option, output_of(self.command, command, "--help"))

    @unittest.skipIf(shutil.which("zsh") is None, "zsh is not installed")
    def test_zsh_offers_the_same(self):
        # _arguments needs a line that is being edited; what it is handed does not.
        script = f"""fpath=({self.prefix}/share/zsh/vendor-completions $fpath)
          autoload -U compinit; compinit -u -D; print -r -- $_comps[camprobe]
          _arguments() {{ print -rl -- "$@"; state=arguments }}; _describe() {{ }}
          words=(export); autoload -U _camprobe; _camprobe"""
        said = output_of("zsh", "-f", "-c", script).splitlines()
        self.assertEqual(said[0], "_camprobe")
        formats = next(line for line in said if line.startswith("--format["))
        self.assertEqual(set(formats.split(":")[-1].strip("()").split()), set(self.complete("camprobe", "export", "--format", "")))

    @unittest.skipIf(shutil.which("man") is None, "man is not installed")
    def test_man_pages_hold_what_help_says(self):
        manual = self.prefix / "share/man"
        environment = {**os.environ, "MANPATH": str(manual), "MANWIDTH": "200", "MANROFFOPT": "", "LC_ALL": "C.UTF-8"}
        for command in self.complete("camprobe", ""):
            page = subprocess.run(["man", "--warnings", "-P", "cat", f"camprobe-{command}"], capture_output=True, text=True, env=environment, check=False)
            self.assertEqual((page.returncode, page.stderr), (0, ""), command)
            for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", output_of(self.command, command, "--help")):
                self.assertIn(option, page.stdout, command)
        self.assertIn("camprobe-doctor", output_of("man", "-P", "cat", "camprobe", env=environment))


class AService(InstalledTree):
    """camprobe enable"""
    def test_drop_in_is_one_that_systemd_and_the_loader_take(self):
        said = output_of(self.command, "enable", "example")
        comments = [line for line in said.splitlines() if line.startswith("#")]
        self.assertEqual([line for line in comments if line != "#" and not line.startswith("# ")], [])
        self.assertIn("(/tmp/perf-PID.map)", "\n".join(comments))
        preload = next(line for line in said.splitlines() if line.startswith("Environment=")).split("LD_PRELOAD=")[1].rstrip('"')
        self.assertEqual(preload, f"{self.prefix}/$LIB/libcamprobe.so")
        program = self.scratch.directory / "by_path"
        output_of("gcc", f"-I{self.prefix}/include", HERE / "consumer/consumer.c", "-o", program)
        self.assertEqual(output_of(program, env={**os.environ, "LD_PRELOAD": preload}), "with the probe\n")

    @unittest.skipIf(shutil.which("systemd-analyze") is None, "systemd-analyze is not installed")
    def test_units_pass_systemds_own_check(self):
        units = self.scratch.directory / "units"
        (units / "example.service.d").mkdir(parents=True)
        (units / "example.service").write_text("[Service]\nExecStart=/bin/sleep 1\n")
        (units / "example.service.d/camprobe.conf").write_text(output_of(self.command, "enable", "example.service"))
        (units / "camprobe-example.service").write_text(output_of(self.command, "enable", "--recorder", "example"))
        result = subprocess.run(["systemd-analyze", "verify", "--man=no", units / "example.service", units / "camprobe-example.service"],
                                capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
        self.assertEqual([line for line in result.stderr.splitlines() if "example" in line], [], result.stderr)

    def test_no_name_of_a_service_is_refused(self):
        for name in ("ssh.socket", "a b", "", "x" * 300, ".service"):
            result = subprocess.run([self.command, "enable", name], capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (2, "", 1), name)


if __name__ == "__main__":
    unittest.main()
