#!/usr/bin/env python3
"""Tests that a chapter quotes the output of its program, and that the exercises can be solved.

lessons_test.py ROOT NAME PROGRAM SOLVED    one lesson; status 77 if this machine cannot run it
lessons_test.py ROOT                        the texts
"""

import ctypes
import errno
import re
import struct
import subprocess
import sys
import unittest
from pathlib import Path

SKIPPED = 77
SECONDS = 50


class Files:
    """The command line of the test."""

    root: Path
    name: str
    program: str
    solved: str


def read(name: str) -> str:
    return (Files.root / name).read_text(encoding="utf-8")


def chapter_of(name: str) -> str:
    return f"docs/lessons/{name.replace('_', '-')}.md"


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL)


def as_pattern(quoted: str) -> str:
    """Returns a pattern in which <n> matches any number."""
    return re.escape(quoted).replace("<n>", r"\d+")


class Lesson(unittest.TestCase):
    def test_the_chapter_quotes_what_the_program_prints(self) -> None:
        result = run(Files.program)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        text = read(chapter_of(Files.name))
        quoted = "".join(re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        for line, printed in zip(quoted.splitlines(), result.stdout.splitlines()):
            self.assertRegex(printed, f"^{as_pattern(line)}$")
        self.assertEqual(len(quoted.splitlines()), len(result.stdout.splitlines()),
                         f"the chapter has to quote all of this:\n{result.stdout}")

    def test_exercises_are_unsolved_and_solvable(self) -> None:
        text = prose(read(chapter_of(Files.name))).partition("## Exercises")[2]
        numbers = re.findall(r"^(\d)\. ", text, re.MULTILINE)
        self.assertTrue(numbers)

        solved = run(Files.solved, "--check")
        self.assertEqual(solved.returncode, 0, solved.stdout + solved.stderr)
        self.assertEqual(re.findall(r"^exercise (\d): solved$", solved.stdout, re.MULTILINE),
                         numbers)

        shipped = run(Files.program, "--check")
        self.assertEqual(shipped.returncode, 1, shipped.stdout + shipped.stderr)
        told = re.findall(r"^exercise (\d): not yet\. .*: expected .*, seen ", shipped.stdout,
                          re.MULTILINE)
        self.assertEqual(told, numbers,
                         f"exercises/ is for readers, and shipped unsolved:\n{shipped.stdout}")

        one = run(Files.solved, "--check", numbers[-1])
        self.assertEqual(one.stdout, f"exercise {numbers[-1]}: solved\n")
        self.assertEqual(run(Files.solved, "--check", "9").returncode, 1)

    def test_the_program_has_a_usage(self) -> None:
        result = run(Files.program, "--help")
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage: ", result.stderr)


def refuse_io_uring() -> None:
    """Makes io_uring_setup() fail with EPERM in this process, as a container's filter does."""
    load_number, jump_if_equal, result = 0x20, 0x15, 0x06
    refused, permitted = 0x00050000 | errno.EPERM, 0x7FFF0000
    steps = ((load_number, 0, 0, 0), (jump_if_equal, 0, 1, IO_URING_SETUP),
             (result, 0, 0, refused), (result, 0, 0, permitted))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or prctl(PR_SET_SECCOMP, 2, program) != 0:
        raise OSError("the kernel has no filters of system calls")


class Refused(unittest.TestCase):
    """Tests lesson 15 in a process that may not use io_uring."""

    def test_a_program_that_io_uring_is_refused_to_says_so_in_a_line_and_is_skipped(self) -> None:
        for command in ([Files.program], [Files.program, "--check"]):
            try:
                result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS,
                                        check=False, preexec_fn=refuse_io_uring)
            except subprocess.SubprocessError as error:
                self.skipTest(str(error))
            self.assertEqual(result.returncode, SKIPPED)
            self.assertRegex(result.stdout,
                             "^the kernel refuses io_uring: Operation not permitted[^\n]*\n$")


