"""Shows how connections are distributed over workers, for each way of sharing a listener.

Each run starts a new server, opens connections in bursts to a `return $pid`, and counts the answers
of each worker. For each mode, the table shows the share of the busiest worker and the coefficient
of variation of the workers' counts (0: all counts are equal), both as mean and standard deviation
over the runs; and the probability that the variation differs from that of the plain mode by chance
(a permutation test). The modes alternate, so that other load of the machine affects all of them.

Exit status: 0; 2 if something could not be measured.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import CannotMeasure, servers
from .clients import ANSWER, connect, receive
from .command import new_parser, run
from .counts import positive
from .servers import running, version_of

PERMUTATIONS = 10_000


@dataclass(frozen=True)
class Mode:
    name: str
    method: str
    events: str = ""
    listen: str = ""


MODES = (
    Mode("plain (EPOLLEXCLUSIVE)", "epoll"),
    Mode("multi_accept", "epoll", "multi_accept on;"),
    Mode("accept_mutex", "epoll", "accept_mutex on; accept_mutex_delay 5ms;"),
    Mode("reuseport", "epoll", "", "reuseport"),
    Mode("plain, poll", "poll"),
    Mode("accept_mutex, poll", "poll", "accept_mutex on; accept_mutex_delay 5ms;"),
)


@dataclass(frozen=True)
class Server(servers.Server):
    """A master with workers. The first port answers a fixed text, the second the worker's pid."""

    mode: Mode = MODES[0]
    workers: int = 4

    def conf(self, port: int) -> str:
        mode = self.mode
        return (
            "daemon off;\npid server.pid;\nerror_log error.log;\n"
            f"worker_processes {self.workers};\n"
            f"events {{ use {mode.method}; worker_connections 512; {mode.events} }}\n"
            "stream {\n"
            f'    server {{ listen 127.0.0.1:{port}; return "{ANSWER.decode()}"; }}\n'
            f"    server {{ listen 127.0.0.1:{port + 1} {mode.listen}; return $pid; }}\n"
            "}\n"
        )


def counts_of(server: Server, connections: int, burst: int) -> list[int]:
    """Returns the number of connections that each worker has answered, 0 for idle workers."""
    answered: Counter[bytes] = Counter()
    with running(server, []) as run:
        for start in range(0, connections, burst):
            n = min(burst, connections - start)
            clients = [connect(run.port + 1) for _ in range(n)]
            for client in clients:
                with client:
                    answered[receive(client, 16)] += 1
    return [*answered.values(), *[0] * (server.workers - len(answered))]


def variation(counts: list[int]) -> float:
    return statistics.pstdev(counts) / statistics.mean(counts)


def chance(first: list[float], second: list[float], rng: random.Random) -> float:
    """Returns how often the means of two random groups differ by at least as much."""
    difference = abs(statistics.mean(first) - statistics.mean(second))
    both = first + second
    hits = 0
    for _ in range(PERMUTATIONS):
        rng.shuffle(both)
        drawn = statistics.mean(both[: len(first)]) - statistics.mean(both[len(first) :])
        hits += abs(drawn) >= difference - 1e-12
    return hits / PERMUTATIONS


def spread_of(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} +- {statistics.stdev(values):.2f}"


def print_table(runs: dict[Mode, list[list[int]]], seed: int) -> None:
    line = "{:<24}{:>18}{:>18}{:>10}    {}"
    print(line.format("mode", "busiest share", "variation", "chance", "last run"))
    rng = random.Random(seed)
    plain = [variation(counts) for counts in next(iter(runs.values()))]
    for mode, all_counts in runs.items():
        shares = [max(counts) / sum(counts) for counts in all_counts]
        variations = [variation(counts) for counts in all_counts]
        first = variations == plain
        print(
            line.format(
                mode.name,
                spread_of(shares),
                spread_of(variations),
                "" if first else f"{chance(plain, variations, rng):.3f}",
                " ".join(map(str, sorted(all_counts[-1], reverse=True))),
            )
        )


def measure(options: argparse.Namespace) -> int:
    modes = [m for m in MODES if f"ngx_{m.method}_module" in version_of(str(options.binary))]
    runs: dict[Mode, list[list[int]]] = {mode: [] for mode in modes}
    for i in range(options.runs):
        print(f"tools/spread: run {i + 1} of {options.runs} ...", file=sys.stderr, flush=True)
        for mode in modes:
            server = Server("ngxx", str(options.binary), mode.method, "", "", mode, options.workers)
            runs[mode].append(counts_of(server, options.connections, options.burst))
    print(
        f"{options.workers} workers, {options.runs} runs of {options.connections} connections, "
        f"{options.burst} at a time"
    )
    print_table(runs, options.seed)
    return 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = new_parser("tools/spread", __doc__)
    add = parser.add_argument
    add("--workers", type=positive, default=4, metavar="N", help="workers of each server (4)")
    add("--runs", type=positive, default=10, metavar="N", help="for each mode, >= 2 (10)")
    add("--connections", type=positive, default=1000, metavar="N", help="of each run (1000)")
    add("--burst", type=positive, default=32, metavar="N", help="open at once (32)")
    add("--seed", type=int, default=1, help="seed of the permutation test (1)")
    options = parser.parse_args(arguments)
    if options.runs < 2:
        parser.error("one run has no spread: --runs 2 or more")
    options.binary = options.binary.resolve()
    return options


def main(arguments: list[str]) -> int:
    return run("tools/spread", measure, parse_arguments(arguments))
