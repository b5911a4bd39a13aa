"""Tests of ngxx-inspect with right and wrong values of directives, about which nginx is asked too.
INSPECT in the environment is the program."""

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
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
RELEASE = "1.22.1"
BLOCKS = {
    "http": "http {{ {} }}",
    "http.server": "http {{ server {{ {} }} }}",
    "http.location": "http {{ server {{ location / {{ {} }} }} }}",
    "http.upstream": "http {{ upstream u {{ server 127.0.0.1; {} }} }}",
    "stream": "stream {{ {} }}",
    "stream.server": "stream {{ server {{ listen 127.0.0.1:1; return x; {} }} }}",
}
VALUES = {
    "number": (["1", "0", "007"], ["x", "-1", "1k", "1.5", "99999999999999999999"]),
    "size": (["1k", "2M", "512"], ["x", "1g", "-1", "k", "1kk"]),
    "offset": (["1k", "2M", "1g", "0"], ["x", "-1", "g", "1gg"]),
    "msec": (["1", "5ms", "1s", "1h 30m", "1d"], ["x", "1x", "-1", "1m 1h", "1.5s", ""]),
    "sec": (["1", "1s", "1h30m"], ["x", "5ms", "-1"]),
    "bufs": (["4 4k", "1 8192"], ["0 4k", "4 0", "x 4k", "4 x", "-1 4k"]),
}


def rows(name: str) -> list[list[str]]:
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def blocks() -> dict[tuple[str, str], str]:
    """Returns a block for each directive that this release of nginx may have."""
    result: dict[tuple[str, str], str] = {}
    for name, module, contexts, _, block, *_ in rows("nginx-directives.tsv"):
        here = [context for context in contexts.split(",") if context in BLOCKS]
        if here and not block:
            result.setdefault((name, module), BLOCKS[here[0]])
    return result


def of_words(words: str) -> tuple[list[str], list[str]]:
    first = words.split(",")[0]
    return [first, first.upper()], [f"{first}x", ""]


def of_number(bounds: str) -> tuple[list[str], list[str]]:
    low, _, high = bounds.partition("-")
    if not bounds:
        return VALUES["number"]
    return [low, high or low], ["x", *([str(int(low) - 1)] if int(low) else []),
                                *([str(int(high) + 1)] if high else [])]


def quoted(kind: str, value: str) -> str:
    return f'"{value}"' if kind != "bufs" and (" " in value or not value) else value


@unittest.skipUnless(NGINX and STREAM_MODULE.exists(), "nginx is not installed")
class WithNginx(unittest.TestCase):
    def setUp(self) -> None:
        version = subprocess.run([str(NGINX), "-v"], capture_output=True, text=True, check=True)
        if RELEASE not in version.stderr:
            self.skipTest(f"the cases are for nginx {RELEASE}")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.conf = self.dir / "nginx.conf"

    def nginx_says(self, text: str) -> str:
        self.conf.write_text(f"events {{}}\n{text}\n", encoding="utf-8")
        command = [str(NGINX), "-t", "-p", self.dir, "-c", self.conf, "-e", "stderr", "-g",
                   f"load_module {STREAM_MODULE}; pid {self.dir}/pid;"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return result.stderr

    def inspector_says(self, texts: list[str]) -> list[list[str]]:
        """Returns the problems of each text, all of which are in one file."""
        conf = self.dir / "all.conf"
        conf.write_text("\n".join(texts), encoding="utf-8")
        result = subprocess.run(
            [os.environ["INSPECT"], "events", "-c", conf, "--json", "--for", f"nginx-{RELEASE}"],
            capture_output=True, text=True, check=False, timeout=300)
        found: list[list[str]] = [[] for _ in texts]
        for problem in json.loads(result.stdout)["problems"]:
            if "duplicate" not in problem["text"]:
                found[problem["line"] - 1].append(problem["text"])
        return found

    def cases(self) -> list[tuple[bool, str]]:
        """Returns configurations with a value, and whether it is right."""
        result = []
        where = blocks()
        for name, module, kind, words in rows("nginx-values.tsv"):
            block = where.get((name, module))
            if not block:
                continue
            if kind in ("enum", "bitmask"):
                values = of_words(words)
            else:
                values = of_number(words) if kind == "number" else VALUES[kind]
            for is_right, group in zip((True, False), values):
                result += [(is_right, block.format(f"{name} {quoted(kind, value)};"))
                           for value in group]
        return result

    def test_a_value_that_nginx_refuses_has_nginxs_message(self) -> None:
        cases = self.cases()
        asked = 0
        for (is_right, text), ours in zip(cases, self.inspector_says([c[1] for c in cases])):
            nginx = self.nginx_says(text)
            if any(words in said for words in ("unknown directive", "is not allowed here")
                   for said in (nginx, *ours)):
                continue
            asked += 1
            with self.subTest(text=text):
                if is_right:
                    self.assertNotRegex(nginx, "invalid (value|number)|value must be")
                    self.assertEqual(ours, [])
                else:
                    self.assertEqual(len(ours), 1, nginx)
                    # For a flag ngxx-inspect adds the words that it takes.
                    self.assertIn(ours[0].partition(' in "')[0], nginx)
        self.assertGreater(asked, 1000)


class Table(unittest.TestCase):
    def test_the_table_is_sorted_and_each_directive_has_one_kind(self) -> None:
        table = rows("nginx-values.tsv")
        self.assertEqual(table, sorted(table))
        self.assertEqual(len(table), len({(name, module) for name, module, _, _ in table}))
        known = {(row[0], row[1]) for row in rows("nginx-directives.tsv")}
        for name, module, kind, words in table:
            self.assertIn(kind, (*VALUES, "enum", "bitmask"))
            self.assertEqual(bool(words) or kind == "number", kind in ("enum", "bitmask", "number"))
            self.assertIn((name, module), known)


if __name__ == "__main__":
    skips.main()
