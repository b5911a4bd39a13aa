"""Tests of tools/run: which arguments reach the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Stands in for the server: says what it was given.
SERVER = """#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv[1:]))
"""


class Arguments(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        for name in ("tools", "build", "bin", "else"):
            (self.root / name).mkdir()
        shutil.copy(ROOT / "tools" / "run", self.root / "tools")
        self.script("tools/setup", "#!/bin/sh\n")
        self.script("bin/ninja", "#!/bin/sh\necho 'ninja: no work to do.'\n")
        self.script("build/ngxx", SERVER)
        (self.root / "build" / "build.ninja").touch()

    def script(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run_with(self, *arguments: str) -> tuple[dict[str, str], list[str], str]:
        """Returns the options with a value, the other arguments, and what was printed before."""
        result = subprocess.run(
            [str(self.root / "tools" / "run"), *arguments],
            cwd=self.root / "else",
            env={**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        printed, given = result.stdout.rstrip("\n").rpartition("\n")[::2]
        options: dict[str, str] = {}
        rest = json.loads(given)
        while len(rest) > 1 and rest[0] in ("-c", "-e", "-g", "-p", "-s"):
            self.assertNotIn(rest[0], options)
            options[rest[0]] = rest[1]
            rest = rest[2:]
        return options, rest, printed

    def test_by_default_it_serves_from_the_build_folder_in_the_foreground(self) -> None:
        options, rest, printed = self.run_with()
        self.assertEqual(
            options,
            {
                "-p": f"{self.root}/build/run/",
                "-c": f"{self.root}/conf/nginx.conf",
                "-e": "stderr",
                "-g": "daemon off; ",
            },
        )
        self.assertEqual(rest, [])
        self.assertIn("curl http://127.0.0.1:8080/", printed)
        self.assertTrue((self.root / "build" / "run" / "logs").is_dir())

    def test_the_users_directives_are_added(self) -> None:
        options, _, _ = self.run_with("-g", "user nobody;")
        self.assertEqual(options["-g"], "daemon off; user nobody;")

    def test_the_last_of_the_users_directives_counts(self) -> None:
        options, _, _ = self.run_with("-g", "pid a;", "-gpid b;")
        self.assertEqual(options["-g"], "daemon off; pid b;")

    def test_a_directive_that_the_user_sets_is_not_given_twice(self) -> None:
        options, _, _ = self.run_with("-g", "pid a;daemon on;")
        self.assertEqual(options["-g"], "pid a;daemon on;")

    def test_flags_pass_and_nothing_is_suggested(self) -> None:
        for given, passed in ((["-t"], ["-t"]), (["-qt"], ["-q", "-t"]), (["-V"], ["-V"])):
            options, rest, printed = self.run_with(*given)
            self.assertEqual((rest, printed), (passed, ""))
            self.assertEqual(options["-e"], "stderr")

    def test_a_signal_passes_and_nothing_is_suggested(self) -> None:
        options, rest, printed = self.run_with("-s", "stop")
        self.assertEqual(options["-s"], "stop")
        self.assertEqual((rest, printed), ([], ""))

    def test_paths_are_meant_from_where_the_user_stands(self) -> None:
        options, rest, printed = self.run_with("-tc", "a.conf", "-pb")
        self.assertEqual(options["-c"], f"{self.root}/else/a.conf")
        self.assertEqual(options["-p"], f"{self.root}/else/b")
        self.assertEqual((rest, printed), (["-t"], ""))

    def test_what_it_does_not_know_is_left_to_the_server(self) -> None:
        for words in (["-x"], ["--help"], ["word"], [""], ["-c"]):
            self.assertEqual(self.run_with(*words)[1], words)


if __name__ == "__main__":
    skips.main()
