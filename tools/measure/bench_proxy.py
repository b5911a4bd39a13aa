"""Measures the cost of a proxied request and of an idle proxied session in ngxx.

redis-benchmark sends SET requests on 50 connections through `proxy_pass` to a redis-server. The
program counts system calls with strace and user-space instructions with valgrind, as the difference
of a long and a short run; these counts are the same each time. The memory of an idle session is the
growth of the process's proportional set size, divided by the number of sessions, each of which has
sent a request. If nginx and its stream module are installed, it also measures nginx, and compares
the processor time of both in pairs of consecutive runs.

Exit status: 0; 1 if a figure of ngxx exceeds its limit; 2 if a requested measurement failed.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import CannotMeasure
from .clients import ANSWER, STEP_SECONDS, connect, expect, receive
from .command import add_measures, check_measures, new_parser, run
from .counts import calls_of, positive, processor_seconds, profiled, quartiles, require
from .servers import (
    START_SECONDS,
    STOP_SECONDS,
    Running,
    Server,
    nginx_server,
    ngxx_servers,
    running,
    two_free_ports,
)

MEASURES = ("syscalls", "instructions", "memory", "pairs")
CLIENTS = 50
WARM_UP = 100  # sessions that are not counted
SHORT = 2000  # requests of the short run


@dataclass(frozen=True)
class Proxy(Server):
    """A server that also proxies to a redis-server, on the next port."""

    redis_port: int = 0

    def conf(self, port: int) -> str:
        load = f"load_module {self.module};\n" if self.module else ""
        return (
            f"{load}daemon off;\nmaster_process off;\npid server.pid;\n"
            "error_log error.log;\nworker_rlimit_nofile 40000;\n"
            f"events {{ use {self.method}; worker_connections 20000; }}\n"
            "stream {\n"
            f'    server {{ listen {port}; return "{ANSWER.decode()}"; }}\n'
            f"    server {{ listen {port + 1} backlog=4096; "
            f"proxy_pass 127.0.0.1:{self.redis_port}; }}\n"
            "}\n"
        )


@contextmanager
def redis() -> Iterator[int]:
    """Runs a redis-server that saves nothing to disk; yields its port."""
    for program in ("redis-server", "redis-benchmark"):
        if not shutil.which(program):
            raise CannotMeasure(
                f"{program} is not installed: apt-get install --no-install-recommends redis-server"
            )
    with tempfile.TemporaryDirectory(prefix="ngxx-bench-") as folder:
        port = two_free_ports()
        options = ["--port", str(port), "--save", "", "--appendonly", "no", "--maxclients", "20000"]
        process = subprocess.Popen(
            ["redis-server", *options, "--bind", "127.0.0.1", "--tcp-backlog", "4096"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connect(port).close()
            return
        except ConnectionError:
            time.sleep(0.02)
    raise CannotMeasure("redis-server does not answer")


def requests(run: Running, count: int) -> None:
    """Sends this number of SET requests through the proxy."""
    command = ["redis-benchmark", "-p", str(run.port + 1), "-t", "set", "-c", str(CLIENTS)]
    try:
        subprocess.run(
            [*command, "-n", str(count), "-q"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
            timeout=STEP_SECONDS,
        )
    except subprocess.SubprocessError as error:
        raise run.explain(f"redis-benchmark: {error}") from error


def syscalls_of(server: Proxy, options: argparse.Namespace) -> float:
    require("strace")
    few = calls_of(server, requests, SHORT)
    many = calls_of(server, requests, SHORT + options.requests)
    return (sum(many.values()) - sum(few.values())) / options.requests


def profile_of(server: Proxy, count: int) -> int:
    """Returns the instructions of a whole run."""
    options = ["--tool=callgrind", "--callgrind-out-file=profile"]
    with running(server, ["valgrind", *options]) as run:
        requests(run, count)
        return profiled(run)


def instructions_of(server: Proxy, options: argparse.Namespace) -> float:
    require("valgrind")
    more = profile_of(server, SHORT + options.requests) - profile_of(server, SHORT)
    return more / options.requests


def proportional_set_size(pid: int) -> int:
    """Returns bytes, without files: the share of a file depends on other processes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise CannotMeasure(f"{wanted} open files are needed, {hard} are allowed")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def idle_session(port: int) -> socket.socket:
    """Returns the client of a session that has had one request and its answer."""
    client = connect(port)
    client.sendall(b"PING\r\n")
    expect(receive(client, 7), b"+PONG\r\n")
    return client


