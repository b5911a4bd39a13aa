"""Tests of tools/side-by-side, with miniatures of nginx and of this tree."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "side-by-side"

sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOL.parent))

from side_by_side import nginx_text  # noqa: E402

LONG = 200  # lines of a function that is longer than a window

NGINX = {
    "src/core/nginx.h": '#define NGINX_VERSION      "9.8.7"\n',
    "src/core/nginx.c": (
        "static ngx_int_t ngx_clean(ngx_cycle_t *cycle);\n\n\n"
        "int ngx_cdecl\nmain(int argc, char *const *argv)\n{\n    return ngx_clean(NULL);\n}\n\n\n"
        "static ngx_int_t\nngx_clean(ngx_cycle_t *cycle)\n{\n    return NGX_OK;\n}\n"
    ),
    "src/core/ngx_heap.c": "void\nngx_heap_push(ngx_heap_t *h)\n{\n    ngx_heap_pop(h);\n}\n",
    "src/event/ngx_clock.h": (
        "typedef struct ngx_tick_s  ngx_tick_t;\n\n"
        "struct ngx_tick_s {\n    ngx_uint_t  n;\n};\n\n"
        "#if (NGX_FAST)\n#define ngx_tick_now(t)  fast(t)\n#else\n"
        "#define ngx_tick_now(t)                 \\\n    slow(t)\n#endif\n\n"
        "static ngx_inline ngx_uint_t\nngx_tick_plus(ngx_tick_t *t)\n{\n    return t->n + 1;\n}\n\n"
        "extern volatile ngx_tick_t  *ngx_first_tick;\nextern ngx_tick_t  ngx_ticks[];\n"
    ),
    "src/event/ngx_clock.c": (
        "/* a word <b>about</b> it */\n"
        "ngx_int_t\nngx_clock_start(ngx_cycle_t *cycle)\n{\n"
        + "".join(f"    step({i});\n" for i in range(LONG))
        + "}\n\n\n"
        "#if 0\nvoid\nngx_clock_dead(void)\n{\n}\n#endif\n\n"
        "void\nngx_clock_stop(void)\n{\n#if (NGX_A)\n    if (a) {\n#else\n    if (b) {\n#endif\n"
        "        stop();\n    }\n}\n"
    ),
    "src/http/ngx_http.c": "void\nngx_http_block(void)\n{\n}\n",
}

OURS = {
    "core/nginx.cpp": "namespace ngx {\n/// nginx: main()\nint start(int argc) {\n}\n}\n",
    "event/clock.hpp": (
        "#pragma once\nnamespace ngx {\n\n"
        "/// One beat.\n///\n/// nginx: ngx_tick_t\nstruct Tick {\n    unsigned n = 0;\n};\n\n"
        "/// nginx: ngx_first_tick, ngx_ticks\n"
        "extern Tick* first_tick;\nextern Tick all_ticks[];\n\n"
        "/// Starts it, or says why not.\n///\n"
        "/// Differs from nginx: it is started once,\n/// and never twice.\n///\n"
        "/// nginx: ngx_clock_start()\nRc clock_start(Cycle& cycle);\n\n"
        "/// nginx: ngx_tick_now(), ngx_tick_plus()\ninline unsigned tick_now(const Tick& t) {\n"
        "    return t.n;\n}\n\n}\n"
    ),
    "event/clock.cpp": (
        '#include "event/clock.hpp"\nnamespace ngx {\nnamespace {\n\n'
        "/// Winds the spring. As often as needed.\nvoid wind() {\n    turn<1>();\n}\n\n"
        "/// nginx: ngx_clock_stop()\nvoid clock_stop() {\n}\n\n}\n\n"
        "Rc clock_start(Cycle& cycle) {\n    wind();\n    return Rc::ok;\n}\n\n}\n"
    ),
    "event/bell.cpp": "namespace ngx {\n/// Rings; nobody there does.\nvoid ring() {\n}\n}\n",
    "docs/nginx-functions.tsv": (
        "# names\nsrc/core/nginx.c\tmain\nsrc/core/nginx.c\tngx_clean\n"
        "src/core/ngx_heap.c\tngx_heap_push\nsrc/event/ngx_clock.h\tngx_tick_t\n"
        "src/event/ngx_clock.h\tngx_tick_now\nsrc/event/ngx_clock.h\tngx_tick_plus\n"
        "src/event/ngx_clock.c\tngx_clock_start\nsrc/event/ngx_clock.c\tngx_clock_stop\n"
    ),
    "docs/nginx-variables.tsv": (
        "# names\nsrc/event/ngx_clock.h\tngx_first_tick\nsrc/event/ngx_clock.h\tngx_ticks\n"
    ),
    "docs/nginx-absent.tsv": (
        "# why\nsrc/core/nginx.c\tngx_clean\tdestructors serve\n"
        "src/core/ngx_heap.*\t*\ta <priority> queue serves\n"
    ),
    "docs/nginx-moved.tsv": "# where\n",
}


class Trees(unittest.TestCase):
    """Writes both miniatures to a folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> None:
        for tree, files in (("nginx", NGINX), ("ours", OURS)):
            for name, text in files.items():
                path = folder / tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.nginx = self.folder / "nginx"
        self.ours = self.folder / "ours"
        self.make(self.folder)

    def run_tool(
        self, *arguments: str | Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run_tool("--root", self.ours, *arguments, env=env)

    def change(self, name: str, old: str, new: str) -> None:
        path = self.ours / name
        text = path.read_text(encoding="utf-8")
        self.assertIn(old, text)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def counts(self) -> list[list[str]]:
        return [line.split() for line in self.run_tool("--check").stdout.splitlines()]

    def findings(self) -> list[str]:
        """Returns the findings of --check, and checks its exit status."""
        result = self.run_tool("--check")
        found = re.findall(r"^\S+\.(?:cpp|hpp|tsv)\b.*:.*", result.stdout, re.MULTILINE)
        self.assertEqual(result.returncode, 1 if found else 0, result.stdout + result.stderr)
        return found


def run_tool(
    *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


class Definitions(Trees):
    """The definitions in nginx's files."""

    def names(self, path: str) -> list[tuple[str, int, int]]:
        tree = nginx_text.NginxTree(self.nginx)
        return [(d.name, d.start, d.end) for d in tree.file(path).definitions]

    def test_a_function_has_its_type_and_its_comment(self) -> None:
        end = 5 + LONG
        self.assertEqual(self.names("src/event/ngx_clock.c")[0], ("ngx_clock_start", 1, end))

    def test_declarations_and_dead_code_define_nothing(self) -> None:
        names = [name for name, _, _ in self.names("src/event/ngx_clock.c")]
        self.assertEqual(names, ["ngx_clock_start", "ngx_clock_stop"])
        names = [name for name, _, _ in self.names("src/core/nginx.c")]
        self.assertEqual(names, ["main", "ngx_clean"])

    def test_both_forms_of_a_macro_and_the_definition_of_a_type_count(self) -> None:
        self.assertEqual(
            self.names("src/event/ngx_clock.h"),
            [
                ("ngx_tick_t", 3, 5),
                ("ngx_tick_now", 8, 8),
                ("ngx_tick_now", 10, 11),
                ("ngx_tick_plus", 14, 18),
                ("ngx_first_tick", 20, 20),
                ("ngx_ticks", 21, 21),
            ],
        )

    def test_halves_of_blocks_under_conditions_do_not_end_a_function(self) -> None:
        name, start, end = self.names("src/event/ngx_clock.c")[-1]
        self.assertEqual((name, end - start), ("ngx_clock_stop", 10))


class Check(Trees):
    def test_a_tree_that_names_everything_passes_and_is_counted(self) -> None:
        self.assertEqual(self.findings(), [])
        lines = self.counts()
        self.assertIn(["src/core/nginx.c", "2", "1", "1"], lines)
        self.assertIn(["src/event/ngx_clock.c", "2", "2", "0"], lines)
        self.assertIn(["files", "without", "a", "counterpart", "1", "0", "1"], lines)
        self.assertIn(["in", "all", "7", "5", "2"], lines)
        self.assertIn(["1", "destructors", "serve"], lines)

    def test_a_name_that_nginx_does_not_have_is_reported(self) -> None:
        self.change("event/clock.cpp", "ngx_clock_stop()", "ngx_clock_stop(), ngx_clock_rest()")
        (finding,) = self.findings()
        self.assertIn("event/clock.cpp:10: nginx has no ngx_clock_rest", finding)

    def test_a_type_that_nginx_does_not_have_is_reported(self) -> None:
        self.change("event/clock.hpp", "ngx_tick_t", "ngx_tack_t")
        unknown, unused = self.findings()
        self.assertIn("nginx has no ngx_tack_t", unknown)
        self.assertIn("ngx_tick_t is in no comment: remove it", unused)

    def test_a_variable_may_be_named_and_needs_no_counterpart(self) -> None:
        self.change("event/clock.hpp", "ngx_first_tick, ngx_ticks", "ngx_ticks")
        self.assertEqual(self.findings(), [])
        self.assertIn(["in", "all", "7", "5", "2"], self.counts())
        self.change("event/clock.hpp", "ngx_ticks", "ngx_tocks")
        self.assertIn("nginx has no ngx_tocks", self.findings()[0])

    def test_a_member_that_points_to_a_function_is_its_counterpart(self) -> None:
        member = "    /// nginx: ngx_heap_push()\n    Rc (*push)(Heap& h);\n"
        member = f"/// Two.\nstruct Heap {{\n{member}}};\n"
        self.change("event/clock.hpp", "/// Starts it", member + "\n/// Starts it")
        self.change("docs/nginx-moved.tsv", "# where\n", "ngx_heap_push\tevent/clock.hpp\tone\n")
        (stale,) = self.findings()
        self.assertIn("docs/nginx-absent.tsv:3", stale)

    def test_a_function_without_counterpart_needs_a_reason(self) -> None:
        self.change("docs/nginx-absent.tsv", "ngx_clean", "ngx_other")
        missing, stale = self.findings()
        self.assertIn("src/core/nginx.c ngx_clean has no counterpart", missing)
        self.assertIn("docs/nginx-absent.tsv:2: no name needs this row", stale)

    def test_a_reason_for_a_function_with_a_counterpart_is_stale(self) -> None:
        self.change("event/bell.cpp", "nobody there does.", "now.\n///\n/// nginx: ngx_heap_push()")
        moved, stale = self.findings()
        self.assertIn("event/bell.cpp:2: ngx_heap_push is in src/core/ngx_heap.c", moved)
        self.assertIn("docs/nginx-absent.tsv:3", stale)

    def test_a_counterpart_may_move_where_a_row_allows_it(self) -> None:
        self.change("event/bell.cpp", "nobody there does.", "now.\n///\n/// nginx: ngx_clean()")
        self.change("docs/nginx-absent.tsv", "src/core/nginx.c\tngx_clean\tdestructors serve\n", "")
        self.assertEqual(len(self.findings()), 1)
        self.change("docs/nginx-moved.tsv", "# where\n", "ngx_clean\tevent/bell.cpp\tit rings\n")
        self.assertEqual(self.findings(), [])

    def test_a_release_is_compared_with_the_list(self) -> None:
        self.change("docs/nginx-functions.tsv", "src/core/nginx.c\tngx_clean\n", "")
        old = "# names\nsrc/core/ngx_heap.c\tngx_old\n"
        self.change("docs/nginx-functions.tsv", "# names\n", old)
        lines = self.run_tool("--check", self.nginx).stdout.splitlines()
        self.assertIn("nginx 9.8.7: 1 names new, 1 gone", lines)
        self.assertIn("+ src/core/nginx.c ngx_clean", lines)
        self.assertIn("- src/core/ngx_heap.c ngx_old", lines)

    def test_the_list_of_a_release_can_be_printed(self) -> None:
        rows = self.run_tool("--list", self.nginx).stdout.splitlines()
        lists = OURS["docs/nginx-functions.tsv"] + OURS["docs/nginx-variables.tsv"]
        names = sorted(row for row in lists.splitlines() if not row.startswith("#"))
        self.assertEqual(sorted(row for row in rows if not row.startswith("#")), names)

    def test_this_tree_passes(self) -> None:
        result = run_tool("--check")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Refused(Trees):
    def refused(self, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
        result = self.run_tool(*arguments, env=env)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        return result.stderr.splitlines()[-1]

    def test_a_folder_that_is_no_source_of_nginx(self) -> None:
        error = self.refused(self.ours)
        self.assertIn("it is no source tree of nginx", error)

    def test_arguments_that_contradict_each_other(self) -> None:
        self.assertIn("name one", self.refused(self.nginx, "--from-apt"))
        self.assertIn("writes nothing", self.refused("--check", "-o", "x"))
        self.assertIn("name nginx's source tree", self.refused())

    def test_a_table_that_is_missing(self) -> None:
        (self.ours / "docs" / "nginx-absent.tsv").unlink()
        self.assertIn("docs/nginx-absent.tsv is missing", self.refused("--check"))

    def test_a_table_with_a_row_of_too_few_columns(self) -> None:
        self.change("docs/nginx-absent.tsv", "\tdestructors serve", "")
        self.assertIn("docs/nginx-absent.tsv:2: 3 columns", self.refused("--check"))


APT_GET = r"""#!/bin/sh
echo "$*" >>"$LOG"
case " $* " in
*" indextargets "*) printf '%s' "$TARGETS" ;;
*" update "*)
    cat "$(echo "$*" | sed 's/.*Dir::Etc::sourcelist=\([^ ]*\).*/\1/')" >>"$LOG"
    [ -z "$FAIL" ] || { printf 'W: slow\nE: %s\nE: Some failed\n' "$FAIL" >&2; exit 100; }
    ;;
*" source "*) cp "$ARCHIVE" nginx_9.orig.tar.gz ;;
esac
"""


class FromApt(Trees):
    """Debian's source package, with the test's own apt-get."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.folder / "log"
        program = self.folder / "bin" / "apt-get"
        program.parent.mkdir()
        program.write_text(APT_GET, encoding="utf-8")
        program.chmod(0o755)
        archive = self.folder / "archive"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(self.nginx, "nginx-9")
            outside = tarfile.TarInfo("../src/core/outside.c")
            tar.addfile(outside, io.BytesIO())
        self.env = {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "LOG": str(self.log),
            "ARCHIVE": str(archive),
            "TARGETS": (
                "http://mirror.example/debian bookworm\n"
                "http://mirror.example/security bookworm-security\n"
            ),
            "FAIL": "",
        }

    def test_the_package_is_downloaded_with_separate_lists(self) -> None:
        result = self.run_tool("--check", "--from-apt", env=self.env)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("nginx 9.8.7: 0 names new, 0 gone", result.stdout)
        _, update, sources, source = self.log.read_text(encoding="utf-8").splitlines()
        self.assertEqual(sources, "deb-src http://mirror.example/debian bookworm main")
        for call in (update, source):
            folder = re.search(r"Dir::State::lists=(/\S+)/lists", call)
            assert folder
            self.assertIn(f"Dir::Etc::sourcelist={folder[1]}/sources.list", call)
            self.assertIn(f"Dir::Cache={folder[1]}/cache", call)
            self.assertFalse(Path(folder[1]).exists())

    def test_one_line_has_the_reason_of_a_failure(self) -> None:
        result = self.run_tool("--from-apt", "--check", env={**self.env, "FAIL": "no network"})
        self.assertEqual(result.returncode, 2)
        self.assertEqual(
            result.stderr, "tools/side-by-side: --from-apt: apt-get update: E: no network\n"
        )

    def test_a_system_without_debian_repositories_is_reported(self) -> None:
        result = self.run_tool("--from-apt", "--check", env={**self.env, "TARGETS": ""})
        self.assertEqual(result.returncode, 2)
        self.assertIn("has no repository of Debian", result.stderr)


def make_page(folder: Path) -> Path:
    result = run_tool("--root", folder / "ours", folder / "nginx")
    if result.returncode == 2 and "python3-pygments" in result.stderr:
        raise unittest.SkipTest("Pygments is not installed: tools/setup test")
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return folder / "ours" / "build" / "side-by-side" / "index.html"


class Page(Trees):
    def setUp(self) -> None:
        super().setUp()
        self.text = make_page(self.folder).read_text(encoding="utf-8")

    def row(self, name: str) -> str:
        """Returns the row of a function of nginx, without colours."""
        rows = re.findall(r"<article.*?</article>", self.text, re.DOTALL)
        (row,) = [row for row in rows if f'id="{name}"' in row]
        return re.sub(r"</?i[^>]*>", "", row)

    def test_it_needs_nothing_from_outside(self) -> None:
        self.assertNotRegex(self.text, r"(?:src|href)=\"?(?!#|\")\w+[:/]|@import|url\(")

    def test_every_link_has_a_target_and_no_two_targets_are_the_same(self) -> None:
        ids = re.findall(r' id="?([^" >]+)', self.text.replace("&lt;", "<"))
        self.assertEqual(len(ids), len(set(ids)), sorted(ids))
        for target in re.findall(r'href="#([^"]+)"', self.text):
            self.assertIn(target, ids)

    def test_a_function_is_beside_its_counterpart(self) -> None:
        row = self.row("ngx_clock_start")
        left, right = row.split("<div class=pane>")[1:]
        self.assertIn("&lt;b&gt;about&lt;/b&gt;", left)
        self.assertIn(f"step({LONG - 1});", left)
        self.assertIn("src/event/ngx_clock.c:1<", left)
        self.assertIn("Starts it, or says why not.", right)
        self.assertIn("return Rc::ok;", right)
        self.assertIn("event/clock.cpp:16<", right)

    def test_its_steps_follow_it(self) -> None:
        row = self.row("ngx_clock_start")
        self.assertLess(row.index("return Rc::ok;"), row.index("turn&lt;1&gt;();"))
        self.assertIn("a step of clock_start", row)

    def test_one_counterpart_of_two_names_is_shown_once(self) -> None:
        self.assertEqual(self.row("ngx_tick_now"), self.row("ngx_tick_plus"))
        self.assertEqual(self.row("ngx_tick_now").count("return t.n;"), 1)
        self.assertIn("slow(t)", self.row("ngx_tick_now"))

    def test_a_type_is_beside_its_counterpart(self) -> None:
        self.assertIn("struct Tick {", self.row("ngx_tick_t"))

    def test_one_comment_may_name_several_variables(self) -> None:
        row = self.row("ngx_ticks")
        self.assertEqual(row, self.row("ngx_first_tick"))
        for text in ("*ngx_first_tick;", "ngx_ticks[];", "first_tick;", "all_ticks[];"):
            self.assertIn(text, row)

    def test_functions_of_one_side_only_are_listed_with_the_reason(self) -> None:
        self.assertIn("destructors serve", self.row("ngx_clean"))
        only = self.text[self.text.index("id=only-nginx") :]
        self.assertRegex(only, r"a &lt;priority&gt; queue serves.*src/core/ngx_heap.c.*_heap_push")
        only = self.text[self.text.index("id=only-here") :]
        self.assertRegex(only, r"#ring\">ring</a>\s*Rings;")
        self.assertRegex(only, r"wind</a>\s*a step of .*clock_start.*Winds the spring\.")
        self.assertNotIn("ngx_http_block", self.text)

    def test_each_line_of_a_difference_is_marked_and_listed(self) -> None:
        row = self.row("ngx_clock_start")
        marked = re.findall(r"<mark>(.*?)</mark>", row)
        self.assertEqual(
            marked, ["/// Differs from nginx: it is started once,", "/// and never twice."]
        )
        listed = self.text[self.text.index("id=differences") :]
        self.assertIn("Differs from nginx: it is started once, and never twice.", listed)

    def test_a_name_that_an_older_release_lacks_is_marked(self) -> None:
        path = self.nginx / "src/event/ngx_clock.c"
        text = path.read_text(encoding="utf-8").replace("ngx_clock_stop", "ngx_clock_halt")
        path.write_text(text, encoding="utf-8")
        self.text = make_page(self.folder).read_text(encoding="utf-8")
        self.assertIn("only in nginx 9.8.7", self.row("ngx_clock_halt"))
        self.assertIn("nginx 9.8.7 has no ngx_clock_stop", self.row("clock_stop"))


# ---- in a browser ----

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the WebDriver protocol's name of a reference
KEYS = {"Enter": "\ue007", "Down": "\ue015", "Up": "\ue013", "Escape": "\ue00c"}


class WebDriver:
    """Chromium without a window (headless)."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
        )
        try:
            self.wait_for_driver()
            arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]
            # The sandbox does not work for root or in a container; the page is the test's own.
            arguments += ["--no-sandbox", "--window-size=1400,900"]
            options = {"goog:chromeOptions": {"args": arguments}}
            answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": options}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def wait_for_driver(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.call("GET", "/status")
                return
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def call(self, method: str, path: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.base + path, body, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        try:
            self.call("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(20)

    def open(self, url: str) -> None:
        # Only another fragment would not load the page again.
        self.call("POST", f"{self.session}/url", {"url": "about:blank"})
        self.call("POST", f"{self.session}/url", {"url": url})

    def script(self, text: str, *arguments: Any) -> Any:
        data = {"script": text, "args": arguments}
        return self.call("POST", f"{self.session}/execute/sync", data)

    def type(self, *keys: str) -> None:
        """Sends keys to the element that has the focus."""
        actions = []
        for key in (k for word in keys for k in ([KEYS[word]] if word in KEYS else word)):
            actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        data = {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        self.call("POST", f"{self.session}/actions", data)

    def resize(self, width: int, height: int) -> None:
        self.call("POST", f"{self.session}/window/rect", {"width": width, "height": height})

    def click(self, selector: str) -> None:
        data = {"using": "css selector", "value": selector}
        element = self.call("POST", f"{self.session}/element", data)[ELEMENT]
        self.call("POST", f"{self.session}/element/{element}/click", {})

    def colours(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        data = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self.call("POST", f"{self.session}/goog/cdp/execute", data)


class Browser(Trees):
    browser: ClassVar[WebDriver]
    page: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        if not shutil.which("chromedriver") or not shutil.which("chromium"):
            raise unittest.SkipTest("Chromium and its driver are not installed: tools/setup ci")
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.make(Path(folder.name))
        cls.page = make_page(Path(folder.name)).as_uri()
        try:
            cls.browser = WebDriver(Path(folder.name))
        except OSError as error:  # a container may forbid what a browser needs
            raise unittest.SkipTest(f"Chromium does not start here: {error}") from error
        cls.addClassCleanup(cls.browser.close)

    def setUp(self) -> None:
        self.browser.resize(1400, 900)
        self.browser.open(self.page)

    def eventually(self, script: str, *arguments: Any) -> Any:
        """Waits for a value of a script that is not false, and returns it."""
        deadline = time.monotonic() + 60
        while not (value := self.browser.script(script, *arguments)):
            if time.monotonic() > deadline:
                self.fail(f"{script} is {value!r} for too long")
            time.sleep(0.02)
        return value

    def in_view(self, identity: str) -> None:
        """Returns whether the heading is right below the bar."""
        self.eventually(
            "const t = document.getElementById(arguments[0]).getBoundingClientRect().top;"
            "return t > 40 && t < innerHeight / 2;",
            identity,
        )

    def results(self) -> list[str]:
        found = "[...document.querySelectorAll('#results li > span')]"
        return self.browser.script(f"return {found}.map(e => e.textContent)")

    def test_either_name_finds_a_function_and_enter_goes_there(self) -> None:
        for name in ("ngx_clock_start", "clock_start"):
            self.browser.open(self.page)
            self.browser.type("/", name)
            self.eventually("return document.getElementById('search').value === arguments[0]", name)
            self.assertEqual(self.results()[0], "ngx_clock_start")
            self.browser.type("Enter")
            self.eventually("return location.hash === '#ngx_clock_start'")
            self.in_view("ngx_clock_start")

    def test_both_panes_show_it_side_by_side(self) -> None:
        self.browser.open(f"{self.page}#ngx_clock_start")
        self.in_view("ngx_clock_start")
        self.in_view("clock_start")
        left, right = self.browser.script(
            "const row = document.getElementById('ngx_clock_start').closest('.row');"
            "return [...row.querySelectorAll('.pane')].map(p => [p.getBoundingClientRect().left,"
            " p.getBoundingClientRect().top, p.innerText])"
        )
        self.assertLess(left[0], right[0])
        self.assertEqual(left[1], right[1])
        self.assertIn("ngx_clock_start(ngx_cycle_t *cycle)", left[2])
        self.assertIn("Rc clock_start(Cycle& cycle)", right[2])

    def test_the_shorter_text_stays_in_view_beside_the_longer(self) -> None:
        self.browser.open(f"{self.page}#ngx_clock_start")
        self.in_view("ngx_clock_start")
        # Repeated, because on a busy machine the jump to the fragment may come after it.
        place = "document.getElementById('ngx_clock_start').getBoundingClientRect()"
        scroll = f"if ({place}.top >= -1000) scrollBy(0, 1500);"
        self.eventually(f"{scroll} return {place}.top < -1000")
        self.in_view("clock_start")

    def test_arrow_keys_walk_the_results(self) -> None:
        self.browser.type("/", "clock")
        self.eventually("return document.querySelectorAll('#results li').length > 2")
        self.browser.type("Down", "Down", "Up")
        second = self.results()[1]
        chosen = self.browser.script(
            "return document.querySelector('[aria-selected=true] > span').textContent"
        )
        self.assertEqual(chosen, second)
        self.browser.type("Escape")
        self.eventually("return document.getElementById('results').hidden")

    def test_links_of_the_lists_lead_to_the_texts(self) -> None:
        self.browser.script(
            "document.querySelectorAll('#one-side details').forEach(d => { d.open = true; })"
        )
        self.browser.click('#only-nginx ~ details a[href="#ngx_clean"]')
        self.eventually("return location.hash === '#ngx_clean'")
        self.in_view("ngx_clean")
        self.browser.click("#differences dt a")
        self.eventually("return location.hash === '#clock_start'")
        self.in_view("clock_start")

    def test_a_function_without_text_is_found_in_the_list(self) -> None:
        self.browser.type("/", "heap_push", "Enter")
        self.eventually("return location.hash === '#ngx_heap_push'")
        self.eventually("return document.getElementById('ngx_heap_push').checkVisibility()")
        reason = self.browser.script(
            "return document.getElementById('ngx_heap_push').closest('details')"
            ".querySelector('summary').innerText"
        )
        self.assertIn("a <priority> queue serves", reason)

    def test_a_narrow_window_has_one_pane_below_the_other(self) -> None:
        self.browser.resize(600, 900)
        self.browser.open(f"{self.page}#ngx_tick_t")
        self.in_view("ngx_tick_t")
        left, right, width = self.browser.script(
            "const panes = document.getElementById('ngx_tick_t').closest('.row')"
            ".querySelectorAll('.pane');"
            "return [panes[0].getBoundingClientRect().bottom, panes[1].getBoundingClientRect().top,"
            " document.documentElement.scrollWidth - innerWidth]"
        )
        self.assertLessEqual(left, right)
        self.assertLessEqual(width, 0)

    def test_it_is_dark_if_the_reader_prefers_that(self) -> None:
        script = "return getComputedStyle(document.body).backgroundColor"
        self.addCleanup(self.browser.colours, "light")
        seen = []
        for scheme in ("light", "dark"):
            self.browser.colours(scheme)
            seen.append(sum(map(int, re.findall(r"\d+", self.browser.script(script)))))
        self.assertGreater(seen[0], 600)
        self.assertLess(seen[1], 150)


if __name__ == "__main__":
    skips.main()
