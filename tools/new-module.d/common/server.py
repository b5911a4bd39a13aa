"""Runs ngxx for the tests of a module, with the example configuration beside this file."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NGXX = os.environ.get("NGXX", "ngxx")
PATIENCE = 20  # seconds; the longest wait for something that happens at once


def check_conf(text: str) -> subprocess.CompletedProcess[str]:
    """Runs `ngxx -t` on a configuration, in a folder whose build/ has the module."""
    with tempfile.TemporaryDirectory() as folder:
        make_prefix(Path(folder), text)
        command = [NGXX, "-p", folder, "-c", "test.conf", "-t"]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def make_prefix(folder: Path, text: str) -> None:
    """Writes the configuration and the files of its relative paths."""
    (folder / "build").mkdir()
    for conf in HERE.glob("*.conf"):
        module = f"{conf.stem}_module.so"
        built = os.environ.get("MODULE", HERE / "build" / module)
        (folder / "build" / module).symlink_to(built)
    (folder / "test.conf").write_text(text)


def fetch_late(client: socket.socket, data: bytes) -> bytes:
    """Sends without receiving until the server reads no more, then sends and receives."""
    client.setblocking(False)
    received = b""
    sent = 0
    while sent < len(data) and select.select([], [client], [], 0.2)[1]:
        sent += client.send(data[sent:])
    while len(received) < len(data):
        unsent = [client] if sent < len(data) else []
        readable, writable, _ = select.select([client], unsent, [], PATIENCE)
        if not readable and not writable:
            raise AssertionError(f"{sent} bytes were sent, {len(received)} came back")
        sent += client.send(data[sent:]) if writable else 0
        received += client.recv(65536) if readable else b""
    return received


class Server:
    """A server with a configuration, in its own folder; for `with`. Each port of 127.0.0.1 in the
    configuration becomes a socket file, so that tests can run in parallel."""

    def __init__(self, text: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        make_prefix(self.path, self.own(text))
        self.stderr = open(self.path / "stderr", "wb")

    def __enter__(self) -> Server:
        command = [NGXX, "-p", str(self.path), "-c", "test.conf"]
        # Its own session, so that remaining processes can be found and killed.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.has_processes():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stderr.close()
        self.folder.cleanup()

    def own(self, text: str) -> str:
        return re.sub(r"127\.0\.0\.1:\d+", f"unix:{self.path}/socket", text)

    def log(self) -> str:
        return (self.path / "stderr").read_text(errors="replace")

    def errors(self) -> list[str]:
        """Returns the log's errors and the reports of sanitizers."""
        bad = r".*\[(?:error|crit|alert|emerg)\].*|.*ERROR: \w+Sanitizer.*|.*: runtime error: .*"
        return re.findall(bad, self.log())

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Waits until the log has `count` matches of the pattern; returns their groups or texts."""
        end = time.monotonic() + PATIENCE
        while len(found := re.findall(pattern, self.log())) < count:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"the log lacks {pattern!r}:\n{self.log()}")
            time.sleep(0.01)
        return found

    def connect(self) -> socket.socket:
        """Returns a connected client. Retries until the server listens."""
        end = time.monotonic() + PATIENCE
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            try:
                client.connect(f"{self.path}/socket")
                return client
            except OSError:
                client.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise AssertionError(f"the server does not listen:\n{self.log()}") from None
            time.sleep(0.01)

    def reload(self, text: str) -> None:
        (self.path / "test.conf").write_text(self.own(text))
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Stops the server gracefully and returns its exit status."""
        self.process.send_signal(signal.SIGQUIT)
        return self.process.wait(PATIENCE)

    def has_processes(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True
