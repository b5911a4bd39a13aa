#!/usr/bin/env python3
"""Tests that every header compiles alone: headers_test.py ROOT BUILD COMPILER...

An installed header is compiled against the installed tree with `pkg-config --cflags ngxx-module`,
so that it cannot include a private one; private headers are compiled in the source tree.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

from installed import Installed

FOLDERS = ("core", "event", "os", "stream")


def compile_alone(compiler: list[str], flags: list[str], header: str) -> str:
    """Returns the compiler's messages for a source with only this header."""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as source:
        # Included twice, to find headers without a guard.
        source.write(f'#include "{header}"\n#include "{header}"\n')
        source.flush()
        command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *flags,
                   source.name]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode != 0 else ""


def headers_with_flags(root: pathlib.Path, build: str,
                       installed: Installed) -> list[tuple[str, list[str]]]:
    public = installed.headers()
    flags = installed.pkg_config("--cflags", "ngxx-module")
    own_flags = [f"-I{root}", f"-I{build}/auto"]
    private = {str(path.relative_to(root))
               for folder in FOLDERS for path in (root / folder).rglob("*.hpp")} - set(public)
    return [(header, flags) for header in public] + \
        [(header, own_flags) for header in sorted(private)]


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    build, compiler = sys.argv[2], sys.argv[3:]
    installed = Installed(build)
    try:
        headers = headers_with_flags(root, build, installed)
        failed = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            errors = pool.map(lambda entry: compile_alone(compiler, entry[1], entry[0]), headers)
            for (header, _), error in zip(headers, errors):
                if error:
                    failed += 1
                    print(f"{header} does not compile alone:\n{error}")
    finally:
        installed.close()
    print(f"{len(headers) - failed} of {len(headers)} headers compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
