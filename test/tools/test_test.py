"""Tests of tools/test: its exit status, and its output for skipped tests."""

from __future__ import annotations

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

# Replaces meson: writes a log, and exits with the given status.
MESON = """#!/bin/bash
printf '%s\\n' "$*"
[[ -z ${LOGGED-} ]] || printf "$LOGGED" >"$3/meson-logs/testlog.txt"
exit ${STATUS-0}
"""


class Test(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        for name in ("tools", "build/meson-logs", "bin"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(ROOT / "tools/test", self.root / "tools")
        self.script("tools/setup", "#!/bin/sh\n")
        self.script("bin/ninja", "#!/bin/sh\n")
        self.script("bin/meson", MESON)
        (self.root / "build/build.ninja").touch()
        (self.root / "build/meson-logs/testlog.txt").write_text("skipped: of the last time\n")

    def script(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run_tests(self, **env: str) -> tuple[int, list[str]]:
        """Returns the status, and the output after meson's arguments."""
        path = f"{self.root}/bin:{os.environ['PATH']}"
        result = subprocess.run([self.root / "tools/test", "--suite", "unit"], text=True,
                                env={**os.environ, "PATH": path, **env}, capture_output=True,
                                check=False)
        self.assertEqual(result.stderr, "")
        lines = result.stdout.splitlines()
        self.assertTrue(lines[0].endswith(" --suite unit"))
        return result.returncode, lines[1:]

    def test_skipped_tests_are_listed_at_the_end(self) -> None:
        said = self.run_tests(LOGGED="x\\nskipped: no gdb: A.test_a\\nskipped: no gdb: A.test_a\\n")
        self.assertEqual(said, (0, ["skipped: no gdb: A.test_a"]))

    def test_without_skipped_tests_nothing_is_listed(self) -> None:
        self.assertEqual(self.run_tests(LOGGED="fine\\n"), (0, []))
        self.assertEqual(self.run_tests(), (0, []))

    def test_its_exit_status_is_that_of_the_tests(self) -> None:
        said = self.run_tests(LOGGED="skipped: no gdb: A.test_a\\n", STATUS="3")
        self.assertEqual(said, (3, ["skipped: no gdb: A.test_a"]))


if __name__ == "__main__":
    skips.main()
