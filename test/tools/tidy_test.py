"""Tests of tools/tidy: for each check, code that it reports and code that it accepts."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TIDY = ROOT / "tools" / "tidy"


def load_tidy() -> ModuleType:
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(TIDY.parent))
    loader = SourceFileLoader("tidy", str(TIDY))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", loader))
    sys.modules["tidy"] = module
    loader.exec_module(module)
    return module


tidy = load_tidy()


def functions(text: str) -> list[tuple[str, str, int]]:
    return [(f.scope, f.name, f.length) for f in tidy.Source("x.cpp", text).scanner.functions]


class Scanner(unittest.TestCase):
    """Finding the functions of a file."""

    def test_definitions_and_declarations_with_their_scope(self) -> None:
        text = (
            "namespace ngx {\n"
            "int declared(int a);\n"
            "int defined(int a) {\n    return a;\n}\n"
            "namespace {\nvoid hidden() noexcept {\n}\n}\n"
            "class Pool final : public Base {\npublic:\n    ~Pool() override;\n"
            "    void take() const { }\n};\n"
            "}\n"
        )
        self.assertEqual(
            functions(text),
            [
                ("ngx", "declared", 0),
                ("ngx", "defined", 3),
                ("ngx::(unnamed)", "hidden", 2),
                ("ngx::class Pool", "~Pool", 0),
                ("ngx::class Pool", "take", 1),
            ],
        )

    def test_constructor_with_braces_among_its_initialisers(self) -> None:
        text = "Log::Log(int l)\n    : level_{l}, next_(nullptr), name_{} {\n    open();\n}\n"
        self.assertEqual(functions(text), [("", "Log::Log", 4)])

    def test_template_and_operator_and_trailing_return_type(self) -> None:
        text = (
            "template <typename T, int N = 3>\n"
            "    requires requires(T t) { t.x(); }\n"
            "auto f(T t) -> std::vector<T> {\n}\n"
            "bool operator==(A a, B b) {\n}\n"
            "void X::operator()(int a) const {\n}\n"
        )
        names = [name for _, name, _ in functions(text)]
        self.assertEqual(names, ["f", "operator==", "X::operator()"])

    def test_tables_and_variables_are_no_functions(self) -> None:
        text = (
            "constexpr Command commands[] = {\n    {\"use\", set_use(1)},\n};\n"
            "std::array table{make(1), make(2)};\n"
            "const auto f = [](int a) { return a; };\n"
            "enum class Rc : int {\n    ok = int(0),\n};\n"
            "struct {\n    int n;\n} state;\n"
            "using Handler = void (*)(int);\n"
            "static_assert(sizeof(int) == 4);\n"
            "int g() {\n}\n"
        )
        self.assertEqual(functions(text), [("", "g", 2)])

    def test_brackets_in_comments_and_literals_do_not_count(self) -> None:
        text = (
            "int f() {\n"
            "    // {\n    /* { */\n"
            '    use("{", \'{\', R"x({ " {)x", 10\'000);\n'
            "}\n"
            "#define OPEN {\\\n    {\n"
            "int g() {\n}\n"
        )
        self.assertEqual(functions(text), [("", "f", 5), ("", "g", 2)])

    def test_the_name_of_a_test_case_is_its_macro(self) -> None:
        text = (
            "BOOST_AUTO_TEST_SUITE(event_timer)\n"
            "BOOST_AUTO_TEST_CASE(the_first_expires) {\n}\n"
            "BOOST_AUTO_TEST_SUITE_END()\n"
        )
        self.assertEqual(functions(text), [("", "BOOST_AUTO_TEST_CASE(the_first_expires)", 2)])


class CheckTest(unittest.TestCase):
    """A temporary tree for each test."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def findings(self, check: str, *files: str) -> list[str]:
        tree = tidy.Tree(self.root, [self.root / name for name in files], self.root / "build")
        return [f"{f.path}:{f.line}" for f in tidy.CHECKS[check](tree)]


