"""Tests that a module that was built differently from the server is refused with the differences.

usage: refused_module_test.py SOURCE_ROOT AUTO_DIR NGXX; CXX and CXXFLAGS are the server's.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT, AUTO, NGXX = (Path(sys.argv.pop(1)).resolve() for _ in range(3))
CXX = shlex.split(os.environ["CXX"])
FLAGS = ["-std=c++20", *shlex.split(os.environ.get("CXXFLAGS", ""))]
TABLE = ROOT / "core" / "dynamic_modules.cpp"
HELLO = ROOT / "test" / "add_module" / "hello" / "hello_module.cpp"
CONF = "load_module hello_module.so; pid pid; error_log stderr notice; events {} hello world;"


def changed(text: str, old: str, new: str) -> str:
    """Replaces a text that must occur exactly once; otherwise the test would test nothing."""
    if text.count(old) != 1:
        raise AssertionError(f"{old!r} occurs {text.count(old)} times")
    return text.replace(old, new)


class RefusedModule(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "nginx.conf").write_text(CONF)

    def build(self, *sources: Path, cxx: list[str] = CXX, flags: list[str] = FLAGS) -> None:
        """Builds a module; headers that a test has changed are found before the original ones."""
        command = [*cxx, *flags, "-O0", "-fPIC", "-shared"]
        command += ["-DNGX_MODULES=NGX_MODULE(hello_module)"]
        command += [f"-I{path}" for path in (self.folder / "changed", ROOT, AUTO)]
        command += [*map(str, sources), "-o", str(self.folder / "hello_module.so")]
        subprocess.run(command, check=True, timeout=100)

    def change_header(self, name: str, text: str) -> None:
        path = self.folder / "changed" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def load(self) -> subprocess.CompletedProcess[str]:
        command = [str(NGXX), "-p", str(self.folder), "-c", "nginx.conf", "-t"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def refuse_because(self, why: str) -> None:
        """Checks that -t refuses the file for this reason."""
        result = self.load()
        self.assertEqual(result.returncode, 1, result.stderr)
        line = rf'\[emerg\].* module "{self.folder}/hello_module\.so" {why} in \S+nginx\.conf:1\n'
        self.assertRegex(result.stderr, line)

    def refuse(self, difference: str) -> None:
        self.refuse_because(f"is not binary compatible: {difference}")

    def test_one_that_was_built_as_the_server_is_loaded(self) -> None:
        self.build(TABLE, HELLO)
        result = self.load()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("hello: world\n", result.stderr)

    def test_another_version_of_the_module_api(self) -> None:
        name = "core/module_api.hpp"
        text = (ROOT / name).read_text()
        [ours] = re.findall(r"^#define NGX_MODULE_API_VERSION (\d+)$", text, re.MULTILINE)
        text = changed(text, f"API_VERSION {ours}\n", f"API_VERSION {int(ours) + 1}\n")
        self.change_header(name, text)
        self.build(TABLE)
        self.refuse_because(f"is for module API {int(ours) + 1} instead of {ours}")

    def test_another_option(self) -> None:
        text = (AUTO / "auto_config.hpp").read_text()
        ours = int(re.findall(r"have_debug = (\d) != 0", text)[0])
        text = changed(text, f"have_debug = {ours}", f"have_debug = {1 - ours}")
        self.change_header("auto_config.hpp", text)
        self.build(TABLE)
        words = ("false", "true")
        self.refuse(f'option with_debug is "{words[1 - ours]}" instead of "{words[ours]}"')

    def test_another_size_of_a_type(self) -> None:
        text = (ROOT / "event" / "event.hpp").read_text()
        text = changed(text, "    std::size_t index = 0;  // in the", "    long more[8]{};\n//")
        text = changed(text, "sizeof(Event) <= 96", "sizeof(Event) > 96")
        self.change_header("event/event.hpp", text)
        self.build(TABLE)
        self.refuse(r'size of Event is "1\d\d" instead of "\d\d"')

    def test_another_compiler(self) -> None:
        is_clang = "clang" in subprocess.run(
            [*CXX, "--version"], capture_output=True, text=True, check=True
        ).stdout
        other = "g++" if is_clang else "clang++"
        if not shutil.which(other):
            self.skipTest(f"{other} is not installed")
        self.build(TABLE, cxx=[other])
        names = ("gcc", "clang")
        self.refuse(rf'compiler is "{names[not is_clang]} \d+" instead of "{names[is_clang]} \d+"')

    def test_another_sanitizer(self) -> None:
        ours = "-fsanitize=address" in FLAGS
        self.build(TABLE, flags=["-std=c++20", *([] if ours else ["-fsanitize=address"])])
        names = ("none", "address")
        self.refuse(f'sanitizer is "{names[not ours]}" instead of "{names[ours]}"')


if __name__ == "__main__":
    skips.main()
