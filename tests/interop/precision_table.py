"""Writes the table of docs/REGISTRY.md from a replay of histories, and says where the document is not what a replay found."""

from typing import NamedTuple

from peers import HERE
from precision_servers import Server

DOCUMENT = HERE.parent.parent / "docs/REGISTRY.md"
BEGIN, END = "<!-- tests/interop/precision.py writes what follows -->", "<!-- until here -->"
HEAD = ["server", "versions", "changes", "accepted", "held", "wanted of those", "poison", "held of that"]


class Row(NamedTuple):
    server: Server
    changes: int
    accepted: int
    held: int
    wanted: int
    planted: int
    stopped: int


def table(rows):
    lines = [HEAD, ["---"] * len(HEAD)]
    for row in rows:
        lines.append([f"`{row.server.package}`", ", ".join(row.server.versions), *(str(number) for number in row[1:])])
    sums = [sum(row[at] for row in rows) for at in range(1, len(Row._fields))]
    lines.append(["all", "", *(f"**{number}**" for number in sums)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parted(text):
    """The document before the table, the table, and what stands behind it."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    there, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise AssertionError(f"docs/{DOCUMENT.name} has no place for the table, between `{BEGIN}` and `{END}`")
    return before, there, after


def write(rows):
    before, _, after = parted(DOCUMENT.read_text())
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}\n{after}")


def compare(rows):
    """Fails where the document's table is not the one that this replay would write."""
    there, here = parted(DOCUMENT.read_text())[1].splitlines(), table(rows).splitlines()
    if there != here:
        other = [f"- {line}" for line in there if line not in here] + [f"+ {line}" for line in here if line not in there]
        words = "docs/REGISTRY.md is not what was found; `python3 tests/interop/precision.py --write` writes it anew"
        raise AssertionError("\n   ".join([words, *other]))
