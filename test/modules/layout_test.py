"""Tests that modules find the server in every folder of installation without configuration, on a
system with only the packages of tools/setup.

usage: layout_test.py SOURCE_ROOT BUILD COMPILER...; BUILD is up to date and is not built again. It
is installed by configurations with the same options, except the folders.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

SOURCE, BUILD = (Path(sys.argv.pop(1)).resolve() for _ in range(2))
COMPILER = [word for word in sys.argv[1:] if Path(word).name != "ccache"]
del sys.argv[1:]

# The programs in the packages of tools/setup: without dpkg-architecture and CMake.
PROGRAMS = ("sh", "env", "find", "python3", "meson", "ninja", "pkg-config", "as", "ld", "ar", "nm")


def options_of_build() -> list[str]:
    """Returns the build's options, except those that this test sets."""
    file = configparser.ConfigParser(delimiters=["="], interpolation=None)
    file.read(BUILD / "meson-private" / "cmd_line.txt")
    own = ("prefix", "libdir", "bindir", "includedir", "datadir", "sysconfdir", "tests")
    given = file["options"] if "options" in file else {}
    return [f"-D{name}={value}" for name, value in given.items() if name not in own]


class BareSystem(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        self.bin = self.root / "path"
        self.bin.mkdir()
        for name in (*PROGRAMS, *(word for word in COMPILER if not word.startswith("-"))):
            self.link_program(name)
        words = [Path(word).name if not word.startswith("-") else word for word in COMPILER]
        self.env = {"PATH": str(self.bin), "HOME": str(self.root), "CXX": " ".join(words)}

    def link_program(self, name: str) -> None:
        found = shutil.which(name)
        self.assertIsNotNone(found, name)
        (self.bin / Path(name).name).symlink_to(found)

    def run_it(self, *command: str | Path, where: Path | None = None) -> str:
        result = subprocess.run(
            [shutil.which(str(command[0]), path=self.env["PATH"]) or command[0], *command[1:]],
            cwd=where or self.root, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200,
        )
        self.assertEqual(result.returncode, 0, f"{command}:\n{result.stdout}")
        return result.stdout

    def configure(self, *options: str) -> dict:
        """Returns the files to install. Built files come from BUILD."""
        own = self.root / "build"
        shutil.rmtree(own, ignore_errors=True)
        self.run_it("meson", "setup", own, SOURCE, *options_of_build(), "-Dtests=disabled",
                    *options)
        plan = json.loads(self.run_it("meson", "introspect", "--install-plan", own))
        for target in (Path(path) for kind in plan.values() for path in kind):
            if target.is_relative_to(own) and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(BUILD / target.relative_to(own), target)
        return plan

    def install(self, *options: str) -> None:
        self.configure(*options)
        self.run_it("meson", "install", "--no-rebuild", "-C", self.root / "build")

    def default_paths(self) -> list[str]:
        """Returns the default paths to which the server writes."""
        text = (self.root / "build/auto/auto_build.hpp").read_text()
        return re.findall(r'default_(?:pid|lock)_path = "(.*)"', text)

    def begin_module(self, prefix: Path) -> Path:
        """Runs the first of the three commands."""
        self.env["PATH"] = f"{prefix}/bin:{self.bin}"
        self.run_it("ngxx-new-module", "core", "my_core", "my_core")
        return self.root / "my_core"

    def test_the_default_folders_are_where_pkg_config_looks(self) -> None:
        plan = self.configure()
        looks = self.run_it("pkg-config", "--variable", "pc_path", "pkg-config").strip().split(":")
        if not any(folder.startswith("/usr/local/") for folder in looks):
            self.skipTest("this pkg-config does not look in /usr/local")
        self.assertIn("/usr/local/lib/pkgconfig", looks)
        places = {entry["destination"] for kind in plan.values() for entry in kind.values()}
        self.assertIn("{libdir_static}/libngxx.a", places)
        options = json.loads(self.run_it("meson", "introspect", "--buildoptions",
                                         self.root / "build"))
        folders = {option["name"]: option["value"] for option in options}
        self.assertEqual((folders["prefix"], folders["libdir"]), ("/usr/local", "lib"))
        self.assertEqual(self.default_paths(), ["/run/ngxx.pid", "/run/lock/ngxx.lock"])

    def test_the_three_commands_work_in_its_own_prefix_with_lib64(self) -> None:
        prefix = self.root / "own"
        self.install(f"--prefix={prefix}", "-Dlibdir=lib64")
        folder = self.begin_module(prefix)
        same = [option for option in options_of_build() if option.startswith("-Db_sanitize=")]
        self.run_it("meson", "setup", "build", "-Db_lundef=false", *same, where=folder)
        self.run_it("meson", "compile", "-C", "build", where=folder)
        self.run_it("meson", "test", "-C", "build", "--print-errorlogs", where=folder)
        self.run_it("ngxx", "-p", ".", "-c", "my_core.conf", "-t", where=folder)

    def test_a_module_finds_a_server_in_debians_folder_of_an_architecture(self) -> None:
        prefix = self.root / "own"
        self.install(f"--prefix={prefix}", "-Dlibdir=lib/x86_64-linux-gnu")
        folder = self.begin_module(prefix)
        said = self.run_it("meson", "setup", "build", where=folder)
        self.assertIn(f"{prefix}/bin/ngxx", said)

    def test_its_own_prefix_has_all_files_that_the_server_writes(self) -> None:
        prefix = self.root / "own"
        self.install(f"--prefix={prefix}")
        run = prefix / "var/run"
        self.assertEqual(self.default_paths(), [f"{run}/ngxx.pid", f"{run}/ngxx.lock"])
        self.assertTrue(run.is_dir())

    def test_the_server_of_its_own_prefix_is_preferred(self) -> None:
        prefix, other = self.root / "own", self.root / "other"
        self.install(f"--prefix={prefix}")
        other.mkdir()
        text = (prefix / "lib/pkgconfig/ngxx-module.pc").read_text()
        (other / "ngxx-module.pc").write_text(text.replace(str(prefix), "/nowhere"))
        self.env["PKG_CONFIG_PATH"] = str(other)
        folder = self.begin_module(prefix)
        self.run_it("meson", "setup", "build", where=folder)

        # Without that folder, as on another machine, a module finds the server by PKG_CONFIG_PATH.
        shutil.rmtree(prefix / "lib/pkgconfig")
        (other / "ngxx-module.pc").write_text(text)
        said = self.run_it("meson", "setup", "build2", where=folder)
        self.assertIn("Run-time dependency ngxx-module found: YES", said)


if __name__ == "__main__":
    skips.main()
