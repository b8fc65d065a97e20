"""The flame graph as a file in headless Chromium: tooltips, zoom, reset, search, colours by module and language, and what changed."""
import json
import os
import pathlib
import subprocess
import unittest
from xml.etree import ElementTree

from exported import HOSTILE, MESH, SOURCE, Directory, error_of, export, modules, need

SCREENSHOTS = pathlib.Path(os.environ.get("CAMPROBE_BIN", SOURCE / "build/bin")).resolve().parent / "screenshots"


class Svg(Directory):
    def used(self, *files):
        need("chromium")
        script = pathlib.Path(__file__).with_name("svg.mjs")
        result = subprocess.run(["node", str(script), str(modules("viewer/app") / "playwright-core"), str(SCREENSHOTS), *map(str, files)],
                                capture_output=True, text=True, timeout=110, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return {pathlib.Path(path).stem: page for path, page in json.loads(result.stdout).items()}

    def test_a_reader_uses_it(self):
        files = [self.file(f"flame-{name}.svg", export(MESH, "--what", "cpu", "--format", "svg", *options)) for name, options in
                 (("module", ()), ("language", ("--colour", "language")),
                  # The same run twice: nothing changed.
                  ("changed", ("--base", MESH)))]
        pages = self.used(*files)
        for name, page in pages.items():
            with self.subTest(page=name):
                self.assertEqual(page["problems"], [])
                self.assertIn("cam::compute(int)", page["about"])
                self.assertGreater(page["zoomed"], page["before"] + 100)
                self.assertLess(page["shownZoomed"], page["all"])
                self.assertAlmostEqual(page["after"], page["before"], delta=2)  # a stroke while it is pointed at
                self.assertGreaterEqual(page["hits"], 2)
                # 700 ms of scan, 880 ms under compute, of 2,390 ms.
                self.assertEqual(page["matched"], "66.11 % matched")
        module, language, changed = (pages[f"flame-{name}"] for name in ("module", "language", "changed"))
        self.assertNotEqual(module["colours"]["memcpy"], module["colours"]["main"])  # another library
        red, green, blue = (int(language["colours"]["memcpy"][at:at + 2], 16) for at in (1, 3, 5))
        self.assertTrue(blue > green > red)  # native is blue
        red, green, blue = (int(language["colours"]["renderBubble app.js:7"][at:at + 2], 16) for at in (1, 3, 5))
        self.assertTrue(red > blue and green > blue)  # JavaScript is yellow
        self.assertIn("yellow: JavaScript", language["foot"])
        self.assertEqual(set(changed["colours"].values()) - {"#cfd3d8"}, {"#fafafa"})  # nothing changed

    def test_what_changed_says_before_and_after(self):
        text = export(MESH, "--what", "cpu", "--format", "svg", "--base", MESH, "--thread", "worker").decode()
        self.assertTrue("before 880 ms, after 880 ms (+0.0 %)" in text)

    def test_hostile_names_are_text(self):
        ElementTree.fromstring(export(HOSTILE, "--what", "cpu", "--format", "svg"))
        self.assertIn("no such thread", error_of(MESH, "--format", "svg", "--base", HOSTILE, "--thread", "loop"))


if __name__ == "__main__":
    unittest.main()
