"""Finds what the headers of the libraries declare and nothing in this tree uses.

Names are counted, not resolved: a name counts as used if another thing of that name is. A table of
functions is used if its entries are called or given to a member of another name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .source_text import Source

CONSTANT = re.compile(r"^(?:inline )?constexpr [^=;({]*?\b(\w+)(?:\[\])? *[={]", re.MULTILINE)
POINTER = re.compile(r"\(\*(\w+)\)\(")
# The observer of the loop replaces functions by ones that call the originals, which is no use.
FORWARDED = re.compile(r"\bstate\.(?:actions|io)\.\w+")
FLAG = re.compile(r"^ +unsigned (\w+) : 1\b", re.MULTILINE)


@dataclass(frozen=True)
class Declared:
    name: str
    path: str
    line: int
    used: bool


class Uses:
    """The uses of names in the sources of the product: the libraries, the programs, the templates
    of modules."""

    def __init__(self, sources: list[Source]) -> None:
        self.code = "\n".join(source.code for source in sources)
        self.words = Counter(re.findall(r"\w+", self.code))
        self.heads = Counter(f.name for source in sources for f in source.scanner.functions)
        self.heads.update(CONSTANT.findall(self.code))
        callers = FORWARDED.sub("", self.code)
        self.calls = set(re.findall(r"(?:\.|->)(\w+)\s*[(?]", callers))
        self.calls |= set(re.findall(r"exchange\([\w.]+\.(\w+),", callers))
        self.copies = set(re.findall(r"\b(\w+) = \w+\.(\w+)\b", self.code))
        self.set = set(re.findall(r"(?:\.|->)(\w+) = ", self.code))

    def of_pointer(self, name: str) -> bool:
        return name in self.calls or any(a != b == name for a, b in self.copies)

    def declared_by(self, source: Source) -> Iterator[Declared]:
        for function in source.scanner.functions:
            name = function.name
            if name.isidentifier() and "unnamed" not in function.scope:
                used = self.words[name] > self.heads[name]
                yield Declared(name, source.path, function.line, used)
        for pattern in (CONSTANT, POINTER, FLAG):
            for match in pattern.finditer(source.code):
                name = match[1]
                if pattern is CONSTANT:
                    used = self.words[name] > self.heads[name]
                else:
                    used = self.of_pointer(name) if pattern is POINTER else name in self.set
                line = source.code.count("\n", 0, match.start(1)) + 1
                yield Declared(name, source.path, line, used)


def declared(sources: list[Source]) -> Iterator[Declared]:
    """Yields what the headers of the libraries declare."""
    product = [s for s in sources if not s.path.startswith(("test/", "docs/"))]
    uses = Uses(product)
    for source in product:
        if source.library and source.path.endswith(".hpp"):
            yield from uses.declared_by(source)
