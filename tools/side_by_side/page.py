"""Writes the page of tools/side-by-side: nginx on the left, ngxx on the right, in one HTML file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pygments.lexers.c_cpp import CLexer, CppLexer
from pygments.token import Comment, Keyword, Literal, Name, _TokenType

from .nginx_text import (
    Comparison,
    Definition,
    Item,
    NginxTree,
    Piece,
    stem,
)
from .source_text import Source

FOLDER = Path(__file__).resolve().parent

# Pygments' token: the class in the page. Names and operators get none, which halves the page.
CLASSES = {
    Comment.Preproc: "p",
    Comment.PreprocFile: "s",
    Comment: "c",
    Keyword.Type: "t",
    Keyword: "k",
    Literal.String: "s",
    Literal.Number: "m",
    Name.Function: "f",
}


def class_of(token: _TokenType) -> str:
    for known, name in CLASSES.items():
        if token in known:
            return name
    return ""


def escape(text: str) -> str:
    return html.escape(text, quote=False)


def attribute(text: str) -> str:
    return html.escape(text, quote=True)


def short(paths: list[str]) -> str:
    """Returns the names of the files of one stem: `event/event.cpp .hpp`."""
    return " ".join([*paths[:1], *(Path(path).suffix for path in paths[1:])])


def link(target: str, text: str) -> str:
    return f'<a href="#{attribute(target)}">{escape(text)}</a>'


def highlighted(lines: list[str], lexer: CLexer | CppLexer) -> list[str]:
    """Highlights code and returns it line by line, so that lines can be marked."""
    result = [""]
    for token, value in lexer.get_tokens("\n".join(lines)):
        name = class_of(token)
        for i, part in enumerate(value.split("\n")):
            if i > 0:
                result.append("")
            if part:
                text = escape(part)
                result[-1] += f"<i class={name}>{text}</i>" if name and part.strip() else text
    return result[: len(lines)]


# ---- differences from nginx ----


@dataclass(frozen=True)
class Difference:
    """A paragraph of a comment that describes a difference."""

    path: str
    start: int
    end: int
    text: str


COMMENT = re.compile(r"^\s*//+\s?(.*)$")


def differences(source: Source) -> Iterator[Difference]:
    for number, line in enumerate(source.lines, 1):
        match = COMMENT.match(line)
        if not match or not match[1].startswith("Differs from nginx"):
            continue
        words = [match[1]]
        for below in source.lines[number:]:
            match = COMMENT.match(below)
            if not match or not match[1] or match[1].startswith(("nginx:", "Differs from nginx")):
                break
            words.append(match[1])
        yield Difference(source.path, number, number + len(words) - 1, " ".join(words))


# ---- rows ----


@dataclass
class Row:
    """Definitions of both sides that are shown side by side."""

    names: dict[str, list[Definition]] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    remark: str = ""  # shown if one side is empty
    shared: list[Item] = field(default_factory=list)  # helpers that an earlier row shows


@dataclass
class Unit:
    """The files of one stem on both sides."""

    stem: str
    theirs: list[str]
    ours: list[str]
    rows: list[Row] = field(default_factory=list)


class Rows:
    """Pairs the definitions of both sides, in nginx's order."""

    def __init__(self, comparison: Comparison, tree: NginxTree) -> None:
        self.comparison = comparison
        self.tree = tree
        self.version = f"nginx {tree.version}"
        self.shown: set[int] = set()
        self.helper_of: dict[int, str] = {}
        self.bodies: dict[int, set[str]] = {}

    @cached_property
    def texts(self) -> dict[str, Source]:
        return {source.path: source for source in self.comparison.sources}

    @cached_property
    def by_name(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for item in self.comparison.items:
            for name in item.names:
                found.setdefault(name, []).append(item)
        return found

    @cached_property
    def units(self) -> list[Unit]:
        theirs: dict[str, list[str]] = {}
        for file in self.tree.files:
            theirs.setdefault(stem(file.path), []).append(file.path)
        ours: dict[str, list[str]] = {}
        for source in self.comparison.sources:
            ours.setdefault(stem(source.path), []).append(source.path)
        stems = sorted(self.comparison.stems | ours.keys(), key=lambda s: (s not in theirs, s))
        units = [Unit(s, theirs.get(s, []), ours.get(s, [])) for s in stems]
        for unit in units:
            unit.rows = list(self.nginx_rows(unit))
        for unit in units:
            unit.rows += self.our_rows(unit)
        return [unit for unit in units if unit.rows]

    def definitions(self, unit: Unit) -> dict[str, list[Definition]]:
        """Returns the definitions by name, headers first, because they have the types."""
        found: dict[str, list[Definition]] = {}
        for file in sorted(self.tree.files, key=lambda f: f.path.endswith(".c")):
            if stem(file.path) == unit.stem:
                for d in file.definitions:
                    if d.function or d.name in self.by_name:
                        found.setdefault(d.name, []).append(d)
        return found

    def items_for(self, unit: Unit, name: str) -> list[Item]:
        """Returns the counterparts; if several files have the name, those of this stem."""
        items = self.by_name.get(name, [])
        same = [item for item in items if stem(item.path) == unit.stem]
        paths = self.comparison.names.get(name, [])
        elsewhere = any(stem(i.path) in map(stem, paths) for i in items)
        return same or ([] if elsewhere and len(paths) > 1 else items)

    def nginx_rows(self, unit: Unit) -> Iterator[Row]:
        rows: list[Row] = []
        for name, definitions in self.definitions(unit).items():
            items = self.items_for(unit, name)
            if row := self.row_for(rows, items, self.reason(definitions[0])):
                row.names[name] = definitions
                row.items += [item for item in items if item not in row.items]
        for row in rows:
            self.add_helpers(row)
            yield row

    def row_for(self, rows: list[Row], items: list[Item], reason: str) -> Row:
        """Returns the row that already shows one of the items, or the last row if it has no
        counterpart for the same reason, or a new row."""
        for row in rows:
            if any(item in row.items for item in items):
                return row
        if not (not items and rows and not rows[-1].items and rows[-1].remark == reason):
            rows.append(Row(remark="" if items else reason))
        return rows[-1]

    def reason(self, definition: Definition) -> str:
        known = self.comparison.reason(definition.path, definition.name)
        return known or f"only in {self.version}, not in the release that ngxx follows"

    def add_helpers(self, row: Row) -> None:
        """Adds the functions of the same files that the counterparts call, unless already shown."""
        self.shown |= {id(item) for item in row.items}
        todo = list(row.items)
        while todo:
            caller = todo.pop()
            for item in self.helpers.get(caller.path, []):
                if item.name.rpartition("::")[2] not in self.words(caller):
                    continue
                if id(item) not in self.shown:
                    self.shown.add(id(item))
                    self.helper_of[id(item)] = row.items[0].name
                    row.items.append(item)
                    todo.append(item)
                elif item not in row.items and item not in row.shared:
                    row.shared.append(item)
        # The counterpart comes first, because it has nginx's order and calls the others.
        row.items.sort(key=lambda item: (not item.names, item.path, item.pieces[-1].start))

    @cached_property
    def helpers(self) -> dict[str, list[Item]]:
        """Returns the functions of each file that have no counterpart."""
        found: dict[str, list[Item]] = {}
        for item in self.comparison.items:
            if item.function and item.defined and not item.names:
                found.setdefault(item.path, []).append(item)
        return found

    def words(self, item: Item) -> set[str]:
        if id(item) not in self.bodies:
            piece = item.pieces[-1]
            code = self.texts[piece.path].code.split("\n")[piece.start - 1 : piece.end]
            self.bodies[id(item)] = set(re.findall(r"\w+", "\n".join(code)))
        return self.bodies[id(item)]

    def our_rows(self, unit: Unit) -> Iterator[Row]:
        rest = [
            item
            for item in self.comparison.items
            if stem(item.path) == unit.stem and id(item) not in self.shown
        ]
        for item in rest:
            self.shown.add(id(item))
            remark = "nginx has no such function" if item.function else "nginx has no such type"
            if item.names:
                remark = f"{self.version} has no {', '.join(item.names)}"
            yield Row(items=[item], remark=remark)


# ---- HTML ----


class Page:
    """Writes the rows as HTML. Every name becomes the target of links."""

    def __init__(self, comparison: Comparison, tree: NginxTree) -> None:
        self.comparison = comparison
        self.tree = tree
        self.rows = Rows(comparison, tree)
        self.ids: dict[str, str] = {}  # id: the text shown there
        self.index: list[list[str]] = []
        self.c, self.cpp = CLexer(stripnl=False), CppLexer(stripnl=False)
        self.nginx_lines = {file.path: file.lines for file in tree.files}
        self.place: dict[tuple[str, int], str] = {}  # line of this tree: the id that shows it

    @cached_property
    def differences(self) -> list[Difference]:
        return [d for source in self.comparison.sources for d in differences(source)]

    @cached_property
    def marked(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for d in self.differences:
            found.setdefault(d.path, set()).update(range(d.start, d.end + 1))
        return found

    def new_id(self, name: str, path: str) -> str:
        identity = name if name not in self.ids else f"{name}@{path}"
        while identity in self.ids:
            identity += "+"
        self.ids[identity] = path
        return identity

    def text(self) -> str:
        """Returns the whole page."""
        # The rows are written first, because the lists link to their ids.
        units = "".join(self.unit(unit) for unit in self.rows.units)
        lists = self.one_side() + self.list_of_differences()
        values = {
            "title": escape(f"nginx {self.tree.version} and ngxx, side by side"),
            "version": escape(self.tree.version),
            "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
            "script": (FOLDER / "page.js").read_text(encoding="utf-8"),
            "index": json.dumps(self.index, separators=(",", ":")).replace("</", "<\\/"),
            "files": self.navigation(),
            "units": units,
            "lists": lists,
        }
        frame = (FOLDER / "page.html").read_text(encoding="utf-8")
        return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], frame)

    # ---- rows ----

    def unit(self, unit: Unit) -> str:
        identity = self.new_id(unit.stem, unit.stem)
        for path in [*unit.theirs, *unit.ours]:
            self.ids[path] = path
        anchors = "".join(f'<a id="{attribute(p)}"></a>' for p in [*unit.theirs, *unit.ours])
        theirs = short(unit.theirs) or "nginx has no such file"
        ours = short(unit.ours) or "ngxx has no such file"
        rows = "".join(self.row(row) for row in unit.rows)
        self.index.append([unit.stem, " ".join([*unit.theirs, *unit.ours]), identity, "file"])
        return (
            f'<section class=unit id="{attribute(identity)}">{anchors}'
            f"<h2><span>{escape(theirs)}</span><span>{escape(ours)}</span></h2>{rows}</section>\n"
        )

    def row(self, row: Row) -> str:
        left = [d for definitions in row.names.values() for d in definitions]
        heights = [sum(p.end - p.start + 4 for p in left) + 2]
        heights.append(sum(p.end - p.start + 4 for i in row.items for p in i.pieces) + 2)
        sizes = f"--wide:{max(heights)};--narrow:{sum(heights)}"
        # nginx's names are written first; a name of this tree gets its plain id only if unused.
        theirs = "".join(self.nginx_name(n, ds, row) for n, ds in row.names.items())
        ours = "".join(self.item(item, row) for item in row.items) + self.shared(row)
        remark = f"<p class=remark>{escape(row.remark)}</p>"
        kind = "both" if row.names and row.items else "single"
        return (
            f'<article class="row {kind}" style="{sizes}">'
            f"<div class=pane><div class=move>{theirs or remark}</div></div>"
            f"<div class=pane><div class=move>{ours or remark}</div></div></article>\n"
        )

    def nginx_name(self, name: str, definitions: list[Definition], row: Row) -> str:
        ours = ", ".join(item.name for item in row.items if name in item.names)
        identity = self.new_id(name, definitions[0].path)
        self.index.append([name, ours, identity, definitions[0].path if ours else row.remark])
        result = ""
        for i, d in enumerate(definitions):
            lines = self.nginx_lines[d.path][d.start - 1 : d.end]
            at = f"{d.path}:{d.start}"
            code = highlighted(lines, self.c)
            result += self.piece(identity if i == 0 else "", name, at, d.start, code)
        return result

    def item(self, item: Item, row: Row) -> str:
        identity = self.new_id(item.name, item.path)
        helped = self.rows.helper_of.get(id(item))
        if not row.names.keys() & set(item.names):
            note = f"a step of {helped}" if helped else f"only in {item.path}"
            self.index.append([item.name, "", identity, note])
        result = ""
        for i, piece in enumerate(item.pieces):
            for line in range(piece.start, piece.end + 1):
                self.place.setdefault((piece.path, line), identity)
            at = f"{piece.path}:{piece.start}" + (f", a step of {helped}" if helped else "")
            code = self.our_lines(piece)
            result += self.piece(identity if i == 0 else "", item.name, at, piece.start, code)
        return result

    def our_lines(self, piece: Piece) -> list[str]:
        lines = self.rows.texts[piece.path].lines[piece.start - 1 : piece.end]
        marked = self.marked.get(piece.path, set())
        return [
            f"<mark>{text}</mark>" if number in marked else text
            for number, text in enumerate(highlighted(lines, self.cpp), piece.start)
        ]

    @staticmethod
    def piece(identity: str, name: str, at: str, first: int, lines: list[str]) -> str:
        anchor = f' id="{attribute(identity)}" tabindex=-1' if identity else ""
        heading = link(identity, name) if identity else escape(name)
        numbers = "\n".join(str(first + i) for i in range(len(lines)))
        return (
            f"<section class=piece{anchor}><h3>{heading} <small>{escape(at)}</small></h3>"
            f"<div class=code><pre class=no aria-hidden=true>{numbers}</pre>"
            f"<pre class=src tabindex=0>" + "\n".join(lines) + "</pre></div></section>"
        )

    @staticmethod
    def shared(row: Row) -> str:
        names = dict.fromkeys(item.name for item in row.shared)
        links = ", ".join(link(name, name) for name in names)
        return f"<p class=remark>also calls {links}</p>" if names else ""

    # ---- lists ----

    def one_side(self) -> str:
        return (
            "<section class=list id=one-side><h2>On one side only</h2>"
            f"<h3 id=only-nginx>Only in nginx</h3>{self.only_nginx()}"
            f"<h3 id=only-here>Only in ngxx</h3>{self.only_here()}</section>\n"
        )

    def only_nginx(self) -> str:
        """Returns nginx's functions without a counterpart, by reason and file."""
        reasons: dict[str, dict[str, list[str]]] = {}
        for file in self.tree.files:
            for name in dict.fromkeys(d.name for d in file.definitions if d.function):
                if file.path not in self.comparison.files or self.has_counterpart(file.path, name):
                    continue
                reason = self.comparison.reason(file.path, name) or f"only in {self.rows.version}"
                reasons.setdefault(reason, {}).setdefault(file.path, []).append(name)
        return "".join(
            f"<details><summary>{escape(reason)} <small>{sum(map(len, files.values()))}</small>"
            f"</summary><dl>{''.join(self.file_names(f, n, reason) for f, n in files.items())}"
            "</dl></details>"
            for reason, files in sorted(reasons.items(), key=lambda r: r[0].lower())
        )

    def has_counterpart(self, path: str, name: str) -> bool:
        unit = Unit(stem(path), [path], [])
        return bool(self.rows.items_for(unit, name))

    def file_names(self, path: str, names: Iterable[str], reason: str) -> str:
        result = []
        for name in names:
            if self.ids.get(name) == path or f"{name}@{path}" in self.ids:
                result.append(link(name if self.ids.get(name) == path else f"{name}@{path}", name))
            else:
                identity = self.new_id(name, path)
                self.index.append([name, "", identity, reason])
                result.append(f'<span id="{attribute(identity)}">{escape(name)}</span>')
        return f"<dt>{escape(path)}</dt><dd>{', '.join(result)}</dd>"

    def only_here(self) -> str:
        result = ""
        for source in self.comparison.sources:
            items = [
                item
                for item in self.comparison.items
                if item.path == source.path and not item.names and item.function
            ]
            if items:
                rows = "".join(f"<li>{self.why_here(item)}</li>" for item in items)
                result += (
                    f"<details><summary>{escape(source.path)} <small>{len(items)}</small>"
                    f"</summary><ul>{rows}</ul></details>"
                )
        return result

    def why_here(self, item: Item) -> str:
        """Returns the first sentence of its comment, and the function of which it is a step."""
        target = self.place.get((item.path, item.pieces[-1].end), item.name)
        sentence = re.match(r".*?[.:;](?=\s|$)|.*", " ".join(item.doc.split()))
        helped = self.rows.helper_of.get(id(item))
        parts = [f"a step of {link(helped, helped)}"] if helped else []
        parts += [escape(sentence[0])] if sentence and sentence[0] else []
        return f"{link(target, item.name)} " + " &middot; ".join(parts)

    def list_of_differences(self) -> str:
        result = ""
        for d in self.differences:
            at = f"{d.path}:{d.start}"
            target = self.place.get((d.path, d.start))
            place = link(target, at) if target else escape(at)
            result += f"<dt>{place}</dt><dd><mark>{escape(d.text)}</mark></dd>"
        return (
            "<section class=list id=differences>"
            f"<h2>Differences from nginx: {len(self.differences)} paragraphs</h2>"
            f"<dl>{result}</dl></section>\n"
        )

    def navigation(self) -> str:
        result = ""
        for unit in self.rows.units:
            names = [name for row in unit.rows for name in row.names]
            names += [i.name for row in unit.rows if not row.names for i in row.items]
            links = "".join(f"<li>{link(name, name)}</li>" for name in names)
            result += (
                f"<details><summary>{link(unit.stem, unit.stem)}</summary>"
                f"<ul>{links}</ul></details>"
            )
        return result
