"""Finds the definitions in nginx's sources and their counterparts in this tree.

It compares nginx's names and never stores its text.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .source_text import LIBRARY_FOLDERS, Function, Source, spaces

NAMES = "docs/nginx-functions.tsv"
VARIABLES = "docs/nginx-variables.tsv"
ABSENT = "docs/nginx-absent.tsv"
MOVED = "docs/nginx-moved.tsv"

# The folders of nginx that are compared. Others, such as http, are ignored.
FOLDERS = ("src/core", "src/event", "src/event/modules", "src/os/unix", "src/stream")

LEFT_OUT = "src/event/ngx_event_openssl*"

NAME = re.compile(r"\b(?:(?:ngx|NGX)_\w+|main(?=\(\)))")
TYPE = re.compile(r"^NGX_|_(?:t|s|e|pt)$|^ngx_stream_phases$")


class CannotCompare(Exception):
    """A file is missing or has the wrong content."""


def is_function(name: str) -> bool:
    """Macros in lower case count as functions, because some are functions on other systems."""
    return not TYPE.search(name)


def named_by_nginx(name: str) -> bool:
    return name == "main" or name.startswith("ngx_")


def stem(path: str) -> str:
    """Returns `event/event` for both `src/event/ngx_event.h` and `event/event.cpp`."""
    folder, _, file = path.removeprefix("src/").rpartition("/")
    return f"{folder}/{file.removeprefix('ngx_').rpartition('.')[0]}"


# ---- nginx's side ----


@dataclass(frozen=True)
class Definition:
    """The lines of one file that define a name in nginx, with the comment."""

    name: str
    path: str
    start: int
    end: int
    variable: bool = False

    @property
    def function(self) -> bool:
        return not self.variable and is_function(self.name) and named_by_nginx(self.name)


FUNCTION_START = re.compile(r"^(?:(?:\w+|\*)[ *]+)*?\**(ngx_\w+|main)\(")
MACRO = re.compile(r"^#[ \t]*define[ \t]+(\w+)")
OPEN_TYPE = re.compile(r"^(?:typedef )?(?:struct|union|enum)(?: (\w+))?\s*\{")
CLOSED_TYPE = re.compile(r"^\}\s*(\w+)?\s*;")
FORWARD = re.compile(r"^typedef (?:struct|union) \w+\s+\w+;")
EXTERN = re.compile(r"^ *extern [^(;]*?\b(ngx_\w+)(?:\[\w*\])?;")
ALIAS = re.compile(r"^typedef\b[^;{]*?(?:\(\s*\*\s*(\w+)\s*\)|\b(\w+)\s*;)")
DEAD_CODE = re.compile(r"^#if[ \t]+\(?0\)?$.*?^#endif", re.DOTALL | re.MULTILINE)


class NginxFile:
    """Finds definitions by nginx's style: a definition starts and ends in the first column."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        code = re.sub(r"/\*.*?\*/", lambda m: spaces(m[0]), text, flags=re.DOTALL)
        self.code = DEAD_CODE.sub(lambda m: spaces(m[0]), code).split("\n")

    @cached_property
    def definitions(self) -> list[Definition]:
        found = []
        line = 0
        while line < len(self.code):
            if match := EXTERN.match(self.code[line]):
                found.append(Definition(match[1], self.path, line + 1, line + 1, variable=True))
            names, end = self.at(line)
            start = self.with_comment(line)
            found += [Definition(name, self.path, start + 1, end + 1) for name in names]
            line = max(end, line) + 1
        return found

    def at(self, line: int) -> tuple[list[str], int]:
        """Returns the names whose definition starts in this line, and its last line."""
        text = self.code[line]
        if match := MACRO.match(text):
            return [match[1]], self.end_of_macro(line)
        if match := OPEN_TYPE.match(text):
            end = self.next_line(line, CLOSED_TYPE)
            names = [match[1], (CLOSED_TYPE.match(self.code[end]) or match)[1]]
            return [self.type_name(name) for name in dict.fromkeys(names) if name], end
        if FORWARD.match(text):
            return [], line
        if text.startswith("typedef"):
            end = self.next_line(line, re.compile(r".*;"))
            match = ALIAS.match(" ".join(self.code[line : end + 1]))
            return ([match[1] or match[2]] if match else []), end
        return self.at_function(line)

    def at_function(self, line: int) -> tuple[list[str], int]:
        if match := FUNCTION_START.match(self.code[line]):
            end = self.next_line(line, re.compile(r"^\{|.*;"))
            if self.code[end].startswith("{"):
                return [match[1]], self.next_line(end, re.compile(r"^\}"))
            return [], end
        return [], line

    def end_of_macro(self, line: int) -> int:
        while line + 1 < len(self.code) and self.lines[line].endswith("\\"):
            line += 1
        return line

    def next_line(self, line: int, pattern: re.Pattern[str]) -> int:
        while line + 1 < len(self.code) and not pattern.match(self.code[line]):
            line += 1
        return line

    @staticmethod
    def type_name(name: str) -> str:
        """Returns ngx_event_t for `struct ngx_event_s`, because code uses the former."""
        return re.sub(r"_s$", "_t", name)

    def with_comment(self, line: int) -> int:
        """Returns the line where a function's type and the comment above it start."""
        while line > 0 and re.match(r"^[\w*][\w *]*$", self.code[line - 1]):
            line -= 1
        above = line - 1
        if above >= 0 and self.lines[above].rstrip().endswith("*/"):
            while above > 0 and "/*" not in self.lines[above]:
                above -= 1
            return above
        return line


