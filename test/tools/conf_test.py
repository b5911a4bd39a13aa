"""Tests of conf/: the default configuration answers with HTTP that is well formed."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

CONF = Path(__file__).resolve().parents[2] / "conf"


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


if __name__ == "__main__":
    unittest.main()
