"""Tests of ngxx-inspect with a corpus of configurations, each of which states the right answer.

INSPECT in the environment is the program. Each file of corpus/ has one block of comments with the
answer, which begins with "# what:". Its lines are "# KEY: TEXT", in this order:

what       the file in words
options    options of ngxx-inspect (none without this line)
events     "NAME VALUE" for each value that the file is about; "use", or the method without it, and
           clients (in all, "unknown" without a number of workers), proxied, files_taken and binds
           are of the answer for the program. "none" means that there is no answer
listening  "BLOCK ADDRESS", with "udp" and "reuseport" behind it, for each socket; or "none"
problem    "LINE:COLUMN TEXT", or "FILE:LINE:COLUMN TEXT" in another file; {dir} in TEXT is corpus/
nginx      "ok", or "refuses LINE TEXT" ("-" for no line): what nginx -t says about the file.
           Without this line nginx is not asked: the file is for another program or machine

A key may repeat: its items are then those of all its lines. "; " separates events and sockets.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

CORPUS = Path(__file__).resolve().parent / "corpus"
CONFS = sorted(CORPUS.glob("*.conf"))
KEYS = ("what", "options", "events", "listening", "problem", "nginx")
OF_CLIENTS = {"clients": "in_all", "proxied": "proxied_in_all", "files_taken": "files_taken",
              "binds": "binds"}
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
NGINX_VERSION = "nginx/1.22.1"  # for which the lines of "nginx" are written
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@dataclass
class Expected:
    """The answer that a file states."""

    options: list[str] = field(default_factory=list)
    events: dict[str, str] | None = None
    listening: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    nginx: str = ""


def lines_of(name: str, text: str) -> dict[str, list[str]]:
    """Returns the lines of the block of comments, by their keys."""
    found: dict[str, list[str]] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("# what:")]
    if len(starts) != 1:
        raise ValueError(f'{name}: {len(starts)} lines begin with "# what:", not one')
    order = 0
    for line in lines[starts[0]:]:
        if not line.startswith("#"):
            break
        match = re.fullmatch(r"# (\w+): (\S.*)", line)
        if not match or match[1] not in KEYS:
            raise ValueError(f'{name}: "{line}" is not "# KEY: TEXT" with one of {KEYS}')
        if KEYS.index(match[1]) < order:
            raise ValueError(f'{name}: "{match[1]}" is not in the order {KEYS}')
        order = KEYS.index(match[1])
        found.setdefault(match[1], []).append(match[2])
    return found


def expected_of(name: str, text: str) -> Expected:
    """Reads the answer; an unreadable one is a ValueError."""
    lines = lines_of(name, text)
    expected = Expected()
    for key in ("events", "listening"):
        if key not in lines:
            raise ValueError(f'{name}: there is no "# {key}:"')
    for key in ("what", "options", "nginx"):
        if len(lines.get(key, ())) > 1:
            raise ValueError(f'{name}: "# {key}:" repeats')
    expected.options = shlex.split(lines.get("options", [""])[0])
    if lines["events"] != ["none"]:
        expected.events = {}
        for item in "; ".join(lines["events"]).split("; "):
            match = re.fullmatch(r"(\w+) (\S.*)", item)
            if not match or match[1] in expected.events:
                raise ValueError(f'{name}: "{item}" is no "NAME VALUE", or repeats')
            expected.events[match[1]] = match[2]
    if lines["listening"] != ["none"]:
        expected.listening = "; ".join(lines["listening"]).split("; ")
        for item in expected.listening:
            if not re.fullmatch(r"(http|mail|rtmp|stream) \S+( udp)?( reuseport)?", item):
                raise ValueError(f'{name}: "{item}" is no socket')
    for item in lines.get("problem", ()):
        if not re.fullmatch(r"(\S+:)?\d+:\d+ \S.*", item):
            raise ValueError(f'{name}: "{item}" is no "LINE:COLUMN TEXT"')
        expected.problems.append(item.replace("{dir}", str(CORPUS)))
    expected.nginx = lines.get("nginx", [""])[0].replace("{dir}", str(CORPUS))
    if not re.fullmatch(r"|ok|refuses (\d+|-) \S.*", expected.nginx):
        raise ValueError(f'{name}: "{expected.nginx}" is no verdict of nginx')
    if expected.nginx and expected.nginx != "ok" and not expected.problems:
        raise ValueError(f"{name}: nginx refuses it, but it has no problem")
    return expected


def read(conf: Path) -> Expected:
    return expected_of(conf.name, conf.read_text(encoding="utf-8", errors="replace"))


def inspect(view: str, conf: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.environ["INSPECT"], view, "--json", "-p", CORPUS, "-c", conf, *options],
        capture_output=True, text=True, errors="replace", timeout=60, check=False)


def problem_text(conf: Path, problem: dict[str, Any]) -> str:
    """Returns a problem as a line of the corpus has it. One of the option -g has no file."""
    file = Path(problem["file"])
    same = file in (conf, Path())
    place = "" if same else f"{file.relative_to(CORPUS)}:"
    return f"{place}{problem['line']}:{problem['column']} {problem['text']}"


def socket_text(socket: dict[str, Any]) -> str:
    text = f"{socket['block']} {socket['address']}"
    text += " udp" if socket["type"] == "datagram" else ""
    return text + (" reuseport" if socket["reuseport"] else "")


def events_of(view: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Returns what the view says about the names."""
    values = {item["directive"]: item["value"] for item in view["values"]}
    answer = view["answers"][0]
    found = {}
    for name in names:
        if name in OF_CLIENTS:
            value = answer["clients"][OF_CLIENTS[name]]
            found[name] = "unknown" if value is None else str(value)
        elif name == "use":
            found[name] = answer["method"]["name"]
        else:
            found[name] = values.get(name) or "none"
    return found