class NginxTree:
    """The user's copy of nginx's sources."""

    def __init__(self, root: Path) -> None:
        self.root = root / "src" if (root / "src" / "core").is_dir() else root
        if not (self.root / "core" / "nginx.c").is_file():
            raise CannotCompare(f"{root} has no src/core/nginx.c: it is no source tree of nginx")

    def file(self, path: str) -> NginxFile:
        name = self.root / path.removeprefix("src/")
        return NginxFile(path, name.read_text(encoding="utf-8", errors="replace"))

    @cached_property
    def files(self) -> list[NginxFile]:
        folders = [self.root / folder.removeprefix("src/") for folder in FOLDERS]
        paths = sorted(p for f in folders if f.is_dir() for p in f.glob("*.[ch]"))
        names = [f"src/{p.relative_to(self.root)}" for p in paths]
        return [self.file(name) for name in names if not fnmatch.fnmatch(name, LEFT_OUT)]

    @cached_property
    def version(self) -> str:
        text = (self.root / "core" / "nginx.h").read_text(encoding="utf-8")
        match = re.search(r'NGINX_VERSION\s+"([^"]+)"', text)
        return match[1] if match else "of an unknown version"


# ---- our side ----


@dataclass(frozen=True)
class Piece:
    """Lines of a file in this tree, from the comment to the last line of code."""

    path: str
    start: int
    end: int


@dataclass
class Item:
    """A function, type or constant of this tree: the lines to show, and its names in nginx."""

    name: str
    names: tuple[str, ...]
    pieces: list[Piece]
    function: bool
    defined: bool
    doc: str

    @property
    def path(self) -> str:
        """The file of the definition, which is the last piece."""
        return self.pieces[-1].path


def comment_start(source: Source, line: int) -> int:
    """Returns the first line of the comment right above a line, or the line itself."""
    while line > 1 and source.lines[line - 2].lstrip().startswith("//"):
        line -= 1
    return line


def doc_text(lines: list[str]) -> str:
    return "\n".join(line.strip().lstrip("/").strip() for line in lines)


