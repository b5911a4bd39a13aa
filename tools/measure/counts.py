"""Counts system calls with strace, instructions with valgrind, and processor time."""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import time
from collections.abc import Callable

from . import CannotMeasure
from .servers import Running, Server, running

PACKAGES = {"strace": "strace", "valgrind": "valgrind", "callgrind_control": "valgrind"}

Load = Callable[[Running, int], None]

# The number of times, by what was counted.
Count = dict[str, float]


def require(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            package = PACKAGES[program]
            raise CannotMeasure(f"{package} is not installed: apt-get install {package}")


def parse_strace(text: str) -> Count:
    """Returns the number of calls by name, from the table of strace -c."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", text, re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}


def calls_of(server: Server, load: Load, count: int) -> Count:
    """Returns all calls of a server with this load, from its start to its exit."""
    with running(server, ["strace", "-c", "-f", "-o", "calls"]) as run:
        load(run, count)
        run.stop()
        calls = parse_strace((run.folder / "calls").read_text(encoding="utf-8"))
        if not calls:
            raise run.explain("strace counted nothing")
        return calls


def parse_callgrind(text: str) -> int:
    """Returns the total number of instructions of a profile."""
    totals = re.search(r"^totals: (\d+)$", text, re.M)
    return int(totals[1]) if totals else 0


def profiled(run: Running) -> int:
    """Stops the server, which runs under callgrind, and returns its number of instructions."""
    run.stop()
    instructions = parse_callgrind((run.folder / "profile").read_text(encoding="utf-8"))
    if instructions == 0:
        raise run.explain("callgrind counted nothing")
    return instructions


def processor_seconds(pid: int) -> float:
    """Returns the seconds of the process, precise to 1 ns: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def quartiles(ratios: list[float]) -> str:
    low, median, high = statistics.quantiles(ratios, n=4)
    whole = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"{median:.2f}  (half of them {low:.2f} to {high:.2f}, all {whole})"


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value
