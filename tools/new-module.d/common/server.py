"""Runs ngxx for the tests of a module, on the example configuration that lies beside this file."""

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
PATIENCE = 20  # seconds, for what is to come at once


def check_conf(text: str) -> subprocess.CompletedProcess[str]:
    """What `ngxx -t` says of a configuration, in a folder where build/ has the module."""
    with tempfile.TemporaryDirectory() as folder:
        make_prefix(Path(folder), text)
        command = [NGXX, "-p", folder, "-c", "test.conf", "-t"]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def make_prefix(folder: Path, text: str) -> None:
    """What the relative paths of a configuration lead to, and itself."""
    (folder / "build").mkdir()
    for conf in HERE.glob("*.conf"):
        module = f"{conf.stem}_module.so"
        built = os.environ.get("MODULE", HERE / "build" / module)
        (folder / "build" / module).symlink_to(built)
    (folder / "test.conf").write_text(text)


def fetch_late(client: socket.socket, data: bytes) -> bytes:
    """Sends, and fetches nothing until the server takes no more, then both by turns."""
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
    """A server on a configuration, in a folder of its own; for `with`. Whatever port of 127.0.0.1
    the configuration has becomes a socket file, so that tests may run side by side."""

    def __init__(self, text: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        make_prefix(self.path, self.own(text))
        self.stderr = open(self.path / "stderr", "wb")

    def __enter__(self) -> Server:
        command = [NGXX, "-p", str(self.path), "-c", "test.conf"]
        # A session of its own: whoever is left over in it can be found, and ended.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.anybody_left():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stderr.close()
        self.folder.cleanup()

    def own(self, text: str) -> str:
        return re.sub(r"127\.0\.0\.1:\d+", f"unix:{self.path}/socket", text)

    def log(self) -> str:
        return (self.path / "stderr").read_text(errors="replace")

    def errors(self) -> list[str]:
        """What the log has that is worse than a warning, and what a sanitizer has found."""
        bad = r".*\[(?:error|crit|alert|emerg)\].*|.*ERROR: \w+Sanitizer.*|.*: runtime error: .*"
        return re.findall(bad, self.log())

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """Waits until the log has the pattern so often; returns its groups, or what it matched."""
        end = time.monotonic() + PATIENCE
        while len(found := re.findall(pattern, self.log())) < count:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"the log does not say {pattern!r}:\n{self.log()}")
            time.sleep(0.01)
        return found

    def connect(self) -> socket.socket:
        """A client. Until the server listens, it is tried again."""
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
                    raise AssertionError(f"nobody listens:\n{self.log()}") from None
            time.sleep(0.01)

    def reload(self, text: str) -> None:
        (self.path / "test.conf").write_text(self.own(text))
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Ends it gracefully; returns the exit status."""
        self.process.send_signal(signal.SIGQUIT)
        return self.process.wait(PATIENCE)

    def anybody_left(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True