class FunctionLength(CheckTest):
    def test_seventy_lines_pass_and_seventy_one_do_not(self) -> None:
        self.write("core/a.cpp", "void f() {\n" + "    g();\n" * 68 + "}\n")
        self.assertEqual(self.findings("function-length"), [])
        self.write("core/a.cpp", "int x;\nvoid f() {\n" + "    g();\n" * 69 + "}\n")
        self.assertEqual(self.findings("function-length"), ["core/a.cpp:2"])

    def test_a_member_of_a_class_counts(self) -> None:
        body = "    void f() {\n" + "        g();\n" * 69 + "    }\n"
        self.write("core/a.hpp", "struct A {\n" + body + "};\n")
        self.assertEqual(self.findings("function-length"), ["core/a.hpp:2"])

    def test_half_a_block_under_a_condition_is_reported(self) -> None:
        body = "#if X\n    if (a) {\n#else\n    {\n#endif\n    }\n"
        self.write("core/a.cpp", f"void f() {{\n{body}}}\n")
        self.assertEqual(self.findings("function-length"), ["core/a.cpp:1"])


class Columns(CheckTest):
    def test_a_hundred_pass_and_one_more_does_not(self) -> None:
        self.write("core/a.cpp", "/" * 100 + "\n")
        self.write("test/b.cpp", "\n" + "/" * 101 + "\n")
        self.assertEqual(self.findings("columns"), ["test/b.cpp:2"])

    def test_a_letter_of_several_bytes_is_one_column(self) -> None:
        self.write("core/a.cpp", "// " + "é" * 97 + "\n")
        self.assertEqual(self.findings("columns"), [])

    def test_scripts_and_meson_files_are_checked_and_build_folders_are_not(self) -> None:
        for name in ("tools/x", ".ci/run", "meson.build", "build-asan/a.cpp", ".git/a.cpp"):
            self.write(name, "#" * 101 + "\n")
        self.assertEqual(self.findings("columns"), [".ci/run:1", "meson.build:1", "tools/x:1"])

    def test_a_configuration_that_a_test_reads_may_be_wide(self) -> None:
        for name in ("conf/a.conf", "test/a.conf"):
            self.write(name, "#" * 101 + "\n")
        self.assertEqual(self.findings("columns"), ["conf/a.conf:1"])

    def test_only_the_files_asked_for(self) -> None:
        for name in ("core/a.cpp", "core/b.cpp"):
            self.write(name, "/" * 101 + "\n")
        self.assertEqual(self.findings("columns", "core/b.cpp"), ["core/b.cpp:1"])


class LeftOver(CheckTest):
    def test_each_mark_is_found(self) -> None:
        for mark in ("TO" "DO", "FIX" "ME", "X" "XX"):
            self.write("core/a.cpp", f"int x;  // {mark}: later\n")
            self.assertEqual(self.findings("left-over"), ["core/a.cpp:1"], mark)

    def test_a_string_is_no_mark(self) -> None:
        self.write("core/a.cpp", 'set_zone("' + "X" "XX" + '-3");  // a zone\n')
        self.assertEqual(self.findings("left-over"), [])

    def test_a_part_of_a_word_is_no_mark(self) -> None:
        self.write("tools/x", "mktemp -d /tmp/ngxx-XXXXXX\n")
        self.assertEqual(self.findings("left-over"), [])


class Conditional(CheckTest):
    BODY = "void f() {\n#ifdef X\n    g();\n#else\n    h();\n#endif\n}\n"

    def test_in_a_body_it_is_refused_except_in_os_unix(self) -> None:
        self.write("core/a.cpp", self.BODY)
        self.write("os/unix/a.cpp", self.BODY)
        self.assertEqual(self.findings("conditional"), ["core/a.cpp:2", "core/a.cpp:4"])

    def test_around_functions_it_passes(self) -> None:
        self.write("core/a.cpp", "#if X\nvoid f() {\n}\n#endif\nvoid g() {\n    // #if\n}\n")
        self.assertEqual(self.findings("conditional"), [])


