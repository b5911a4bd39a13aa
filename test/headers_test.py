#!/usr/bin/env python3
"""Every header of the server compiles alone: headers_test.py ROOT INCLUDE_DIR COMPILER..."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDERS = ("core", "event", "os", "stream")


def compile_alone(compiler: list[str], root: pathlib.Path, generated: str, header: str) -> str:
    """What the compiler says of a source that has this header and nothing else."""
    with tempfile.NamedTemporaryFile("w", suffix=".cpp") as source:
        # Twice: a header without its guard shows, too.
        source.write(f'#include "{header}"\n#include "{header}"\n')
        source.flush()
        command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                   f"-I{root}", f"-I{generated}", source.name]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode != 0 else ""


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    generated, compiler = sys.argv[2], sys.argv[3:]
    headers = sorted(str(path.relative_to(root))
                     for folder in FOLDERS for path in (root / folder).rglob("*.hpp"))
    if not headers:
        print(f"no headers below {root}")
        return 1

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = pool.map(lambda header: compile_alone(compiler, root, generated, header), headers)
        for header, error in zip(headers, errors):
            if error:
                failed += 1
                print(f"{header} does not compile alone:\n{error}")
    print(f"{len(headers) - failed} of {len(headers)} headers compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
