"""Tests of ngxx-inspect with the default configuration, the examples, and its own configurations.
INSPECT in the environment is the program, NGXX the server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/inspect.schema.json").read_text(encoding="utf-8"))
VIEWS = ("modules", "conf-ctx", "events", "listening", "variables")
CONFS = [ROOT / "conf/nginx.conf", *built.examples()]

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def violations(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """Returns the violations of a JSON schema. Keys that it does not have are violations."""
    wanted = schema.get("type")
    if wanted is not None:
        names = wanted if isinstance(wanted, list) else [wanted]
        # bool is an int in Python, not in JSON.
        if not any(type(value) is TYPES[name] for name in names):
            return [f"{place}: {value!r} is not of {names}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is not one of {schema['enum']}"]
    found = []
    if isinstance(value, list):
        for i, item in enumerate(value):
            found += violations(item, schema["items"], f"{place}[{i}]")
    if isinstance(value, dict):
        found += [f"{place}: {key} is missing" for key in schema.get("required", ())
                  if key not in value]
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if inner is None:
                found.append(f"{place}: {key} is not in the schema")
            else:
                found += violations(item, inner, f"{place}.{key}")
    return found


def inspect(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [os.environ["INSPECT"], *arguments], capture_output=True, text=True, timeout=60, check=False
    )


class WithFiles(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def write(self, name: str, text: str) -> Path:
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def view(self, *arguments: str | Path) -> Any:
        result = inspect(*arguments, "--json", "-p", self.dir)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def events(self, conf: Path) -> dict[str, Any]:
        return self.view("events", "-c", conf)

    def value(self, view: dict[str, Any], directive: str) -> tuple[Any, ...]:
        item = next(item for item in view["values"] if item["directive"] == directive)
        return item["value"], item["set"], item["line"], item["column"]

    def limit(self, view: dict[str, Any], name: str) -> Any:
        return next((item["value"] for item in view["limits"] if item["name"] == name), None)


class EachView(WithFiles):
    def test_each_is_as_its_schema_says(self) -> None:
        for conf in CONFS:
            for view in VIEWS:
                with self.subTest(conf=conf.name, view=view):
                    answer = self.view(view, "-c", conf)
                    self.assertEqual(answer["view"], view)
                    self.assertEqual(violations(answer, SCHEMA), [])

    def test_each_has_a_text_and_leaves_nothing_behind(self) -> None:
        for conf in CONFS:
            for view in VIEWS:
                with self.subTest(conf=conf.name, view=view):
                    result = inspect(view, "-c", conf, "-p", self.dir)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertNotEqual(result.stdout, "")
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_a_bad_file_gets_the_message_of_the_servers_test(self) -> None:
        confs = ["events { use none; }", "events {}\nbad;", "events { worker_connections 1; ", "}"]
        for text in confs:
            conf = self.write("bad.conf", text)
            tested = subprocess.run(
                [os.environ["NGXX"], "-t", "-e", "stderr", "-p", f"{self.dir}/", "-c", conf],
                capture_output=True, text=True, check=False)
            message = re.search(r"\[emerg\] [0-9#]+: (.*)", tested.stderr)
            assert message
            for view in VIEWS:
                result = inspect(view, "-c", conf, "-p", self.dir)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn(f": {message[1]}\n", result.stderr)


class Events(WithFiles):
    def test_values_say_where_they_were_set(self) -> None:
        self.write("inner.conf", "# nothing\n  multi_accept on;\n")
        conf = self.write(
            "nginx.conf",
            'events {\n\tworker_connections\n\t\t64; accept_mutex_delay "1s";\n'
            "  include inner.conf;\n}\n",
        )
        view = self.events(conf)
        self.assertEqual(self.value(view, "worker_connections"), ("64", True, 2, 2))
        self.assertEqual(self.value(view, "accept_mutex_delay"), ("1000ms", True, 3, 7))
        self.assertEqual(self.value(view, "multi_accept"), ("on", True, 2, 3))
        self.assertEqual(self.value(view, "accept_mutex"), ("off", False, None, None))
        inner = next(item for item in view["values"] if item["directive"] == "multi_accept")
        self.assertEqual(inner["file"], str(self.dir / "inner.conf"))

    def test_columns_are_right_beyond_the_parsers_window(self) -> None:
        conf = self.write("nginx.conf", "# x\n" * 3000 + "events { " + " " * 5000 +
                          "multi_accept on; }\n")
        self.assertEqual(self.value(self.events(conf), "multi_accept"), ("on", True, 3001, 5010))

    def test_the_option_g_has_no_file(self) -> None:
        conf = self.write("nginx.conf", "events {}\n")
        answer = self.view("modules", "-c", conf, "-g", "worker_processes 2;")
        self.assertEqual(answer["view"], "modules")

    @built.need("epoll", "select", "poll")
    def test_the_method_and_why_not_the_others(self) -> None:
        method = self.events(self.write("a.conf", "events { use poll; }"))["method"]
        self.assertEqual((method["name"], method["set"], method["column"]), ("poll", True, 10))
        self.assertEqual({other["name"] for other in method["others"]}, {"epoll", "select"})
        for other in method["others"]:
            self.assertEqual(other["why_not"], '"use" names "poll"')

        method = self.events(self.write("b.conf", "events {}"))["method"]
        self.assertEqual((method["name"], method["set"]), ("epoll", False))
        self.assertIn('"epoll" comes before "poll"', str(method["others"]))

    def test_the_limits_that_bind(self) -> None:
        text = (
            "worker_processes 4; worker_rlimit_nofile 50;"
            "events { worker_connections 64; accept_mutex on; }"
            "stream { server { listen 127.0.0.1:1; listen 127.0.0.1:2 reuseport; return x; } }"
        )
        view = self.events(self.write("a.conf", text))
        self.assertEqual(self.limit(view, "connections_per_worker"), 64)
        self.assertEqual(self.limit(view, "connections_in_all"), 4 * 61)
        self.assertEqual(self.limit(view, "descriptors_per_worker"), 50)
        self.assertEqual(self.limit(view, "accept_threshold"), 8)
        self.assertEqual(self.limit(view, "accept_mutex"), True)
        words = " ".join(item["words"] for item in view["limits"])
        self.assertIn("which is less than its 64 connections", words)

    @built.need("select")
    def test_the_limits_of_select(self) -> None:
        view = self.events(self.write("b.conf", "events { use select; accept_mutex on; }"))
        self.assertEqual(self.limit(view, "fd_setsize"), 1024)
        self.assertEqual(self.limit(view, "accept_mutex"), False)


class ConfCtx(WithFiles):
    def test_the_picture_is_drawn_from_the_live_cycle(self) -> None:
        conf = self.write("a.conf", "events { worker_connections 77; }")
        slots = {slot["module"]: slot for slot in self.view("conf-ctx", "-c", conf)["conf_ctx"]}
        self.assertTrue(slots["ngx_core_module"]["present"])
        (level,) = slots["ngx_events_module"]["block"]
        core = level["slots"][0]
        self.assertEqual((core["ctx_index"], core["module"]), (0, "ngx_event_core_module"))
        self.assertEqual(core["values"]["worker_connections"], "77")
        self.assertFalse(slots.get("ngx_stream_module", {"present": False})["present"])

    @unittest.skipUnless(shutil.which("dot"), "Graphviz is not installed")
    def test_graphviz_draws_it(self) -> None:
        result = inspect("conf-ctx", "-c", CONFS[0], "-p", self.dir, "--svg")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("</svg>", result.stdout)
        self.assertIn("cycle.conf_ctx[index]", result.stdout)


class Listening(WithFiles):
    def test_a_socket_names_all_that_ask_for_it(self) -> None:
        conf = self.write(
            "a.conf",
            "worker_processes 2; events {} stream {\n server { listen 127.0.0.1:81; return a; }\n"
            " server { listen 127.0.0.1:81 udp; return b; }\n"
            " server { listen [::1]:82 reuseport backlog=7; return c; } }\n",
        )
        tcp, udp, *others = self.view("listening", "-c", conf)["listening"]
        self.assertEqual((tcp["address"], tcp["type"]), ("127.0.0.1:81", "stream"))
        self.assertEqual([place["line"] for place in tcp["places"]], [2])
        self.assertEqual((udp["type"], udp["backlog"]), ("datagram", None))
        self.assertEqual([place["line"] for place in udp["places"]], [3])
        self.assertEqual([other["worker"] for other in others], [0, 1])
        self.assertEqual(others[0]["parameters"], ["reuseport", "backlog=7", "ipv6only=on"])


class Crossplane(WithFiles):
    """The form is that of the example in crossplane's documentation."""

    def test_files_and_blocks(self) -> None:
        self.write("conf.d/a.conf", "server { listen 127.0.0.1:8080; return a; }\n")
        self.write("conf.d/b.conf", "# nothing\n")
        conf = self.write(
            "nginx.conf",
            "events {\n    worker_connections 1024;\n}\n\n"
            "stream {\n    include conf.d/*.conf;\n    include none/*.conf;\n}\n",
        )
        parsed = [
            {
                "directive": "events",
                "line": 1,
                "args": [],
                "block": [{"directive": "worker_connections", "line": 2, "args": ["1024"]}],
            },
            {
                "directive": "stream",
                "line": 5,
                "args": [],
                "block": [
                    {"directive": "include", "line": 6, "args": ["conf.d/*.conf"],
                     "includes": [1, 2]},
                    {"directive": "include", "line": 7, "args": ["none/*.conf"], "includes": []},
                ],
            },
        ]
        server = {
            "directive": "server",
            "line": 1,
            "args": [],
            "block": [
                {"directive": "listen", "line": 1, "args": ["127.0.0.1:8080"]},
                {"directive": "return", "line": 1, "args": ["a"]},
            ],
        }
        files = [(conf, parsed), (self.dir / "conf.d/a.conf", [server]),
                 (self.dir / "conf.d/b.conf", [])]
        config = [{"file": str(file), "status": "ok", "errors": [], "parsed": directives}
                  for file, directives in files]
        self.assertEqual(self.view("-c", conf), {"status": "ok", "errors": [], "config": config})

    def test_included_files_come_breadth_first_and_once(self) -> None:
        self.write("a", "include c;")
        self.write("b", "include c;")
        self.write("c", "worker_processes 1;")
        conf = self.write("nginx.conf", "include a; events {} ")
        names = [Path(file["file"]).name for file in self.view("-c", conf)["config"]]
        self.assertEqual(names, ["nginx.conf", "a", "c"])

        self.write("c", "# nothing")
        conf = self.write("nginx.conf", "include a; include b; events {}")
        config = self.view("-c", conf)["config"]
        names = [Path(file["file"]).name for file in config]
        self.assertEqual(names, ["nginx.conf", "a", "b", "c"])
        self.assertEqual(config[2]["parsed"][0]["includes"], [3])

    def test_a_file_that_is_refused_has_the_error(self) -> None:
        self.write("bad", "\nnonsense;\n")
        conf = self.write("nginx.conf", "worker_processes 1;\ninclude bad;\nevents {}\n")
        result = inspect("--json", "-c", conf, "-p", self.dir)
        self.assertEqual(result.returncode, 1)
        answer = json.loads(result.stdout)
        bad = str(self.dir / "bad")
        error = f'unknown directive "nonsense" in {bad}:2'
        self.assertEqual(answer["status"], "failed")
        self.assertEqual(answer["errors"], [{"file": bad, "error": error, "line": 2}])
        self.assertEqual([file["status"] for file in answer["config"]], ["ok", "failed"])
        self.assertEqual(answer["config"][1]["errors"], [{"error": error, "line": 2}])
        words = [item["directive"] for item in answer["config"][0]["parsed"]]
        self.assertEqual(words, ["worker_processes", "include"])

    def failed(self, *arguments: str | Path) -> tuple[list[Any], list[Any]]:
        """Returns the errors of a refused configuration, and those of its files."""
        result = inspect("--json", "-p", self.dir, *arguments)
        self.assertEqual(result.returncode, 1)
        answer = json.loads(result.stdout)
        return answer["errors"], [file["errors"] for file in answer["config"]]

    def test_an_error_that_is_found_after_the_file_was_read_has_its_place(self) -> None:
        conf = self.write("nginx.conf", "events {}\nstream {\n\nserver {\nreturn a;\n}\n}")
        error = f'no "listen" is defined for server in {conf}:4'
        self.assertEqual(self.failed("-c", conf), (
            [{"file": str(conf), "error": error, "line": 4}], [[{"error": error, "line": 4}]]))

    def test_an_error_in_a_file_with_a_control_character_belongs_to_the_file(self) -> None:
        bad = self.write("a\tb", "nonsense;")
        conf = self.write("nginx.conf", 'events {}\ninclude "a\tb";')
        error = f'unknown directive "nonsense" in {bad}:1'
        self.assertEqual(self.failed("-c", conf), (
            [{"file": str(bad), "error": error, "line": 1}],
            [[], [{"error": error, "line": 1}]]))

    def test_an_error_of_the_option_g_has_a_line_and_no_file(self) -> None:
        conf = self.write("nginx.conf", "events {}")
        self.assertEqual(self.failed("-c", conf, "-g", "nonsense;"), (
            [{"file": "", "error": 'unknown directive "nonsense" in command line', "line": 1}],
            []))

    def test_an_error_of_the_whole_configuration_has_no_place(self) -> None:
        conf = self.write("nginx.conf", "worker_processes 1;")
        self.assertEqual(self.failed("-c", conf), (
            [{"file": "", "error": 'no "events" section in configuration', "line": None}], [[]]))


