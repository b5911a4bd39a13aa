"""Finds the servers that are measured, and runs them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import CannotMeasure
from .clients import ANSWER, one_return

BUILT = Path(__file__).resolve().parents[2] / "build" / "ngxx"

START_SECONDS = 30
STOP_SECONDS = 20


# ---- servers ----


@dataclass(frozen=True)
class Server:
    """A program to measure, and the event method that it uses."""

    name: str
    binary: str
    method: str  # for `use`
    module: str = ""  # the file of a stream module to load
    remark: str = ""

    @property
    def is_ngxx(self) -> bool:
        return not self.name.startswith("nginx")

    def conf(self, port: int) -> str:
        """Serves `return` on the port and, if it is ngxx, `echo` on the next port."""
        load = f"load_module {self.module};\n" if self.module else ""
        echo = f"    server {{ listen 127.0.0.1:{port + 1}; echo; }}\n" if self.is_ngxx else ""
        return (
            f"{load}daemon off;\nmaster_process off;\npid server.pid;\n"
            "error_log error.log;\n"
            f"events {{ use {self.method}; worker_connections 512; }}\n"
            "stream {\n"
            f'    server {{ listen 127.0.0.1:{port}; return "{ANSWER.decode()}"; }}\n'
            f"{echo}}}\n"
        )


def version_of(binary: str) -> str:
    """Returns the program's output for -V."""
    try:
        command = [binary, "-V"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=STOP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotMeasure(f"{binary}: {error}") from error
    return result.stderr + result.stdout


def ngxx_servers(binary: Path, methods: list[str] | None) -> list[Server]:
    if not binary.is_file():
        raise CannotMeasure(f"{binary} does not exist: build it with tools/run, or use --binary")
    about = version_of(str(binary))
    version = re.search(r"version: \w+/(\S+)", about)
    remark = "built with debug logging" if "--with-debug" in about else ""
    built = re.search(r"^event methods: (.*)$", about, re.MULTILINE)
    wanted = methods or (built[1].split() if built else [])
    name = f"ngxx {version[1] if version else ''}".strip()
    return [Server(name, str(binary), method, remark=remark) for method in wanted]


def nginx_server() -> Server:
    """Returns the installed nginx, with epoll."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    missing = "is not installed: apt-get install --no-install-recommends nginx libnginx-mod-stream"
    if not binary:
        raise CannotMeasure(f"nginx {missing}")
    about = version_of(binary)
    version = re.search(r"version: nginx/(\S+)", about)
    folder = re.search(r"--modules-path=(\S+)", about)
    module = Path(folder[1] if folder else "") / "ngx_stream_module.so"
    built_in = re.search(r"--with-stream(?!\S)", about)
    if not built_in and not module.is_file():
        raise CannotMeasure(f"nginx's stream module {missing}")
    return Server(
        f"nginx {version[1] if version else ''}".strip(),
        binary,
        "epoll",
        "" if built_in else str(module),
        "built with debug logging" if "--with-debug" in about else "",
    )


def two_free_ports() -> int:
    """Returns a free port of 127.0.0.1 whose successor is also free."""
    for _ in range(1000):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
                return port
            except (OSError, OverflowError):
                continue
    raise CannotMeasure("no two consecutive ports are free")


# ---- a running server ----


@dataclass
class Running:
    """A server that answers, and its folder."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]  # the server, or the program that runs it
    stopped: bool = False

    @property
    def pid(self) -> int:
        return int((self.folder / "server.pid").read_text(encoding="ascii"))

    def explain(self, what: str) -> CannotMeasure:
        texts = "".join(
            (self.folder / name).read_text(encoding="utf-8", errors="replace")
            for name in ("output", "error.log")
            if (self.folder / name).exists()
        )
        return CannotMeasure(f"{what}\n{texts.strip()}".strip())

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                one_return(self.port)
                return
            except ConnectionError as error:
                if self.process.poll() is not None:
                    raise self.explain("the server has exited") from error
                if time.monotonic() > deadline:
                    raise self.explain("the server does not answer") from error
                time.sleep(0.02)

    def stop(self) -> None:
        """Sends SIGTERM repeatedly, because valgrind may lose a signal."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                os.kill(self.pid, signal.SIGTERM)
            except (OSError, ValueError):
                pass  # it has exited, or has not written its pid file yet
            try:
                self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        if not self.stopped:
            self.stopped = True
            self.end_what_is_left()

    def end_what_is_left(self) -> None:
        """Kills the remaining processes of the group."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@contextmanager
def running(server: Server, wrapper: list[str]) -> Iterator[Running]:
    """Runs the server by the command `wrapper`, in a temporary directory that is also the current
    directory of the wrapper."""
    with tempfile.TemporaryDirectory(prefix="ngxx-bench-") as name:
        folder = Path(name)
        port = two_free_ports()
        (folder / "nginx.conf").write_text(server.conf(port), encoding="utf-8")
        command = [server.binary, "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"]
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                [*wrapper, *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        run = Running(folder, port, process)
        try:
            run.wait_until_it_answers()
            yield run
        finally:
            run.stop()