def nginx_names(doc: str) -> tuple[str, ...]:
    """Returns the names in a comment's paragraph `nginx: ngx_name(), ...`."""
    match = re.search(r"^nginx:(.*?)(?=\n\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    return tuple(dict.fromkeys(NAME.findall(match[1]))) if match else ()


def plain_scope(function: Function) -> str:
    """Returns a name such as `Pool::create`, without namespaces, since names are unique."""
    classes = [s.removeprefix("class ") for s in function.scope.split("::") if "class" in s]
    return "::".join([*classes, function.name])


def statement_end(source: Source, line: int) -> int:
    """Returns the last line of the declaration that starts in a line."""
    lines = source.code.split("\n")
    if lines[line - 1].lstrip().startswith("#"):
        while lines[line - 1].endswith("\\"):
            line += 1
        return line
    depth = 0
    for number in range(line, len(lines) + 1):
        for ch in lines[number - 1]:
            depth += (ch in "({") - (ch in ")}")
            if ch == ";" and depth <= 0:
                return number
    return line


def group_end(source: Source, line: int) -> int:
    """Returns the last line of the declarations that follow each other from a line on: one comment
    may describe several."""
    end = statement_end(source, line)
    while end < len(source.lines) and re.match(r"\s*\w", source.code.split("\n")[end]):
        end = statement_end(source, end + 1)
    return end


def function_item(source: Source, function: Function) -> Item:
    start = comment_start(source, function.start)
    doc = doc_text(source.lines[start - 1 : function.start - 1])
    end = function.body[1] if function.body else statement_end(source, function.start)
    piece = Piece(source.path, start, end)
    name = plain_scope(function)
    return Item(name, nginx_names(doc), [piece], True, function.body is not None, doc)


DECLARED = re.compile(
    r"\b(?:struct|class|enum class|enum|using|union)\s+(\w+)"
    r"|#\s*define\s+(\w+)|\(\*(\w+)\)\(|(\w+)\s*(?:\{|=|;|\[)"
)


def other_items(source: Source, functions: list[Item]) -> Iterator[Item]:
    """Finds types and constants whose comment names nginx's, or describes a difference."""
    taken = {line for f in functions for line in (f.pieces[0].start, f.pieces[0].end)}
    line = 1
    while line <= len(source.lines):
        start = line
        while line <= len(source.lines) and source.lines[line - 1].lstrip().startswith("///"):
            line += 1
        if line > start and start not in taken:
            doc = doc_text(source.lines[start - 1 : line - 1])
            match = DECLARED.search(source.code, sum(len(s) + 1 for s in source.lines[: line - 1]))
            if match and (nginx_names(doc) or "Differs from nginx" in doc):
                name = next(group for group in match.groups() if group)
                names = nginx_names(doc)
                end = group_end(source, line) if len(names) > 1 else statement_end(source, line)
                yield Item(name, names, [Piece(source.path, start, end)], False, True, doc)
        line += 1


def items_of(source: Source) -> list[Item]:
    """Returns all items of a file that can be a counterpart, in the file's order."""
    functions = [function_item(source, function) for function in source.scanner.functions]
    found = [*functions, *other_items(source, functions)]
    return sorted(found, key=lambda item: item.pieces[0].start)


def joined(items: list[Item]) -> list[Item]:
    """Merges each declaration, with its comment, into its definition."""
    definitions: dict[str, list[Item]] = {}
    for item in items:
        if item.function and item.defined:
            definitions.setdefault(item.name, []).append(item)
    result = []
    for item in items:
        found = definitions.get(item.name, []) if not item.defined else []
        # Another file may also have a static function of that name.
        near = [d for d in found if stem(d.path) == stem(item.path)] or found
        for definition in near:
            definition.names = tuple(dict.fromkeys([*definition.names, *item.names]))
            if item.doc:
                definition.doc = definition.doc or item.doc
                definition.pieces.insert(-1, comment_piece(item))
        if not near and (item.defined or item.names):
            result.append(item)
    return result


def comment_piece(item: Item) -> Piece:
    first = item.pieces[0]
    return Piece(first.path, first.start, first.start + item.doc.count("\n"))


def our_sources(root: Path) -> list[Source]:
    paths = [p for f in LIBRARY_FOLDERS for p in (root / f).rglob("*") if p.is_file()]
    return [
        Source(str(path.relative_to(root)), path.read_text(encoding="utf-8"))
        for path in sorted(paths)
        if path.suffix in (".cpp", ".hpp")
    ]


def our_items(sources: list[Source]) -> list[Item]:
    return joined([item for source in sources for item in items_of(source)])


# ---- both sides together ----


@dataclass
class Row:
    """A line of one of the tables: patterns of files and names, and the reason."""

    files: list[str]
    names: list[str]
    reason: str
    number: int
    used: bool = False

    def fits(self, path: str, name: str) -> bool:
        return any(fnmatch.fnmatchcase(path, glob) for glob in self.files) and any(
            fnmatch.fnmatchcase(name, glob) for glob in self.names
        )


def table(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    name = f"{path.parent.name}/{path.name}"
    if not path.exists():
        raise CannotCompare(f"{name} is missing")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            row = line.split("\t")
            if len(row) != columns:
                raise CannotCompare(f"{name}:{number}: {columns} columns are needed")
            yield number, row


def first_fit(rows: list[Row], path: str, name: str) -> Row | None:
    for row in rows:
        if row.fits(path, name):
            row.used = True
            return row
    return None


@dataclass
class Comparison:
    """nginx's names, their counterparts in this tree, and the reasons why others have none."""

    root: Path

    @cached_property
    def sources(self) -> list[Source]:
        return our_sources(self.root)

    @cached_property
    def items(self) -> list[Item]:
        return our_items(self.sources)

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Returns the files of nginx that define each name."""
        found: dict[str, list[str]] = {}
        for file in (NAMES, VARIABLES):
            for _, (path, name) in table(self.root / file, 2):
                found.setdefault(name, []).append(path)
        return found

    @cached_property
    def functions(self) -> dict[str, list[str]]:
        """Returns the names of functions, without those of types and variables."""
        variables = {name for _, (_, name) in table(self.root / VARIABLES, 2)}
        return {
            name: paths
            for name, paths in self.names.items()
            if is_function(name) and name not in variables
        }

    @cached_property
    def absent_rows(self) -> list[Row]:
        rows = table(self.root / ABSENT, 3)
        return [Row(files.split(), names.split(), why, n) for n, (files, names, why) in rows]

    @cached_property
    def moved_rows(self) -> list[Row]:
        rows = table(self.root / MOVED, 3)
        return [Row(files.split(), names.split(), why, n) for n, (names, files, why) in rows]

    @cached_property
    def counterparts(self) -> dict[tuple[str, str], list[Item]]:
        """Returns the counterparts by nginx's file and name. If several files define the name, only
        those with the counterpart's stem count."""
        found: dict[tuple[str, str], list[Item]] = {}
        for item in self.items:
            for name in item.names:
                paths = self.names.get(name, [])
                same = [path for path in paths if stem(path) == stem(item.path)]
                for path in same or paths:
                    found.setdefault((path, name), []).append(item)
        return found

    @cached_property
    def files(self) -> set[str]:
        return {path for paths in self.names.values() for path in paths}

    @cached_property
    def stems(self) -> set[str]:
        """Returns the stems of the files that have counterparts."""
        return {stem(path) for path, _ in self.counterparts}

    def reason(self, path: str, name: str) -> str:
        row = first_fit(self.absent_rows, path, name)
        return row.reason if row else ""

    def check(self) -> list[str]:
        """Returns the errors in the comments and in the tables."""
        return [
            *self.check_names(),
            *self.check_absent(),
            *self.stale(ABSENT, self.absent_rows),
            *self.stale(MOVED, self.moved_rows),
        ]

    def check_names(self) -> Iterator[str]:
        for item in self.items:
            place = f"{item.path}:{item.pieces[-1].start}"
            for name in item.names:
                paths = self.names.get(name)
                if not paths:
                    yield f"{place}: nginx has no {name}: correct the name, or {NAMES}"
                elif stem(item.path) not in map(stem, paths):
                    if not first_fit(self.moved_rows, item.path, name):
                        yield f"{place}: {name} is in {paths[0]}: move it, or add it to {MOVED}"

    def check_absent(self) -> Iterator[str]:
        for name, paths in self.names.items():
            for path in paths:
                if (path, name) in self.counterparts:
                    continue
                if TYPE.search(name):
                    yield f"{NAMES}: {path} {name} is in no comment: remove it"
                elif name in self.functions and not self.reason(path, name):
                    yield f"{NAMES}: {path} {name} has no counterpart: add the reason to {ABSENT}"

    @staticmethod
    def stale(path: str, rows: list[Row]) -> Iterator[str]:
        for row in rows:
            if not row.used:
                yield f"{path}:{row.number}: no name needs this row: remove it"
