#!/usr/bin/env python3
"""Removes the links of installed documents that lead to files of the source tree only, and leaves
their text. `meson install` runs it.

installed_links.py FOLDER     an absolute path, to which the script adds DESTDIR
"""

import os
import re
import sys
from pathlib import Path

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def leads_to_a_file(document: Path, link: str) -> bool:
    """A link to a place in the same document and an address of the web count, too."""
    path = link.partition("#")[0]
    return bool(re.match(r"\w+:", link)) or (document.parent / path).exists()


def without_dead_links(document: Path) -> str:
    def link_or_text(match: re.Match[str]) -> str:
        return match[0] if leads_to_a_file(document, match[2]) else match[1]

    parts = CODE.split(document.read_text(encoding="utf-8"))
    return "".join(part if CODE.fullmatch(part) else LINK.sub(link_or_text, part) for part in parts)


if __name__ == "__main__":
    prefix = os.environ["MESON_INSTALL_PREFIX"]
    destdir = os.environ["MESON_INSTALL_DESTDIR_PREFIX"].removesuffix(prefix)
    for path in Path(destdir + sys.argv[1]).rglob("*.md"):
        path.write_text(without_dead_links(path), encoding="utf-8")
