"""Tests of tools/bench: how it parses the output of strace and callgrind, its checks of the command
line, how it stops its processes, and a short count of system calls. NGXX is the server to count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench"

sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH.parent))

from measure import CannotMeasure, bench, counts, servers  # noqa: E402

SERVER = servers.Server("ngxx 1", "/bin/ngxx", "epoll")


def run_bench(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


class Arguments(unittest.TestCase):
    def refused(self, *arguments: str) -> str:
        result = run_bench(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        return result.stderr

    def test_by_default_all_is_measured_of_the_binary_in_the_build_folder(self) -> None:
        options = bench.parse_arguments([])
        self.assertEqual(options.binary, BENCH.parent.parent / "build" / "ngxx")
        self.assertEqual(options.only, ["syscalls", "instructions", "pairs"])
        self.assertIsNone(options.use)

    def test_counts_only_leaves_the_pairs_out(self) -> None:
        options = bench.parse_arguments(["--counts-only"])
        self.assertEqual(options.only, ["syscalls", "instructions"])

    def test_only_may_be_repeated(self) -> None:
        options = bench.parse_arguments(["--only", "pairs", "--only", "syscalls"])
        self.assertEqual(options.only, ["pairs", "syscalls"])

    def test_help_explains_the_limits(self) -> None:
        result = run_bench("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--max-syscalls N", result.stdout)
        self.assertIn("--max-instructions N", result.stdout)

    def test_options_that_exclude_each_other_are_refused(self) -> None:
        self.assertIn("exclude each other", self.refused("--counts-only", "--only", "pairs"))

    def test_a_limit_for_a_measure_that_is_not_taken_is_refused(self) -> None:
        self.assertIn("--max-syscalls needs", self.refused("--only", "pairs", "--max-syscalls=5"))
        text = self.refused("--only", "syscalls", "--max-instructions", "4000")
        self.assertIn("--max-instructions needs", text)

    def test_bad_numbers_are_refused(self) -> None:
        for option in ("--connections", "--pairs", "--pair-connections"):
            self.assertIn(option, self.refused(option, "0"))
            self.assertIn(option, self.refused(option, "many"))
        self.assertIn("--pairs 2 or more", self.refused("--pairs", "1"))

    def test_unknown_words_are_refused(self) -> None:
        self.assertIn("--only", self.refused("--only", "luck"))
        self.assertIn("fast", self.refused("fast"))

    def test_a_missing_binary_is_named(self) -> None:
        text = self.refused("--binary", "/nowhere/ngxx")
        self.assertEqual(
            text,
            "tools/bench: /nowhere/ngxx does not exist: build it with tools/run, or use --binary\n",
        )

    def test_a_binary_that_is_no_program_is_named(self) -> None:
        with tempfile.NamedTemporaryFile() as file:
            self.assertIn(file.name, self.refused("--binary", file.name))


class Parsing(unittest.TestCase):
    TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 45.00    0.000900           9       101           accept4
 35.00    0.000700           7       100         3 epoll_wait
 20.00    0.000400           4       100           writev
------ ----------- ----------- --------- --------- ----------------
100.00    0.002000          19       301         3 total
"""

    def test_the_calls_of_strace_are_read_with_and_without_errors(self) -> None:
        self.assertEqual(
            counts.parse_strace(self.TABLE), {"accept4": 101, "epoll_wait": 100, "writev": 100}
        )

    def test_a_text_without_a_table_has_no_calls(self) -> None:
        self.assertEqual(counts.parse_strace("strace: PTRACE_TRACEME: not permitted\n"), {})

    def test_the_totals_of_callgrind_are_read(self) -> None:
        self.assertEqual(counts.parse_callgrind("events: Ir\nsummary: 5\n\ntotals: 1234\n"), 1234)
        self.assertEqual(counts.parse_callgrind(""), 0)

    def test_ratios_are_summarised_by_their_quartiles(self) -> None:
        text = counts.quartiles([0.9, 1.0, 1.1, 1.2, 2.0])
        self.assertEqual(text, "1.10  (half of them 0.95 to 1.60, all 0.90 to 2.00)")


class Counting(unittest.TestCase):
    def test_calls_of_the_start_are_not_counted(self) -> None:
        counts = {
            bench.WARM_UP: {"openat": 7, "writev": 100},
            bench.WARM_UP + 10: {"openat": 7, "writev": 110, "close": 5},
        }
        with mock.patch.object(bench, "require"), mock.patch.object(
            bench, "calls_of", lambda server, load, count: counts[count]
        ):
            calls = bench.syscalls_of(SERVER, bench.returns, 10)
        self.assertEqual(calls, {"writev": 1.0, "close": 0.5})

    def over_limits(self, syscalls: float, instructions: float, *arguments: str) -> list[str]:
        row = bench.Row(SERVER)
        row.counts["return", "syscalls"] = {"writev": 1, "close": syscalls - 1}
        row.counts["return", "instructions"] = {"instructions": instructions}
        row.counts["echo", "syscalls"] = {"recvfrom": 1000}
        theirs = bench.Row(servers.Server("nginx 1", "/bin/nginx", "epoll"))
        theirs.counts["return", "syscalls"] = {"writev": 1000}
        return bench.over_limits([row, theirs], bench.parse_arguments(list(arguments)))

    def test_without_a_limit_nothing_is_over_it(self) -> None:
        self.assertEqual(self.over_limits(100, 100_000), [])

    def test_a_value_at_the_limit_passes(self) -> None:
        limits = ("--max-syscalls", "5", "--max-instructions", "4000")
        self.assertEqual(self.over_limits(5, 4000, *limits), [])

    def test_a_value_above_the_limit_is_reported_with_both_numbers(self) -> None:
        limits = ("--max-syscalls", "5.1", "--max-instructions", "4000")
        self.assertEqual(
            self.over_limits(6, 4001, *limits),
            [
                "epoll needs 6.00 syscalls for a connection, the limit is 5.1",
                "epoll needs 4001 instructions for a connection, the limit is 4000",
            ],
        )

    def test_a_missing_count_is_a_dash(self) -> None:
        self.assertEqual(bench.cell(bench.Row(SERVER).total("return", "syscalls"), 2), "-")