class Texts(unittest.TestCase):
    """Tests the chapters, their list, and the links from docs/reading.md."""

    @property
    def chapters(self) -> list[str]:
        return sorted(f"docs/lessons/{path.name}"
                      for path in (Files.root / "docs/lessons").glob("[0-9]*.md"))

    def test_chapters_are_short_and_have_their_sections(self) -> None:
        for name in self.chapters:
            with self.subTest(name):
                lines = read(name).splitlines()
                self.assertGreaterEqual(len(lines), 60)
                self.assertLessEqual(len(lines), 120)
                for heading in ("How nginx does it", "What the program prints", "Traps",
                                "Exercises"):
                    self.assertIn(f"## {heading}", lines)

    def test_programs_are_short(self) -> None:
        for path in (Files.root / "docs/lessons").glob("[0-9]*.cpp"):
            with self.subTest(path.name):
                self.assertLessEqual(len(path.read_text().splitlines()), LONGEST_PROGRAM)

    def test_each_chapter_is_listed_in_order_and_has_its_files(self) -> None:
        found = re.findall(r"\]\((\d\d-[\w-]+\.md)\)", read("docs/lessons/README.md"))
        self.assertEqual([f"docs/lessons/{name}" for name in found], self.chapters)
        for name in found:
            source = name.replace("-", "_").replace(".md", ".cpp")
            for folder in ("", "exercises/", "solutions/"):
                self.assertTrue((Files.root / "docs/lessons" / folder / source).exists(), source)

    def test_nginx_has_the_names(self) -> None:
        rows = read("docs/nginx-functions.tsv").splitlines()
        known = {row.split("\t")[1] for row in rows if not row.startswith("#")}
        for name in [*self.chapters, "docs/lessons/README.md", "docs/reading.md"]:
            with self.subTest(name):
                names = set(re.findall(r"\bngx_\w+(?=\(\))", prose(read(name))))
                self.assertEqual(names - known, set())

    def test_the_functions_named_here_are_in_the_code(self) -> None:
        folders = ("core", "event", "os", "stream", "docs/lessons")
        words = {word for folder in folders for path in (Files.root / folder).rglob("*.[ch]pp")
                 for word in re.findall(r"\w+", path.read_text())}
        for name in [*self.chapters, "docs/lessons/README.md"]:
            with self.subTest(name):
                named = set(re.findall(r"`(?!ngx_)([a-z]\w*)\(\)`", prose(read(name))))
                self.assertEqual(named - words - SYSTEM_CALLS, set())

    def test_the_steps_of_the_reading_guide_are_where_it_says(self) -> None:
        steps = re.findall(r"`([\w/]+\.[ch]pp): (\w+)`", read("docs/reading.md"))
        self.assertGreater(len(steps), 30)
        for path, function in steps:
            with self.subTest(path=path, function=function):
                code = Source(path, read(path))
                there = {f.name.split("::")[-1] for f in code.scanner.functions if f.body}
                there |= set(re.findall(r"\b(?:struct|Module) (\w+)", code.code))
                self.assertIn(function, there)

    def test_the_reading_guide_leads_to_every_lesson(self) -> None:
        found = set(re.findall(r"\]\(lessons/(\d\d-[\w-]+\.md)\)", read("docs/reading.md")))
        self.assertEqual({f"docs/lessons/{name}" for name in found}, set(self.chapters))


LONGEST_PROGRAM = 300
IO_URING_SETUP = 425  # the number of the system call, on all processors but Alpha
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SYSTEM_CALLS = set("accept accept4 bind close connect dup2 epoll_create epoll_ctl epoll_wait fork "
                   "io_getevents io_setup io_submit listen poll read recv select send setitimer "
                   "socket write fcntl eventfd sendfile".split())


if __name__ == "__main__":
    Files.root = Path(sys.argv[1])
    sys.path.insert(0, str(Files.root / "tools"))
    sys.dont_write_bytecode = True
    from side_by_side.source_text import Source
    if len(sys.argv) == 2:
        unittest.main(argv=sys.argv[:1], defaultTest="Texts")
    _, _, Files.name, Files.program, Files.solved = sys.argv
    first = run(Files.program)
    if first.returncode == SKIPPED:
        print(f"skipped: lesson {Files.name}: {first.stdout}", end="")
        sys.exit(SKIPPED)
    suites = ["Lesson", "Refused"] if Files.name == "15_iouring" else ["Lesson"]
    unittest.main(argv=sys.argv[:1], defaultTest=suites)
