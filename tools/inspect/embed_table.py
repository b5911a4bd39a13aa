"""Writes a table of docs/ as tables of C++: embed_table.py TABLE OUTPUT TYPE NAME"""

import json
import sys
from pathlib import Path

table, output = map(Path, sys.argv[1:3])
type_of_row, name = sys.argv[3:]
lines = table.read_text(encoding="utf-8").splitlines()
releases = [word for line in lines if line.startswith("# releases:") for word in line.split()[2:]]
rows = [line.split("\t") for line in lines if not line.startswith("#")]


def braced(words: list[str]) -> str:
    return f"{{{', '.join(map(json.dumps, words))}}}"


head = f"constexpr std::string_view releases[] = {braced(releases)};\n" if releases else ""
output.write_text(
    head + f"constexpr {type_of_row} {name}[] = {{\n"
    + "".join(f"{braced(row)},\n" for row in rows) + "};\n", encoding="utf-8")
