"""The Debian packages: lintian has nothing to say, dpkg installs them into a clean root whose other packages are this machine's,
the command records there, and nothing stays when they are removed."""
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
MISSING = harness.need("cpack", "dpkg", "dpkg-shlibdeps", "file", "lintian")
C_LOCALE = {**os.environ, "LC_ALL": "C.UTF-8"}


def output_of(*command, **options):
    result = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False, **options)
    assert result.returncode == 0, f"{command}: {result.stdout}"
    return result.stdout


@unittest.skipIf(MISSING, f"{MISSING} is not installed")
class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = harness.Scratch().__enter__()
        cls.addClassCleanup(cls.scratch.__exit__)
        output_of("cpack", "-G", "DEB", "--config", pathlib.Path(BUILD) / "CPackConfig.cmake", "-B", cls.scratch.directory, cwd=BUILD)
        cls.packages = sorted(cls.scratch.directory.glob("*.deb"))

    def test_are_three_and_lintian_is_silent(self):
        self.assertEqual([path.name.split("_")[0] for path in self.packages], ["camprobe", "libcamprobe-dev", "libcamprobe0"])
        self.assertEqual(output_of("lintian", "--allow-root", "--tag-display-limit", "0", *self.packages, env=C_LOCALE), "")

    def test_command_depends_on_the_library_of_its_own_version(self):
        command, development, library = ({field: output_of("dpkg", "-f", path, field).strip() for field in ("Version", "Depends")} for path in self.packages)
        self.assertIn(f"libcamprobe0 (= {library['Version']})", command["Depends"])
        self.assertEqual(development["Depends"], f"libcamprobe0 (= {library['Version']})")
        # Into any program's process goes what needs libc, and nothing else.
        self.assertRegex(library["Depends"], r"^libc6 \(>= [^)]*\)$")

    def test_libraries_of_several_architectures_go_together(self):
        fields = {path.name.split("_")[0]: [output_of("dpkg", "-f", path, field).strip() for field in ("Multi-Arch", "Section", "Maintainer")] for path in self.packages}
        self.assertEqual([fields[name][:2] for name in ("camprobe", "libcamprobe-dev", "libcamprobe0")],
                         [["no", "devel"], ["same", "libdevel"], ["same", "libs"]])
        # Two architectures' packages own the same file only where it has the same bytes: nothing else may name one.
        for path in self.packages[1:]:
            for line in output_of("dpkg", "-c", path).splitlines():
                if not line.startswith("d") and f"usr/{LIBDIR}/" not in line:
                    self.assertRegex(line, r"/(changelog\.Debian\.gz|copyright|camprobe\.h|share/lintian/overrides/\S+)$")
        for name, (_, _, maintainer) in fields.items():
            self.assertRegex(maintainer, r"^[^<>]+ <[^<>@ ]+@[^<>@ ]+>$", name)

    @unittest.skipIf(os.geteuid() != 0, "a root of its own needs root")
    def test_install_run_and_leave_nothing_in_a_clean_root(self):
        root = self.scratch.directory / "root"
        for directory in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/cache/ldconfig", "usr/bin", "usr/sbin", "etc", "tmp", "proc", "dev"):
            (root / directory).mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (root / f"usr/{link}").mkdir(exist_ok=True)
            (root / link).symlink_to(f"usr/{link}")
        # What this machine has installed counts as installed: dpkg judges what the packages depend on by it.
        status = pathlib.Path("/var/lib/dpkg/status").read_text(encoding="utf-8")
        (root / "var/lib/dpkg/status").write_text("\n\n".join(entry for entry in status.split("\n\n") if not re.match(r"Package: (lib)?camprobe", entry)), encoding="utf-8")

        def copy(program):
            """A program and the libraries it needs, to the same places."""
            for path in [program, *re.findall(r"(/\S+) \(0x", output_of("ldd", program))]:
                if not str(path).startswith(str(root)):
                    place = root / str(path).lstrip("/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, place)

        for program in ("/bin/sh", "/bin/sleep", "/sbin/ldconfig", "/bin/dpkg-trigger"):
            if os.path.exists(program):
                try:
                    copy(program)
                except AssertionError:  # static: ldconfig
                    shutil.copy(program, root / program.lstrip("/"))
        before = {path for path in root.rglob("*") if "var" not in path.relative_to(root).parts}
        output_of("dpkg", f"--root={root}", "--no-triggers", "--log=/dev/null", "-i", *self.packages, env=C_LOCALE)
        copy(root / "usr/bin/camprobe")

        def inside(script):
            mounts = "mount --rbind /proc {0}/proc && mount --rbind /dev {0}/dev && exec chroot {0} /bin/sh -c \"$1\"".format(root)
            return output_of("unshare", "--mount", "sh", "-c", mounts, "sh", script, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})

        self.assertIn(f"/usr/{LIBDIR}/libcamprobe.so loads", inside("camprobe doctor"))
        inside("camprobe run -q -o /tmp/test.camrun -- sleep 0.3")
        run = harness.Run(root / "tmp/test.camrun")
        self.assertEqual(run.rows("SELECT probe_state, exit_status FROM process"), [("sampling", 0)])
        # Where gdb looks for it.
        self.assertTrue((root / f"usr/share/gdb/auto-load/usr/{LIBDIR}/libcamprobe.so-gdb.gdb").is_file())
        # As LD_PRELOAD alone: by its path for any architecture, and by its name, which the loader looks for in its own directories.
        for name in ("/usr/$LIB/libcamprobe.so", "libcamprobe.so"):
            self.assertIn("libcamprobe.so", inside(f"LD_PRELOAD='{name}' /bin/sh -c 'while read -r line; do echo \"$line\"; done < /proc/self/maps'"))
        os.unlink(root / "tmp/test.camrun")
        output_of("dpkg", f"--root={root}", "--no-triggers", "--log=/dev/null", "-P", "camprobe", "libcamprobe-dev", "libcamprobe0", env=C_LOCALE)
        left = {path for path in root.rglob("*") if "var" not in path.relative_to(root).parts} - before
        self.assertEqual([path for path in left if "camprobe" in path.name], [])


if __name__ == "__main__":
    unittest.main()
