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
OF_MODULES = ("modules", "conf-ctx", "variables")  # they load modules, as the server does
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
        [os.environ["INSPECT"], *arguments], capture_output=True, text=True, errors="replace",
        timeout=300, check=False)


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
        """Returns a value for the program and for ngxx, and the line and column of each place."""
        item = next(item for item in view["values"] if item["directive"] == directive)
        places = [(place["line"], place["column"]) for place in item["places"]]
        return item["value"], item["ngxx"], places

    def limits(self, view: dict[str, Any], program: int) -> dict[str, Any]:
        return {item["name"]: item["value"] for item in view["answers"][program]["limits"]}


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
            for view in OF_MODULES:
                result = inspect(view, "--for", "ngxx", "-c", conf, "-p", self.dir)
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
        self.assertEqual(self.value(view, "worker_connections"), ("64", "64", [(2, 2)]))
        self.assertEqual(self.value(view, "accept_mutex_delay"), ("1000ms", "1000ms", [(3, 7)]))
        self.assertEqual(self.value(view, "multi_accept"), ("on", "on", [(2, 3)]))
        self.assertEqual(self.value(view, "accept_mutex"), ("off", "off", []))
        inner = next(item for item in view["values"] if item["directive"] == "multi_accept")
        self.assertEqual(inner["places"][0]["file"], str(self.dir / "inner.conf"))

    def test_a_directive_that_repeats_has_all_its_places(self) -> None:
        conf = self.write("a.conf", "events {\ndebug_connection 10.0.0.0/8;\n"
                                    "debug_connection 192.168.1.1;\n}")
        value, _, places = self.value(self.events(conf), "debug_connection")
        self.assertEqual((value, places), ("10.0.0.0/8 192.168.1.1", [(2, 1), (3, 1)]))

    def test_the_first_of_two_values_counts(self) -> None:
        conf = self.write("a.conf", "events { worker_connections 64;\nworker_connections 9; }")
        view = self.events(conf)
        self.assertEqual(self.value(view, "worker_connections"), ("64", "64", [(1, 10), (2, 1)]))
        self.assertIn('"worker_connections" directive is duplicate', view["problems"][0]["text"])
        self.assertEqual(view["ngxx_refuses"][0]["place"]["line"], 2)

    def test_columns_are_right_beyond_the_parsers_window(self) -> None:
        conf = self.write("nginx.conf", "# x\n" * 3000 + "events { " + " " * 5000 +
                          "multi_accept on; }\n")
        self.assertEqual(self.value(self.events(conf), "multi_accept"),
                         ("on", "on", [(3001, 5010)]))

    def test_the_option_g_has_no_file(self) -> None:
        conf = self.write("nginx.conf", "events {}\n")
        view = self.view("events", "-c", conf, "-g", "worker_processes 2;")
        self.assertEqual(self.value(view, "worker_processes"), ("2", "2", [(1, 1)]))
        result = inspect("events", "-c", conf, "-g", "nonsense;")
        self.assertEqual(result.stderr, '-g:1:1: unknown directive "nonsense"\n')

    @built.need("epoll", "select", "poll")
    def test_the_method_and_why_not_the_others(self) -> None:
        answers = self.events(self.write("a.conf", "events { use poll; }"))["answers"]
        self.assertEqual([answer["method"]["name"] for answer in answers], ["poll", "poll"])
        self.assertIn("--with-poll_module", answers[0]["method"]["why"])
        others = answers[1]["method"]["others"]
        self.assertLessEqual({"epoll", "select"}, {other["name"] for other in others})
        for other in others:
            self.assertEqual(other["why_not"], '"use" names "poll"')

        answers = self.events(self.write("b.conf", "events {}"))["answers"]
        self.assertEqual([answer["method"]["name"] for answer in answers], ["epoll", "epoll"])
        self.assertIn('"epoll" comes before "poll"', str(answers[1]["method"]["others"]))

    @built.need("epoll")
    def test_a_method_that_linux_lacks_is_nginxs_alone(self) -> None:
        view = self.events(self.write("a.conf", "events { use kqueue; worker_connections 64; }"))
        self.assertEqual(self.value(view, "use"), ("kqueue", "epoll", [(1, 10)]))
        self.assertIn('ngxx: invalid event type "kqueue"', view["ngxx_refuses"][0]["text"])
        self.assertEqual(self.value(view, "worker_connections")[1], "64")

    def test_one_connection_is_in_the_singular(self) -> None:
        conf = self.write("a.conf", "worker_processes 1; events { worker_connections 1; }")
        text = inspect("events", "-c", conf).stdout
        self.assertIn("a worker has 1 connection; 1 is taken (1 for the channel), 0 remain", text)

    def test_a_file_that_cannot_be_read_has_no_line(self) -> None:
        result = inspect("events", "-c", self.dir / "none")
        self.assertTrue(result.stderr.startswith(f"{self.dir / 'none'}: "), result.stderr)

    def test_text_has_a_blank_between_all_columns(self) -> None:
        conf = self.write("a.conf", "events {" + "debug_connection 127.0.0.1;" * 3 + "}")
        text = inspect("events", "-c", conf).stdout
        self.assertRegex(text, r"debug_connection +127\.0\.0\.1 127\.0\.0\.1 127\.0\.0\.1 ")

    def test_without_an_answer_what_is_wrong_is_said(self) -> None:
        for text, problem, why in (
            ("worker_processes 1;", 'no "events" section in configuration', "no events block"),
            ("worker_processes 1\nevents { }", 'directive "worker_processes" is not terminated '
             'by ";"', "no events block"),
            ("events {\n worker_connections x; }", 'invalid number "x"', "worker_connections"),
            ("events {\n worker_connections 1k; }", 'invalid number "1k"', "worker_connections"),
            (f"events {{\n worker_connections {10 ** 20}; }}", f'invalid number "{10 ** 20}"',
             "worker_connections"),
        ):
            with self.subTest(text):
                conf = self.write("a.conf", text)
                result = inspect("events", "-c", conf)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn(f": {problem}", result.stderr)
                self.assertRegex(result.stderr, f"no answer: .*{why}")
                result = inspect("events", "-c", conf, "--json")
                self.assertEqual(result.returncode, 1)
                answer = json.loads(result.stdout)
                self.assertEqual(violations(answer, SCHEMA), [])
                self.assertEqual([item["text"] for item in answer["problems"]], [problem])
                place = answer["problems"][0]
                if "worker_connections" in why:
                    self.assertEqual((place["file"], place["line"], place["column"]),
                                     (str(conf), 2, 2))

    def test_tengine_has_other_defaults(self) -> None:
        conf = self.write("a.conf", "events {}")
        view = self.view("events", "-c", conf, "--for", "tengine", "--cpus", "4")
        self.assertEqual(self.value(view, "worker_processes")[:2], ("auto", "1"))
        self.assertEqual(self.value(view, "accept_mutex_delay")[:2], ("100ms", "500ms"))
        self.assertEqual([answer["clients"]["in_all"] for answer in view["answers"]],
                         [4 * 511, 511])
        view = self.view("events", "-c", conf, "--for", "angie", "--cpus", "4")
        self.assertEqual(self.value(view, "worker_processes")[:2], ("1", "1"))

    def test_a_value_that_is_refused_is_not_shown(self) -> None:
        conf = self.write("a.conf", "worker_processes x; events { use \"\"; multi_accept on off;\n"
                                    "epoll_events -5; }")
        result = inspect("events", "-c", conf, "--json", "--cpus", "4")
        view = json.loads(result.stdout)
        for name, value in (("worker_processes", "1"), ("use", "epoll"), ("multi_accept", "off"),
                            ("epoll_events", "512")):
            item = next(item for item in view["values"] if item["directive"] == name)
            self.assertEqual((item["value"], len(item["places"])), (value, 1))
            self.assertIn("invalid", item["why"])
        self.assertEqual(view["answers"][0]["clients"]["in_all"], 511)
        self.assertIn("(invalid here: the value is that without the directive)",
                      inspect("events", "-c", conf).stdout)

    def test_a_value_has_one_spelling(self) -> None:
        view = self.events(self.write(
            "a.conf", "timer_resolution 100; events { worker_connections 010; multi_accept ON; }"))
        for name, value in (("timer_resolution", "100000ms"), ("worker_connections", "10"),
                            ("multi_accept", "on")):
            self.assertEqual(self.value(view, name)[:2], (value, value))

    def test_the_greatest_number_has_an_answer(self) -> None:
        view = self.events(self.write(
            "a.conf", f"worker_processes 4; events {{ worker_connections {2 ** 63 - 1}; }}"))
        self.assertEqual(self.limits(view, 0)["memory_per_worker"], 2 ** 64 - 1)
        self.assertEqual(view["answers"][0]["clients"]["in_all"], 2 ** 64 - 1)


