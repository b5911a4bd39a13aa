"""What the build under test has in it. NGXX in the environment is its server."""

from __future__ import annotations

import os
import re
import subprocess
import unittest
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

POLLERS = ("epoll", "select", "poll")
CONF = Path(__file__).resolve().parents[1] / "conf"


@cache
def version() -> str:
    """What the server says of itself; its last line names its modules."""
    command = [os.environ["NGXX"], "-V"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def has(name: str) -> bool:
    """Whether a poller, or stream, was built."""
    return f"ngx_{name}_module" in version()


def pollers() -> list[str]:
    """In nginx's order: the first is the default."""
    return [name for name in POLLERS if has(name)]


def need(*names: str) -> Callable[[Any], Any]:
    """Decorates a test, or a class of them, that a build without one of these skips."""
    missing = [name for name in names if not has(name)]
    return unittest.skipIf(missing, f"this build has no {' and no '.join(missing)}")


def examples() -> list[Path]:
    """The examples that this build has the modules for."""
    found = []
    for path in sorted((CONF / "examples").glob("*.conf")):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^ *use (\w+);", text, re.MULTILINE)
        names += re.findall(r"^(stream) \{", text, re.MULTILINE)
        if all(map(has, names)):
            found.append(path)
    return found
