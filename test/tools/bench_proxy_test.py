"""Tests of tools/bench-proxy: its checks of the command line, and a short measurement of system
calls and memory. NGXX is the server to measure."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench-proxy"


def run_bench(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


class Arguments(unittest.TestCase):
    def refused(self, *arguments: str, path: str | None = None) -> str:
        result = run_bench(*arguments, path=path)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        return result.stderr

    def test_help_explains_the_limits(self) -> None:
        result = run_bench("--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--max-syscalls N", "--max-instructions N", "--max-memory BYTES"):
            self.assertIn(option, result.stdout)

    def test_a_limit_for_a_measure_that_is_not_taken_is_refused(self) -> None:
        text = self.refused("--only", "pairs", "--max-memory=3400")
        self.assertIn("--max-memory needs memory", text)

    def test_bad_numbers_are_refused(self) -> None:
        for option in ("--requests", "--sessions", "--pairs", "--pair-requests"):
            self.assertIn(option, self.refused(option, "0"))
        self.assertIn("--pairs 2 or more", self.refused("--pairs", "1"))

    def test_a_missing_binary_is_named(self) -> None:
        self.assertIn("/nowhere/ngxx does not exist", self.refused("--binary", "/nowhere/ngxx"))

    def test_a_missing_redis_is_named_with_its_package(self) -> None:
        binary = os.environ["NGXX"]
        text = self.refused("--binary", binary, "--without-nginx", path="/nowhere")
        self.assertIn("redis-server is not installed: apt-get install", text)

@built.need("stream", "epoll")
class Measuring(unittest.TestCase):
    def measure(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        binary = os.environ["NGXX"]
        return run_bench("--binary", binary, "--use", "epoll", "--without-nginx", *arguments)

    def test_a_request_is_read_and_written_twice(self) -> None:
        """On a busy machine a request or an answer may need its own wait, also in the short run."""
        arguments = ("--only", "syscalls", "--requests", "3000", "--max-syscalls", "6.1")
        result = self.measure(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        line = r"(?m)^ngxx \S+, epoll: [3456]\.\d\d system calls per request$"
        self.assertRegex(result.stdout, line)

    def test_an_idle_session_is_measured_and_held_against_its_limit(self) -> None:
        result = self.measure("--only", "memory", "--sessions", "600", "--max-memory", "1")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^ngxx \S+, epoll: \d+ bytes per idle session$")
        self.assertIn("bytes per idle session, the limit is 1", result.stderr)


if __name__ == "__main__":
    skips.main()