@built.need("epoll", "select")
class Clients(WithFiles):
    """The number of clients. test/tools/limits_test.py measures it."""

    def clients(self, text: str, *options: str, program: int = 0) -> dict[str, Any]:
        view = self.view("events", "-c", self.write("a.conf", text), *options)
        return view["answers"][program]["clients"]

    def test_connections_bind_if_files_are_plenty(self) -> None:
        text = "error_log a; events { worker_connections 32; } http { server { access_log off; } }"
        clients = self.clients(text, "--nofile", "1024")
        self.assertEqual((clients["in_all"], clients["proxied_in_all"], clients["binds"]),
                         (30, 15, "worker_connections"))

    def test_files_bind_if_there_are_as_many_as_connections(self) -> None:
        text = ("error_log a; worker_rlimit_nofile 32; events { worker_connections 32; }"
                "http { server { access_log off; } }")
        clients = self.clients(text)
        self.assertEqual((clients["in_all"], clients["files_taken"], clients["binds"]),
                         (24, 8, "files"))
        clients = self.clients(text, "--for", "nginx+file-aio")
        self.assertEqual((clients["in_all"], clients["files_taken"]), (23, 9))

    def test_what_is_not_known_is_said(self) -> None:
        text = "worker_processes auto; error_log a; events { worker_connections 32; }"
        clients = self.clients(text)
        self.assertEqual((clients["per_worker"], clients["in_all"]), (31, None))
        self.assertIn("not known here (--cpus)", clients["words"])
        self.assertIn("if a worker may open 38 files", clients["words"])
        self.assertEqual(self.clients(text, "--cpus", "4")["in_all"], 4 * 31)

    def test_without_workers_no_client_is_served(self) -> None:
        for program in (0, 1):
            clients = self.clients("worker_processes 0; events {}", program=program)
            self.assertEqual((clients["in_all"], clients["binds"]), (0, "worker_processes"))

    def test_each_part_takes_its_files(self) -> None:
        base = "error_log a; events {} "
        taken = self.clients(base)["files_taken"]
        for text, more in (
            ("mail { server { listen 25; listen 26; } }", 2),
            ("stream { server { listen 53 reuseport udp; } }", 1),
            ("worker_processes 3; stream { server { listen 53 reuseport udp; } }", 3 + 2),
            ("http { access_log b; server { error_log c; } }", 3),
            ("http { access_log off; server { error_log a; } }", 1),
            ("http { server { access_log b; location / { access_log d; } } }", 3),
            ("http { server { } }", 2),
            ("http { access_log syslog:server=a; server { } }", 2),
            ("http { access_log off; resolver 1.1.1.1 [::1]:54 valid=3s; server { } }", 3),
            ("rtmp { server { listen 1935; application a {} } }", 2),
            ("rtmp { server { listen 1935; application a { access_log b; } } }", 3),
            ("rtmp { access_log off; server { listen 1935; } }", 1),
            ("rtmp { server { listen 1935; access_log off; } } http { server {} }", 3),
            ("rtmp { server { listen 1935; } } http { server {} }", 3),
            ("rtmp_auto_push on; rtmp { access_log off; server { listen 1935; } }", 2),
            ("rtmp_auto_push on;", 0),
            ("rtmp_auto_push on; master_process off; rtmp { access_log off; "
             "server { listen 1935; } }", 0),
            ("http { access_log off; resolver off; server {} }", 1),
            ("http { access_log off; resolver conf valid=3s; server {} }", 2),
            ("http { access_log off; resolver conf=a 1.1.1.1 ipv4=off; server {} }", 3),
            ("http { access_log off; proxy_cache_path /a keys_zone=a:1m; server { } }", 3),
            ("http { access_log off; server { listen 80; listen 1.1.1.1:80; } }", 1),
            ("http { access_log off; server { listen 80; listen 1.1.1.1:80 bind; } }", 2),
        ):
            with self.subTest(text):
                self.assertEqual(self.clients(base + text)["files_taken"], taken + more)

    def test_only_angie_has_a_resolver_without_servers(self) -> None:
        base = "error_log a; events {} http { access_log off; server {} resolver "
        for words, program, servers in (("off", "angie", 0), ("off", "nginx", 1),
                                        ("conf=a", "angie", 1), ("conf=a", "nginx", 0)):
            answers = self.view("events", "-c", self.write("a.conf", f"{base}{words}; }}"),
                                "--for", program)["answers"]
            self.assertEqual(answers[0]["clients"]["files_taken"], 8 + servers, (words, program))

    def test_select_watches_few_descriptors(self) -> None:
        text = "error_log a; events { use select; worker_connections 1024; }"
        clients = self.clients(text, "--nofile", "9999", program=1)
        self.assertEqual((clients["per_worker"], clients["binds"]), (1024 - 5, "fd_setsize"))

    def test_values_that_ngxx_refuses_together_have_the_programs_answer(self) -> None:
        text = "events { use select; worker_connections 4096; }"
        view = self.events(self.write("a.conf", text))
        self.assertEqual(len(view["answers"]), 1)
        self.assertEqual(view["ngxx_refuses"][0]["place"], None)

    def test_the_accept_mutex_needs_several_workers(self) -> None:
        conf = self.write("b.conf", "events { accept_mutex on; }")
        self.assertEqual(self.limits(self.events(conf), 0)["accept_mutex"], False)
        conf = self.write("b.conf", "worker_processes 2; events { accept_mutex on; }")
        self.assertEqual(self.limits(self.events(conf), 1)["accept_mutex"], True)