def memory_of(server: Proxy, options: argparse.Namespace) -> float:
    """Returns the bytes of an idle session. The first sessions, which are not counted, allocate the
    memory that all share."""
    raise_file_limit(options.sessions + 100)
    with running(server, []) as run, ExitStack() as clients:
        for _ in range(WARM_UP):
            clients.enter_context(idle_session(run.port + 1))
        before = proportional_set_size(run.pid)
        for _ in range(options.sessions):
            clients.enter_context(idle_session(run.port + 1))
        return (proportional_set_size(run.pid) - before) / options.sessions


def cost_of(run: Running, count: int) -> float:
    """Returns seconds of processor time."""
    before = processor_seconds(run.pid)
    requests(run, count)
    return processor_seconds(run.pid) - before


def compare(ours: Proxy, theirs: Proxy, options: argparse.Namespace) -> None:
    with running(ours, []) as a, running(theirs, []) as b:
        for run in (a, b):
            cost_of(run, options.pair_requests)
        ratios = []
        for i in range(options.pairs):
            say(f"pair {i + 1} of {options.pairs}")
            order = (a, b) if i % 2 == 0 else (b, a)
            costs = {run.port: cost_of(run, options.pair_requests) for run in order}
            ratios.append(costs[a.port] / costs[b.port])
    print(
        f"processor time of {ours.name} with {ours.method} for 1 of {theirs.name}, "
        f"{options.pairs} pairs of {options.pair_requests} requests: {quartiles(ratios)}"
    )


Counter = Callable[[Proxy, argparse.Namespace], float]

# For each measure: its function, its unit, its decimals.
COUNTERS: dict[str, tuple[Counter, str, int]] = {
    "syscalls": (syscalls_of, "system calls per request", 2),
    "instructions": (instructions_of, "instructions per request", 0),
    "memory": (memory_of, "bytes per idle session", 0),
}


def say(what: str) -> None:
    print(f"tools/bench-proxy: {what} ...", file=sys.stderr, flush=True)


def count(server: Proxy, options: argparse.Namespace, excess: list[str]) -> None:
    for name, (counter, what, digits) in COUNTERS.items():
        if name not in options.only:
            continue
        say(f"{name} of {server.name}, {server.method}")
        value = counter(server, options)
        print(f"{server.name}, {server.method}: {value:.{digits}f} {what}", flush=True)
        limit = getattr(options, f"max_{name}")
        if server.is_ngxx and limit is not None and value > limit:
            needs = f"{server.method} needs {value:.{digits}f} {what}"
            excess.append(f"{needs}, the limit is {limit:g}")


def nginx(options: argparse.Namespace) -> Server | None:
    if options.without_nginx:
        return None
    try:
        return nginx_server()
    except CannotMeasure as error:
        if options.only == ["pairs"]:
            raise
        print(f"tools/bench-proxy: ngxx alone: {error}", file=sys.stderr)
        return None


def measure(options: argparse.Namespace) -> int:
    found = [*ngxx_servers(options.binary, options.use)]
    theirs = nginx(options)
    excess: list[str] = []
    with redis() as port:
        servers = [
            Proxy(**{**vars(server), "redis_port": port})
            for server in [*found, *([theirs] if theirs else [])]
        ]
        for server in servers:
            count(server, options, excess)
            if server.remark:
                print(f"{server.name} was {server.remark}")
        if "pairs" in options.only and theirs:
            compare(servers[0], servers[-1], options)
    for text in excess:
        print(f"tools/bench-proxy: {text}", file=sys.stderr)
    return 1 if excess else 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = new_parser("tools/bench-proxy", __doc__)
    add_measures(parser, MEASURES)
    add = parser.add_argument
    add("--requests", type=positive, default=20000, metavar="N", help="requests to count (20000)")
    add("--sessions", type=positive, default=5000, metavar="N", help="idle sessions (5000)")
    add("--pairs", type=positive, default=9, metavar="N", help="pairs to compare, at least 2 (9)")
    add("--pair-requests", type=positive, default=50000, metavar="N", help="of each run (50000)")
    add("--max-syscalls", type=float, metavar="N", help="limit for a request")
    add("--max-instructions", type=float, metavar="N", help="limit for a request")
    add("--max-memory", type=float, metavar="BYTES", help="limit for an idle session")
    options = parser.parse_args(arguments)

    options.only = options.only or list(MEASURES)
    check_measures(parser, options, COUNTERS)
    options.binary = options.binary.resolve()
    return options


def main(arguments: list[str]) -> int:
    return run("tools/bench-proxy", measure, parse_arguments(arguments), (CannotMeasure, OSError))
