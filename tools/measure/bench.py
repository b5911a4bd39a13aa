"""Measures the cost of a connection to `return` and of a message to `echo` in ngxx.

It counts system calls with strace and user-space instructions with valgrind; these counts are the
same in each run. If nginx and its stream module are installed, it also counts for nginx's `return`,
and compares the wall clock and the processor time of both in pairs of consecutive runs: if the
machine has other load, only the ratio within a pair is meaningful.

Exit status: 0; 1 if a count of `return` exceeds its limit; 2 if a requested measurement failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import CannotMeasure
from .clients import ANSWER, connect, expect, one_return, receive
from .command import add_measures, check_measures, new_parser, run
from .counts import (
    Count,
    Load,
    calls_of,
    positive,
    processor_seconds,
    profiled,
    quartiles,
    require,
)
from .servers import (
    START_SECONDS,
    Running,
    Server,
    nginx_server,
    ngxx_servers,
    running,
)

MEASURES = ("syscalls", "instructions", "pairs")

MESSAGE = b"A message of sixty-four bytes, as it may be said and come back.\n"
WARM_UP = 100
AT_ONCE = 64  # connections that the runs of a pair have open at once


# ---- clients ----


def returns(run: Running, count: int) -> None:
    """Opens the connections one after the other, so that each needs its own wait."""
    for _ in range(count):
        one_return(run.port)


def echoes(run: Running, count: int) -> None:
    """Sends the messages one after the other, on one connection."""
    with connect(run.port + 1) as client:
        for _ in range(count):
            client.sendall(MESSAGE)
            expect(receive(client, len(MESSAGE)), MESSAGE)


def crowd_of_returns(run: Running, count: int) -> None:
    """Opens many connections at once."""
    for start in range(0, count, AT_ONCE):
        clients = [connect(run.port) for _ in range(min(AT_ONCE, count - start))]
        for client in clients:
            with client:
                expect(receive(client, len(ANSWER) + 1), ANSWER)


# ---- counts ----

def syscalls_of(server: Server, load: Load, count: int) -> Count:
    """Returns the calls for one connection or message: the difference of a long and a short run."""
    require("strace")
    few = calls_of(server, load, WARM_UP)
    many = calls_of(server, load, WARM_UP + count)
    more = {name: (calls - few.get(name, 0)) / count for name, calls in many.items()}
    return {name: calls for name, calls in more.items() if calls != 0}


def control(run: Running, switch: str) -> None:
    """Turns the counting of instructions on or off."""
    command = ["callgrind_control", "-i", switch, str(run.pid)]
    with open(run.folder / "output", "ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if process.wait(2) != 0:
                raise run.explain("callgrind_control failed")
            return
        except subprocess.TimeoutExpired:
            pass
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise run.explain("callgrind_control does not finish")
        one_return(run.port)  # a server that waits may not react to it


def instructions_of(server: Server, load: Load, count: int) -> Count:
    """Returns the user-space instructions for one connection or message."""
    require("valgrind", "callgrind_control")
    options = ["--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=profile"]
    with running(server, ["valgrind", *options]) as run:
        load(run, WARM_UP)
        control(run, "on")
        load(run, count)
        control(run, "off")
        return {"instructions": profiled(run) / count}


# ---- pairs ----


@dataclass(frozen=True)
class Cost:
    wall: float
    processor: float


def cost_of(run: Running, count: int) -> Cost:
    wall, processor = time.perf_counter(), processor_seconds(run.pid)
    crowd_of_returns(run, count)
    return Cost(time.perf_counter() - wall, processor_seconds(run.pid) - processor)


def cost_ratios(ours: Server, theirs: Server, pairs: int, count: int) -> tuple[list[float], ...]:
    """Returns for each pair the ratios of ours to theirs: of the wall clock and processor time."""
    with running(ours, []) as a, running(theirs, []) as b:
        for run in (a, b):
            cost_of(run, count)
        walls, processors = [], []
        for i in range(pairs):
            say(f"pair {i + 1} of {pairs}")
            # The order alternates, because the first run has cold caches.
            costs = {run.port: cost_of(run, count) for run in ((a, b) if i % 2 == 0 else (b, a))}
            walls.append(costs[a.port].wall / costs[b.port].wall)
            processors.append(costs[a.port].processor / costs[b.port].processor)
        return walls, processors


# ---- the command ----


COUNTERS: dict[str, Callable[[Server, Load, int], Count]] = {
    "syscalls": syscalls_of,
    "instructions": instructions_of,
}
LOADS: dict[str, Load] = {"return": returns, "echo": echoes}


@dataclass
class Row:
    """The counts of a server, by load and measure."""

    server: Server
    counts: dict[tuple[str, str], Count] = field(default_factory=dict)

    def total(self, load: str, measure: str) -> float | None:
        found = self.counts.get((load, measure))
        return sum(found.values()) if found else None


@dataclass
class Report:
    """The results and the failures."""

    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def missing_nginx(self, why: str, needed: bool) -> None:
        if needed:
            self.failures.append(why)
        else:
            print(f"tools/bench: ngxx alone: {why}", file=sys.stderr)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Records the failure and its reason."""
        say(what)
        try:
            yield
        except (CannotMeasure, OSError) as error:
            self.failures.append(f"{what}: {error}")


