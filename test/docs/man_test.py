"""Tests of the man pages and of tools/man, which writes them. PAGES in the environment is their
folder in the build. The arguments are PAGE COMMAND... for each page, separated by --."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import unittest
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

HELP = """usage: tool KIND [-c FILE]... [OPTION]...
       tool --list NAME

Does this. And \\that, by `tool --list`.

KIND is of:

  one    the first
  other  the second, which
         goes on

Exit status: 0 if it did.

Options:
  -c [ --conf ] FILE (=/etc/a.conf) the file
  --quiet                           says nothing
"""
PAGE = """.Sh SYNOPSIS
.Nm
.Ar KIND
.Op Fl c Ar FILE ...
.Op Ar OPTION ...
.Nm
.Fl -list Ar NAME
.Sh DESCRIPTION
Does this.
And \\ethat, by \\(lqtool \\-\\-list\\(rq.
.Pp
KIND is of:
.Bl -tag -width Ds
.It Cm one
the first.
.It Cm other
the second, which goes on.
.El
.Bl -tag -width Ds
.It Fl c , Fl -conf Ar FILE
the file.
The default is /etc/a.conf.
.It Fl -quiet
says nothing.
.El
0 if it did.
"""
TEMPLATE = ".Sh SYNOPSIS\n@SYNOPSIS@\n.Sh DESCRIPTION\n@DESCRIPTION@\n@OPTIONS@\n@EXIT_STATUS@\n"


def load() -> ModuleType:
    sys.dont_write_bytecode = True
    loader = SourceFileLoader("man", str(ROOT / "tools/man"))
    spec = importlib.util.spec_from_loader("man", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["man"] = module
    loader.exec_module(module)
    return module


man = load()
commands: dict[str, list[str]] = {}


def options_of(text: str) -> set[str]:
    """Returns the options at the start of the lines of a help text."""
    found: set[str] = set()
    for line in re.findall(r"^ +(-.*)", text, re.MULTILINE):
        term = re.split(r"\s{2,}|\s:\s|\(=", line)[0]
        found |= set(re.findall(r"(?<![\w-])--?[A-Za-z?][\w-]*", term))
    return found


def lint(page: str) -> list[str]:
    """Returns mandoc's messages for a page, except those about pages that are not installed."""
    result = subprocess.run(["mandoc", "-T", "lint"], input=page, text=True, capture_output=True,
                            check=False)
    return [line for line in result.stdout.splitlines()
            if "referenced manual not found" not in line]


class Writer(unittest.TestCase):
    def test_a_help_text_becomes_macros(self) -> None:
        self.assertEqual(man.page(TEMPLATE, HELP), PAGE)

    def test_the_servers_own_format_does_too(self) -> None:
        text = "version 1\nUsage: x [-?t] [-s WORD]\n         [-e FILE]\n\nOptions:\n" \
            "  -?,-h   : help\n  -s WORD : a word: a or b\n"
        self.assertEqual(man.page("@SYNOPSIS@\n@OPTIONS@", text),
                         ".Nm\n.Op Fl ?t\n.Op Fl s Ar WORD\n.Op Fl e Ar FILE\n"
                         ".Bl -tag -width Ds\n.It Fl ? , Fl h\nhelp.\n"
                         ".It Fl s Ar WORD\na word: a or b.\n.El")


class Pages(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(os.environ["PAGES"])
        self.assertTrue(commands)

    def test_each_option_is_in_its_page(self) -> None:
        for name, command in commands.items():
            with self.subTest(name):
                told = subprocess.run(command, capture_output=True, text=True, check=True)
                options = options_of(told.stdout + told.stderr)
                self.assertTrue(options)
                items = re.findall(r"^\.It (.*)", (self.folder / name).read_text(encoding="utf-8"),
                                   re.MULTILINE)
                shown = set(re.findall(r"Fl (\S+)", " ".join(items)))
                self.assertEqual(shown, {option[1:] for option in options})

    def test_mandoc_reports_nothing(self) -> None:
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        for name in commands:
            with self.subTest(name):
                self.assertEqual(lint((self.folder / name).read_text(encoding="utf-8")), [])

    def test_mandoc_reports_nothing_about_programs_that_this_build_lacks(self) -> None:
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        for template in sorted((ROOT / "docs/man").glob("*.in")):
            if template.stem not in commands:
                with self.subTest(template.stem):
                    text = template.read_text(encoding="utf-8")
                    self.assertEqual(lint(man.page(text, HELP)), [])

    def test_each_template_belongs_to_a_program(self) -> None:
        templates = {path.stem for path in (ROOT / "docs/man").glob("*.in")}
        self.assertEqual(set(commands) - templates, set())


if __name__ == "__main__":
    words = sys.argv[1:]
    while words:
        end = words.index("--") if "--" in words else len(words)
        commands[words[0]] = words[1:end]
        words = words[end + 1:]
    skips.main(argv=sys.argv[:1])
