#!/usr/bin/env python3
"""A lesson's program runs, and its exercises can be solved.

lessons_test.py ROOT NAME PROGRAM SOLVED    status 77 if this machine cannot show the lesson
"""

import re
import subprocess
import sys
import unittest
from pathlib import Path

SKIPPED = 77
SECONDS = 50


class Files:
    """The command line of the test."""

    root: Path
    name: str
    program: str
    solved: str


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL)


class Lesson(unittest.TestCase):
    def test_exercises_are_unsolved_as_they_are_and_solvable(self) -> None:
        numbers = ["1", "2"]
        solved = run(Files.solved, "--check")
        self.assertEqual(solved.returncode, 0, solved.stdout + solved.stderr)
        self.assertEqual(re.findall(r"^exercise (\d): solved$", solved.stdout, re.MULTILINE),
                         numbers)

        shipped = run(Files.program, "--check")
        self.assertEqual(shipped.returncode, 1, shipped.stdout + shipped.stderr)
        told = re.findall(r"^exercise (\d): not yet\. .*: expected .*, seen ", shipped.stdout,
                          re.MULTILINE)
        self.assertEqual(told, numbers,
                         f"exercises/ is for readers, and shipped unsolved:\n{shipped.stdout}")

        one = run(Files.solved, "--check", numbers[-1])
        self.assertEqual(one.stdout, f"exercise {numbers[-1]}: solved\n")
        self.assertEqual(run(Files.solved, "--check", "9").returncode, 1)

    def test_the_program_has_a_usage(self) -> None:
        result = run(Files.program, "--help")
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage: ", result.stderr)


if __name__ == "__main__":
    Files.root = Path(sys.argv[1])
    _, _, Files.name, Files.program, Files.solved = sys.argv
    if run(Files.program).returncode == SKIPPED:
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
