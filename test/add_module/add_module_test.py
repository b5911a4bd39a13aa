#!/usr/bin/env python3
"""Tests that a module of -Dadd_module is in the table, has its directive, and is called."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

NGXX = sys.argv.pop(1)


class AddModule(unittest.TestCase):
    def run_ngxx(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([NGXX, *args], capture_output=True, text=True, timeout=30,
                              check=False)

    def check_conf(self, text: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as prefix:
            conf = f"pid pid; error_log stderr notice; {text}"
            pathlib.Path(prefix, "nginx.conf").write_text(conf)
            return self.run_ngxx("-p", prefix, "-c", "nginx.conf", "-t")

    def test_the_module_is_last_in_the_table(self) -> None:
        self.assertTrue(self.run_ngxx("-V").stderr.endswith(" ngx_hello_module\n"))

    def test_its_directive_is_accepted_and_its_hook_called(self) -> None:
        result = self.check_conf("hello world; events {}")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("[notice]", result.stderr)
        self.assertIn("hello: world\n", result.stderr)

    def test_its_directive_is_checked_like_any_other(self) -> None:
        result = self.check_conf("hello a; hello b; events {}")
        self.assertEqual(result.returncode, 1)
        self.assertIn('"hello" directive is duplicate in ', result.stderr)


if __name__ == "__main__":
    skips.main()
