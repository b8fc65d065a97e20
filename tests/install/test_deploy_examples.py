"""examples/deploy: what the files say fits together, and what Kubernetes would do happens here without it: the probe copied out of its
package into a volume, a /dev/shm of the pod's own, the server preloaded, and the recorder beside it as the same user."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

for variable in ("CAMPROBE_BUILD", "CAMPROBE_LIBDIR"):  # ours: the probe would say that it knows no such variable
    os.environ.pop(variable, None)

try:
    import yaml
except ImportError:
    yaml = None
EXAMPLES = HERE.parents[1] / "examples/deploy"
CAN_MOUNT = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0


@unittest.skipIf(yaml is None, "python3-yaml is not installed")
class Pod(unittest.TestCase):
    def setUp(self):
        self.pod = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]
        self.containers = {each["name"]: each for each in self.pod["initContainers"] + self.pod["containers"]}

    def test_every_mount_is_of_a_volume_and_the_preload_lies_in_one(self):
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        for container in self.containers.values():
            self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, set(volumes), container["name"])
        self.assertEqual(volumes["shm"]["emptyDir"]["medium"], "Memory")
        for name in ("server", "recorder"):
            self.assertIn({"name": "shm", "mountPath": "/dev/shm"}, self.containers[name]["volumeMounts"])
        preload = self.containers["server"]["env"][0]
        copied_to = next(mount["mountPath"] for mount in self.containers["probe"]["volumeMounts"])
        self.assertEqual((preload["name"], preload["value"]), ("LD_PRELOAD", f"{copied_to}/libcamprobe.so"))
        stages = re.findall(r"^FROM \S+ AS (\S+)", (EXAMPLES / "Dockerfile").read_text(), re.M)
        self.assertEqual(stages, ["build", "probe", "service"])

    @unittest.skipUnless(CAN_MOUNT, "no mount namespaces here")
    def test_server_is_recorded_by_the_containers_own_commands(self):
        recorder = self.containers["recorder"]["command"][2].replace("1h", "2s").replace("camprobe attach", f"{harness.CAMPROBE} attach")
        once = re.search(r"do (.*) \|\|", recorder).group(1)
        with harness.Scratch() as scratch:
            volume = scratch.directory / "camprobe"
            volume.mkdir()
            copy = self.containers["probe"]["command"][2].replace("/usr/lib/*/libcamprobe.so", harness.PROBE).replace("/camprobe/", f"{volume}/")
            server = f"LD_PRELOAD={volume}/libcamprobe.so sleep 30"
            script = f"""set -e
                mount -t tmpfs -o size=256m none /dev/shm
                {copy}
                cd {shlex.quote(str(scratch.directory))}
                {server} & server=$!
                for i in 1 2 3 4 5 6 7 8 9 10; do ls /dev/shm | grep -q "[.]$server[.]" && break; sleep 0.2; done
                {once}
                kill $server"""
            result = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            run = next(scratch.directory.glob("*.camrun"))
            rows = harness.Run(run).rows("SELECT executable, probe_state FROM process")
            self.assertEqual([(os.path.basename(executable), state) for executable, state in rows], [("sleep", "sampling")])


if __name__ == "__main__":
    unittest.main()
