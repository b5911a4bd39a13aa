"""Tests of the bash completion in a bash without other completions. COMPLETION in the environment
is the script; NGXX, INSPECT and CONTRACT are the programs, of which the last one may be empty."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Does what bash does to complete the last word of a command line.
SCRIPT = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
spec=$(complete -p "$(basename "$1")") || exit
function=${spec#*-F }
${function%% *} "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Completion(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def complete(self, *words: str) -> list[str]:
        """Returns the completions of the last word."""
        command = ["bash", "--noprofile", "--norc", "-c", SCRIPT, "bash",
                   os.environ["COMPLETION"], *words]
        result = subprocess.run(command, capture_output=True, text=True, cwd=self.dir, check=True)
        self.assertEqual(result.stderr, "")
        return sorted(set(result.stdout.split()))

    def program(self, variable: str) -> str:
        program = os.environ[variable]
        if not program:
            self.skipTest(f"{variable.lower()} is not built")
        return program

    def test_the_server(self) -> None:
        ngxx = self.program("NGXX")
        options = self.complete(ngxx, "-")
        self.assertEqual(options, sorted("-? -h -v -V -t -T -q -s -p -e -c -g".split()))
        self.assertEqual(self.complete(ngxx, "-s", ""), ["quit", "reload", "reopen", "stop"])
        self.assertEqual(self.complete(ngxx, "-t", "-s", "re"), ["reload", "reopen"])

    def test_files_and_folders(self) -> None:
        ngxx = self.program("NGXX")
        (self.dir / "a.conf").touch()
        (self.dir / "a.dir").mkdir()
        self.assertEqual(self.complete(ngxx, "-c", "a."), ["a.conf", "a.dir"])
        self.assertEqual(self.complete(ngxx, "-p", "a."), ["a.dir"])
        self.assertEqual(self.complete(ngxx, "-g", "a."), [])

    def test_inspect(self) -> None:
        inspect = self.program("INSPECT")
        self.assertEqual(self.complete(inspect, ""),
                         sorted("modules conf-ctx events listening variables diff -c --conf -p "
                                "--prefix -g --global --for --cpus --nofile --strict --json --html "
                                "--svg --text -h --help".split()))
        self.assertEqual(self.complete(inspect, "mod"), ["modules"])
        self.assertEqual(self.complete(inspect, "events", "--js"), ["--json"])
        self.assertEqual(self.complete(inspect, "events", "--for", "a"), ["angie"])
        (self.dir / "a.conf").touch()
        self.assertEqual(self.complete(inspect, "diff", "a"), ["a.conf"])
        self.assertEqual(self.complete(inspect, "diff", "--js"), ["--json"])

    def test_conf(self) -> None:
        conf = self.program("CONF")
        (self.dir / "a.conf").touch()
        self.assertEqual(self.complete(conf, ""),
                         sorted("parse build format minify lex set --help -h --version".split()))
        self.assertEqual(self.complete(conf, "parse", "--co"), ["--columns", "--combine"])
        self.assertEqual(self.complete(conf, "parse", "--check"), ["--check-args", "--check-ctx"])
        self.assertEqual(self.complete(conf, "parse", "--escapes", "n"), ["nginx"])
        self.assertEqual(self.complete(conf, "format", "a"), ["a.conf"])

    def test_event_contract(self) -> None:
        contract = self.program("CONTRACT")
        self.assertEqual(self.complete(contract, "--li"), ["--limit", "--list"])
        self.assertEqual(self.complete(contract, "--use", ""), sorted(built.pollers()))
        self.assertIn("edge", self.complete(contract, "--chapter", ""))
        promises = self.complete(contract, "--promise", "")
        self.assertGreater(len(promises), 50)
        self.assertEqual(self.complete(contract, "--promise", promises[0]), promises[:1])

    def test_new_module(self) -> None:
        tool = self.dir / "ngxx-new-module"
        tool.symlink_to(ROOT / "tools/new-module")
        self.assertEqual(self.complete(str(tool), ""),
                         ["--help", "-h", "core", "event", "stream"])
        self.assertEqual(self.complete(str(tool), "event", ""), [])
        (self.dir / "here").mkdir()
        self.assertEqual(self.complete(str(tool), "event", "x", "h"), ["here"])

    def test_trace_is_completed_without_the_program(self) -> None:
        self.assertEqual(self.complete("ngxx-trace", "--turns", ""), [])


if __name__ == "__main__":
    skips.main()