class AnyConfiguration(WithFiles):
    """Configurations with what ngxx does not have."""

    def problems(self, text: str, *options: str) -> list[str]:
        conf = self.write("a.conf", text)
        view = self.view("events", "-c", conf, *options)
        return [f"{p['line']}:{p['column']} {p['text']}" + (f"; {p['hint']}" if p["hint"] else "")
                for p in view["problems"]]

    def test_nothing_of_it_is_looked_up(self) -> None:
        self.assertEqual(self.problems(
            "user nobody_of_here; load_module modules/none.so; pcre_jit on; events {}\n"
            "http { upstream u { server name.invalid:80; } server { listen name.invalid:80;"
            " location / { proxy_pass http://name.invalid; } } }"), [])

    def test_languages_in_blocks_are_passed_over(self) -> None:
        self.assertEqual(self.problems(
            "events {} http { server { location / { content_by_lua_block {\n"
            "ngx.say('}') -- }\n} } }\nmap $a $b { default 1; hostnames; } types { a b; } }"), [])

    def test_each_error_is_found(self) -> None:
        self.assertEqual(self.problems(
            "events {}\nnonsense 1;\nhttp {\n events {}\n sendfile maybe;\n keepalive_timeout;\n"
            " server;\n gzip on {}\n}"), [
                '2:1 unknown directive "nonsense"',
                '4:2 "events" directive is not allowed here; it belongs in main',
                '5:2 invalid value "maybe" in "sendfile" directive, it must be "on" or "off"',
                '6:2 invalid number of arguments in "keepalive_timeout" directive; '
                "it takes 1,2",
                '7:2 directive "server" has no opening "{"',
                '8:2 directive "gzip" is not terminated by ";"'])

    def test_each_bad_value_is_found(self) -> None:
        for text, message in (
            ("accept_mutex_delay -1", '"accept_mutex_delay" directive invalid value'),
            ("accept_mutex_delay 1x", '"accept_mutex_delay" directive invalid value'),
            ("debug_connection 1.2.3.4/99", 'host not found in debug_connection "1.2.3.4/99"'),
            ("epoll_events -5", '"epoll_events" directive invalid number'),
            ("use foo", 'invalid event type "foo"'),
            ('use ""', 'invalid event type ""'),
            ("worker_aio_requests x", '"worker_aio_requests" directive invalid number'),
        ):
            with self.subTest(text):
                self.assertEqual(self.problems(f"events {{\n {text}; }}"), [f"2:2 {message}"])
        for text, message in (
            ("debug_points x", 'invalid value "x"'),
            ("error_log a foo", 'invalid log level "foo"'),
            ("error_log memory:x", 'invalid buffer size "x"'),
            ("error_log a debug info", 'duplicate log level "info"'),
            ("error_log a debug_core info", 'duplicate log level "info"'),
            ("thread_pool a threads=0", 'invalid threads value "threads=0"'),
            ("thread_pool a threads=2 max_queue=x", 'invalid max_queue value "max_queue=x"'),
            ("thread_pool a max_queue=3", '"thread_pool" must have "threads" parameter'),
            ("timer_resolution 1M", '"timer_resolution" directive invalid value'),
            ("worker_cpu_affinity 0102", 'invalid character "2" in "worker_cpu_affinity"'),
            ("worker_cpu_affinity auto 1 1",
             'invalid number of arguments in "worker_cpu_affinity" directive'),
            ("worker_cpu_affinity " + 1025 * "0",
             '"worker_cpu_affinity" supports up to 1024 CPUs only'),
            ("worker_priority --5", '"worker_priority" directive invalid number'),
            ("worker_processes AUTO", '"worker_processes" directive invalid value'),
            ("worker_processes -1", '"worker_processes" directive invalid value'),
            ("worker_rlimit_core x", '"worker_rlimit_core" directive invalid value'),
            ("worker_rlimit_nofile 1k", '"worker_rlimit_nofile" directive invalid number'),
            ("worker_shutdown_timeout x", '"worker_shutdown_timeout" directive invalid value'),
        ):
            with self.subTest(text):
                self.assertEqual(self.problems(f"events {{}}\n {text};"), [f"2:2 {message}"])
                result = inspect("events", "--strict", "-c", self.dir / "a.conf")
                self.assertEqual(result.returncode, 1)

    def test_an_invalid_address_is_found(self) -> None:
        for address, message in (("0", "invalid port"), ("127.0.0.1:99999", "invalid port"),
                                 ("1-0", "invalid port"), ("[::1", "invalid host"),
                                 ("unix:", "no path in the unix domain socket"),
                                 (":80", "no host")):
            for block in ("http", "mail", "stream"):
                with self.subTest(address=address, block=block):
                    conf = f"events {{}}\n{block} {{ server {{\nlisten {address}; }} }}"
                    self.assertEqual(
                        self.problems(conf),
                        [f'3:1 {message} in "{address}" of the "listen" directive'])

    def test_a_bad_parameter_of_listen_is_found(self) -> None:
        for block, words, message, options in (
            ("http", "nonsense", 'invalid parameter "nonsense"', ()),
            ("http", "udp", 'invalid parameter "udp"; http does not have it', ()),
            ("http", "quic", 'invalid parameter "quic"; it is a parameter of nginx 1.25.0 and '
             "later", ("--for", "nginx-1.24")),
            ("stream", "deferred", 'the invalid "deferred" parameter; it is a parameter of nginx '
             "1.25.5 and later", ("--for", "nginx-1.24")),
            ("mail", "reuseport", 'invalid parameter "reuseport"; mail does not have it', ()),
            ("http", "backlog=0", 'invalid backlog "backlog=0"; it takes a number', ()),
            ("mail", "rcvbuf=x", 'invalid rcvbuf "rcvbuf=x"; it takes a size such as 64k', ()),
            ("stream", "ipv6only=oops", 'invalid ipv6only flags "oops"; it takes on or off', ()),
            ("http", "so_keepalive=::", 'invalid so_keepalive value: "::"; it takes on, off, or '
             "IDLE:INTERVAL:COUNT", ()),
            ("stream", "udp ssl", '"listen" directive "ssl" parameter is incompatible with "udp"; '
             "TCP and UDP need a directive each", ()),
        ):
            with self.subTest(block=block, words=words):
                conf = f"events {{}}\n{block} {{ server {{\nlisten 127.0.0.1:81 {words}; }} }}"
                self.assertEqual(self.problems(conf, *options), [f"3:1 {message}"])

    def test_good_parameters_of_listen_are_no_problem(self) -> None:
        for block, words in (
            ("http", "default_server ssl proxy_protocol backlog=5 rcvbuf=4k sndbuf=1m deferred "
             "fastopen=3 so_keepalive=1m::5 reuseport multipath"),
            ("http", "quic reuseport"), ("http", "ssl http2"), ("http", "xquic"),
            ("stream", "udp reuseport"), ("stream", "ssl default_server accept_filter=a"),
            ("mail", "ssl bind so_keepalive=off proxy_protocol")):
            with self.subTest(words):
                self.assertEqual(self.problems(
                    f"events {{}} {block} {{ server {{ listen [::1]:81 {words} ipv6only=on; }} }}"),
                    [])

    def test_an_address_that_repeats_is_found(self) -> None:
        both = "listen 127.0.0.1:81%s; %s listen 127.0.0.1:81%s;"
        other = "} server {"
        for block, values, message, options in (
            ("http", ("", "", ""), "a duplicate listen 127.0.0.1:81", ()),
            ("http", (" default", other, " default_server"),
             "a duplicate default server for 127.0.0.1:81", ()),
            ("http", (" bind", other, " backlog=5"),
             "duplicate listen options for 127.0.0.1:81", ()),
            ("stream", ("", other, ""), 'duplicate "127.0.0.1:81" address and port pair',
             ("--for", "nginx-1.25.4")),
            ("mail", ("", other, ""), 'duplicate "127.0.0.1:81" address and port pair', ()),
        ):
            with self.subTest(block=block, values=values):
                conf = f"events {{}} {block} {{ server {{ {both % values} }} }}"
                (problem,) = self.problems(conf, *options)
                self.assertIn(f" {message}; ", problem)
        for block, values in (("http", ("", other, " bind")), ("stream", ("", other, "")),
                              ("stream", ("", "", " udp"))):
            conf = f"events {{}} {block} {{ server {{ {both % values} }} }}"
            self.assertEqual(self.problems(conf), [])

    def test_an_address_without_a_port_is_no_problem(self) -> None:
        conf = self.write("a.conf", "events {} stream { server { listen 127.0.0.1; } }")
        view = self.view("listening", "-c", conf, "--strict")
        self.assertEqual([socket["address"] for socket in view["listening"]], ["127.0.0.1:0"])

    def test_valid_values_are_no_problem(self) -> None:
        self.assertEqual(self.problems(
            "worker_processes auto; worker_priority -5; worker_rlimit_core 1g; debug_points ABORT;"
            'worker_cpu_affinity auto 01; timer_resolution "1h 5s"; worker_rlimit_nofile 1024;'
            "error_log a debug_core debug_event; error_log b; worker_shutdown_timeout 0;"
            "thread_pool a max_queue=0 threads=2; events { use epoll; epoll_events 0;"
            "debug_connection unix:; debug_connection ::/0; debug_connection name.invalid;"
            "accept_mutex_delay 1ms; }"), [])

    def test_a_missing_include_is_passed_over(self) -> None:
        problems = self.problems("include none.conf;\nevents {}")
        self.assertEqual(len(problems), 1)
        self.assertIn("none.conf", problems[0])

    def test_the_release_and_the_packages_count(self) -> None:
        text = "events {} http { http2 on; server { set_by_lua_file $a b; } }"
        self.assertEqual(self.problems(text), [])
        self.assertEqual(self.problems(text, "--for", "nginx-1.25.1+lua"), [])
        self.assertEqual(self.problems(text, "--for", "nginx-1.24"), [
            '1:18 unknown directive "http2"; it is a directive of nginx 1.25.1 and later',
            '1:37 unknown directive "set_by_lua_file"; it is a directive of the package lua'])

    def test_the_hint_names_the_package_of_the_context(self) -> None:
        text = "events {} http { server { location / { content_by_lua_block { } } } }"
        for options, words in (("nginx-1.24", "unknown directive"),
                               ("nginx-1.24+stream-lua", "directive is not allowed here")):
            (problem,) = self.problems(text, "--for", options)
            self.assertIn(words, problem)
            self.assertTrue(problem.endswith("; it is a directive of the package lua"), problem)

    def test_a_block_that_the_program_lacks_is_one_problem(self) -> None:
        text = "events {} rtmp { server { listen 1935; application a { live on; } } }"
        self.assertEqual(self.problems(text, "--for", "nginx-1.24+rtmp"), [])
        self.assertEqual(self.problems(text, "--for", "nginx-1.24"), [
            '1:11 unknown directive "rtmp"; it is a directive of the package rtmp'])

    def test_an_error_of_a_file_is_reported_once(self) -> None:
        self.write("inner", "nonsense;")
        for text in ("events {} include;", "events {} include inner; include inner;"):
            with self.subTest(text):
                self.assertEqual(len(self.problems(text)), 1)

    def test_files_that_repeat_themselves_without_end_are_bounded(self) -> None:
        for i in range(40):
            self.write(f"f{i}", f"include f{i + 1}; include f{i + 1}; nonsense{i};")
        self.write("f40", "env A;")
        problems = self.problems("events {}\ninclude f0;")
        self.assertIn("0:0 the includes make more than 1000123 directives; "
                      "the directives behind them are not read", problems)
        self.assertLess(len(problems), 50)

    def test_too_few_connections_are_a_problem(self) -> None:
        for text, problem in (
            ("events {\n worker_connections 0; }",
             "2:2 0 worker_connections are not enough for 0 listening sockets; 1 are the fewest"),
            ("events {\n worker_connections 2; } http { server { listen 1; listen 2; } }",
             "2:2 2 worker_connections are not enough for 2 listening sockets; 3 are the fewest"),
            ("worker_processes 1025; events {}",
             "1:1 no more than 1024 processes can be spawned; the other workers are not started"),
        ):
            with self.subTest(text):
                self.assertEqual(self.problems(text), [problem])
                result = inspect("events", "--strict", "-c", self.dir / "a.conf")
                self.assertEqual(result.returncode, 1)
                self.assertIn(problem.split(" ", 1)[1], result.stderr)
        self.assertEqual(self.problems("worker_processes 1024; events { worker_connections 2; } "
                                       "http { server { listen 1; } }"), [])

    def test_a_directive_of_another_system_is_a_problem(self) -> None:
        self.assertEqual(self.problems("events { kqueue_changes 5; }"), [
            '1:10 unknown directive "kqueue_changes"; it is a directive of nginx for FreeBSD and '
            'macOS, and "epoll" is for Linux'])
        self.assertEqual(self.problems("events { use kqueue; kqueue_changes 5; }"), [])
        self.assertEqual(self.problems("events { use poll; devpoll_events 5; }"), [])

    def test_a_missing_events_section_is_a_problem(self) -> None:
        conf = self.write("a.conf", "http { server { listen 1; } }")
        result = inspect("listening", "--strict", "-c", conf)
        self.assertEqual((result.returncode, result.stderr),
                         (1, f'{conf}: no "events" section in configuration; '
                             'add "events { }"\n'))

    def test_strict_makes_any_problem_an_error(self) -> None:
        conf = self.write("a.conf", "events {} nonsense;")
        self.assertEqual(inspect("events", "-c", conf).returncode, 0)
        result = inspect("events", "-c", conf, "--strict")
        self.assertEqual(result.returncode, 1)
        self.assertNotEqual(result.stdout, "")

    def test_bytes_that_are_not_utf8_are_no_obstacle(self) -> None:
        conf = self.dir / "a.conf"
        conf.write_bytes(b"events {}\nenv A=\xff;\n\xe9;\n")
        self.assertIn("\ufffd", self.view("events", "-c", conf)["problems"][0]["text"])


