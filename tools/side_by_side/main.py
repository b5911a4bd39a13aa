"""Writes a page that shows nginx's functions and their counterparts in this tree side by side.

The page is DIR/index.html and needs no network. It shows each function of nginx beside its
counterpart, file by file. It lists functions that only one side has, with the reasons, and marks
deliberate differences. The key `/` goes to the search. A link can name a function of either side
or a file: index.html#ngx_event_find_timer.

This tree contains no text of nginx. NGINX_SRC is a checkout or an unpacked release; --from-apt
downloads the source package of Debian's nginx for this run instead.

--check compares the `nginx:` lines of the comments with docs/nginx-functions.tsv and
docs/nginx-variables.tsv (nginx's names), docs/nginx-absent.tsv (functions without a counterpart,
and the reasons) and docs/nginx-moved.tsv (counterparts in another file). With NGINX_SRC it also
shows which names of that release the lists lack, and which of the lists the release lacks.

Exit status: 0; 1 if --check has findings; 2 if something is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .nginx_text import CannotCompare, Comparison, Definition, NginxTree

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = "/usr/bin/python3"


# ---- nginx's sources from Debian ----


def apt(folder: Path, *arguments: str) -> str:
    """Runs apt-get with its own lists and cache, so that the system's do not change."""
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        # Only the user may write to the folder, so root must not become _apt.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    command = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    try:
        result = subprocess.run(
            [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotCompare(f"--from-apt: {error}") from error
    if result.returncode != 0:
        # The first error is the cause; the following ones only repeat that apt-get failed.
        errors = [line for line in result.stderr.splitlines() if line.startswith("E: ")]
        first = errors[0] if errors else "failed"
        raise CannotCompare(f"--from-apt: apt-get {arguments[0]}: {first}")
    return result.stdout


def source_lines() -> list[str]:
    """Returns deb-src lines for the repositories from which this system gets Debian's packages.

    Updates are left out: they change only Debian's patches, which are not used, not the release.
    """
    wanted = ["Created-By: Packages", "Origin: Debian", "Component: main"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", *wanted]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotCompare(f"--from-apt needs Debian's apt-get: {error}") from error
    found = [line for line in dict.fromkeys(output.splitlines()) if "-" not in line.split()[1]]
    lines = [f"deb-src {line} main" for line in found]
    if not lines:
        raise CannotCompare("--from-apt: apt-get has no repository of Debian")
    return lines


@contextmanager
def debian_source() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ngxx-side-by-side-") as name:
        folder = Path(name)
        for needed in ("lists/partial", "cache/archives/partial", "nginx"):
            (folder / needed).mkdir(parents=True)
        (folder / "sources.list").write_text("\n".join(source_lines()) + "\n", encoding="utf-8")
        apt(folder, "update", "--error-on=any")
        apt(folder, "source", "--download-only", "nginx")
        archives = list(folder.glob("nginx_*.orig.tar.*"))
        if not archives:
            raise CannotCompare("--from-apt: the source package has no nginx_*.orig.tar.*")
        unpack(archives[0], folder / "nginx")
        yield folder / "nginx"


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the C files below src/. Checks the names, so that none is outside of the folder."""
    with tarfile.open(archive) as members:
        for member in members:
            match = re.fullmatch(r"[^/]+/(src/(?:\w+/)*\w+\.[ch])", member.name)
            content = members.extractfile(member) if match and member.isfile() else None
            if match and content:
                path = folder / match[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())


# ---- the check ----


def print_counts(comparison: Comparison) -> None:
    listed, found = Counter[str](), Counter[str]()
    reasons = Counter[str]()
    for name, paths in comparison.functions.items():
        for path in paths:
            listed[path] += 1
            if (path, name) in comparison.counterparts:
                found[path] += 1
            else:
                reasons[comparison.reason(path, name) or "no reason"] += 1
    print(f"{'functions of nginx':44} {'all':>6} {'here':>6} {'absent':>6}")
    for path in sorted(listed):
        if found[path]:
            print(f"{path:44} {listed[path]:6} {found[path]:6} {listed[path] - found[path]:6}")
    others = sum(listed[path] for path in listed if not found[path])
    print(f"{'files without a counterpart':44} {others:6} {0:6} {others:6}")
    total, here = sum(listed.values()), sum(found.values())
    print(f"{'in all':44} {total:6} {here:6} {total - here:6}\n\nabsent, by reason:")
    for reason, count in sorted(reasons.items(), key=lambda r: (-r[1], r[0])):
        print(f"{count:6}  {reason}")


def listable(definition: Definition) -> bool:
    """Whether a list has the name, also if no comment of this tree has it."""
    return definition.function or definition.variable


def print_release(comparison: Comparison, tree: NginxTree) -> None:
    """Prints the names that only the release or only the list has."""
    listed = {(path, name) for name, paths in comparison.names.items() for path in paths}
    theirs = {(d.path, d.name) for file in tree.files for d in file.definitions}
    wanted = {(d.path, d.name) for file in tree.files for d in file.definitions if listable(d)}
    new = wanted - listed
    gone = listed - theirs
    print(f"\nnginx {tree.version}: {len(new)} names new, {len(gone)} gone")
    for mark, names in (("+", new), ("-", gone)):
        for path, name in sorted(names):
            print(f"{mark} {path} {name}")


def check(comparison: Comparison, tree: NginxTree | None) -> int:
    problems = comparison.check()
    print_counts(comparison)
    if tree:
        print_release(comparison, tree)
    for problem in problems:
        print(problem)
    count = len(problems)
    print(f"tools/side-by-side: {count or 'no'} finding{'s' if count != 1 else ''}")
    return 1 if problems else 0


def list_names(comparison: Comparison, tree: NginxTree) -> None:
    """Prints the content of both lists of names for this release."""
    named = {name for item in comparison.items for name in item.names}
    found = [d for file in tree.files for d in file.definitions if listable(d) or d.name in named]
    print("# names of nginx functions by file, and of the types and constants that comments name")
    print_rows(d for d in found if not d.variable)
    print("# names of the variables that nginx's headers declare, by file")
    print_rows(d for d in found if d.variable)


def print_rows(definitions: Iterable[Definition]) -> None:
    for path, name in sorted({(d.path, d.name) for d in definitions}):
        print(f"{path}\t{name}")


# ---- the page ----


def need_pygments() -> None:
    """Runs Debian's python3 instead if the python3 of the user's PATH lacks Pygments."""
    try:
        import pygments  # noqa: F401
    except ImportError:
        here = os.path.realpath(sys.executable)
        if here != os.path.realpath(DEBIAN) and os.access(DEBIAN, os.X_OK):
            os.execv(DEBIAN, [DEBIAN, *sys.argv])
        raise CannotCompare("Pygments is missing: apt-get install python3-pygments") from None


def write_page(comparison: Comparison, tree: NginxTree, folder: Path) -> None:
    from .page import Page

    text = Page(comparison, tree).text()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(text.encode()) / 1e6:.1f} MB, nginx {tree.version}")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/side-by-side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("nginx", nargs="?", type=Path, metavar="NGINX_SRC", help="nginx's source tree")
    add("--from-apt", action="store_true", help="take Debian's source package instead")
    add("-o", "--output", type=Path, metavar="DIR", help="default: build/side-by-side")
    add("--check", action="store_true", help="count and check; write no page")
    add("--list", action="store_true", help="print the lists of that release's names")
    add("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.nginx and options.from_apt:
        parser.error("NGINX_SRC and --from-apt are two sources: name one")
    if not (options.nginx or options.from_apt or options.check):
        parser.error("name nginx's source tree, or say --from-apt")
    if options.check and (options.output or options.list):
        parser.error("--check writes nothing: leave out -o and --list")
    options.output = options.output or options.root / "build" / "side-by-side"
    return options


def run(options: argparse.Namespace, nginx: Path | None) -> int:
    comparison = Comparison(options.root.resolve())
    tree = NginxTree(nginx) if nginx else None
    if options.check or not tree:
        return check(comparison, tree)
    if options.list:
        list_names(comparison, tree)
    else:
        write_page(comparison, tree, options.output)
    return 0


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    try:
        if not options.check and not options.list:
            need_pygments()
        if not options.from_apt:
            return run(options, options.nginx)
        with debian_source() as nginx:
            return run(options, nginx)
    except (CannotCompare, OSError) as error:
        print(f"tools/side-by-side: {error}", file=sys.stderr)
        return 2