class Meson(CheckTest):
    def test_a_source_and_a_library_header_have_to_be_named(self) -> None:
        for name in ("core/a.cpp", "core/a.hpp", "core/b.cpp", "test/x.cpp", "test/x.hpp"):
            self.write(name, "")
        self.write("core/meson.build", "core_sources = files('a.cpp')\n# 'b.cpp'\n")
        self.write("meson.build", "headers = files('core/a.hpp')\n")
        self.assertEqual(self.findings("meson"), ["core/b.cpp:1", "test/x.cpp:1"])

    def test_a_directory_of_add_module_needs_no_meson_file(self) -> None:
        self.write("test/hello/hello_module.cpp", "")
        self.assertEqual(self.findings("meson"), ["test/hello/hello_module.cpp:1"])
        self.write("test/hello/modules", "hello_module\n")
        self.assertEqual(self.findings("meson"), [])

    def test_a_name_may_consist_of_two_words(self) -> None:
        for name in ("epoll_module.cpp", "poll_module.cpp", "run_test.cpp", "rtsig_module.cpp"):
            self.write(f"event/{name}", "")
        self.write(
            "event/meson.build",
            "foreach poller : ['epoll', 'poll']\n  sources += files(poller + '_module.cpp')\n"
            "endforeach\ntests = '@0@_test.cpp'.format('run')\n",
        )
        self.assertEqual(self.findings("meson"), ["event/rtsig_module.cpp:1"])

    def test_the_same_name_in_another_folder_does_not_count(self) -> None:
        self.write("core/a.cpp", "")
        self.write("event/meson.build", "files('a.cpp')\n")
        self.assertEqual(self.findings("meson"), ["core/a.cpp:1"])


