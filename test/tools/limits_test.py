"""Compares the limits that ngxx-inspect calculates with what servers do: ngxx, and nginx if it is
installed. INSPECT in the environment is ngxx-inspect, NGXX the server."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import built  # noqa: E402
import skips  # noqa: E402

POLL = 0.01  # seconds between two looks at a file of the server
PATIENCE = 100.0  # seconds until a server is taken to hang

MANY = 60  # more clients than any server here can serve
REFUSED = re.compile(r"worker_connections are not enough|Too many open files")


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class WithServer(unittest.TestCase):
    program: ClassVar[str]
    head: ClassVar[str]
    answer: ClassVar[int]  # of the view: 0 for nginx, 1 for ngxx

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        self.ports = free_ports(3)
        self.log = self.dir / "error.log"

    def configure(self, text: str) -> Path:
        """Writes a configuration. "%1" to "%3" in the text are ports."""
        text = f"{self.head} daemon off; pid {self.dir}/pid; error_log {self.log} info; {text}"
        for i, port in enumerate(self.ports, 1):
            text = text.replace(f"%{i}", f"127.0.0.1:{port}")
        conf = self.dir / "nginx.conf"
        conf.write_text(text, encoding="utf-8")
        return conf

    def said(self, conf: Path) -> dict[str, Any]:
        """Returns the number of clients that the view states."""
        result = subprocess.run(
            [os.environ["INSPECT"], "events", "--json", "--for", "nginx-1.22", "-p", self.dir,
             "-c", conf], capture_output=True, text=True, check=True)
        return json.loads(result.stdout)["answers"][self.answer]["clients"]

    def start(self, conf: Path) -> subprocess.Popen[bytes]:
        server = subprocess.Popen(
            [self.program, "-p", f"{self.dir}/", "-e", self.dir / "first.log", "-c", conf],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop, server)
        return server

    def stop(self, server: subprocess.Popen[bytes]) -> None:
        server.send_signal(signal.SIGTERM)
        server.wait()

    def wait_for(self, condition: Any) -> None:
        """Waits until the condition holds. The bound is for a server that hangs."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"the server hangs: {self.log.read_text(errors='replace')}")
            select.select([], [], [], POLL)

    def connect(self, port: int) -> socket.socket:
        client = socket.socket()
        self.addCleanup(client.close)

        def connected() -> bool:
            try:
                client.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                return False
            return True

        self.wait_for(connected)
        return client

    def lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def served(self, words: str) -> int:
        """Opens clients until the server refuses one. Returns how many lines with these words the
        log has before that."""
        for n in range(1, MANY):
            self.connect(self.ports[0])
            self.wait_for(lambda n=n: self.counted("client 127.0.0.1:") >= n or self.has_refused())
            if self.has_refused():
                break
        self.assertTrue(self.has_refused())
        return self.counted(words)

    def has_refused(self) -> bool:
        return any(REFUSED.search(line) for line in self.lines())

    def counted(self, words: str) -> int:
        n = 0
        for line in self.lines():
            if REFUSED.search(line):
                break
            n += " connected to " in line and words in line
        return n

    def files(self, server: subprocess.Popen[bytes], workers: int, said: int) -> None:
        """Waits until each worker has as many descriptors as the view states."""
        def counts() -> list[int]:
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            try:
                return [len(os.listdir(f"/proc/{child}/fd")) for child in children
                        if "worker process" in Path(f"/proc/{child}/cmdline").read_text()]
            except OSError:
                return []

        self.wait_for(lambda: counts() == [said] * workers)

    def fill(self, text: str, words: str, key: str) -> None:
        conf = self.configure(text)
        said = self.said(conf)
        self.start(conf)
        self.assertEqual(self.served(words), said[key], said["words"])


class Limits:
    """The tests, for each server. A client that says nothing is served as long as the server waits
    for the header of the proxy protocol."""

    waits = "stream { server { listen %1 proxy_protocol; return a; } }"

    def test_connections_bind(self) -> None:
        self.fill(f"events {{ worker_connections 32; }} {self.waits}", "client ", "per_worker")

    def test_as_many_files_as_connections_are_not_enough(self) -> None:
        self.fill(f"worker_rlimit_nofile 32; events {{ worker_connections 32; }} {self.waits}",
                  "client ", "per_worker")

    def test_without_a_master(self) -> None:
        self.fill(f"master_process off; events {{ worker_connections 32; }} {self.waits}",
                  "client ", "per_worker")

    def test_a_proxied_client_takes_two(self) -> None:
        backend = socket.create_server(("127.0.0.1", 0), backlog=MANY)
        self.addCleanup(backend.close)
        self.fill("events { worker_connections 32; } stream { server { listen %1; proxy_pass "
                  f"127.0.0.1:{backend.getsockname()[1]}; }} }}", "proxy 127.0.0.1:",
                  "proxied_per_worker")

    def test_each_worker_has_the_descriptors_that_are_stated(self) -> None:
        conf = self.configure(
            "worker_processes 3; events { worker_connections 64; } stream { server {"
            "listen %1 reuseport; listen %2 reuseport udp; listen %3; "
            "error_log other.log; return a; } }")
        said = self.said(conf)["files_taken"]
        self.files(self.start(conf), 3, said)


@built.need("stream", "epoll")
class Ngxx(Limits, WithServer):
    program = os.environ["NGXX"]
    head = ""
    answer = 1

    @built.need("poll")
    def test_poll_needs_fewer_files(self) -> None:
        self.fill("worker_rlimit_nofile 32; events { use poll; worker_connections 32; } "
                  + self.waits, "client ", "per_worker")


NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@unittest.skipUnless(NGINX and STREAM.exists(), "nginx with its stream module is not installed")
class Nginx(Limits, WithServer):
    program = NGINX or ""
    head = f"load_module {STREAM};"
    answer = 0

    def test_http_has_logs_and_processes_for_its_caches(self) -> None:
        temporary = " ".join(f"{name}_temp_path {self.dir}/{name};" for name in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = self.configure(
            "worker_processes 2; events { worker_connections 64; } http { "
            f"{temporary} proxy_cache_path {self.dir}/cache keys_zone=a:1m; access_log a.log;"
            "server { listen %1; } server { listen %2; access_log off; error_log b.log; } }")
        said = self.said(conf)["files_taken"]
        self.files(self.start(conf), 2, said)


if __name__ == "__main__":
    skips.main()