class OfModules(WithFiles):
    """The views modules, conf-ctx and variables with files that ngxx cannot read."""

    TEXT = ("user nobody_of_here;\nload_module modules/ngx_http_js_module.so;\n"
            "load_module modules/ngx_other_module.so;\nevents {}\nhttp {\n js_import a.js;\n"
            " js_set $own a.f;\n map $uri $b { default 1; ~^/(?<c>.) $c; }\n"
            " server { listen name.invalid:443 ssl;\n ssl_protocols TLSv1.3;\n"
            " location ~ ^/(?<id>\\d+)$ { more_set_headers \"A: $own$arg_q${b}$none$1\";\n"
            " brotli on; nonsense $id; } } }\n")

    def answer(self, view: str, *options: str) -> dict[str, Any]:
        answer = self.view(view, "-c", self.write("a.conf", self.TEXT), *options)
        self.assertEqual(violations(answer, SCHEMA), [])
        (refused,) = answer["ngxx_refuses"]
        self.assertEqual(refused["place"]["line"], 2)
        self.assertIn("--for ngxx", refused["text"])
        return answer

    def test_each_module_says_how_it_comes_into_the_program(self) -> None:
        answer = self.answer("modules")
        modules = {module["name"]: module for module in answer["modules"]}
        js = modules["ngx_http_js_module"]
        self.assertEqual((js["package"], js["loaded_by"]["line"]), ("njs", 2))
        self.assertEqual(modules["ngx_http_ssl_module"]["option"], "--with-http_ssl_module")
        self.assertEqual(modules["ngx_http_core_module"]["how"], "built in")
        self.assertIn("load_module is missing",
                      modules["ngx_http_headers_more_filter_module"]["how"])
        self.assertTrue(modules["ngx_core_module"]["ngxx"])
        self.assertFalse(js["ngxx"])
        self.assertEqual([(item["name"], item["count"]) for item in answer["unknown"]],
                         [("nonsense", 1)])
        self.assertEqual([item["modules"] for item in answer["load_module"]],
                         [["ngx_http_js_module"], []])

    def test_a_module_that_the_program_lacks_is_named(self) -> None:
        answer = self.answer("modules", "--for", "nginx-1.24+njs")
        modules = {module["name"]: module for module in answer["modules"]}
        self.assertTrue(modules["ngx_http_js_module"]["in_program"])
        self.assertFalse(modules["ngx_http_brotli_filter_module"]["in_program"])

    def test_each_block_has_its_structures_and_directives(self) -> None:
        blocks = self.answer("conf-ctx")["blocks"]
        self.assertEqual([(block["name"].split()[0], block["parent"], block["levels"])
                          for block in blocks], [
            ("main", None, ["main"]), ("events", 0, ["events"]),
            ("http", 0, ["main", "server", "location"]), ("server", 2, ["server", "location"]),
            ("location", 3, ["location"])])
        modules = {module["module"]: module["directives"] for module in blocks[3]["modules"]}
        self.assertEqual(modules["ngx_http_ssl_module"][0]["value"], "TLSv1.3")
        self.assertIn("ngx_http_brotli_filter_module", blocks[3]["without_directives"])
        self.assertNotIn("ngx_http_ssl_module", blocks[4]["without_directives"])

    def test_each_variable_has_who_defines_it(self) -> None:
        variables = {item["name"]: item for item in self.answer("variables")["variables"]}
        self.assertEqual({name: item["kind"] for name, item in variables.items()}, {
            "own": "directive", "b": "directive", "c": "capture", "id": "capture",
            "uri": "module", "arg_q": "family", "none": "unknown"})
        self.assertEqual(variables["own"]["defined"][0]["directive"], "js_set")
        self.assertEqual(variables["own"]["used"][0]["place"]["line"], 11)
        self.assertEqual(variables["arg_q"]["family"], "arg_")

    def test_a_variable_of_a_package_is_known_where_the_program_has_the_package(self) -> None:
        conf = self.write("a.conf", "events {} http { log_format a $echo_it; }")
        for options, kind in (((), "module"), (("--for", "nginx+echo"), "module"),
                              (("--for", "nginx"), "unknown")):
            (variable,) = self.view("variables", "-c", conf, *options)["variables"]
            self.assertEqual(variable["kind"], kind, options)

    def names(self, text: str) -> list[str]:
        conf = self.write("a.conf", text)
        return [item["name"] for item in self.view("variables", "-c", conf)["variables"]]

    def test_lua_uses_the_variables_that_it_names(self) -> None:
        self.assertEqual(self.names("""events {} http { server {
            rewrite_by_lua_block {
                ngx.var.a = ngx . var --[[ between ]] ["B"]..ngx.var.c_2 .. ngx.var[ [=[d]=] ]
                local t = { ngx.var['e'], 1e5..ngx.var.f }
            }
            location / { access_by_lua 'return ngx.var.g == "\\\\"" and ngx.var.h'; } } }
            stream { server { listen 1; content_by_lua_block { ngx.say(ngx.var.i) } } }"""),
            ["a", "b", "c_2", "d", "e", "f", "g", "h", "i"])

    def test_what_only_looks_like_a_variable_of_lua_is_none(self) -> None:
        self.assertEqual(self.names("""events {} http { server { location / {
            content_by_lua_block {
                -- ngx.var.a
                --[==[ ngx.var.b ]] ngx.var.c ]==]
                local text = "ngx.var.d \\" ngx.var.e" .. [[ ngx.var.f ]] .. '$g ${h}'
                local one = my.ngx.var.i + my:ngx.var.j + myngx.var.k + ngx.vars.l
                return ngx.var["m" .. text], ngx.var[1], ngx.var[text], ngx["var"].n, ngx.var
            }
            access_by_lua "return '$o'"; } } }"""), [])

    def test_behind_a_string_of_lua_that_has_no_end_the_next_line_counts(self) -> None:
        self.assertEqual(self.names("""events {} http { server {
            rewrite_by_lua 'local a = "ngx.var.a
                            return ngx.var.b --[[ ngx.var.c';
            rewrite_by_lua 'return ngx.var.d, [[ ngx.var.e'; } }"""), ["b", "d"])

    def kinds(self, text: str) -> dict[str, str]:
        conf = self.write("a.conf", text)
        return {item["name"]: item["kind"]
                for item in self.view("variables", "-c", conf)["variables"]}

    def test_the_paths_of_lua_have_no_variable(self) -> None:
        paths = "lua_package_path '$prefix/?.lua;;'; lua_package_cpath '${prefix}/?.so;;';"
        self.assertEqual(self.names(f"events {{}} http {{ {paths} }} stream {{ {paths} }}"), [])

    def test_exec_of_rtmp_takes_the_letters_behind_the_dollar(self) -> None:
        text = """events {} rtmp { log_format a "$bytes_sent $none"; server { application a {
            exec_push ffmpeg $name_240p/${app}_low $args1 $no_one; } } }"""
        self.assertEqual(self.kinds(text), {
            "bytes_sent": "module", "none": "unknown", "name": "module", "app": "module",
            "args": "module", "no": "unknown"})

    def test_directives_of_other_modules_define_variables(self) -> None:
        self.assertEqual(self.kinds("""events {} http { server { location / {
            set_iconv $a $uri from=utf-8 to=gbk; eval $b $c { proxy_pass http://d; }
            set_form_input $e; set_encrypt_session $f $a;
            vhost_traffic_status_set_by_filter $g a; } } }
            stream { lua_add_variable $h; server { return $h; } }"""), {
            **dict.fromkeys("abcefgh", "directive"), "uri": "module"})

    def test_only_the_code_of_set_by_lua_is_lua(self) -> None:
        conf = self.write("a.conf", "events {} http { server {\n"
                          "set_by_lua $a 'return ngx.var.b' $c 'ngx.var.d';\n"
                          "set_by_lua_block $e { return ngx.var.f } } }")
        variables = self.view("variables", "-c", conf)["variables"]
        self.assertEqual({item["name"]: (len(item["defined"]), len(item["used"]))
                          for item in variables},
                         {"a": (1, 0), "b": (0, 1), "c": (0, 1), "e": (1, 0), "f": (0, 1)})

    def test_a_file_that_ngxx_refuses_has_the_place(self) -> None:
        conf = self.write("a.conf", "events {}\n  http {}\n")
        for view in OF_MODULES:
            answer = self.view(view, "-c", conf)
            (refused,) = answer["ngxx_refuses"]
            self.assertEqual((refused["place"]["line"], refused["place"]["column"]), (2, 3))
            self.assertIn('ngxx: unknown directive "http"', refused["text"])
            self.assertIn(refused["text"], inspect(view, "-c", conf).stdout)

    def test_the_directives_of_ngxx_are_no_problem_without_a_program(self) -> None:
        conf = self.write("a.conf", "events {} stream { server { listen 1; echo; } }")
        self.assertEqual(inspect("modules", "--strict", "-c", conf).stderr, "")
        result = inspect("modules", "--strict", "-c", conf, "--for", "nginx")
        self.assertIn('unknown directive "echo"', result.stderr)


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
    def listening(self, text: str) -> list[dict[str, Any]]:
        return self.view("listening", "-c", self.write("a.conf", text))["listening"]

    def test_a_socket_names_all_that_ask_for_it(self) -> None:
        tcp, udp, own = self.listening(
            "worker_processes 2; events {} stream {\n server { listen 127.0.0.1:81; return a; }\n"
            " server { listen 127.0.0.1:81 udp; return b; }\n"
            " server { listen [::1]:82 reuseport backlog=7; return c; } }\n",
        )
        self.assertEqual((tcp["address"], tcp["type"]), ("127.0.0.1:81", "stream"))
        self.assertEqual([place["line"] for place in tcp["places"]], [2])
        self.assertEqual((udp["type"], udp["backlog"]), ("datagram", None))
        self.assertEqual([place["line"] for place in udp["places"]], [3])
        self.assertEqual((own["reuseport"], own["backlog"], own["family"]), (True, 7, "IPv6"))
        self.assertEqual(own["parameters"], ["reuseport", "backlog=7", "ipv6only=on"])

    def test_http_and_mail_listen_too(self) -> None:
        found = self.listening(
            "http {\n server { listen 80; }\n server { listen 80 default_server; }\n"
            " server { }\n"
            " server { listen unix:/a; listen web:8080; listen 443 ssl; listen 443 quic; } }\n"
            "mail { server { listen 8001-8002; } }")
        self.assertEqual([(s["block"], s["address"], s["family"]) for s in found], [
            ("http", "0.0.0.0:80", "IPv4"), ("http", "unix:/a", "unix"),
            ("http", "web:8080", "name"), ("http", "0.0.0.0:443", "IPv4"),
            ("http", "0.0.0.0:443", "IPv4"),
            ("mail", "0.0.0.0:8001", "IPv4"), ("mail", "0.0.0.0:8002", "IPv4")])
        self.assertEqual([place["line"] for place in found[0]["places"]], [2, 3])

    def test_an_address_of_a_wildcards_port_has_no_socket(self) -> None:
        found = self.listening("http { server { listen 1.1.1.1:80; listen 80; "
                               "listen 2.2.2.2:80 bind; listen [::]:80; listen [::2]:80; } }")
        self.assertEqual([s["address"] for s in found], ["0.0.0.0:80", "2.2.2.2:80", "[::]:80"])

    def test_it_is_linear(self) -> None:
        listeners = 20000
        text = "".join(f"server {{ listen 127.0.{i // 250}.{i % 250}:80; }}\n"
                       for i in range(listeners))
        self.assertEqual(len(self.listening("events {} http {\n" + text + "}")), listeners)


