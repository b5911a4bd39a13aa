"""Tests of ngxx-inspect with right and wrong values of directives, and with `listen`, about which
nginx is asked too. INSPECT in the environment is the program."""

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
MAIL_MODULE = Path("/usr/lib/nginx/modules/ngx_mail_module.so")
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

LISTENERS = {
    "http": "http {{ {} }}",
    "stream": "stream {{ {} }}",
    "mail": "mail {{ auth_http 127.0.0.1:1/; protocol smtp; {} }}",
}
SERVERS = {
    "http": "server {{ {} }}",
    "stream": "server {{ return x; {} }}",
    "mail": "server {{ {} }}",
}
ADDRESSES = ["127.0.0.1:1", "*:1", "1", "[::1]:1", "127.0.0.1:1-3", "unix:{dir}/s", "127.0.0.1",
             "127.0.0.1:0", "127.0.0.1:65536", "[::1]", "127.0.0.1:x", '""', "unix:", "[::1:1"]
PARAMETERS = [
    "accept_filter=a", "backlog=1", "backlog=0", "backlog=-1", "backlog=x", "backlog=", "bind",
    "bind=1", "default", "default_server", "deferred", "fastopen=3", "fastopen=x", "http2",
    "ipv6only=on", "ipv6only=off", "ipv6only=x", "proxy_protocol", "quic", "rcvbuf=4k", "rcvbuf=x",
    "rcvbuf=", "reuseport", "SSL", "sndbuf=1m", "sndbuf=1g", "so_keepalive=on", "so_keepalive=off",
    "so_keepalive=30m::10", "so_keepalive=:2:", "so_keepalive=::", "so_keepalive=",
    "so_keepalive=1:2:3:4", "so_keepalive=x::", "ssl", "udp", "other", "udp ssl", "udp backlog=1",
    "bind other", "rcvbuf=x other", "other rcvbuf=x",
]
PAIRS = [
    ("127.0.0.1:1", "127.0.0.1:1"), ("127.0.0.1:1", "127.0.0.1:2"), ("1", "*:1"),
    ("1", "0.0.0.0:1"), ("[::1]:1", "[0:0::1]:1"), ("unix:{dir}/s", "unix:{dir}/s"),
    ("1 bind", "1"), ("1", "1 bind"), ("1 bind", "1 bind"), ("1 rcvbuf=4k", "1 sndbuf=4k"),
    ("1-3", "2"), ("1", "127.0.0.1:1"), ("[::]:1", "1"), ("1 default_server", "1 default_server"),
]


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
        mail = f"load_module {MAIL_MODULE};" if MAIL_MODULE.exists() else ""
        command = [str(NGINX), "-t", "-p", self.dir, "-c", self.conf, "-e", "stderr", "-g",
                   f"load_module {STREAM_MODULE}; {mail} pid {self.dir}/pid;"]
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
        for (is_right, text), said in zip(cases, self.inspector_says([c[1] for c in cases])):
            nginx = self.nginx_says(text)
            # All cases are in one file.
            ours = [message for message in said if "duplicate" not in message]
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

    def listens(self, block: str) -> list[str]:
        """Returns the contents of a block with `listen` in one server or in two."""
        server = SERVERS[block]
        one = [*ADDRESSES, *(f"[::1]:1 {words}" for words in PARAMETERS)]
        servers = [server.format(f"listen {words};") for words in one]
        for first, second in PAIRS:
            servers.append(server.format(f"listen {first}; listen {second};"))
            servers.append(server.format(f"listen {first};") + server.format(f"listen {second};"))
        return [text.replace("{dir}", str(self.dir)) for text in servers]

    def compare_listens(self, block: str) -> None:
        refused = 0
        for servers in self.listens(block):
            text = LISTENERS[block].format(servers)
            nginx = self.nginx_says(text)
            (ours,) = self.inspector_says([f"events {{}} {text}"])
            with self.subTest(text=text):
                # The certificates of ssl are not looked for.
                is_right = "syntax is ok" in nginx or '"ssl_certificate"' in nginx
                self.assertEqual(is_right, not ours, f"{nginx}{ours}")
                self.assertTrue(is_right or ours[0] in nginx, f"{nginx}{ours}")
                refused += not is_right
        self.assertGreater(refused, 30)

    def test_listen_of_http_is_as_in_nginx(self) -> None:
        self.compare_listens("http")

    def test_listen_of_stream_is_as_in_nginx(self) -> None:
        self.compare_listens("stream")

    @unittest.skipUnless(MAIL_MODULE.exists(), "the mail module of nginx is not installed")
    def test_listen_of_mail_is_as_in_nginx(self) -> None:
        self.compare_listens("mail")


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
