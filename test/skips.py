"""unittest.main() for meson: prints the skipped tests, and skips a suite whose tests all skip."""

from __future__ import annotations

import sys
import unittest
from typing import Any

SKIPPED = 77  # the exit status that meson interprets as "skipped"


class Result(unittest.TextTestResult):
    """Records whether any test has run."""

    done = 0

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.done += 1

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        self.done += err is None


def report(skipped: list[tuple[Any, str]]) -> None:
    """Prints one line for each reason to meson's log; tools/test shows these lines at its end."""
    reasons: dict[str, list[str]] = {}
    for test, reason in skipped:
        reasons.setdefault(reason, []).append(test.id().removeprefix("__main__."))
    for reason, names in reasons.items():
        print(f"skipped: {reason}: {', '.join(names)}", flush=True)


def main(**options: Any) -> None:
    """Runs unittest.main() with its options."""
    runner = unittest.TextTestRunner(resultclass=Result)
    program = unittest.main(module="__main__", testRunner=runner, exit=False, **options)
    result = program.result
    report(result.skipped)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.skipped and not result.done else 0)