class Diff(WithFiles):
    def changes(self, before: str, after: str, *options: str) -> list[tuple[Any, ...]]:
        files = [self.write("a.conf", before), self.write("b.conf", after)]
        view = self.view("diff", *files, *options)
        self.assertEqual(violations(view, SCHEMA), [])
        return [(item["part"], item["name"], item["from"], item["to"]) for item in view["changes"]]

    def test_the_same_configuration_changes_nothing(self) -> None:
        for conf in CONFS:
            self.assertEqual(self.view("diff", conf, conf)["changes"], [])
            result = inspect("diff", conf, conf, "--strict")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("\nnothing changes\n", result.stdout)

    def test_what_has_no_effect_is_no_change(self) -> None:
        self.write("inner.conf", "location /a { return 204; }  # as before\n")
        self.assertEqual(self.changes(
            "events {}\nhttp { server { listen 80; location /a { return 204; } gzip on; } }",
            'events { worker_connections 0512; }\n'
            'http { server { "gzip" \'on\'; listen 80; include inner.conf; } }'), [])

    def test_values_and_the_number_of_clients_change(self) -> None:
        changes = self.changes("events {}", "events { worker_connections 100; }")
        self.assertIn(("values", "worker_connections", "512", "100"), changes)
        clients = next(change for change in changes if change[:2] == ("answers", "clients"))
        self.assertTrue(clients[2].startswith("511 clients"), clients)
        self.assertTrue(clients[3].startswith("99 clients"), clients)
        self.assertEqual({change[0] for change in changes}, {"values", "answers"})

    def test_sockets_change(self) -> None:
        conf = "events {} http { server { server_name a; listen %s; } }"
        changes = self.changes(conf % "80", conf % "80 reuseport")
        self.assertIn(("listening", "http 0.0.0.0:80", "stream", "stream reuseport"), changes)
        self.assertIn(("directives", "http, server a, listen", "80", "80 reuseport"), changes)

    def test_directives_are_named_by_their_blocks(self) -> None:
        changes = self.changes(
            "events {} http { map $a $b { x 1; y 2; } server { listen 1; }"
            " server { server_name b c; location ~ \\.a$ { proxy_pass http://127.0.0.1:1; } } }",
            "events {} http { map $a $b { x 3; y 2; } server { listen 1; }"
            " server { server_name b c; location ~ \\.a$ { proxy_pass http://127.0.0.1:2; }"
            " location / { } location / { } } }")
        self.assertEqual(changes, [
            ("directives", "http, map $a $b, x", "1", "3"),
            ("directives", "http, server b c, location ~ \\.a$, proxy_pass",
             "http://127.0.0.1:1", "http://127.0.0.1:2"),
            ("directives", "http, server b c, location /", None, "{ }"),
            ("directives", "http, server b c, location / #2", None, "{ }"),
        ])

    def test_the_order_of_directives_of_one_name_counts(self) -> None:
        conf = "events {} http { allow %s; deny all; allow %s; }"
        self.assertEqual(self.changes(conf % ("::1", "::2"), conf % ("::2", "::1")),
                         [("directives", "http, allow", "::1; ::2", "::2; ::1")])

    def test_another_release_has_other_directives(self) -> None:
        conf = self.write("a.conf", "events {} http { http2 on; }")
        view = self.view("diff", conf, "--for", "nginx-1.24", "--for", "nginx-1.26")
        self.assertEqual([view[side]["program"] for side in ("from", "to")],
                         ["nginx 1.24.0", "nginx 1.26.3"])
        changes = view["changes"]
        self.assertEqual([(item["part"], item["to"]) for item in changes], [("problems", None)])
        self.assertIn('unknown directive "http2"', changes[0]["name"])

    def test_without_an_answer_about_events_its_directives_are_compared(self) -> None:
        changes = self.changes("events { use epoll; }", "worker_processes 2;")
        self.assertIn(("directives", "events, use", "epoll", None), changes)
        self.assertIn(("directives", "worker_processes", None, "2"), changes)

    def test_strict_makes_a_change_an_error(self) -> None:
        files = [self.write("a.conf", "events {}"), self.write("b.conf", "events { use poll; }")]
        self.assertEqual(inspect("diff", *files).returncode, 0)
        result = inspect("diff", "--strict", *files)
        self.assertEqual(result.returncode, 1)
        self.assertIn("\n  - method: epoll\n  + method: poll\n", result.stdout)
        self.assertIn(f"  + use: poll  [{files[1]}:1:10]\n", result.stdout)

    def test_a_file_that_cannot_be_read_is_an_error(self) -> None:
        conf = self.write("a.conf", "events {}")
        result = inspect("diff", conf, self.dir / "none.conf")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("none.conf\" failed (2: No such file or directory)", result.stderr)


