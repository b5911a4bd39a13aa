"""Tests of tools/spread: its calculations, its checks of the command line, and a short run. NGXX is
the server."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

SPREAD = Path(__file__).resolve().parents[2] / "tools" / "spread"

sys.dont_write_bytecode = True
sys.path.insert(0, str(SPREAD.parent))

from measure import spread  # noqa: E402


def run_spread(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SPREAD), *arguments], capture_output=True, text=True, timeout=100
    )


class Arithmetic(unittest.TestCase):
    def test_the_variation_of_equal_counts_is_zero(self) -> None:
        self.assertEqual(spread.variation([5, 5, 5, 5]), 0)

    def test_the_variation_is_greatest_if_one_worker_has_all(self) -> None:
        self.assertAlmostEqual(spread.variation([8, 0, 0, 0]), 3**0.5)

    def test_groups_that_are_alike_differ_by_chance(self) -> None:
        rng = random.Random(1)
        self.assertGreater(spread.chance([1, 2, 3, 4], [1, 2, 3, 4], rng), 0.9)

    def test_groups_that_are_far_apart_do_not(self) -> None:
        rng = random.Random(1)
        self.assertLess(spread.chance([1, 2, 3, 4, 5], [101, 102, 103, 104, 105], rng), 0.05)


class Command(unittest.TestCase):
    def test_one_run_is_refused(self) -> None:
        result = run_spread("--runs", "1")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--runs 2 or more", result.stderr)

    def test_a_missing_binary_is_named(self) -> None:
        result = run_spread("--binary", "/nowhere/ngxx")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/nowhere/ngxx", result.stderr)

    @built.need("stream")
    @unittest.skipUnless(built.has("epoll") or built.has("poll"), "only select was built")
    def test_every_mode_has_a_line_and_every_connection_an_answer(self) -> None:
        binary = os.environ["NGXX"]
        result = run_spread(
            "--binary", binary, "--runs", "2", "--connections", "40", "--workers", "2"
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        modes = [mode for mode in spread.MODES if built.has(mode.method)]
        lines = result.stdout.splitlines()[2:]
        self.assertEqual(len(lines), len(modes))
        for mode, line in zip(modes, lines):
            self.assertTrue(line.startswith(mode.name), line)
            last = re.split(r" {4,}", line)[-1].split()
            self.assertEqual(sum(map(int, last)), 40, line)


if __name__ == "__main__":
    skips.main()
