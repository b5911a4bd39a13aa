"""The common part of the command lines of the measuring programs."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from . import CannotMeasure
from .servers import BUILT


def new_parser(program: str, about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", type=Path, default=BUILT, help="default: build/ngxx")
    return parser


def add_measures(parser: argparse.ArgumentParser, measures: Iterable[str]) -> None:
    """Adds the options of a program that takes several measures, of ngxx and of nginx."""
    add = parser.add_argument
    add("--use", action="append", metavar="METHOD", help="an event method; may be repeated")
    add("--only", action="append", choices=measures, help="a measure; may be repeated")
    add("--without-nginx", action="store_true", help="measure only ngxx")


def check_measures(
    parser: argparse.ArgumentParser, options: argparse.Namespace, limited: Iterable[str]
) -> None:
    """Refuses a limit for a measure that is not taken, and a single pair."""
    for name in limited:
        if getattr(options, f"max_{name}") is not None and name not in options.only:
            parser.error(f"--max-{name} needs {name} to be counted")
    if options.pairs < 2:
        parser.error("one pair has no spread: --pairs 2 or more")


def run(
    program: str,
    measure: Callable[[argparse.Namespace], int],
    options: argparse.Namespace,
    errors: tuple[type[Exception], ...] = (CannotMeasure,),
) -> int:
    """Returns the exit status of the program; `errors` are those that end it with a message."""
    # Stops the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return measure(options)
    except errors as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