class CommandLine(WithFiles):
    def refused(self, *arguments: str) -> str:
        result = inspect(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        return result.stderr

    def test_help_names_the_views(self) -> None:
        result = inspect("--help")
        self.assertEqual(result.returncode, 0)
        for view in VIEWS:
            self.assertIn(f"  {view}", result.stdout)

    def test_it_names_the_folder_of_a_relative_file(self) -> None:
        name = "tools/run"  # a relative path to a file that is not a configuration
        result = subprocess.run(
            [os.environ["INSPECT"], "events", "-c", name, "-p", self.dir],
            cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"a relative -c starts at the prefix (-p), {self.dir}\n", result.stderr)
        self.assertIn(f"for the file in the current directory use -c {ROOT / name}\n",
                      result.stderr)

        # An error that does not depend on the folder has no such explanation.
        self.write("bad.conf", "bad;")
        result = inspect("events", "-c", "bad.conf", "-p", self.dir)
        self.assertNotIn("relative", result.stderr)

    def test_contradictory_arguments_are_refused(self) -> None:
        self.assertIn("a view is missing", self.refused())
        self.assertIn('unknown view "x"', self.refused("x"))
        self.assertIn("--svg is for conf-ctx", self.refused("events", "--svg"))
        self.assertIn("exclude one another", self.refused("events", "--json", "--text"))


if __name__ == "__main__":
    skips.main()