class Html(WithFiles):
    def page(self, conf: Path, *options: str) -> str:
        result = inspect("--html", "-c", conf, "-p", self.dir, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_it_has_the_answers_and_needs_no_other_file(self) -> None:
        for conf in CONFS:
            page = self.page(conf)
            events = inspect("events", "-c", conf, "-p", self.dir).stdout
            clients = events.splitlines()[-1].split(": ", 1)[1]
            self.assertIn(clients, page)
            self.assertIn("<tr><td>debug_connection</td><td>none</td>", page)
            self.assertNotRegex(page, r"<script|<link|src=|url\(|@import")
            self.assertEqual(page.count("<table"), page.count("</table>"))
            self.assertEqual(page.count("<ul>"), page.count("</ul>"))

    def test_it_has_modules_blocks_and_variables(self) -> None:
        page = self.page(self.write(
            "nginx.conf", "events {}\nhttp { server { listen 80;\n location / {"
            " return 200 $host; } } }"))
        self.assertIn("<tr><td>ngx_http_rewrite_module</td><td>built in</td>", page)
        self.assertIn("<td>location</td><td>ngx_http_rewrite_module</td>", page)
        self.assertIn("<td>of ngx_http_core_module</td>", page)
        self.assertIn("$host", page)

    def test_each_link_leads_to_a_line(self) -> None:
        self.write("a.conf", "server { listen 80; }\ninclude b.conf;\n")
        self.write("b.conf", "sendfile on;\n")
        page = self.page(self.write(
            "nginx.conf", "events {\nuse epoll; }\nhttp { include a.conf; include b.conf; }"))
        links = set(re.findall(r'href="#([^"]+)"', page))
        self.assertEqual(links - set(re.findall(r'id="([^"]+)"', page)), set())
        self.assertIn('<a href="#f0-2">', page)
        self.assertIn('<a href="#f1-1">', page)
        self.assertIn("<li>line 2: ", page)
        self.assertIn("<p>Nothing is wrong.</p>", page)

    def test_what_is_wrong_is_marked_and_escaped(self) -> None:
        page = self.page(self.write("nginx.conf", "events {}\n<b>&\";\n<b>&;\n"))
        self.assertNotIn("<b>", page)
        self.assertIn('<span id="f0-2" class="bad"><i>2</i>&lt;b&gt;&amp;&quot;;</span>', page)
        self.assertIn("unknown directive", page)

    def test_without_an_answer_about_events_the_rest_is_written(self) -> None:
        page = self.page(self.write("nginx.conf", "http { server { listen 81; } }"))
        self.assertIn("There is no answer about events.", page)
        self.assertIn("<td>0.0.0.0:81</td>", page)

    def test_strict_makes_a_problem_an_error(self) -> None:
        for text in ("events {} bad;", "events { use select; worker_connections 2000; }"):
            conf = self.write("nginx.conf", text)
            self.assertEqual(inspect("--html", "-c", conf, "--strict").returncode, 1)
        self.assertEqual(inspect("--html", "-c", self.dir / "none").returncode, 1)


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class NothingElse(WithFiles):
    """The files and sockets that strace sees."""

    # The loader and the C library of each program open libraries, time zone and processors.
    OF_EACH_PROGRAM = re.compile(r"/etc/(ld\.so|localtime)|/usr/share/zoneinfo|.*\.so(\.[0-9.]+)?$"
                                 r"|/sys/devices/system/cpu/|/proc/self/|/dev/null")
    TEXT = ("user nobody_of_here; worker_processes auto; load_module modules/none.so;\n"
            "events { debug_connection name.invalid; } include inner/*.conf;\n"
            "stream { upstream u { server name.invalid:80; }\n"
            " server { listen name.invalid:81; proxy_pass u; } }\n")

    @staticmethod
    def without_leak_check() -> dict[str, str]:
        """Returns the environment for a program with the address sanitizer, whose leak check fails
        under strace."""
        options = os.environ.get("ASAN_OPTIONS", "")
        return os.environ | {"ASAN_OPTIONS": f"{options}:detect_leaks=0"}

    def opened(self, *arguments: str | Path) -> list[str]:
        """Returns what a run opens, and its sockets."""
        log = self.dir / "strace.log"
        calls = "trace=open,openat,socket,connect,execve"
        result = subprocess.run(
            ["strace", "-f", "-o", log, "-e", calls, os.environ["INSPECT"], *arguments],
            capture_output=True, text=True, timeout=60, check=False, env=self.without_leak_check())
        if "PTRACE" in result.stderr:
            self.skipTest(result.stderr)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = log.read_text(errors="replace").splitlines()
        found = [line for line in lines if re.search(r" (socket|connect)\(", line)]
        for line in lines:
            name = re.search(r" open(?:at)?\([^\"]*\"([^\"]*)\"", line)
            if name and not self.OF_EACH_PROGRAM.match(name[1]):
                found.append(name[1])
        self.assertEqual(sum(" execve(" in line for line in lines), 1)
        return found

    def test_no_view_opens_more_than_the_configuration(self) -> None:
        inner = self.write("inner/a.conf", "env A;\n")
        first = self.write("a.conf", self.TEXT)
        second = self.write("b.conf", self.TEXT.replace("81", "82"))
        for arguments in (*([view, "-c", first] for view in VIEWS),
                          ["--html", "-c", first], ["diff", first, second]):
            with self.subTest(arguments[0]):
                files = [str(file) for file in (first, second) if file in arguments]
                files += [str(inner), str(inner.parent), f"{inner.parent}/"]
                self.assertEqual(set(self.opened(*arguments, "-p", self.dir)) - set(files), set())

    def test_what_ngxx_reads_is_not_looked_up_either(self) -> None:
        inner = self.write("inner/a.conf", "env A;\n")
        text = self.TEXT.replace("load_module modules/none.so;", "")
        conf = self.write("a.conf", text)
        files = {str(conf), str(inner), str(inner.parent), f"{inner.parent}/"}
        for view in OF_MODULES:
            with self.subTest(view):
                self.assertEqual(self.view(view, "-c", conf)["ngxx_refuses"], [])
                self.assertEqual(set(self.opened(view, "-c", conf, "-p", self.dir)) - files, set())


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
        for view in (*VIEWS, "diff"):
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
        result = inspect("modules", "--for", "ngxx", "-c", "bad.conf", "-p", self.dir)
        self.assertNotIn("relative", result.stderr)

    def test_contradictory_arguments_are_refused(self) -> None:
        self.assertIn("a view is missing", self.refused())
        self.assertIn('unknown view "x"', self.refused("x"))
        self.assertIn("--svg is for conf-ctx", self.refused("events", "--svg"))
        self.assertIn("exclude one another", self.refused("events", "--json", "--text"))
        self.assertIn("without a view", self.refused("events", "--html"))
        self.assertIn("--for ngxx is for modules", self.refused("events", "--for", "ngxx"))

    def test_diff_takes_two_files_or_two_programs(self) -> None:
        needs = "diff needs two files, or a file and two --for"
        self.assertIn(needs, self.refused("diff"))
        self.assertIn(needs, self.refused("diff", "a"))
        self.assertIn(needs, self.refused("diff", "a", "--for", "nginx"))
        self.assertIn("two files and two --for at most", self.refused("diff", "a", "b", "c"))
        self.assertIn("diff takes its files without -c", self.refused("diff", "-c", "a", "a", "b"))
        self.assertIn("a second --for is for diff",
                      self.refused("events", "--for", "nginx", "--for", "angie"))
        self.assertIn('"a.conf" has no meaning here: a file is named by -c',
                      self.refused("events", "a.conf"))

    def test_processors_and_files_are_positive_numbers(self) -> None:
        for option, most in (("--cpus", 8192), ("--nofile", 2147483584)):
            for text in ("-1", "0", "1x", "+1", " 1", str(most + 1), "99999999999999999999"):
                with self.subTest(option=option, text=text):
                    self.assertEqual(
                        self.refused("events", f"{option}={text}"),
                        f'ngxx-inspect: {option} is a number from 1 to {most}, not "{text}"\n')

    def test_a_program_that_is_not_known_is_refused(self) -> None:
        for program, words in (("apache", '"apache" is not nginx'),
                               ("nginx-x", '"x" is not a number of a version'),
                               ("nginx-9.9", "nginx 9.9 is not in the table, which has 1.18.0"),
                               ("nginx-1.22.99", "nginx 1.22.99 is not in the table"),
                               ("nginx-1.17", "nginx 1.17 is not in the table"),
                               ("openresty", "nginx-VERSION+lua+stream-lua"),
                               ("nginx+none", '"none" is not a package of the table')):
            self.assertIn(words, self.refused("events", "--for", program))


if __name__ == "__main__":
    skips.main()
