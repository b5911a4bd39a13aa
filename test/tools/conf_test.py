"""Tests of conf/: the default configuration sends valid HTTP, and the server accepts it, and the
examples, unchanged. NGXX in the environment is the server, DEFAULT_CONF the default configuration
of its build."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

CONF = built.CONF


class DefaultAnswer(unittest.TestCase):
    def setUp(self) -> None:
        text = (CONF / "nginx.conf").read_text(encoding="utf-8")
        match = re.search(r'^ *return "(.*?)";$', text, re.MULTILINE | re.DOTALL)
        assert match
        answer = match[1].replace("\\r", "\r").replace("\\n", "\n")
        self.head, self.body = answer.split("\r\n\r\n", 1)

    def test_the_content_length_is_the_bodys(self) -> None:
        self.assertNotIn("$", self.body)
        self.assertIn(f"\r\nContent-Length: {len(self.body)}\r\n", self.head)

    def test_each_line_of_the_head_ends_as_http_wants_it(self) -> None:
        status, *fields = self.head.split("\r\n")
        self.assertEqual(status, "HTTP/1.1 200 OK")
        for line in fields:
            self.assertRegex(line, r"^[A-Z][A-Za-z-]*: \S[^\r\n]*$")


class DefaultConfiguration(unittest.TestCase):
    def test_the_pid_file_is_where_the_build_says(self) -> None:
        text = (CONF / "nginx.conf").read_text(encoding="utf-8")
        self.assertNotRegex(text, r"(?m)^\s*pid\s")


class Taken(unittest.TestCase):
    def with_free_ports(self, text: str) -> str:
        """Replaces the ports by free ones, because other tests run at the same time."""
        ports: dict[str, str] = {}
        for port in set(re.findall(r"^ *listen .*?\b(80\d\d)\b", text, re.MULTILINE)):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports[port] = str(probe.getsockname()[1])
        return re.sub(r"(?<=[ :])80\d\d(?=[ ;])", lambda port: ports[port[0]], text)

    def check(self, path: Path, *arguments: str) -> None:
        with tempfile.TemporaryDirectory() as prefix:
            (Path(prefix) / "logs").mkdir()
            conf = Path(prefix) / "nginx.conf"
            conf.write_text(
                self.with_free_ports(path.read_text(encoding="utf-8")), encoding="utf-8"
            )
            command = [os.environ["NGXX"], "-t", "-p", f"{prefix}/", "-e", "stderr", "-c", conf]
            result = subprocess.run(
                [*command, *arguments], cwd=prefix, capture_output=True, text=True, check=False
            )
        self.assertEqual(result.returncode, 0, result.stderr)
        for level in ("warn", "error", "crit", "alert", "emerg"):
            self.assertNotIn(f"[{level}]", result.stderr)

    def test_the_server_takes_the_default_configuration(self) -> None:
        self.check(Path(os.environ["DEFAULT_CONF"]), "-g", "pid nginx.pid;")

    def test_the_server_takes_each_example_that_it_has_the_modules_for(self) -> None:
        for path in built.examples():
            with self.subTest(path.name):
                self.check(path)


if __name__ == "__main__":
    skips.main()