def say(what: str) -> None:
    print(f"tools/bench: {what} ...", file=sys.stderr, flush=True)


def count(report: Report, server: Server, options: argparse.Namespace) -> None:
    row = Row(server)
    report.rows.append(row)
    for load, play in LOADS.items():
        if load == "echo" and not server.is_ngxx:
            continue
        for name, counter in COUNTERS.items():
            if name in options.only:
                with report.attempt(f"{name} of {server.name}, {server.method}, {load}"):
                    row.counts[load, name] = counter(server, play, options.connections)


def cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def print_counts(rows: list[Row]) -> None:
    line = "{:<14}{:<8}{:>10}{:>14}    {:>10}{:>14}"
    print(f"{'':22}{'a connection of return':>24}    {'a message of echo':>24}")
    print(line.format("", "use", *["syscalls", "instructions"] * 2))
    for row in rows:
        cells = (
            cell(row.total(load, name), digits)
            for load in LOADS
            for name, digits in (("syscalls", 2), ("instructions", 0))
        )
        print(line.format(row.server.name, row.server.method, *cells))
    print()
    for row in rows:
        for load in LOADS:
            calls = row.counts.get((load, "syscalls"), {})
            if calls:
                listed = ", ".join(f"{name} {calls[name]:.2f}" for name in sorted(calls))
                print(f"{row.server.name}, {row.server.method}, {load}: {listed}")
    for name, remark in {row.server.name: row.server.remark for row in rows}.items():
        if remark:
            print(f"{name} was {remark}")


def over_limits(rows: list[Row], options: argparse.Namespace) -> list[str]:
    """Returns the limits that ngxx's `return` exceeds, as texts."""
    limits = (("syscalls", options.max_syscalls, 2), ("instructions", options.max_instructions, 0))
    found = []
    for row in rows:
        for name, limit, digits in limits:
            total = row.total("return", name)
            if row.server.is_ngxx and limit is not None and total is not None and total > limit:
                needs = f"{row.server.method} needs {total:.{digits}f} {name} for a connection"
                found.append(f"{needs}, the limit is {limit:g}")
    return found


def compare(report: Report, ours: Server, theirs: Server, options: argparse.Namespace) -> None:
    with report.attempt("pairs of runs"):
        ratios = cost_ratios(ours, theirs, options.pairs, options.pair_connections)
        them = f"{ours.name} with {ours.method} for 1 of {theirs.name} with {theirs.method}"
        print(f"{them}, {options.pairs} pairs of {options.pair_connections} connections")
        for name, values in zip(("wall clock", "processor"), ratios):
            print(f"  {name:<12}{quartiles(values)}")


def measure(options: argparse.Namespace) -> int:
    report = Report()
    ours = ngxx_servers(options.binary, options.use)
    theirs = None
    if not options.without_nginx:
        try:
            theirs = nginx_server()
        except CannotMeasure as error:
            report.missing_nginx(str(error), needed=options.only == ["pairs"])

    if {"syscalls", "instructions"} & set(options.only):
        for server in [*ours, *([theirs] if theirs else [])]:
            count(report, server, options)
        print_counts(report.rows)
    if "pairs" in options.only and theirs:
        compare(report, ours[0], theirs, options)

    excess = over_limits(report.rows, options)
    for text in [*report.failures, *excess]:
        print(f"tools/bench: {text}", file=sys.stderr)
    return 2 if report.failures else 1 if excess else 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = new_parser("tools/bench", __doc__)
    add_measures(parser, MEASURES)
    add = parser.add_argument
    add("--counts-only", action="store_true", help="only count, do not compare pairs")
    add("--connections", type=positive, default=1000, metavar="N", help="connections (1000)")
    add("--pairs", type=positive, default=11, metavar="N", help="pairs to compare, at least 2 (11)")
    add("--pair-connections", type=positive, default=2000, metavar="N", help="of each run (2000)")
    add("--max-syscalls", type=float, metavar="N", help="limit for a connection to return")
    add("--max-instructions", type=float, metavar="N", help="limit for a connection to return")
    options = parser.parse_args(arguments)

    if options.counts_only and options.only:
        parser.error("--counts-only and --only exclude each other")
    options.only = options.only or list(MEASURES[: 2 if options.counts_only else 3])
    check_measures(parser, options, ("syscalls", "instructions"))
    options.binary = options.binary.resolve()
    return options


def main(arguments: list[str]) -> int:
    return run("tools/bench", measure, parse_arguments(arguments))
