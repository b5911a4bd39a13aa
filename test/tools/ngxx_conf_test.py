"""Tests of ngxx-conf with its own configurations. CONF in the environment is the program, EXAMPLE
the example of docs/conf.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# A byte order mark is not here: it is an error.
ODDITIES = (
    b"# Latin-1: \xe9\r\n"
    b"user  www   \"data base\"; # behind\r\n"
    b"\r\n\r\n\r\n"
    b"events{worker_connections 1024;use epoll;}\n"
    b"stream { # at the brace\n"
    b"  log_format x # between\n"
    b"     '$a \\'b\\' \"c\"' \"\\t\\n\\\\\"   # words\n"
    b"        a\\ b\\;c ${d}e;\n"
    b"  server {}\n"
    b"  if ($a = \"b\") { return '\xff\xc3'; }\n"
    b"\t# alone\n"
    b"  preread_by_lua_block { local a = '}' -- }\n"
    b" --[==[ } ]] ]==] b = [[}]] c = {1, {2}} d = \"\\\"}\" }\n"
    b"  set_by_lua_block $x {\treturn 1 }\n"
    b"}\n"
    b"# no newline at the end"
)


def run(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([os.environ["CONF"], *arguments], input=given, capture_output=True,
                          timeout=60, check=False)


def tokens(text: bytes) -> list[str]:
    """The words, comments, braces and semicolons of a text, as nginx understands them."""
    return json.loads(run("lex", "--escapes", "nginx", "-", given=text).stdout)


class WithFiles(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def write(self, text: str | bytes, name: str = "nginx.conf") -> Path:
        path = self.directory / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def parse(self, text: str | bytes, *options: str, status: int = 0) -> Any:
        result = run("parse", self.write(text), *options)
        self.assertEqual(result.returncode, status, result.stderr)
        return json.loads(result.stdout)

    def parsed(self, text: str | bytes, *options: str, status: int = 0) -> Any:
        return self.parse(text, *options, status=status)["config"][0]["parsed"]

    def errors(self, text: str | bytes) -> list[str]:
        """The messages on standard error, without the name of the program and of the file."""
        path = self.write(text)
        result = run("parse", path)
        self.assertEqual(result.returncode, 1)
        start = f"ngxx-conf: {path}:"
        return [line.removeprefix(start) for line in result.stderr.decode().splitlines()]


class ParseTest(WithFiles):
    def test_a_file_is_written_as_crossplane_writes_it(self) -> None:
        path = self.write("events {\n  worker_connections 1024;\n}\ndaemon off;\n")
        result = run("parse", path)
        self.assertEqual(
            result.stdout.decode(),
            '{"status":"ok","errors":[],"config":[{"file":"' + str(path) + '","status":"ok",'
            '"errors":[],"parsed":[{"directive":"events","line":1,"args":[],"block":[{"directive":'
            '"worker_connections","line":2,"args":["1024"]}]},{"directive":"daemon","line":4,'
            '"args":["off"]}]}]}\n')

    def test_an_indent_is_that_of_python(self) -> None:
        path = self.write("a {}\nb 1;\n")
        result = run("parse", "-i", "2", path)
        again = json.dumps(json.loads(result.stdout), indent=2) + "\n"
        self.assertEqual(result.stdout.decode(), again)

    def test_words_are_escaped_as_in_crossplane_or_decoded_as_in_nginx(self) -> None:
        text = r"""a "x\ty\"z" 'p\'q' r\;s "" ${v}w;"""
        self.assertEqual(self.parsed(text)[0]["args"],
                         [r'x\ty"z', "p'q", r"r\;s", "", "${v}w"])
        self.assertEqual(self.parsed(text, "--escapes", "nginx")[0]["args"],
                         ['x\ty"z', "p'q", r"r\;s", "", "${v}w"])

    def test_what_is_not_utf8_is_replaced_as_in_python(self) -> None:
        raw = b"\xe9 \xff\xfe \xe2\x82 \xf0\x9f\x98\x80 \xed\xa0\x80 \xc3\xa9 \x7f"
        path = self.write(b"a '" + raw + b"';")
        result = run("parse", path)
        args = json.loads(result.stdout)["config"][0]["parsed"][0]["args"]
        self.assertEqual(args, [raw.decode("utf-8", "replace")])
        self.assertIn(json.dumps(args[0]), result.stdout.decode())

    def test_an_if_has_no_parentheses(self) -> None:
        self.assertEqual(self.parsed('if ($a = "b") {} if ( $c ) {} if (-f $d) {}'),
                         [{"directive": "if", "line": 1, "args": args, "block": []}
                          for args in (["$a", "=", "b"], ["$c"], ["-f", "$d"])])

    def test_comments_are_written_on_request(self) -> None:
        text = "# one\r\na 1; # two\nb # three\n 2;\n# four"
        comment = [{"directive": "#", "line": line, "args": [], "comment": words}
                   for line, words in ((1, " one"), (2, " two"), (3, " three"), (5, " four"))]
        one, two = ({"directive": "a", "line": 2, "args": ["1"]},
                    {"directive": "b", "line": 3, "args": ["2"]})
        self.assertEqual(self.parsed(text, "--include-comments"),
                         [comment[0], one, comment[1], two, comment[2], comment[3]])
        self.assertEqual(self.parsed(text), [one, two, comment[2]])

    def test_comments_behind_a_directive_without_its_end_come_behind_it(self) -> None:
        comment = {"directive": "#", "line": 1, "args": [], "comment": " b"}
        self.assertEqual(self.parsed("a # b\n", "--include-comments", status=1),
                         [{"directive": "a", "line": 1, "args": []}, comment])

    def test_columns_are_written_on_request(self) -> None:
        self.assertEqual(self.parsed("a; \t b 1;", "--columns"),
                         [{"directive": "a", "line": 1, "column": 1, "args": []},
                          {"directive": "b", "line": 1, "column": 6, "args": ["1"]}])

    def test_directives_are_left_out_with_their_blocks(self) -> None:
        self.write("nothing;", "x.inc")
        payload = self.parse("a; b { c; include x.inc; } d;", "--ignore", "b,d")
        self.assertEqual([file["parsed"] for file in payload["config"]],
                         [[{"directive": "a", "line": 1, "args": []}]])

    def test_lua_code_follows_the_rules_of_lua(self) -> None:
        for code in (" return '}' ", ' return "\\"}" ', " --}\n", " --[[}\n]] ",
                     " --[==[ ]] } ]==] ", " x = [=[}]=] ", " x = {{}, {}} ", " a = b[c[1]] ",
                     " x = 'a\\\n}' ", " x = 'a\\z \n }' ", " a = 1 - 2 --- }\n "):
            with self.subTest(code=code):
                self.assertEqual(self.parsed("content_by_lua_block {" + code + "} a;"),
                                 [{"directive": "content_by_lua_block", "line": 1, "args": [code]},
                                  {"directive": "a", "line": 1 + code.count("\n"), "args": []}])

    def test_blocks_that_are_deep_in_one_another_are_read(self) -> None:
        depth = 100_000
        result = run("minify", "-", given=b"a{" * depth + b"}" * depth)
        self.assertEqual(result.stdout, b"a{" * depth + b"}" * depth + b"\n")

    def test_json_that_is_too_deep_has_no_indent(self) -> None:
        text = b"a{" * 98 + b"}" * 98
        self.assertEqual(run("parse", "-i", "4", "-", given=text).returncode, 0)
        text = b"a{" * 100 + b"}" * 100
        result = run("parse", "-i", "4", "-", given=text)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"more than 200 levels", result.stderr)
        self.assertEqual(run("parse", "-", given=text).returncode, 0)

    def test_tokens_have_lines_on_request(self) -> None:
        text = b"a 'b' # c\n { d; }\nx_by_lua_block {\n}"
        self.assertEqual(
            json.loads(run("lex", "-n", "-", given=text).stdout),
            [["a", 1], ["b", 1], ["# c", 1], ["{", 2], ["d", 2], [";", 2], ["}", 2],
             ["x_by_lua_block", 3], ["\n", 4], [";", 4]])


class IncludeTest(WithFiles):
    def test_includes_have_the_numbers_of_their_files(self) -> None:
        (self.directory / "d").mkdir()
        for name in ("d/2.inc", "d/1.inc", "x"):
            self.write("a;", name)
        payload = self.parse("include d/*.inc; include x; include d/none*; include d/1.inc;")
        self.assertEqual([Path(file["file"]).name for file in payload["config"]],
                         ["nginx.conf", "1.inc", "2.inc", "x"])
        self.assertEqual([item["includes"] for item in payload["config"][0]["parsed"]],
                         [[1, 2], [3], [], [1]])

    def test_includes_are_not_followed_in_a_single_file(self) -> None:
        self.write("a;", "x")
        payload = self.parse("include x;", "--single-file")
        self.assertEqual([file["parsed"] for file in payload["config"]],
                         [[{"directive": "include", "line": 1, "args": ["x"]}]])

    def test_included_directives_can_stand_in_place_of_the_include(self) -> None:
        inner = self.write("a;\nb { include y; }\n", "x")
        last = self.write("c;", "y")
        payload = self.parse("include x;\nd;\ninclude y;", "--combine")
        file = str(self.directory / "nginx.conf")
        self.assertEqual(
            payload["config"],
            [{"file": file, "status": "ok", "errors": [], "parsed": [
                {"file": str(inner), "directive": "a", "line": 1, "args": []},
                {"file": str(inner), "directive": "b", "line": 2, "args": [], "block": [
                    {"file": str(last), "directive": "c", "line": 1, "args": []}]},
                {"file": file, "directive": "d", "line": 2, "args": []},
                {"file": str(last), "directive": "c", "line": 1, "args": []}]}])

    def test_comments_of_an_included_file_remain_in_place_of_the_include(self) -> None:
        inner = self.write("# a\n", "x")
        directives = self.parsed("b;\nc;\ninclude x;", "--combine", "--include-comments")
        self.assertEqual(directives[2], {"file": str(inner), "directive": "#", "line": 1,
                                         "args": [], "comment": " a"})

    def test_a_missing_file_is_reported_and_passed_over(self) -> None:
        missing = self.directory / "x"
        text = "a;\n  include x; b;"
        self.assertEqual(self.errors(text), [
            f'2:3: open() "{missing}" failed (2: No such file or directory); '
            "the file is left out"])
        payload = self.parse(text, status=1)
        error = {"error": f"[Errno 2] No such file or directory: '{missing}'", "line": 2}
        self.assertEqual(payload["errors"],
                         [{"file": str(self.directory / "nginx.conf"), **error}])
        self.assertEqual(payload["config"][0]["errors"], [error])
        self.assertEqual([item["directive"] for item in payload["config"][0]["parsed"]],
                         ["a", "include", "b"])

    def test_a_directory_and_a_pipe_are_not_included(self) -> None:
        (self.directory / "x").mkdir()
        os.mkfifo(self.directory / "y")
        self.assertEqual(
            self.errors("include x; include y;"),
            [f'1:1: read() "{self.directory}/x" failed (21: Is a directory); the file is left out',
             f'1:12: read() "{self.directory}/y" failed (22: Invalid argument); '
             "the file is left out"])

    def test_a_missing_first_file_has_no_line(self) -> None:
        missing = str(self.directory / "none")
        result = run("parse", missing)
        self.assertEqual(result.returncode, 2)
        error = {"error": f"[Errno 2] No such file or directory: '{missing}'", "line": None}
        self.assertEqual(json.loads(result.stdout),
                         {"status": "failed", "errors": [{"file": missing, **error}], "config": [
                             {"file": missing, "status": "failed", "errors": [error],
                              "parsed": []}]})

    def test_a_first_file_that_cannot_be_read_has_status_2(self) -> None:
        for name, reason in (("none", "No such file or directory"), (".", "Is a directory")):
            file = self.directory / name
            for words in (["parse", "--no-catch"], ["format"], ["minify"], ["lex"], ["build"],
                          ["set", "a", "1"]):
                with self.subTest(words=words, name=name):
                    result = run(*words, file)
                    self.assertEqual((result.returncode, result.stdout), (2, b""))
                    self.assertEqual(result.stderr.count(b"\n"), 1)
                    if words != ["build"]:
                        self.assertIn(reason.encode(), result.stderr)

    def test_a_pipe_with_a_name_is_not_read_and_one_of_the_shell_is(self) -> None:
        pipe, link = self.directory / "x", self.directory / "y"
        os.mkfifo(pipe)
        link.symlink_to(pipe)
        for path in (pipe, link):
            result = run("minify", path)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(result.stderr.decode(), f'ngxx-conf: {path}: read() "{path}" failed '
                             "(22: Invalid argument)\n")
        self.assertEqual(run("minify", "/dev/stdin", given=b"a ;").stdout, b"a;\n")

    def test_relative_includes_start_at_the_prefix(self) -> None:
        (self.directory / "d").mkdir()
        self.write("a;", "d/x")
        payload = self.parse("include x;", "--prefix", str(self.directory / "d"))
        self.assertEqual(payload["config"][1]["file"], str(self.directory / "d/x"))

    def test_a_loop_is_an_error(self) -> None:
        self.write("b; include y;", "x")
        self.write("include x;", "y")
        self.assertEqual(self.errors("include x; include nginx.conf;"), [
            f'ngxx-conf: {self.directory}/y:1:1: the file "{self.directory}/x" includes itself '
            "through 1 other file; remove one of the includes",
            f'1:12: the file "{self.directory}/nginx.conf" includes itself; '
            "remove one of the includes"])
        combined = self.parse("a; include x; c;", "--combine", status=1)
        self.assertEqual([item["directive"] for item in combined["config"][0]["parsed"]],
                         ["a", "b", "c"])

    def test_a_chain_of_15000_files_is_an_error(self) -> None:
        last = 15_000
        for number in range(1, last):
            self.write(f"include {number + 1};", str(number))
        self.write("a;", str(last))
        result = run("parse", "--combine", self.directory / "1")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(
            result.stderr.decode(),
            f"ngxx-conf: {self.directory}/1000:1:1: more than 1000 files include one another; "
            "include the files from fewer levels\n")
        self.assertEqual(json.loads(result.stdout)["config"][0]["parsed"], [])


class ErrorTest(WithFiles):
    def test_reading_goes_on_behind_each_error(self) -> None:
        text = "a {\n  b 1 }\n;\nc \"x\"y;\n}\nd {\n e;\n"
        self.assertEqual(self.errors(text), [
            '2:7: unexpected "}"; write ";" behind "b 1" in line 2',
            '3:1: unexpected ";"; remove it',
            '4:6: unexpected "y"; write a blank or ";" behind the closing quote',
            '5:1: unexpected "}"; remove it, or write the beginning of its block',
            '8:1: unexpected end of file, expecting "}"; write the "}" of "d" in line 6'])
        self.assertEqual([item["directive"] for item in self.parsed(text, status=1)],
                         ["a", "c", "d"])

    def test_a_directive_without_its_end_is_reported(self) -> None:
        self.assertEqual(self.errors("a;\nb 1\n"), [
            '3:1: unexpected end of file, expecting ";" or "}"; write ";" behind "b 1" in line 2'])

    def test_a_quote_that_is_not_closed_ends_with_its_line(self) -> None:
        text = "a 'x;\nb { c; }\n"
        self.assertEqual(self.errors(text), [
            '1:3: unexpected end of file, expecting ";" or "}"; '
            "close the quote that begins here, in line 1"])
        self.assertEqual([item["directive"] for item in self.parsed(text, status=1)], ["a", "b"])

    def test_a_quote_that_another_one_closes_is_reported_with_its_line(self) -> None:
        text = "a 'x;\nb;\nc 'y;\nd {}\n"
        self.assertEqual(self.errors(text), [
            '3:4: unexpected "y"; write a blank or ";" behind the closing quote, or close the '
            "quote earlier: it begins in line 1"])

    def test_a_block_that_another_brace_closes_is_reported_with_its_line(self) -> None:
        text = "a {\n  b {\n    c {\n      d;\n  }\n  e {\n  }\n}\n"
        self.assertEqual(self.errors(text), [
            '9:1: unexpected end of file, expecting "}"; write the "}" of "a" in line 1; the "}" '
            "in line 5 closes the block that begins in line 3, whose indent is another"])
        self.assertEqual(self.errors("a {\n  b {\n  } }\n c {\n"), [
            '5:1: unexpected end of file, expecting "}"; write the "}" of "c" in line 4'])

    def test_lua_code_without_its_end_is_reported(self) -> None:
        self.assertEqual(self.errors("x_by_lua_block {\n [[ }"), [
            '1:16: unexpected end of file, expecting "}"; '
            "close the string or comment that begins in line 2"])

    def test_a_byte_order_mark_is_reported_and_passed_over(self) -> None:
        text = b"\xef\xbb\xbfevents {}"
        self.assertEqual(self.errors(text), [
            "1:1: the file begins with a byte order mark; "
            "remove the first three bytes, which nginx reads as a part of the first word"])
        self.assertEqual(self.parsed(text, status=1)[0]["directive"], "events")

    def test_a_word_that_nginx_cannot_hold_is_reported(self) -> None:
        self.parse(f"a '{'x' * 4095}' {'y' * 4095}; #{'z' * 4094}\n")
        for text, column in ((f"a '{'x' * 4096}';", 3), (f"a {'x' * 4096};", 3),
                             (f"#{'x' * 4095}\n", 1)):
            with self.subTest(text=text[:3]):
                self.assertRegex("\n".join(self.errors(text)),
                                 rf"^1:{column}: too long parameter[^\n]*$")

    def test_the_first_error_alone_is_written_on_request(self) -> None:
        result = run("parse", "--no-catch", "-", given=b";\n;")
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertEqual(result.stderr.count(b"\n"), 1)

    def test_an_error_has_its_column_and_hint_in_json_on_request(self) -> None:
        payload = self.parse("a; ;", "--columns", status=1)
        self.assertEqual(payload["config"][0]["errors"],
                         [{"error": f'unexpected ";" in {self.directory}/nginx.conf:1', "line": 1,
                           "column": 4, "hint": "remove it"}])

    def test_the_version_is_printed(self) -> None:
        for words in (["--version"], ["parse", "--version"]):
            self.assertRegex(run(*words).stdout.decode(), r"^ngxx-conf \d+\.\d+\.\d+\n$")

    def test_the_help_of_a_command_has_its_options_only(self) -> None:
        for words in (["--help"], ["-h"]):
            self.assertIn(b"--combine", run(*words).stdout)
        text = run("set", "--help").stdout.decode()
        self.assertTrue(text.startswith("usage: ngxx-conf set PATH VALUE [OPTION]... FILE\n\n"
                                        "replaces the words of one directive"), text)
        self.assertIn("--add", text)
        self.assertNotIn("--combine", text)

    def test_a_wrong_command_line_has_status_2(self) -> None:
        for words in ((), ("parse",), ("guess", "x"), ("parse", "--tabs", "x"), ("set", "a", "b")):
            with self.subTest(words=words):
                result = run(*words)
                self.assertEqual((result.returncode, result.stdout), (2, b""))
                self.assertTrue(result.stderr.startswith(b"ngxx-conf: "))

    def test_an_indent_that_is_no_number_up_to_16_has_status_2(self) -> None:
        for command in ("parse", "lex", "build", "format"):
            for indent in ("-1", "17", "4294967297", "18446744073709551615", "x", ""):
                with self.subTest(command=command, indent=indent):
                    result = run(command, f"--indent={indent}", "-", given=b'{"config": []}')
                    self.assertEqual((result.returncode, result.stdout), (2, b""))
                    self.assertEqual(result.stderr.count(b"\n"), 1)
                    self.assertIn(b"--indent", result.stderr)
        for indent in ("0", "16"):
            self.assertEqual(run("format", "-i", indent, "-", given=b"a{b;}").stdout,
                             b"a {\n" + b" " * int(indent) + b"b;\n}\n")


class CheckTest(WithFiles):
    """The messages, their lines and the directives that remain are those of crossplane 0.5.7,
    except for names that only one of the two tables has, and for errors of syntax."""

    CHECKS = ("--check-ctx", "--check-args")

    def checked(self, text: str, *options: str) -> tuple[list[str], Any]:
        """The messages without the name of the file, and the directives that remain."""
        path = self.write(text)
        result = run("parse", path, *(options or self.CHECKS))
        payload = json.loads(result.stdout)
        errors = [error["error"].replace(f" in {path}:", " ") for error in payload["errors"]]
        self.assertEqual(result.returncode, 1 if errors else 0)
        self.assertEqual(payload["status"], "failed" if errors else "ok")
        return errors, self.shape(payload["config"][0]["parsed"])

    def shape(self, directives: Any) -> Any:
        """The names, and the blocks as lists behind them."""
        shapes: list[Any] = []
        for directive in directives:
            shapes.append(directive["directive"])
            if "block" in directive:
                shapes.append(self.shape(directive["block"]))
        return shapes

    def assert_refused(self, text: str, *errors: str, options: tuple[str, ...] = ()) -> None:
        self.assertEqual(self.checked(text, *options)[0], list(errors), text)

    def test_without_an_option_no_directive_is_refused(self) -> None:
        text = "listen;\nguess x;\nevents on { accept_mutex x; }"
        self.assertEqual([item["directive"] for item in self.parsed(text)],
                         ["listen", "guess", "events"])

    def test_a_refused_directive_is_left_out_with_its_comments(self) -> None:
        errors, parsed = self.checked("daemon off; # a\nlisten # b\n 80;\npid x;", *self.CHECKS,
                                      "--include-comments")
        self.assertEqual(errors, ['"listen" directive is not allowed here 2'])
        self.assertEqual(parsed, ["daemon", "#", "pid"])

    def test_a_wrong_block_is_refused_only_on_request(self) -> None:
        text = "events { listen 80 81; accept_mutex a b; }"
        wrong_block = '"listen" directive is not allowed here 1'
        wrong_number = 'invalid number of arguments in "accept_mutex" directive 1'
        self.assert_refused(text, wrong_block, wrong_number)
        self.assert_refused(text, wrong_block, options=("--check-ctx",))
        self.assert_refused(text, wrong_number, options=("--check-args",))

    def test_an_unknown_directive_is_refused_only_on_request(self) -> None:
        text = "guess 1; daemon; types { a b; }"
        unknown = ('unknown directive "guess" 1', 'unknown directive "a" 1')
        self.assert_refused(text, *unknown, options=("--strict",))
        self.assert_refused(text, unknown[0],
                            'invalid number of arguments in "daemon" directive 1', unknown[1],
                            options=("--strict", "--check-args"))
        self.assert_refused("http { guess 1 2 { } }")

    def test_all_names_of_the_table_are_known(self) -> None:
        self.assert_refused("http { more_set_headers x; hls on; content_by_lua_block { } }",
                            options=("--strict", *self.CHECKS))

    def test_the_page_has_the_numbers_of_names(self) -> None:
        page = (ROOT / "docs/conf.md").read_text(encoding="utf-8")
        table = (ROOT / "docs/nginx-directives.tsv").read_text(encoding="utf-8")
        rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
        checked = {row[0] for row in rows if row[7] in ("nginx", "njs")}
        self.assertIn(f"accepts its {len({row[0] for row in rows})} names", page)
        self.assertIn(f"The {len(checked)} names of nginx and njs are checked", page)

    def test_names_of_other_modules_are_not_checked(self) -> None:
        self.assert_refused("stream { server { echo a b; } } more_set_headers;")

    def test_the_names_of_all_versions_are_checked(self) -> None:
        self.assert_refused("http { server { ssl x; http2 x; } }",
                            *(f'invalid value "x" in "{name}" directive, it must be "on" or "off" 1'
                              for name in ("ssl", "http2")))

    def test_nothing_is_checked_in_a_context_that_crossplane_does_not_know(self) -> None:
        self.assert_refused("http { types { daemon; } server { if ($a) { if ($b) { daemon; } } } }",
                            '"if" directive is not allowed here 1', '"daemon" directive is not '
                            "allowed here 1")
        self.assert_refused("http { types { daemon; } guess { daemon; server { pid; } } }")
        self.assert_refused("rtmp { server { listen; } }")

    def test_a_location_is_in_http_whatever_is_around_it(self) -> None:
        self.assert_refused("http { guess { location / { daemon on; root x; } } }",
                            '"daemon" directive is not allowed here 1')
        self.assert_refused("http { server { location / { location /a { limit_except GET {\n"
                            "deny all; root x; } } } } }", '"root" directive is not allowed here 2')

    def test_an_if_is_counted_without_its_parentheses(self) -> None:
        self.assert_refused("http { server { if ($a = b) { } if ( $a ) { } if ( ) { } } }",
                            'invalid number of arguments in "if" directive 1')

    def test_a_flag_is_on_or_off_in_any_case(self) -> None:
        message = '"gzip" directive, it must be "on" or "off" 1'
        self.assert_refused("http { gzip ON; gzip 'oFF'; gzip x; gzip ''; gzip on off; gzip; }",
                            f'invalid value "x" in {message}', f'invalid value "" in {message}',
                            *['invalid number of arguments in "gzip" directive 1'] * 2)

    def test_a_block_of_a_directive_without_blocks_is_left_out_whole(self) -> None:
        errors, parsed = self.checked("http { gzip on { daemon; { } guess; }\nroot x { } }\npid x;")
        self.assertEqual(errors[0], 'directive "gzip" is not terminated by ";" 1')
        self.assertIn('directive "root" is not terminated by ";" 2', errors)
        self.assertEqual(parsed, ["http", [], "pid"])

    def test_a_brace_in_place_of_a_semicolon_ends_the_block(self) -> None:
        errors, parsed = self.checked("http { server {\nlisten\n80 # a\n} root x; }\npid x;")
        self.assertEqual(errors, ['directive "listen" is not terminated by ";" 2'])
        self.assertEqual(parsed, ["http", ["server", [], "root"], "pid"])

    def test_a_brace_behind_another_refused_directive_does_not_end_the_block(self) -> None:
        errors, parsed = self.checked("http { server { pid x }\nroot x; } gzip on;")
        self.assertEqual(errors[0], '"pid" directive is not allowed here 1')
        self.assertEqual(parsed, ["http", ["server", ["root"], "gzip"]])

    def test_a_directive_without_its_end_that_is_not_checked_is_an_error_of_nginx(self) -> None:
        errors, parsed = self.checked("http { types { a b } gzip on; }")
        self.assertEqual(errors, ['unexpected "}" 1'])
        self.assertEqual(parsed, ["http", ["types", ["a"], "gzip"]])
        self.assertEqual(self.checked("http { }\nserver")[0],
                         ['unexpected end of file, expecting ";" or "}" 2'])

    def test_the_directives_of_a_refused_block_take_its_place(self) -> None:
        errors, parsed = self.checked("http { events # a\n{ gzip on; }\nroot x; }\npid x;",
                                      *self.CHECKS, "--include-comments")
        self.assertEqual(errors, ['"events" directive is not allowed here 1',
                                  '"root" directive is not allowed here 3'])
        self.assertEqual(parsed, ["http", ["gzip"]])
        errors, parsed = self.checked("server { listen 80; } pid x; user;")
        self.assertEqual(errors, ['"server" directive is not allowed here 1',
                                  '"listen" directive is not allowed here 1'])
        self.assertEqual(parsed, [])

    def test_a_block_without_its_brace_is_refused(self) -> None:
        self.assertEqual(self.checked("events;\nhttp { server; upstream a; }"), (
            ['directive "events" has no opening "{" 1', 'directive "server" has no opening "{" 2',
             'directive "upstream" has no opening "{" 2'], ["http", []]))

    def test_the_first_possible_use_of_a_name_decides_the_message(self) -> None:
        # server is a block of http, and in an upstream it has words.
        self.assert_refused("http { server x; upstream a { server; server b { } } }",
                            'directive "server" has no opening "{" 1',
                            'invalid number of arguments in "server" directive 1',
                            'directive "server" is not terminated by ";" 1')
        self.assert_refused("http { upstream a { server; server { } server b; } }",
                            'directive "server" has no opening "{" 1', options=("--check-args",))

    def test_an_included_file_is_checked_where_it_is_included_first(self) -> None:
        inner = self.write("gzip on;\nlisten 80;\n", "x")
        payload = self.parse("http { include x; server { include x; } }", *self.CHECKS, status=1)
        error = {"error": f'"listen" directive is not allowed here in {inner}:2', "line": 2}
        self.assertEqual(payload["errors"], [{"file": str(inner), **error}])
        self.assertEqual([(file["status"], file["errors"]) for file in payload["config"]],
                         [("ok", []), ("failed", [error])])
        self.assertEqual(self.shape(payload["config"][1]["parsed"]), ["gzip"])

    def test_an_include_that_is_left_out_includes_nothing(self) -> None:
        for name in ("x", "y", "z"):
            self.write("pid x;", name)
        self.write("include z;", "w")
        payload = self.parse("pid { include x; include none; }\ninclude a b; include y;\n"
                             "include w { }", *self.CHECKS, status=1)
        self.assertEqual([Path(file["file"]).name for file in payload["config"]],
                         ["nginx.conf", "y"])
        self.assertEqual([error["error"].split(" in /")[0] for error in payload["errors"]],
                         ['directive "pid" is not terminated by ";"',
                          'invalid number of arguments in "include" directive',
                          'directive "include" is not terminated by ";"'])

    def test_included_directives_in_place_of_the_include_are_those_that_remain(self) -> None:
        self.write("events { listen 80; include y; }\nlisten 80;", "x")
        self.write("accept_mutex x; use epoll;", "y")
        payload = self.parse("include # a\nx; include x; pid x;", "--combine", *self.CHECKS,
                             status=1)
        self.assertEqual(len(payload["config"]), 1)
        self.assertEqual(payload["config"][0]["status"], "failed")
        self.assertEqual(len(payload["config"][0]["errors"]), 3)
        self.assertEqual(self.shape(payload["config"][0]["parsed"]),
                         ["events", ["use"], "#", "events", ["use"], "pid"])

    def test_files_behind_1000_includes_are_checked_and_written(self) -> None:
        last = 1000
        for number in range(1, last):
            self.write(f"include {number + 1}; gzip on;", str(number))
        self.write("pid x;", str(last))
        result = run("parse", "--combine", *self.CHECKS, self.directory / "1")
        payload = json.loads(result.stdout)
        self.assertEqual(len(payload["errors"]), last - 1)
        self.assertEqual(self.shape(payload["config"][0]["parsed"]), ["pid"])

    def test_a_directive_that_is_ignored_is_not_checked(self) -> None:
        self.assertEqual(self.checked("listen 80; server { a; } pid x;", *self.CHECKS, "--ignore",
                                      "listen,server"), ([], ["pid"]))

    def test_a_refusal_has_its_column_and_a_hint(self) -> None:
        path = self.write("daemon off;  gzip on;\nevents { use; worker_connections 1 }\nhttp;")
        result = run("parse", *self.CHECKS, path)
        self.assertEqual([line.removeprefix(f"ngxx-conf: {path}:")
                          for line in result.stderr.decode().splitlines()], [
            '1:14: "gzip" directive is not allowed here; it belongs in http,http.server,'
            "http.location,http.location.if",
            '2:10: invalid number of arguments in "use" directive; it takes 1',
            '2:15: directive "worker_connections" is not terminated by ";"; '
            'write ";" before the "}"',
            '3:1: directive "http" has no opening "{"; it begins a block'])
        self.assertEqual(run("parse", "--no-catch", *self.CHECKS, path).stderr.decode(),
                         result.stderr.decode().splitlines(keepends=True)[0])

    def test_errors_of_checks_are_between_those_of_the_reader(self) -> None:
        self.assert_refused("pid 'a'b;\ngzip on;\n;\nlisten 80;\nevents {",
                            'invalid number of arguments in "pid" directive 1', 'unexpected "b" 1',
                            '"gzip" directive is not allowed here 2', 'unexpected ";" 3',
                            '"listen" directive is not allowed here 4',
                            'unexpected end of file, expecting "}" 5')

    def test_at_most_10000_errors_are_listed(self) -> None:
        path = self.write("gzip;\n" * 10_001 + ";")
        result = run("parse", *self.CHECKS, path)
        self.assertEqual(len(json.loads(result.stdout)["errors"]), 10_000)
        self.assertEqual(result.stderr.splitlines()[-1], b"ngxx-conf: 2 more errors")

    def test_the_lossless_form_has_no_checks(self) -> None:
        for option in ("--strict", *self.CHECKS):
            result = run("parse", "--lossless", option, "-", given=b"a;")
            self.assertEqual((result.returncode, result.stdout), (2, b""))
            self.assertIn(b"--lossless", result.stderr)


class FormatTest(WithFiles):
    def test_a_format_keeps_words_comments_and_empty_lines(self) -> None:
        text = (b"a   1;#one\n\n\n\nb{c 'x  y'\n2 # two\n;}\nd{}\n# three\n"
                b"x_by_lua_block{ if {} }")
        self.assertEqual(
            run("format", "-", given=text).stdout.decode(),
            "a 1; #one\n\nb {\n    c 'x  y'\n        2 # two\n    ;\n}\nd {}\n# three\n"
            "x_by_lua_block { if {} }\n")

    def test_a_format_has_the_tokens_of_the_file_and_is_its_own_format(self) -> None:
        for options in ((), ("-i", "2"), ("--tabs",)):
            with self.subTest(options=options):
                once = run("format", "-", *options, given=ODDITIES).stdout
                self.assertEqual(tokens(once), tokens(ODDITIES))
                self.assertEqual(run("format", "-", *options, given=once).stdout, once)

    def test_a_format_keeps_the_kind_of_line_ends(self) -> None:
        self.assertEqual(run("format", "-", given=b"a;\r\nb{c;}\r\n").stdout,
                         b"a;\r\nb {\r\n    c;\r\n}\r\n")

    def test_a_minified_file_has_the_words_of_the_file(self) -> None:
        small = run("minify", "-", given=ODDITIES).stdout
        words = [token for token in tokens(ODDITIES) if not token.startswith("#")]
        self.assertEqual(tokens(small), words)
        self.assertLess(len(small), len(ODDITIES))
        self.assertEqual(run("minify", "-", given=b"a 1 { b$ {} c  'd' ; }\n").stdout,
                         b"a 1{b$ {}c 'd';}\n")

    def test_a_file_with_errors_has_no_format(self) -> None:
        for command in ("format", "minify"):
            result = run(command, "-", given=b"a {")
            self.assertEqual((result.returncode, result.stdout), (1, b""))

    def test_blocks_that_are_too_deep_for_an_indent_have_no_format(self) -> None:
        for depth, status in ((200, 0), (201, 1), (20_000, 1)):
            with self.subTest(depth=depth):
                path = self.write(b"a{" * depth + b"}" * depth)
                result = run("format", "-o", path, path)
                self.assertEqual(result.returncode, status)
                if status != 0:
                    self.assertEqual(result.stderr.decode(), f"ngxx-conf: {path}:1:401: the block "
                                     "is in more than 199 others: only minify writes it\n")
                    self.assertEqual(path.read_bytes(), b"a{" * depth + b"}" * depth)
        beside = b"a{b{}}" * 300
        self.assertEqual(run("format", "-", given=beside).returncode, 0)

    def test_an_error_that_remains_in_the_new_form_is_reported(self) -> None:
        mark, word = b"\xef\xbb\xbf", b"x" * 4096
        for text, form, small, message in (
                (mark + b"a; b;", mark + b"a;\nb;\n", mark + b"a;b;\n", b"byte order mark"),
                (b"a  " + word + b";", b"a " + word + b";\n", b"a " + word + b";\n", b"too long")):
            for words, out in (("format", form), ("minify", small)):
                with self.subTest(words=words, message=message):
                    result = run(words, "-", given=text)
                    self.assertEqual((result.returncode, result.stdout), (1, out))
                    self.assertEqual(result.stderr.count(b"\n"), 1)
                    self.assertIn(message, result.stderr)

    def test_the_formatted_file_may_be_the_file_itself(self) -> None:
        path = self.write("a{b;}")
        self.assertEqual(run("format", "-o", path, path).returncode, 0)
        self.assertEqual(path.read_bytes(), b"a {\n    b;\n}\n")


class BuildTest(WithFiles):
    def build(self, payload: Any, *options: str) -> str:
        result = run("build", "--stdout", "--no-headers", *options, "-",
                     given=json.dumps(payload).encode())
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def test_a_build_has_the_words_of_the_parsed_file(self) -> None:
        for escapes in ("crossplane", "nginx"):
            with self.subTest(escapes=escapes):
                options = ("--include-comments", "--escapes", escapes)
                # A line break in quotes is not the same in crossplane's words.
                payload = self.parse(ODDITIES.replace(b"\xe9", b"e").replace(b"\xff\xc3", b"\\\\"),
                                     *options)
                built = self.build(payload, "--escapes", escapes)
                self.write(built.split("\n", 1)[1], "built.conf")
                again = json.loads(run("parse", self.directory / "built.conf", *options).stdout)
                self.assertEqual(self.without_lines(again["config"][0]["parsed"]),
                                 self.without_lines(payload["config"][0]["parsed"]))

    def without_lines(self, directives: Any) -> Any:
        for directive in directives:
            del directive["line"]
            self.without_lines(directive.get("block", []))
        # Comments between words come behind the directive.
        return [item for item in directives if item["directive"] != "#"]

    def test_a_build_writes_what_crossplane_builds(self) -> None:
        payload = self.parse("a 'b c' '' \"d'e\" f\\ g; if ($h) { i ${j}k; } # l\n"
                             "set_by_lua_block $m { return 1 }\nn {}", "--include-comments")
        self.assertEqual(self.build(payload), f"# {self.directory}/nginx.conf\n"
                         "a 'b c' '' \"d'e\" f\\ g;\nif ($h) {\n    i '${j}k';\n} # l\n"
                         "set_by_lua_block $m { return 1 }\nn {\n}\n\n")

    def test_files_are_built_below_a_directory(self) -> None:
        payload = {"config": [{"file": "x/y.conf", "parsed": [
            {"directive": "a", "line": 1, "args": ["b"]}]}]}
        given = json.dumps(payload).encode()
        built = run("build", "-v", "-d", self.directory, "-", given=given)
        path = self.directory / "x/y.conf"
        self.assertEqual(built.stdout.decode(), f"wrote to {path}\n")
        self.assertEqual(path.read_text(encoding="utf-8"),
                         "# This configuration was built from JSON by ngxx-conf.\n\na b;\n")
        path.write_bytes(b"mine")
        self.assertEqual(run("build", "-d", self.directory, "-", given=given).returncode, 2)
        self.assertEqual(path.read_bytes(), b"mine")
        self.assertEqual(run("build", "-f", "-d", self.directory, "-", given=given).returncode, 0)
        self.assertNotEqual(path.read_bytes(), b"mine")

    def test_blocks_that_are_too_deep_for_an_indent_are_not_built(self) -> None:
        for depth, status in ((200, 0), (201, 1), (20_000, 1)):
            with self.subTest(depth=depth):
                text = '{"config":[{"file":"x","parsed":[' + (
                    '{"directive":"a","args":[],"block":[' * depth + "]}" * depth + "]}]}")
                result = run("build", "--stdout", "-", given=text.encode())
                self.assertEqual(result.returncode, status, result.stderr)
                if status != 0:
                    self.assertEqual((result.stdout, result.stderr), (
                        b"", b"ngxx-conf: a block is in more than 199 others, "
                        b"which is too deep for an indent\n"))

    def test_what_is_not_json_is_refused(self) -> None:
        for text in (b"{", b"{}", b'{"config": [{"file": 1, "parsed": []}]}'):
            self.assertEqual(run("build", "--stdout", "-", given=text).returncode, 2)


class LosslessTest(WithFiles):
    def payload(self, text: bytes, *options: str) -> Any:
        return json.loads(run("parse", "--lossless", *options, "-", given=text).stdout)

    def built(self, payload: Any, status: int = 0) -> bytes:
        result = run("build", "--stdout", "-", given=json.dumps(payload).encode())
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout if status == 0 else result.stderr

    def test_a_build_of_the_lossless_form_has_the_bytes_of_the_file(self) -> None:
        mark = b"\xef\xbb\xbf"
        for text in (ODDITIES, ODDITIES.replace(b"\n", b"\r\n"), mark + b"a;\r\n", b"", b"\n",
                     b"\xc3\xa4 '\xe2\x82\xac';", b"a; " + mark + b"b;", b"if ( $a  = b ) {\t}"):
            for escapes in ("crossplane", "nginx"):
                with self.subTest(text=text, escapes=escapes):
                    self.assertEqual(self.built(self.payload(text, "--escapes", escapes)), text)

    def test_a_file_with_errors_has_a_lossless_form(self) -> None:
        for text in (b"a {\n  b 1 # c\n}\n;; }\n d 'x'y;", b"a { b;", b"a 'b\nc;", b"{ a; }", b"}",
                     b"x_by_lua_block { '", b"a # b\n# c\n"):
            with self.subTest(text=text):
                self.assertEqual(self.built(self.payload(text)), text)

    def test_a_change_of_the_lossless_form_changes_these_words_only(self) -> None:
        text = b"a  1\t'2' # c\n ;\r\nb{d  x # e\n y;} if ($f) { } x_by_lua_block { } #  g\n"
        for path, key, value, before, after in (
                ((0,), "args", ["1", "3 4"], b"'2'", b"'3 4'"),
                ((0,), "args", ["1"], b"  1\t'2'", b" 1"),
                ((0,), "args", [], b"  1\t'2'", b""),
                ((0,), "directive", "z", b"a ", b"z "),
                ((1, 0), "args", ["x", "y", "z"], b"d  x # e\n y", b"d x y z # e\n"),
                ((1,), "args", ["z"], b"b{", b"b z{"),
                ((2,), "args", ["$f", "=", "g"], b"if ($f)", b"if ($f = g)"),
                ((3,), "args", [" return "], b"{ } #", b"{ return } #"),
                ((4,), "comment", " h", b"#  g", b"# h")):
            with self.subTest(path=path, value=value):
                payload = self.payload(text)
                item = {"block": payload["config"][0]["parsed"]}
                for number in path:
                    item = item["block"][number]
                item[key] = value
                self.assertEqual(self.built(payload), text.replace(before, after))

    def test_directives_can_be_added_to_and_removed_from_the_lossless_form(self) -> None:
        text = b"a; # b\nc; d {\n\te; # f\n}\n"
        payload = self.payload(text)
        parsed = payload["config"][0]["parsed"]
        parsed[3]["block"].append({"directive": "g", "args": ["h i"]})
        del parsed[2]
        self.assertEqual(self.built(payload), b"a; # b\n d {\n\te; # f\n    g 'h i';\n}\n")

    def test_a_directive_of_the_lossless_form_can_become_a_block(self) -> None:
        payload = self.payload(b"a  b;\nc {}\n")
        parsed = payload["config"][0]["parsed"]
        parsed[0]["block"] = [{"directive": "d", "args": []}]
        del parsed[1]["block"]
        self.assertEqual(self.built(payload), b"a  b {\n    d;\n}\nc ;\n")

    def test_a_file_that_is_not_in_utf8_has_its_words_in_latin1(self) -> None:
        payload = self.payload(b"a \xe9;")
        self.assertEqual(payload["config"][0]["encoding"], "latin-1")
        self.assertEqual(payload["config"][0]["parsed"][0]["args"], ["\xe9"])
        payload["config"][0]["parsed"][0]["args"] = ["\xfc"]
        self.assertEqual(self.built(payload), b"a \xfc;")
        payload["config"][0]["parsed"][0]["args"] = ["\u20ac"]
        self.assertIn(b"is not in Latin-1", self.built(payload, status=2))

    def test_the_lossless_form_has_the_directives_of_each_file(self) -> None:
        self.write(b"b; # \xe9", "x")
        text = b"a;\r\ninclude  x;"
        given = run("parse", "--lossless", self.write(text)).stdout
        built = self.directory / "built"
        self.assertEqual(run("build", "-d", built, "-", given=given).returncode, 2)
        self.assertEqual(run("build", "-f", "-", given=given).returncode, 0)
        self.assertEqual((self.directory / "nginx.conf").read_bytes(), text)
        self.assertEqual((self.directory / "x").read_bytes(), b"b; # \xe9")
        result = run("parse", "--lossless", "--combine", self.directory / "nginx.conf")
        self.assertEqual((result.returncode, result.stdout), (2, b""))


class SetTest(WithFiles):
    def set(self, text: str | bytes, path: str, value: str, *options: str) -> bytes:
        file = self.write(text)
        result = run("set", path, value, *options, file)
        self.assertEqual(result.returncode, 0, result.stderr)
        return file.read_bytes()

    def test_only_the_words_of_the_directive_change(self) -> None:
        self.assertEqual(self.set(ODDITIES, "events.worker_connections", "4096"),
                         ODDITIES.replace(b"1024", b"4096"))

    def test_a_value_may_be_several_words_or_none(self) -> None:
        self.assertEqual(self.set("a  1  2 ;", "a", "'x y' z"), b"a  'x y' z ;")
        self.assertEqual(self.set("a  1  2 ;", "a", ""), b"a ;")
        self.assertEqual(self.set("a{b ;}", "a.b", "1"), b"a{b 1 ;}")
        self.assertEqual(self.set("a /x {}", "a", "/y"), b"a /y {}")

    def test_a_path_chooses_among_directives_of_one_name(self) -> None:
        text = "s { l 1; } s { l 2; l 3; } p (a) {}"
        self.assertEqual(self.set(text, "s[2].l[1]", "9"), b"s { l 1; } s { l 9; l 3; } p (a) {}")
        self.assertEqual(self.set(text, "s[2].l(3)", "9"), b"s { l 1; } s { l 2; l 9; } p (a) {}")
        self.assertEqual(self.set(text, "p((a))", "b"), b"s { l 1; } s { l 2; l 3; } p b {}")

    def test_a_name_in_quotes_may_have_any_character(self) -> None:
        text = 'm { .a.b 1; "c [(" 2; }'
        self.assertEqual(self.set(text, 'm.".a.b"', "9"), b'm { .a.b 9; "c [(" 2; }')
        self.assertEqual(self.set(text, "m.'c [('[1]", "9"), b'm { .a.b 1; "c [(" 9; }')
        self.assertEqual(self.set(text, 'm."d.\\" x"', "9", "--add"),
                         b'm { .a.b 1; "c [(" 2; "d.\\" x" 9; }')

    def test_a_missing_directive_is_added_on_request(self) -> None:
        for text, expected in (("e {\n\ta 1; # c\n}\n", "e {\n\ta 1; # c\n\tb 2;\n}\n"),
                               ("e {}", "e {\n    b 2;\n}"), ("x;\ne {\n}", "x;\ne {\n    b 2;\n}"),
                               ("e { a; }", "e { a; b 2; }"),
                               ("e { a; # c\n}", "e { a; # c\nb 2;\n}"),
                               ("x {\n\ta;\n}\ne {}", "x {\n\ta;\n}\ne {\n\tb 2;\n}"),
                               ("x {\n  a;\n}\n e {\n }", "x {\n  a;\n}\n e {\n   b 2;\n }"),
                               ("e {\r\n a;\r\n}", "e {\r\n a;\r\n b 2;\r\n}")):
            with self.subTest(text=text):
                self.assertEqual(self.set(text, "e.b", "2", "--add"), expected.encode())
        self.assertEqual(self.set("a;\n", "b", "2", "--add"), b"a;\nb 2;\n")
        self.assertEqual(self.set("", "b", "2", "--add"), b"b 2;\n")

    def test_a_change_that_is_not_clear_is_refused(self) -> None:
        for text, path, value in (
                ("a; a;", "a", "1"), ("a;", "b", "1"), ("a;", "a.b", "1"), ("a {}", "a.b", "1"),
                ("a;", "a", "1; b"), ("a;", "a", "1 # x"), ("a;", "a", "{}"), ("a;", "a", "'x"),
                ("a;", "a", "x\\"), ("a;", "a[0]", "1"), ("a;", "a[1", "1"), ("a;", "a(1", "1"),
                ("a;", "a..b", "1"), ("a;", "", "1"),
                ("a;", '"a', "1"), ("a;", '""', "1"), ("a;", '"a"b', "1"),
                ("a x{}", "a", "y$"), ("a {", "a", "1"),
                ("x_by_lua_block {}", "x_by_lua_block", "1")):
            with self.subTest(text=text, path=path, value=value):
                file = self.write(text)
                self.assertEqual(run("set", path, value, file).returncode, 1)
                self.assertEqual(file.read_text(encoding="utf-8"), text)

    def test_an_error_that_remains_behind_a_change_is_reported(self) -> None:
        for text, message in ((b"\xef\xbb\xbfa 1;", b":1:1: the file begins with a byte order"),
                              (b"a 1; b " + b"x" * 4096 + b";", b":1:8: too long parameter")):
            with self.subTest(message=message):
                file = self.write(text)
                result = run("set", "a", "2", file)
                self.assertEqual(result.returncode, 1)
                self.assertIn(message, result.stderr)
                self.assertEqual(file.read_bytes(), text.replace(b"a 1", b"a 2"))
        self.assertEqual(self.set("a " + "x" * 4096 + ";", "a", "2"), b"a 2;")

    def test_a_refusal_says_what_the_file_has(self) -> None:
        self.write("b 1; include y;", "x")
        self.write("\nc { d; }", "y")
        text = "a { include x; s 1; s 2; }"
        for path, message in (
                ("a.e", 'has no "e" in a; --add adds it'),
                ("a.e()", 'has no "e" in a'), ("a.e[2]", 'has no "e" in a'), ("e.f", 'has no "e"'),
                ("a.s[3]", 'has only 2 "s" in a'), ("a.s(3)", 'has no "s" with the words "3" in a'),
                ("a.b", f'has no such "b" in a: one is in line 1 of {self.directory}/x'),
                ("a.c.d", f'has no such "c" in a: one is in line 2 of {self.directory}/y'),
                ("b", 'has no "b"; --add adds it')):
            with self.subTest(path=path):
                file = self.write(text)
                result = run("set", path, "9", file)
                self.assertEqual(result.returncode, 1)
                self.assertEqual(result.stderr.decode(), f"ngxx-conf: {file} {message}\n")

    def test_a_directive_of_an_included_file_is_not_added(self) -> None:
        self.write("include nginx.conf; b 1;", "x")
        file = self.write("a { include x; }")
        result = run("set", "--add", "a.b", "2", file)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"one is in line 1 of", result.stderr)
        self.assertEqual(file.read_bytes(), b"a { include x; }")
        self.assertEqual(run("set", "--add", "b", "2", file).returncode, 0)

    def test_a_changed_file_keeps_its_mode_and_its_links(self) -> None:
        file = self.write("a 1;", "real.conf")
        file.chmod(0o640)
        link = self.directory / "nginx.conf"
        link.symlink_to("real.conf")
        self.assertEqual(run("set", "a", "2", link).returncode, 0)
        self.assertTrue(link.is_symlink())
        self.assertEqual(file.read_bytes(), b"a 2;")
        self.assertEqual(file.stat().st_mode & 0o7777, 0o640)
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()),
                         ["nginx.conf", "real.conf"])

    def test_the_result_can_go_elsewhere(self) -> None:
        file = self.write("a 1;")
        self.assertEqual(run("set", "-o", "-", "a", "2", file).stdout, b"a 2;")
        self.assertEqual(file.read_bytes(), b"a 1;")
        self.assertEqual(run("set", "a", "2", "-", given=b"a 1;").stdout, b"a 2;")


class ExampleTest(WithFiles):
    def test_the_page_contains_the_example_unchanged(self) -> None:
        page = (ROOT / "docs/conf.md").read_text(encoding="utf-8")
        example = (ROOT / "docs/examples/conf/places.cpp").read_text(encoding="utf-8")
        self.assertIn(f"```cpp\n{example}```\n", page)

    def test_the_example_prints_the_directives_in_the_order_of_nginx(self) -> None:
        inner = self.write("b 'c d';", "x")
        file = self.write("a { include x; e; } ;")
        result = subprocess.run([os.environ["EXAMPLE"], file], capture_output=True, text=True,
                                timeout=60, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, f"{file}:1: a\n{file}:1: include [x]\n{inner}:1: b [c d]\n"
                         f"{file}:1: e\n")
        self.assertEqual(result.stderr, f'{file}:1:21: unexpected ";"; remove it\n')


if __name__ == "__main__":
    skips.main()
