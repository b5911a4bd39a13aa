"""Tests of tools/new-module: the files that it writes, and its errors, which leave no files."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NEW_MODULE = ROOT / "tools" / "new-module"
KINDS = ("event", "stream", "core")


class NewModule(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(NEW_MODULE), *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=30)

    def refuse(self, *arguments: str, why: str) -> None:
        before = sorted(self.folder.rglob("*"))
        result = self.run_it(*arguments)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn(why, result.stderr)
        self.assertEqual(sorted(self.folder.rglob("*")), before)


class Writes(NewModule):
    def test_all_files_of_each_kind_contain_the_name(self) -> None:
        for kind in KINDS:
            self.assertEqual(self.run_it(kind, "x_9y", kind).returncode, 0)
            names = {path.name for path in (self.folder / kind).iterdir()}
            own = {"x_9y.conf", "x_9y_module.cpp", "x_9y_test.py"}
            self.assertEqual(names, own | {"README.md", "meson.build", "modules", "server.py"})
            self.assertEqual((self.folder / kind / "modules").read_text(), "x_9y_module\n")
            source = (self.folder / kind / "x_9y_module.cpp").read_text()
            self.assertIn("struct X9y", source)
            self.assertNotIn("xample", source)

    def test_an_empty_or_a_missing_directory_is_filled(self) -> None:
        self.assertEqual(self.run_it("core", "x", ".").returncode, 0)
        self.assertTrue((self.folder / "x_module.cpp").exists())
        self.assertEqual(self.run_it("core", "x", "a/b").returncode, 0)

    def test_help_needs_no_other_arguments(self) -> None:
        text = self.run_it("--help").stdout
        for word in (*KINDS, "KIND NAME DIR", "meson setup build", "Exit status"):
            self.assertIn(word, text)


class Refuses(NewModule):
    def test_an_unknown_kind(self) -> None:
        self.refuse("http", "x", "x", why='unknown kind "http"; the kinds are event, stream, core')

    def test_a_name_that_is_no_identifier_is_refused(self) -> None:
        for name in ("", "1x", "a-b", "a b", "_a", "a_", "a__b", "a/b", "é"):
            self.refuse("core", name, "x", why=f'"{name}" is not a valid name')

    def test_a_name_that_ngxx_has_is_refused(self) -> None:
        self.refuse("event", "poll", "x", why='"poll" is taken')
        self.refuse("core", "stream_echo", "x", why='ngxx already has "stream_echo_module"')
        self.refuse("stream", "echo", "x", why='"echo" is taken')
        self.refuse("stream", "proxy", "x", why='ngxx already has "proxy_timeout"')

    def test_a_directory_with_files_is_refused(self) -> None:
        (self.folder / "file").touch()
        self.refuse("core", "x", ".", why="exists and is not empty")
        self.refuse("core", "x", "file", why="is not a directory")
        self.refuse("core", "x", "file/x", why="file")

    def test_a_directory_that_is_not_writable_leaves_no_files(self) -> None:
        self.refuse("core", "x" * 250, "a/b", why="File name too long")


class Taken(unittest.TestCase):
    """The program is installed without the sources, so it has a list of names."""

    def test_the_list_has_every_module_method_and_directive(self) -> None:
        known = set((ROOT / "tools/new-module.d/taken").read_text().splitlines())
        names = set()
        for folder in ("core", "event", "stream"):
            for path in (ROOT / folder).rglob("*.cpp"):
                text = path.read_text()
                names |= set(re.findall(r'^ +\.name = "(\w+)",$', text, re.MULTILINE))
                names |= set(re.findall(r"^constinit Module (\w+)", text, re.MULTILINE))
        self.assertGreater(len(names), 80)
        self.assertEqual(names - known, set(), "add them to tools/new-module.d/taken")


if __name__ == "__main__":
    skips.main()