class NginxLine(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        self.write("docs/nginx-functions.tsv", "# names\na.c\tngx_f\na.c\tngx_g\na.h\tNGX_G\n")
        self.write("docs/nginx-variables.tsv", "# names\na.h\tngx_v\na.h\tngx_w\n")

    def header(self, declaration: str) -> list[str]:
        self.write("core/a.hpp", f"namespace ngx {{\n{declaration}\n}}\n")
        return self.findings("nginx-line")

    def test_a_function_of_that_name_needs_the_line(self) -> None:
        self.assertEqual(self.header("int f();"), ["core/a.hpp:2"])
        self.assertEqual(self.header("/// Does it.\nint f();"), ["core/a.hpp:3"])
        self.assertEqual(self.header("/// Does it.\n///\n/// nginx: ngx_f()\nint f();"), [])

    def test_a_template_has_its_comment_above_the_parameters(self) -> None:
        text = "/// nginx: ngx_f()\ntemplate <typename T>\n[[nodiscard]] inline int f(T t) {\n}"
        self.assertEqual(self.header(text), [])

    def test_one_overload_with_the_line_is_enough(self) -> None:
        self.assertEqual(self.header("/// nginx: ngx_f()\nint f();\nint f(int a);"), [])

    def test_others_members_and_details_need_none(self) -> None:
        text = "int other();\nstruct A {\n    int f();\n};\nnamespace detail {\nint f();\n}"
        self.assertEqual(self.header(text), [])

    def test_sources_and_tests_need_none(self) -> None:
        for name in ("core/a.cpp", "test/a.hpp"):
            self.write(name, "namespace ngx {\nint f();\n}\n")
        self.assertEqual(self.findings("nginx-line"), [])

    def test_a_name_that_nginx_does_not_have_is_refused(self) -> None:
        self.write("core/a.hpp", "/// nginx: ngx_f(), ngx_h()\nint f();\n/// nginx: ngx_log_t\n")
        self.assertEqual(self.findings("nginx-name"), ["core/a.hpp:1", "core/a.hpp:3"])

    def test_the_names_of_a_line_may_continue_in_the_next(self) -> None:
        lines = "/// nginx: NGX_G, ngx_v,\n/// NGX_H\n///\n/// ngx_other_t\nint g;\n"
        self.write("core/a.hpp", lines)
        self.assertEqual(self.findings("nginx-name"), ["core/a.hpp:1"])

    def variable(self, text: str) -> list[str]:
        self.write("core/a.hpp", f"namespace ngx {{\n{text}\n}}\n")
        return self.findings("nginx-variable")

    def test_a_variable_of_that_name_needs_the_line(self) -> None:
        self.assertEqual(self.variable("/// One.\nextern int v;"), ["core/a.hpp:3"])
        self.assertEqual(self.variable("/// One.\n///\n/// nginx: ngx_v\nextern int v;"), [])
        self.assertEqual(self.variable("extern int other;\nextern int f();"), [])

    def test_one_line_may_name_several_variables(self) -> None:
        both = "extern Cached<int> v;\nextern int* const w[];"
        self.assertEqual(self.variable(f"/// nginx: ngx_v, ngx_w\n{both}"), [])
        self.assertEqual(self.variable(f"/// nginx: ngx_v\n{both}"), ["core/a.hpp:4"])


class Words(CheckTest):
    def test_forbidden_words_of_comments_are_found(self) -> None:
        self.write("core/a.cpp", "int a;  // nobody reads it\n\n/// Opened anew.\nint b;\n")
        self.write("a.py", "a = 1  # a type of {} own, for safety\n".format("its"))
        self.write("meson.build", "# Unlike there, it is set.\n")
        found = ["a.py:1", "core/a.cpp:1", "core/a.cpp:3", "meson.build:1"]
        self.assertEqual(self.findings("words"), found)

    def test_a_comment_has_a_subject(self) -> None:
        texts = ("/// What a log is.\n", "// Of a log.\n", "// The end\n// Of it.\n")
        self.write("core/a.cpp", "int a;\n\n".join(texts))
        self.assertEqual(self.findings("words"), ["core/a.cpp:1", "core/a.cpp:4"])

    def test_names_of_tests_are_checked(self) -> None:
        self.write("test/a.cpp", "BOOST_AUTO_TEST_CASE({}_listens)\n".format("nobody"))
        self.write("test/a.py", "def test_{}_asks(self) -> None: ...\n".format("whoever"))
        self.assertEqual(self.findings("words"), ["test/a.cpp:1", "test/a.py:1"])

    def test_docstrings_of_python_are_checked(self) -> None:
        text = (
            '"""{0} reads it."""\n'
            "class A:\n"
            '    """A class.\n\n'
            '    {1} a class is."""\n'
            "    def f(self): pass\n"
            "    async def g(self):\n"
            '        """Returns {0}."""\n'
            'a = "# {0}"\n'
            '"""Another text: {0}."""\n'
        ).format("nobody", "What")
        self.write("a.py", text)
        self.write("tools/run", f"#!/usr/bin/env python3\n{text}")
        self.write("tools/other", '#!/bin/sh\necho """nobody"""\n')
        found = ["a.py:1", "a.py:5", "a.py:8"]
        found += ["tools/run:2", "tools/run:6", "tools/run:9"]
        self.assertEqual(self.findings("words"), found)

    def test_documents_are_checked_except_their_samples(self) -> None:
        self.write("docs/a.md", "Be it so.\n```\nnobody\n```\nThe user `nobody`.\n")
        self.assertEqual(self.findings("words"), ["docs/a.md:1"])

    def test_strings_and_other_meanings_pass(self) -> None:
        text = '// The end of its own channel, than there is.\nint a = "nobody";\n'
        self.write("core/a.cpp", text)
        self.write("conf/a.conf", "user nobody;\n")
        self.assertEqual(self.findings("words"), [])


class Kept(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        self.write("docs/nginx-functions.tsv", "# names\na.c\tngx_f\na.c\tngx_f_t\n")
        self.write("docs/nginx-variables.tsv", "# names\n")
        self.rows()

    def rows(self, *rows: str) -> None:
        lines = ["# kept", *(row.replace(" ", "\t", 3) for row in rows)]
        self.write("docs/kept-for-modules.tsv", "\n".join(lines) + "\n")

    def sources(self, header: str, source: str = "") -> list[str]:
        self.write("core/a.hpp", f"namespace ngx {{\n{header}\n}}\n")
        self.write("core/a.cpp", f"namespace ngx {{\n{source}\n}}\n")
        return self.findings("kept")

    def test_a_function_that_only_tests_call_is_found(self) -> None:
        self.write("test/a_test.cpp", "void test() {\n    f(1);\n}\n")
        self.assertEqual(self.sources("int f(int a);", "int f(int a) {\n}"), ["core/a.hpp:2"])

    def test_a_row_allows_it(self) -> None:
        self.rows("f core/a.hpp ngx_f a module may call it", "g core/a.hpp - tests call it")
        self.assertEqual(self.sources("int f();\nint g();", "int f() {\n}"), [])

    def test_a_call_uses_the_function(self) -> None:
        source = "int f(int a) {\n}\nint g = f(1);"
        self.assertEqual(self.sources("int f(int a);", source), [])

    def test_a_template_of_a_module_uses_it_as_well(self) -> None:
        self.write("tools/new-module.d/a.cpp", "int g = f(1);\n")
        self.assertEqual(self.sources("int f(int a);", "int f(int a) {\n}"), [])

    def test_a_constant_that_is_not_read_is_found(self) -> None:
        text = "inline constexpr int a = 1;\ninline constexpr int b = 2 * a;"
        self.assertEqual(self.sources(text), ["core/a.hpp:3"])

    def test_a_member_function_that_is_only_assigned_is_found(self) -> None:
        text = "struct A {\n    int (*f)(int a);\n};"
        source = "A a{.f = g};\nvoid h() {\n    b.f = a.f;\n}"
        self.assertEqual(self.sources(text, source), ["core/a.hpp:3"])
        self.assertEqual(self.sources(text, "int h = a.f(1);"), [])
        self.assertEqual(self.sources(text, "void h() {\n    other = a.f;\n}"), [])

    def test_a_flag_that_is_never_set_is_found(self) -> None:
        text = "struct A {\n    unsigned f : 1 = 0;\n};"
        self.assertEqual(self.sources(text, "bool h = a.f;"), ["core/a.hpp:3"])
        self.assertEqual(self.sources(text, "void h() {\n    a.f = 1;\n}"), [])

    def test_stale_rows_are_found(self) -> None:
        list_ = "docs/kept-for-modules.tsv"
        self.rows("f core/a.hpp ngx_f why", "gone core/a.hpp - why", "g core/a.hpp ngx_g why")
        found = self.sources("int f();\nint g();", "int h = f();")
        self.assertEqual(found, [f"{list_}:2", f"{list_}:3", f"{list_}:4"])


@unittest.skipUnless(shutil.which("clang-format"), "clang-format is not installed")
class Format(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        self.write(".clang-format", "BasedOnStyle: Google\nIndentWidth: 4\n")

    def test_each_file_is_reported_once_and_fix_formats_it(self) -> None:
        self.write("core/good.cpp", "int f() {\n    g();\n    return 1;\n}\n")
        self.write("core/bad.cpp", "int x;\nint  f( ) {\ng();\nreturn 1;\n}\n")
        self.assertEqual(self.findings("format"), ["core/bad.cpp:2"])
        command = [str(TIDY), "--root", str(self.root), "--only", "format", "--fix"]
        self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0)
        text = (self.root / "core/bad.cpp").read_text(encoding="utf-8")
        self.assertEqual(text, "int x;\nint f() {\n    g();\n    return 1;\n}\n")


@unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
class ClangTidy(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        checks = "-*,readability-braces-around-statements"
        self.write(".clang-tidy", f"Checks: '{checks}'\nHeaderFilterRegex: '.*'\n")

    def test_a_finding_in_a_header_is_reported_once(self) -> None:
        text = "inline int g(int a) {\n    if (a)\n        a = 1;\n    return a;\n}"
        self.write("core/a.hpp", text)
        entries = []
        for name in ("a.cpp", "b.cpp"):
            self.write(f"core/{name}", f'#include "a.hpp"\nint {name[0]} = g(1);\n')
            command = f"c++ -std=c++20 -Wall -c ../core/{name}"
            entry = {"directory": str(self.root / "build"), "file": f"../core/{name}"}
            entries.append(entry | {"command": command})
        self.write("build/compile_commands.json", json.dumps(entries))
        self.assertEqual(self.findings("clang-tidy"), ["core/a.hpp:2"])

    def test_without_a_compilation_database_it_says_how_to_get_one(self) -> None:
        self.write("core/a.cpp", "")
        with self.assertRaisesRegex(tidy.CannotRun, "meson setup build"):
            self.findings("clang-tidy")


class Command(CheckTest):
    def run_tidy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(TIDY), "--root", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def test_the_exit_status_and_the_line_of_a_finding(self) -> None:
        self.write("core/a.cpp", "/" * 101 + "\n")
        result = self.run_tidy("--only", "columns")
        self.assertEqual(result.returncode, 1)
        line = "core/a.cpp:1: 101 columns, 100 are the limit: break the line [columns]\n"
        self.assertIn(line, result.stdout)
        self.assertEqual(self.run_tidy("--only", "meson", "--skip", "meson").returncode, 0)

    def test_a_check_that_cannot_run_is_an_error(self) -> None:
        self.write("core/a.hpp", "namespace ngx {\nint f();\n}\n")
        result = self.run_tidy("--only", "nginx-line")
        self.assertEqual(result.returncode, 2)
        self.assertIn("docs/nginx-functions.tsv is missing", result.stderr)

    def test_the_lists_of_this_tree_have_functions_macros_and_variables(self) -> None:
        names = tidy.Tree(ROOT).nginx_names
        wanted = {"ngx_init_cycle", "ngx_post_event", "ngx_add_timer", "ngx_accept_mutex_held"}
        self.assertLessEqual(wanted, names)


if __name__ == "__main__":
    skips.main()
