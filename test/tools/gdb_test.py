"""Tests of tools/gdb/ngxx.py: a server runs under gdb until a turn with timers and posted events.
NGXX in the environment is the server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 20
PATIENCE = 60.0
CONF = """daemon off;
master_process off;
pid {dir}/pid;
lock_file {dir}/lock;
error_log {dir}/error.log;
events {{ {events} }}
stream {{
    server {{ listen unix:{dir}/echo; echo; echo_timeout 100s; }}
}}
"""
# Stops in the turn in which all clients have a timer and one of them has sent data.
SCRIPT = f"""
set pagination off
set confirm off
source {ROOT}/tools/gdb/ngxx.py
ngxx-connections
python
class Turn(gdb.Breakpoint):
    def stop(self):
        return (len(timers(variable("event_timer_rbtree"))) == {CLIENTS}
                and len(elements(variable("posted_events"), "ngx::Event")) > 0)
Turn("ngx::event_expire_timers")
end
run
"""
SHOW = ("ngxx-timers", "ngxx-posted", "ngxx-connections", "print ngx::event_timer_rbtree",
        "print ngx::posted_events", "print ngx::posted_accept_events", "print *ngx::ngx_cycle",
        "print ngx::ngx_cycle->reusable_connections_queue", "print ngx::ngx_cycle->listening",
        "print *ngx::ngx_cycle->listening._M_impl._M_start->connection")
NO_PTRACE = ("ptrace: Operation not permitted", "Could not trace the inferior",
             "Cannot PTRACE_TRACEME")


def gdb(*arguments: str | Path) -> list[str]:
    return ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", *map(str, arguments)]


def reason_to_skip() -> str:
    if shutil.which("gdb") is None:
        return "gdb is not installed"
    asked = subprocess.run(gdb("-ex", "python print('it has', 'Python')", "-ex",
                               "print sizeof(ngx::Event)", os.environ["NGXX"]),
                           capture_output=True, text=True, check=False)
    if "it has Python" not in asked.stdout:
        return "this gdb has no Python"
    return "" if "$1 = " in asked.stdout else "the server has no debug information"


SKIP = reason_to_skip()


@built.need("poll")
@unittest.skipIf(SKIP, SKIP)
class UnderGdb(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def show(self, method: str) -> dict[str, str]:
        """Returns the output of each command of SHOW."""
        conf = self.dir / "nginx.conf"
        conf.write_text(CONF.format(dir=self.dir, events=f"use {method};"), encoding="utf-8")
        script = self.dir / "script"
        commands = [f"echo [[{command}]]\\n\n{command}\n" for command in SHOW]
        script.write_text(SCRIPT + "".join(commands) + "kill\n", encoding="utf-8")
        output = self.dir / "output"
        with output.open("w", encoding="utf-8") as out, subprocess.Popen(
            gdb("-x", script, "--args", os.environ["NGXX"], "-c", conf, "-p", self.dir),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "LC_ALL": "C"},
        ) as process:
            try:
                clients = [self.connect(process, output) for _ in range(CLIENTS)]
                clients[-1].sendall(b"x")  # accepted last
                process.wait(PATIENCE)
            finally:
                process.kill()
        text = output.read_text(encoding="utf-8")
        self.assertIn("this process has no connections yet", text)
        parts = re.split(r"^\[\[(.*)\]\]$", text, flags=re.MULTILINE)
        return {name: part.strip() for name, part in zip(parts[1::2], parts[2::2], strict=True)}

    def connect(self, process: subprocess.Popen[bytes], output: Path) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        self.addCleanup(client.close)
        deadline = time.monotonic() + PATIENCE
        while client.connect_ex(str(self.dir / "echo")) != 0:
            text = output.read_text(encoding="utf-8")
            if any(words in text for words in NO_PTRACE):
                self.skipTest("gdb may not trace a process here")
            if process.poll() is not None or time.monotonic() > deadline:
                self.fail(text)
            time.sleep(0.05)
        return client

    def test_timers_queues_and_connections_are_shown(self) -> None:
        shown = self.show("poll")
        self.assertEqual(list(shown), list(SHOW))
        for command, text in shown.items():
            self.assertNotRegex(text, "Python Exception|Error", command)

        lines = shown["ngxx-timers"].splitlines()
        self.assertEqual(lines[-1], f"{CLIENTS} timers")
        timers = [re.fullmatch(r" *(\d+) ms  fd \d+ read +ngx::echo_handler", line)
                  for line in lines[:-1]]
        self.assertNotIn(None, timers)
        times = [int(found[1]) for found in timers if found]
        self.assertEqual(len(times), CLIENTS)
        self.assertEqual(times, sorted(times))

        self.assertRegex(
            shown["ngxx-posted"],
            r"^posted_accept_events: 0\nposted_events: 1\n  fd \d+ read +ngx::echo_handler\n"
            r"posted_next_events: 0$")

        connections = shown["ngxx-connections"]
        self.assertRegex(connections, r"(?m)^\[0\] Connection\(fd \d+, on unix:\S+/echo, read -> "
                                      r"ngx::event_accept, write -> null\)$")
        self.assertRegex(connections, r"(?m)^ +Event\(fd \d+ read, active, ready, timer in \d+ ms, "
                                      r"posted -> ngx::echo_handler\)$")
        self.assertEqual(len(re.findall(r"Connection\(fd \d+, \*\d+, client unix:, on ",
                                        connections)), CLIENTS)
        self.assertRegex(connections, rf"\n{CLIENTS + 2} of 512 connections$")

    def test_print_shows_each_type(self) -> None:
        shown = self.show("poll")
        event = r"Event\(fd \d+ read, active, (ready, )?timer in \d+ ms(, posted)? -> [a-z_:]+\)"
        self.assertRegex(shown["print ngx::event_timer_rbtree"],
                         rf"= timers of {CLIENTS} = {{{event}(, {event}){{{CLIENTS - 1}}}}}$")
        self.assertRegex(shown["print ngx::posted_events"], rf"= events of 1 = {{{event}}}$")
        self.assertRegex(shown["print ngx::posted_accept_events"], "= events of 0$")
        self.assertRegex(shown["print *ngx::ngx_cycle"],
                         rf"= Cycle\(\S+/nginx.conf, generation 1, {CLIENTS + 2} of 512 "
                         r"connections, \d+ modules\) = {listening = ")
        self.assertRegex(shown["print ngx::ngx_cycle->listening"],
                         r"{Listening\(unix:\S+/echo, fd \d+ -> ngx::stream_init_connection\)}$")
        self.assertRegex(shown["print ngx::ngx_cycle->reusable_connections_queue"],
                         "= connections of 0$")
        self.assertRegex(shown["print *ngx::ngx_cycle->listening._M_impl._M_start->connection"],
                         r"= Connection\(fd \d+, on unix:\S+/echo, read -> ngx::event_accept")


if __name__ == "__main__":
    skips.main()
