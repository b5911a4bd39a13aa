"""Tests of ngxx-trace: it traces an accept, an echo and a timeout with each poller, and its JSON is
valid for Perfetto. TRACE in the environment is the program, NGXX the server, HOOK_MODULE a module
to load."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

TIMEOUT_MS = 400
PATIENCE = 60.0
METHODS = [name for name in built.pollers() if name not in ("iouring", "rtsig")]
CONF = """{main}
user root;
pid {dir}/pid;
lock_file {dir}/lock;
error_log {dir}/error.log info;
events {{ {events} }}
stream {{
    server {{ listen unix:{dir}/echo; echo; echo_timeout {timeout}ms; }}
    server {{ listen unix:{dir}/file; send_file {dir}/data; sendfile_max_chunk 1k; }}
}}
"""


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError("it does not happen")
        time.sleep(0.01)


class Trace(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.json = self.dir / "trace.json"

    def start(self, events: str = "", main: str = "", *arguments: str) -> None:
        conf = self.dir / "nginx.conf"
        conf.write_text(
            CONF.format(main=main, events=events, dir=self.dir, timeout=TIMEOUT_MS),
            encoding="utf-8")
        self.output = (self.dir / "out").open("w+", encoding="utf-8")
        self.addCleanup(self.output.close)
        self.process = subprocess.Popen(
            [os.environ["TRACE"], "-c", conf, "-p", self.dir, "-e", self.dir / "error.log",
             "-o", self.json, *arguments],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT)
        self.addCleanup(self.kill)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def text(self) -> str:
        return (self.dir / "out").read_text(encoding="utf-8")

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        self.assertEqual(self.process.wait(PATIENCE), 0, self.text())
        return self.text()

    def connect(self, name: str = "echo") -> socket.socket:
        def connected() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(self.text())
            try:
                client.connect(str(self.dir / name))
            except OSError:
                return False
            return True

        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        self.addCleanup(client.close)
        wait_for(connected)
        return client

    def echo(self, client: socket.socket) -> None:
        client.sendall(b"hello")
        self.assertEqual(client.recv(100), b"hello")

    def assert_in_order(self, text: str, patterns: list[str]) -> None:
        at = 0
        for pattern in patterns:
            found = re.compile(pattern, re.MULTILINE).search(text, at)
            self.assertIsNotNone(found, f"no {pattern!r} behind here:\n{text[at:]}")
            assert found
            at = found.end()

    def events(self) -> list[dict[str, Any]]:
        """Returns the events of the JSON, and checks that they are complete, sorted and nested."""
        events = json.loads(self.json.read_text(encoding="utf-8"), parse_float=Decimal)
        last: dict[int, Decimal] = {}
        ends: dict[int, list[Decimal]] = {}
        for event in events["traceEvents"]:
            self.assertIn(event["ph"], "XiCM")
            if event["ph"] == "M":
                continue
            thread, begin = event["tid"], event["ts"]
            self.assertGreaterEqual(begin, last.get(thread, 0), event)
            last[thread] = begin
            if event["ph"] == "X":
                open_spans = ends.setdefault(thread, [])
                while open_spans and open_spans[-1] <= begin:
                    open_spans.pop()
                end = begin + event["dur"]
                self.assertGreaterEqual(event["dur"], 0)
                if open_spans:
                    self.assertLessEqual(end, open_spans[-1], event)
                open_spans.append(end)
        return list(events["traceEvents"])

    def names(self, category: str) -> list[str]:
        return [event["name"] for event in self.events() if event.get("cat") == category]


class EachMethod(Trace):
    def test_an_accept_an_echo_and_an_expired_timer(self) -> None:
        for method in METHODS:
            with self.subTest(method=method):
                self.setUp()
                self.check(method)
                self.end()

    def check(self, method: str) -> None:
        self.start(f"use {method};")
        client = self.connect()
        self.echo(client)
        self.assertEqual(client.recv(100), b"")
        text = self.end()

        edge = method == "epoll"
        what = "ready" if edge else "posted"
        events = r"dispatch: \d+ events?"  # a signal of the start may be among those of a turn
        accepts = events if edge else "posted accept events"
        reads = events if edge else "posted events"
        line = r"^ +[0-9.]+ +"
        span = line + r"[0-9.]+ +"
        self.assert_in_order(text, [
            "^start$", rf"{line}{method} add event:? fd:",
            "^turn 1  at [0-9.]+ ms, [0-9.]+ ms long  timeout none: nothing to wait for$",
            f"{span}timers looked for$", f"{span}wait: {method}$",
            *([] if edge else [f"{span}{events}$"]), f"{span}{accepts}$",
            rf"{span}fd \d+ read {what} -> ngx::event_accept$",
            rf"{line}connection of fd:\d+ taken: slot \d+, instance [01]$",
            rf"{line}accept on unix:.*: \*1 unix: fd:\d+$",
            rf"{line}timer of fd \d+ set: {TIMEOUT_MS} ms$",
            rf"^turn \d+ .* timeout \d+ ms: timer of fd \d+ read, ngx::echo_handler$",
            f"{span}{reads}$", rf"{span}fd \d+ read {what} -> ngx::echo_handler$",
            rf"recv: fd:\d+ 5 of", rf"send: fd:\d+ 5 of 5$", r"timer of fd \d+ stays: ",
            rf"^turn \d+ .* timeout \d+ ms: timer of fd \d+ read, ngx::echo_handler$",
            f"{span}expired timers$", rf"{span}fd \d+ read timed out -> ngx::echo_handler$",
            rf"{line}timer of fd \d+ deleted$", "connection timed out",
            rf"connection of fd:\d+ freed: slot \d+, instance [01]$",
        ])
        handlers = self.names("handler")
        mine = [name for name in handlers if name in ("ngx::event_accept", "ngx::echo_handler")]
        self.assertEqual(mine[0], "ngx::event_accept")
        self.assertGreaterEqual(mine.count("ngx::echo_handler"), 2)
        self.assertIn("expired timers", self.names("phase"))
        dispatched = [event["args"] for event in self.events() if event["name"] == "dispatch"]
        self.assertTrue(any(args.get("events", 0) > 0 for args in dispatched))
        self.assertIn({}, dispatched)
        counters = {event["name"] for event in self.events() if event["ph"] == "C"}
        self.assertEqual(counters, {"timers", "connections"})


class Timeouts(Trace):
    def test_under_timer_resolution_the_alarm_ends_the_wait(self) -> None:
        self.start(main="timer_resolution 50ms;")
        self.connect()
        wait_for(lambda: self.text().count("timeout none: timer_resolution\n") > 2)
        self.end()

    def test_a_worker_without_the_mutex_waits_for_accept_mutex_delay(self) -> None:
        self.start("accept_mutex on; accept_mutex_delay 50ms;",
                   "daemon on; worker_processes 2;", "--workers")
        self.echo(self.connect())
        wait_for(lambda: "timeout 50 ms: accept_mutex_delay\n" in self.text())
        text = self.end()
        self.assertRegex(text, r"worker [01] \(\d+\)  turn 1 ")
        self.assert_in_order(text, ["accept mutex$", "taken$"])
        self.assert_in_order(text, ["accept mutex$", "not taken: another has it$"])
        self.assertIn("accept mutex released\n", text)
        processes = {event["args"]["name"] for event in self.events() if event["ph"] == "M"}
        self.assertEqual(processes, {"ngxx", "worker 0", "worker 1"})


    def test_a_hook_of_a_loaded_module_may_shorten_the_wait(self) -> None:
        self.start(main=f"load_module {os.environ['HOOK_MODULE']};")
        for pattern in (r"timeout 20 ms: a module's hook\n",
                        r"timeout \d+ ms: timer of no fd, ngx::hook_timer_handler\n",
                        r"expired timers\n.* no fd timed out -> ngx::hook_timer_handler\n"):
            wait_for(lambda: re.search(pattern, self.text()) is not None)
        self.end()

    def test_an_event_posted_for_the_next_turn_ends_the_wait(self) -> None:
        (self.dir / "data").write_bytes(b"x" * 5000)
        self.start()
        client = self.connect("file")
        while client.recv(10000):
            pass
        text = self.end()
        self.assert_in_order(text, [
            r"fd \d+ write posted$",
            r"^turn \d+ .* timeout 0 ms: posted for this turn$",
            r"posted-next events$", r"fd \d+ write is due now$", r"posted events$",
            r"fd \d+ write posted -> ngx::",
        ])


class TheEnd(Trace):
    def test_each_signal_leaves_a_whole_trace(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            with self.subTest(signal=number):
                self.setUp()
                self.start()
                self.echo(self.connect())
                text = self.end(number)
                self.assertIn("ngx::event_accept", self.names("handler"))
                self.assertRegex(text, r"\[notice\] exit\n")

    def test_it_exits_after_the_given_number_of_turns(self) -> None:
        for workers in ((), ("--workers",)):
            with self.subTest(workers=workers):
                self.setUp()
                self.start("", "timer_resolution 10ms;", "--turns", "5", *workers)
                self.assertEqual(self.process.wait(PATIENCE), 0, self.text())
                turns = self.names("turn")
                self.assertEqual(turns, ["start", *(f"turn {n}" for n in range(1, 6))])

    def test_it_stays_in_the_foreground_and_alone(self) -> None:
        self.start("", "daemon on; master_process on; worker_processes 4;")
        self.echo(self.connect())
        self.assertEqual((self.dir / "pid").read_text().strip(), str(self.process.pid))
        self.end()
        self.assertEqual({event["pid"] for event in self.events()}, {self.process.pid})

    def test_a_reload_is_between_two_turns_and_does_not_end_the_trace(self) -> None:
        self.start()
        self.echo(self.connect())
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reconfiguring" in self.text())
        self.echo(self.connect())
        self.assert_in_order(self.end(), [
            "-> ngx::event_accept$", "after the turn$", "reconfiguring$", r"^turn \d+",
            "-> ngx::event_accept$", "-> ngx::echo_handler$"])
        self.assertIn("after the turn", self.names("phase"))

    def test_without_text_there_is_only_the_file(self) -> None:
        self.start("", "", "-q")
        self.echo(self.connect())
        self.assertEqual(self.end(), "")
        self.assertIn("ngx::event_accept", self.names("handler"))


class Refused(Trace):
    def test_a_bad_configuration_is_reported_as_by_the_server(self) -> None:
        conf = self.dir / "bad.conf"
        conf.write_text("events { use none; }", encoding="utf-8")
        answers = [
            subprocess.run([program, "-c", conf, "-p", self.dir, "-e", "stderr"],
                           capture_output=True, text=True, check=False)
            for program in (os.environ["NGXX"], os.environ["TRACE"])]
        messages = [re.findall(r"\[emerg\] [0-9#]*:? ?(.*)", a.stderr) for a in answers]
        self.assertEqual(messages[0], messages[1])
        self.assertNotEqual(messages[0], [])
        self.assertEqual([a.returncode for a in answers], [1, 1])

    def test_a_bad_command_line_has_status_2(self) -> None:
        for arguments in (["--turns", "0"], ["--turns", "x"], ["word"], ["--unknown"]):
            with self.subTest(arguments=arguments):
                result = subprocess.run([os.environ["TRACE"], *arguments], capture_output=True,
                                        text=True, check=False)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertRegex(result.stderr, "^ngxx-trace: ")

    def test_a_file_that_cannot_be_written_is_an_error(self) -> None:
        self.json = self.dir / "no" / "trace.json"
        self.start()
        self.assertEqual(self.process.wait(PATIENCE), 1)
        self.assertIn('trace.json" failed', (self.dir / "error.log").read_text(encoding="utf-8"))


if __name__ == "__main__":
    skips.main()
