"""Parses a C++ file of this tree: its code without comments, its functions, its comments.

tools/tidy and tools/side-by-side import this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LIBRARY_FOLDERS = ("core", "event", "os", "stream")

TOKEN = re.compile(
    r"""
      (?P<number> \b[0-9](?:'?[\w.])* )         # 10'000: no character starts at the quote
    | //(?:\\\n|[^\n])*
    | /\*.*?\*/
    | R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"
    | "(?:\\.|[^"\\\n])*"
    | '(?:\\.|[^'\\\n])*'
    """,
    re.DOTALL | re.VERBOSE,
)
DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)(?:\\\n|[^\n])*", re.MULTILINE)
LABEL = re.compile(r"\b(?:public|protected|private)\s*:(?!:)")
ATTRIBUTE = re.compile(r"\[\[.*?\]\]", re.DOTALL)
CALL = re.compile(
    r"((?:\w+::)*operator\s*(?:\(\)|[^\s\w(]+)|~?[A-Za-z_][\w:~]*)\s*\(\s*\)",
)
NOT_A_NAME = {"alignas", "decltype", "explicit", "noexcept", "requires", "static_assert"}
NOT_A_FUNCTION = re.compile(r"\s*(?:using|typedef|friend|static_assert|return)\b")


def spaces(text: str) -> str:
    """Returns spaces of the length of `text`, with its line feeds."""
    return re.sub(r"[^\n]", " ", text)


def without_comments_and_strings(text: str) -> str:
    return TOKEN.sub(lambda m: m[0] if m["number"] else spaces(m[0]), text)


def without_strings(text: str) -> str:
    return TOKEN.sub(lambda m: m[0] if m["number"] or m[0][0] == "/" else spaces(m[0]), text)


def without_nested(text: str, opening: str, closing: str) -> str:
    """Replaces the text between the outermost brackets by spaces, and keeps these brackets."""
    depth = 0
    result = []
    for ch in text:
        depth -= ch == closing and depth > 0
        result.append(ch if depth == 0 or ch == "\n" else " ")
        depth += ch == opening
    return "".join(result)


def without_template_parameters(head: str) -> str:
    match = re.match(r"(\s*)template\s*(?=<)", head)
    if not match:
        return head
    depth = 0
    for i in range(match.end(), len(head)):
        depth += (head[i] == "<") - (head[i] == ">")
        if depth == 0:
            return spaces(head[: i + 1]) + without_template_parameters(head[i + 1 :])
    return head


def named_calls(head: str) -> list[re.Match[str]]:
    """Returns the names in a head that are followed by parentheses."""
    return [m for m in CALL.finditer(head) if m[1] not in NOT_A_NAME]


@dataclass(frozen=True)
class Function:
    """A function's declaration or definition."""

    name: str
    scope: str
    start: int  # the line where the declaration starts, templates and attributes included
    line: int  # the line of the name
    body: tuple[int, int] | None  # the lines of the braces

    @property
    def length(self) -> int:
        return self.body[1] - self.line + 1 if self.body else 0


