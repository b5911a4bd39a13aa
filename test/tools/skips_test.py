"""Tests of test/skips.py: a suite's output for skipped tests, and its exit status."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST))
import skips  # noqa: E402

HEAD = f"""
import sys, unittest
sys.path.insert(0, {str(TEST)!r})
import skips
class A(unittest.TestCase):
"""
GOOD = "    def test_good(self): pass\n"
BAD = "    def test_bad(self): self.fail()\n"
SKIP = '    def test_{0}(self): self.skipTest("no gdb")\n'
WHOLE = """@unittest.skip("no nginx")
class B(unittest.TestCase):
    def test_one(self): pass
    def test_two(self): pass
"""
SUBTESTS = """    def test_sub(self):
        for i in range(2):
            with self.subTest(i):
                if i in {0}: self.skipTest("no poll")
"""


class Skips(unittest.TestCase):
    def check(self, text: str, status: int, *said: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(HEAD + text + "skips.main()\n")
            file.flush()
            result = subprocess.run([sys.executable, file.name], capture_output=True, text=True,
                                    check=False)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout.splitlines(), list(said))

    def test_a_suite_whose_tests_all_skip_is_skipped(self) -> None:
        line = "skipped: no gdb: A.test_a, A.test_b"
        self.check(SKIP.format("a") + SKIP.format("b"), 77, line)
        self.check(SUBTESTS.format((0, 1)), 77, "skipped: no poll: A.test_sub [0], A.test_sub [1]")
        self.check("    pass\n" + WHOLE, 77, "skipped: no nginx: B.test_one, B.test_two")

    def test_a_suite_that_ran_lists_its_skipped_tests(self) -> None:
        self.check(GOOD + SKIP.format("a"), 0, "skipped: no gdb: A.test_a")
        self.check(GOOD + WHOLE, 0, "skipped: no nginx: B.test_one, B.test_two")
        self.check(SUBTESTS.format((0,)), 0, "skipped: no poll: A.test_sub [0]")

    def test_a_suite_with_a_failure_fails(self) -> None:
        self.check(BAD + SKIP.format("a"), 1, "skipped: no gdb: A.test_a")

    def test_a_suite_without_skipped_tests_prints_nothing(self) -> None:
        self.check(GOOD, 0)


class Suites(unittest.TestCase):
    def test_each_suite_of_the_tree_is_run_this_way(self) -> None:
        suites = [path for path in TEST.rglob("*_test.py")
                  if "import unittest\n" in path.read_text(encoding="utf-8")]
        self.assertGreater(len(suites), 10)
        for suite in suites:
            with self.subTest(suite.name):
                self.assertIn("\n    skips.main(", suite.read_text(encoding="utf-8"))


if __name__ == "__main__":
    skips.main()