class Corpus(unittest.TestCase):
    def test_each_file_has_the_answer_that_it_states(self) -> None:
        for conf in CONFS:
            with self.subTest(conf.name):
                self.check(conf, read(conf))

    def check(self, conf: Path, expected: Expected) -> None:
        result = inspect("events", conf, *expected.options)
        view = json.loads(result.stdout)
        self.assertEqual(sorted(problem_text(conf, item) for item in view["problems"]),
                         sorted(expected.problems))
        if expected.events is None:
            self.assertNotIn("answers", view)
            self.assertEqual(result.returncode, 1)
        else:
            self.assertEqual(events_of(view, list(expected.events)), expected.events)
            self.assertEqual(result.returncode, 0)
        strict = inspect("events", conf, *expected.options, "--strict")
        wrong = expected.events is None or bool(expected.problems)
        self.assertEqual(strict.returncode, 1 if wrong else 0)
        self.assertEqual(strict.stdout, result.stdout)

        result = inspect("listening", conf, *expected.options)
        self.assertEqual(result.returncode, 0)
        sockets = json.loads(result.stdout)["listening"]
        self.assertEqual(sorted(socket_text(item) for item in sockets),
                         sorted(expected.listening))

    def test_there_are_many_files_and_many_of_them_are_wrong(self) -> None:
        self.assertGreaterEqual(len(CONFS), 100)
        self.assertGreaterEqual(sum(bool(read(conf).problems) for conf in CONFS), 25)

    def test_each_included_file_belongs_to_a_configuration(self) -> None:
        names = {conf.stem for conf in CONFS}
        for path in CORPUS.iterdir():
            with self.subTest(path.name):
                self.assertIn(path.stem, names)
                self.assertIn(path.suffix, (".conf", ".d"))

    def test_an_answer_that_cannot_be_read_is_an_error(self) -> None:
        good = "# what: a\n# events: use epoll\n# listening: none\n"
        self.assertEqual(expected_of("a", good).events, {"use": "epoll"})
        for text in (
            "events {}\n",
            good + good,
            good + "# nonsense: 1\n",
            good + "# a comment\n",
            good + "# problem: 1 no column\n",
            good + "# nginx: maybe\n",
            good + '# nginx: refuses 1 unknown directive "a"\n',
            good + "# options: --cpus 4\n",
            "# what: a\n# listening: none\n",
            "# what: a\n# events: use epoll\n",
            "# what: a\n# events: use\n# listening: none\n",
            "# what: a\n# events: use epoll; use poll\n# listening: none\n",
            "# what: a\n# events: use epoll\n# listening: 80\n",
        ):
            with self.subTest(text):
                self.assertRaises(ValueError, expected_of, "a", text)


def nginx_version() -> str:
    if NGINX is None:
        return ""
    result = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=False)
    return result.stderr.strip().removeprefix("nginx version: ")


@unittest.skipUnless(nginx_version() == NGINX_VERSION, f"{NGINX_VERSION} is not installed")
class Nginx(unittest.TestCase):
    """nginx itself agrees with the answers."""

    def verdict(self, conf: Path) -> str:
        """Returns what `nginx -t` says. Nothing is served: nginx binds the sockets and exits."""
        with tempfile.TemporaryDirectory() as directory:
            for name in ("logs", "cache"):
                (Path(directory) / name).mkdir()
            assert NGINX
            main = f"load_module {STREAM_MODULE};" if STREAM_MODULE.exists() else ""
            if not re.search(r"^pid\b", conf.read_text(errors="replace"), re.MULTILINE):
                main += f"pid {directory}/nginx.pid;"
            result = subprocess.run(
                [NGINX, "-t", "-e", "stderr", "-p", f"{directory}/", "-c", conf, "-g", main],
                capture_output=True, text=True, errors="replace", timeout=60, check=False)
        # A log or a socket that this user cannot open is no fault of the configuration.
        first = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)$", result.stderr, re.MULTILINE)
        if "syntax is ok" in result.stderr:
            if not first or re.search(r"failed \(\d+: ", first[1]):
                return "ok"
        if not first:
            return f"no answer: {result.stderr}"
        text = first[1]
        match = re.fullmatch(r"(.*) in (\S+):(\d+)", text)
        return f"refuses {match[3]} {match[1]}" if match else f"refuses - {text}"

    def test_nginx_agrees(self) -> None:
        for conf in CONFS:
            expected = read(conf)
            if expected.nginx and (STREAM_MODULE.exists() or not self.has_stream(conf)):
                with self.subTest(conf.name):
                    self.assertEqual(self.verdict(conf), expected.nginx)

    def has_stream(self, conf: Path) -> bool:
        return re.search(r"\bstream\b", conf.read_text(errors="replace")) is not None

    def test_the_first_problem_is_the_one_that_nginx_names(self) -> None:
        for conf in CONFS:
            expected = read(conf)
            with self.subTest(conf.name):
                if expected.nginx == "ok":
                    self.assertEqual(expected.problems, [])
                elif expected.nginx:
                    text = re.sub(r"^refuses (\d+|-) ", "", expected.nginx)
                    self.assertEqual(expected.problems[0].split(" ", 1)[1], text)


if __name__ == "__main__":
    skips.main()
