"""Tests the module `example` in a server: its log lines, and that it leaves nothing behind."""

from __future__ import annotations

import time
import unittest
from pathlib import Path

from server import HERE, PATIENCE, Server, check_conf

CONF = (HERE / "example.conf").read_text().replace("example_interval 1s", "example_interval 20ms")
WITHOUT = "\n".join(line for line in CONF.splitlines() if "example_" not in line)
BEAT = r"\[notice\] (\d+)#\d+: example: \d+ turns, [1-9]\d* kB"


def wait_until(condition) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def is_loaded(pid: int) -> bool:
    return "example_module.so" in Path(f"/proc/{pid}/maps").read_text()


class Beats(unittest.TestCase):
    def end(self, server: Server) -> None:
        self.assertEqual(server.stop(), 0, server.log())
        self.assertEqual(server.errors(), [])
        self.assertFalse(server.has_processes())

    def test_a_worker_beats_and_ends(self) -> None:
        with Server(CONF) as server:
            server.wait_for("example: every 20 ms")
            server.wait_for(BEAT, 3)
            self.end(server)

    def test_the_workers_of_a_reload_beat_and_the_old_ones_end(self) -> None:
        with Server(CONF) as server:
            (old, *_) = server.wait_for(BEAT)
            server.reload(CONF.replace("20ms", "30ms"))
            server.wait_for("example: every 30 ms")
            server.wait_for("generation 1 is gone")
            self.assertFalse(Path(f"/proc/{old}").exists())
            seen = len(server.wait_for(BEAT))
            self.assertNotEqual(server.wait_for(BEAT, seen + 1)[-1], old)
            self.end(server)

    def test_a_worker_that_lacks_a_connection_says_so_and_is_not_tried_again(self) -> None:
        with Server(CONF.replace("worker_connections 16", "worker_connections 1")) as server:
            self.assertEqual(server.process.wait(PATIENCE), 1)
            self.assertIn("1 worker_connections are not enough", server.log())
            self.assertIn("exited with fatal code 2 and cannot be respawned", server.log())


class WithoutMaster(unittest.TestCase):
    """The process continues after a reload, and must release what it no longer needs."""

    def test_a_reload_goes_on_beating_with_one_thread(self) -> None:
        with Server("master_process off;" + CONF) as server:
            server.wait_for(BEAT)
            before = threads(server.process.pid)
            server.reload("master_process off;" + CONF.replace("20ms", "30ms"))
            server.wait_for("example: every 30 ms")
            seen = len(server.wait_for(BEAT))
            server.wait_for(BEAT, seen + 2)
            self.assertEqual(threads(server.process.pid), before)
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])

    def test_a_reload_without_the_module_unloads_it(self) -> None:
        with Server("master_process off;" + CONF) as server:
            pid = server.process.pid
            server.wait_for(BEAT)
            self.assertTrue(is_loaded(pid))
            before = threads(pid)

            server.reload("master_process off;" + WITHOUT)
            self.assertTrue(wait_until(lambda: threads(pid) == before - 1), server.log())
            # The next reload frees the old cycle; otherwise it is freed half a minute later.
            server.reload("master_process off;" + WITHOUT)
            self.assertTrue(wait_until(lambda: not is_loaded(pid)), server.log())
            self.assertEqual(server.stop(), 0, server.log())
            self.assertEqual(server.errors(), [])


class Directive(unittest.TestCase):
    def test_a_time_is_asked_for(self) -> None:
        result = check_conf(CONF.replace("20ms", "often"))
        self.assertEqual(result.returncode, 1)
        self.assertIn('"example_interval" directive invalid value', result.stderr)


if __name__ == "__main__":
    unittest.main()