class Servers(unittest.TestCase):
    def test_nginx_loads_its_module_and_has_no_echo(self) -> None:
        conf = servers.Server("nginx 1", "/bin/nginx", "epoll", "/m.so").conf(80)
        self.assertTrue(conf.startswith("load_module /m.so;\n"))
        self.assertNotIn("echo", conf)

    def test_ngxx_echoes_on_the_next_port(self) -> None:
        conf = SERVER.conf(80)
        self.assertIn("listen 127.0.0.1:80; return", conf)
        self.assertIn("listen 127.0.0.1:81; echo", conf)
        self.assertIn("use epoll;", conf)


class Ending(unittest.TestCase):
    """Stops another program in place of a server."""

    def start(self, script: str) -> servers.Running:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name)
        command = [sys.executable, "-c", script]
        process = subprocess.Popen(command, cwd=path, start_new_session=True)
        run = servers.Running(path, 0, process)
        self.addCleanup(run.stop)
        deadline = time.monotonic() + 10
        while not (path / "server.pid").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return run

    READY = "import os; os.rename('pid', 'server.pid')\n"
    PROLOGUE = "import os, signal, time\nopen('pid', 'w').write(str(os.getpid()))\n"

    def test_a_signal_that_is_lost_is_sent_again(self) -> None:
        run = self.start(
            self.PROLOGUE
            + "signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, end))\n"
            + "def end(*_): os._exit(7)\n"
            + self.READY
            + "while True: time.sleep(60)\n"
        )
        run.stop()
        self.assertEqual(run.process.returncode, 7)

    def test_a_server_that_ignores_signals_is_killed(self) -> None:
        run = self.start(
            self.PROLOGUE
            + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            + self.READY
            + "time.sleep(60)\n"
        )
        with mock.patch.object(servers, "STOP_SECONDS", 0.1):
            run.stop()
        self.assertEqual(run.process.returncode, -signal.SIGKILL)

    def test_the_output_of_a_server_that_exits_is_reported(self) -> None:
        run = self.start(
            self.PROLOGUE + "open('output', 'w').write('no such directive')\n" + self.READY
        )
        run.process.wait(10)
        run.port = servers.two_free_ports()
        with self.assertRaisesRegex(CannotMeasure, "has exited\nno such directive"):
            run.wait_until_it_answers()


@built.need("stream")
class Real(unittest.TestCase):
    """With the server of the build."""

    def setUp(self) -> None:
        self.binary = os.environ["NGXX"]

    def skip_without_strace(self) -> None:
        try:
            subprocess.run(["strace", "-c", "-o", os.devnull, "true"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"strace cannot be used: {error}")

    def test_a_missing_package_is_named(self) -> None:
        for measure, package in (("syscalls", "strace"), ("instructions", "valgrind")):
            result = run_bench("--binary", self.binary, "--only", measure, path="/nowhere")
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{package} is not installed: apt-get install {package}", result.stderr)

    def test_the_server_refuses_an_unknown_method(self) -> None:
        self.skip_without_strace()
        result = run_bench(
            "--binary", self.binary, "--only", "syscalls", "--use", "kqueue", "--without-nginx"
        )
        self.assertEqual(result.returncode, 2)
        self.assertIn('invalid event type "kqueue"', result.stderr)

    def test_a_connection_takes_five_calls(self) -> None:
        self.skip_without_strace()
        few = ["--only", "syscalls", "--connections", "50", "--without-nginx"]
        for server in servers.ngxx_servers(Path(self.binary), None):
            if server.method != "rtsig":  # a signal for each descriptor takes calls of its own
                few += ["--use", server.method]
        for limit, status in (("5.1", 0), ("4.5", 1)):
            result = run_bench("--binary", self.binary, *few, "--max-syscalls", limit)
            self.assertEqual(result.returncode, status, result.stderr)
        self.assertRegex(result.stdout, r"return: accept4 1\.00, close 1\.00, ")
        self.assertRegex(
            result.stderr, r"needs (4\.[5-9]|5\.0)\d syscalls for a connection, the limit is 4\.5"
        )


if __name__ == "__main__":
    skips.main()
