"""The modules of the build under test. NGXX in the environment is its server."""

from __future__ import annotations

import os
import re
import subprocess
import unittest
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

CONF = Path(__file__).resolve().parents[1] / "conf"


@cache
def version() -> str:
    """Returns the server's output for -V."""
    command = [os.environ["NGXX"], "-V"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def has(name: str) -> bool:
    """Returns whether the build has a module: a poller, or stream."""
    return f"ngx_{name}_module" in version()


def pollers() -> list[str]:
    """Returns the event methods in nginx's order, the default first."""
    return re.search(r"^event methods: (.*)$", version(), re.MULTILINE)[1].split()


def need(*names: str) -> Callable[[Any], Any]:
    """Decorates a test or a class of tests that needs these modules."""
    missing = [name for name in names if not has(name)]
    return unittest.skipIf(missing, f"this build has no {' and no '.join(missing)}")


def examples() -> list[Path]:
    """Returns the examples whose modules this build has."""
    found = []
    for path in sorted((CONF / "examples").glob("*.conf")):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^ *use (\w+);", text, re.MULTILINE)
        names += re.findall(r"^(stream) \{", text, re.MULTILINE)
        if all(map(has, names)):
            found.append(path)
    return found
