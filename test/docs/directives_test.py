"""Tests of docs/directives.md and of tools/directives, which writes it. INSPECT in the environment
is ngxx-inspect, NGXX the server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/directives"
NOT_TRIED = {"pid", "user", "lock_file"}  # they need privileges


def load() -> ModuleType:
    sys.dont_write_bytecode = True
    loader = SourceFileLoader("directives", str(TOOL))
    spec = importlib.util.spec_from_loader("directives", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


directives = load()


class WithFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def write(self, text: str) -> Path:
        conf = self.dir / "nginx.conf"
        conf.write_text(text, encoding="utf-8")
        return conf


class Page(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        for name in ("directives.md", "directives.tsv", "variables.tsv", "directives-absent.tsv"):
            shutil.copy(ROOT / "docs" / name, self.dir)

    def check(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(TOOL), "--check", "--inspect", os.environ["INSPECT"],
                   "--docs", str(self.dir)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.dir / name
        text = path.read_text(encoding="utf-8")
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def refused(self, message: str) -> None:
        result = self.check()
        self.assertEqual(result.returncode, 1)
        self.assertIn(message, result.stderr)

    def test_it_matches_the_tables(self) -> None:
        result = self.check()
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_one_that_is_stale_is_found(self) -> None:
        self.replace("directives.md", "Default: `512`", "Default: `256`")
        self.refused("docs/directives.md is out of date")

    def test_a_directive_without_a_line_is_found(self) -> None:
        self.replace("directives.tsv", "event_core\tuse\t", "#")
        self.refused("directives.tsv has no line for use of event_core")

    def test_a_line_without_a_directive_is_found(self) -> None:
        self.replace("directives.tsv", "event_core\tuse\t", "event_core\tuses\t")
        self.refused("directives.tsv has uses of event_core, which the server lacks")

    def test_arguments_that_do_not_fit_are_found(self) -> None:
        self.replace("directives.tsv", "NAME [GROUP]", "NAME GROUP")
        self.refused('user of core takes 1 or 2 arguments, not "NAME GROUP"')

    def test_a_variable_without_a_line_is_found(self) -> None:
        self.replace("variables.tsv", "protocol\t`TCP`", "#")
        self.refused("variables.tsv has no line for $protocol")

    def test_absent_directives_are_absent(self) -> None:
        self.replace("directives-absent.tsv", "\tzone\t", "\tzone least_conn $pid\t")
        self.refused("directives-absent.tsv has least_conn, which the server has")
        self.refused("directives-absent.tsv has $pid, which the server has")


class Defaults(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        self.page = directives.Page(os.environ["INSPECT"], ROOT / "docs")

    def with_default(self, context: str) -> list[str]:
        """Returns each directive that is allowed in a context, with its default."""
        return [f"{entry.name} {entry.default};" for module in self.page.modules
                for directive in module["directives"] if context in directive["contexts"]
                for entry in [self.page.entries[directives.short(module["name"]),
                                                directive["name"]]]
                if entry.default and entry.name not in NOT_TRIED]

    def test_the_server_takes_each(self) -> None:
        lines = {context: self.with_default(context) for context in ("main", "events", "stream")}
        for context, directives_there in lines.items():
            self.assertGreater(len(directives_there), 5, context)
        conf = self.write("\n".join([f"pid {self.dir}/pid;", *lines["main"], "events {",
                                     *lines["events"], "}\nstream {", *lines["stream"], "}\n"]))
        result = subprocess.run([os.environ["NGXX"], "-t", "-p", self.dir, "-c", conf],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_those_of_events_are_the_ones_in_effect(self) -> None:
        conf = self.write("events {}\n")
        result = subprocess.run([os.environ["INSPECT"], "events", "--json", "-c", conf],
                                capture_output=True, text=True, check=True)
        seen = 0
        for item in json.loads(result.stdout)["values"]:
            entry = self.page.entries[directives.short(item["module"]), item["directive"]]
            if entry.default:
                self.assertEqual(item["ngxx"], entry.default, entry.name)
                seen += 1
        self.assertGreaterEqual(seen, 6)


if __name__ == "__main__":
    skips.main()