class Scanner:
    """Finds the functions of a file at namespace and class level by matching braces."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.functions: list[Function] = []
        self.unbalanced: int | None = None
        self.scopes: list[str] = []
        self.scan()

    def scan(self) -> None:
        head = pos = parens = 0
        while match := re.compile(r"[{}();]").search(self.code, pos):
            pos = match.end()
            ch = match[0]
            if ch in "()":
                parens += 1 if ch == "(" else -1
            elif parens == 0:
                head, pos = self.at_level(ch, head, match.start())
        if parens != 0 or self.scopes:
            self.unbalanced = self.line_of(len(self.code) - 1)

    def at_level(self, ch: str, head: int, pos: int) -> tuple[int, int]:
        """Handles a `{`, `}` or `;`. Returns the start of the next head and where to continue."""
        if ch == ";":
            self.add_function(head, pos, None)
        elif ch == "}":
            if self.scopes:
                self.scopes.pop()
            else:
                self.unbalanced = self.line_of(pos)
        else:
            return self.at_brace(head, pos)
        return pos + 1, pos + 1

    def at_brace(self, head: int, pos: int) -> tuple[int, int]:
        text = self.masked(head, pos)
        scope = self.scope_name(text)
        if scope is not None:
            self.scopes.append(scope)
            return pos + 1, pos + 1
        end = self.closing(pos)
        if not self.opens_body(text):
            return head, end + 1
        self.add_function(head, pos, end)
        return end + 1, end + 1

    def masked(self, head: int, pos: int) -> str:
        """Returns the text of a head with its nested parts replaced by spaces."""
        text = without_nested(self.code[head:pos], "(", ")")
        text = without_nested(text, "{", "}")
        text = ATTRIBUTE.sub(lambda m: spaces(m[0]), text)
        text = LABEL.sub(lambda m: spaces(m[0]), text)
        text = re.sub(r"\balignas\s*\(\s*\)", lambda m: spaces(m[0]), text)
        return without_template_parameters(text)

    @staticmethod
    def scope_name(text: str) -> str | None:
        if text.strip() == "extern":
            return ""
        if match := re.search(r"\bnamespace\b\s*([\w:]*)", text):
            return match[1] or "(unnamed)"
        if "(" in text or "=" in text or re.search(r"\benum\b", text):
            return None
        match = re.search(r"\b(?:class|struct|union)\b\s*(\w*)", text)
        return f"class {match[1]}" if match else None

    @staticmethod
    def opens_body(text: str) -> bool:
        """Returns whether a `{` after this head opens a body, and not an initialiser."""
        calls = named_calls(text)
        if not calls or "=" in text[: calls[0].start()]:
            return False
        has_initialisers = re.search(r"(?<!:):(?!:)", text[calls[0].end() :])
        return not has_initialisers or text.rstrip()[-1] in ")}"

    def closing(self, pos: int) -> int:
        depth = 0
        for match in re.compile(r"[{}]").finditer(self.code, pos):
            depth += 1 if match[0] == "{" else -1
            if depth == 0:
                return match.start()
        self.unbalanced = self.line_of(pos)
        return len(self.code)

    def add_function(self, head: int, pos: int, end: int | None) -> None:
        text = self.masked(head, pos)
        found = named_calls(text)
        if not found or "=" in text[: found[0].start()] or NOT_A_FUNCTION.match(text):
            return
        # A macro without a semicolon may precede the name; the head of a test case is only a macro.
        plain = [m for m in found if not m[1].isupper()]
        match = plain[0] if plain else found[-1]
        name = match[1] if plain else self.code[head + match.start() : head + match.end()]
        start = head + len(text) - len(text.lstrip())
        if re.match(r"\s*template\b", self.code[head:pos]):
            start = head + self.code[head:pos].index("template")
        self.functions.append(
            Function(
                name=" ".join(name.split()),
                scope="::".join(self.scopes),
                start=self.line_of(start),
                line=self.line_of(head + match.start()),
                body=None if end is None else (self.line_of(pos), self.line_of(end)),
            )
        )

    def line_of(self, pos: int) -> int:
        return self.code.count("\n", 0, pos) + 1


@dataclass(frozen=True)
class Source:
    """A C++ file, which is parsed when it is first needed."""

    path: str
    text: str

    @property
    def library(self) -> bool:
        return Path(self.path).parts[0] in LIBRARY_FOLDERS

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def code(self) -> str:
        return without_comments_and_strings(self.text)

    @cached_property
    def conditions(self) -> list[int]:
        """Returns the lines with #if, #ifdef, #elif and so on."""
        return [
            self.code.count("\n", 0, m.start(1)) + 1
            for m in DIRECTIVE.finditer(self.code)
            if m[1].startswith(("if", "el"))
        ]

    @cached_property
    def scanner(self) -> Scanner:
        return Scanner(DIRECTIVE.sub(lambda m: spaces(m[0]), self.code))

    def doc_comment(self, line: int) -> list[str]:
        """Returns the /// lines right above a line, the lowest line first."""
        doc = []
        for above in reversed(self.lines[: line - 1]):
            if not above.lstrip().startswith("///"):
                break
            doc.append(above.strip())
        return doc
