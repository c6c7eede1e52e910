"""Writes docs/COMPATIBILITY.md from a run of the matrix, and says where the document is not what a run found."""

import json
import re
from pathlib import Path

from matrix_clients import CLIENTS
from matrix_run import ABSENT, FAILS, FAULTS, GAINED, LOST, OWED, WORKS
from matrix_servers import OPERATIONS
from peers import HERE

REPOSITORY = HERE.parent.parent
DOCUMENT = REPOSITORY / "docs/COMPATIBILITY.md"
SIGNS = {WORKS: "yes", GAINED: "gained", LOST: "**lost**", OWED: "**owed**", FAILS: "no", ABSENT: "n/a"}

OPENING = """\
# Compatibility

Which MCP clients get on with which MCP servers through Portolan. Nothing here is from memory: `python3 tests/interop/matrix.py
--write` installs no more than the interop tests do, tries every client with every server, and writes this file; the same run
in CI fails when it finds something else.

Each client does ten things with each server: first directly, then through one gateway that has all the servers in its
configuration, at `/mcp/{server}`. One client at a time is with a server; what is different where several are is told in
[configuration.md](configuration.md#what-servers-ask). The tasks of 2025-11-25, an experiment of that revision, are not carried: no
client is told of them, and a tool that insists on them cannot be called.

| | what is tried |
|---|---|
| list | all tools, page by page; through the gateway none may be missing |
| call | a tool is called, and its text comes back |
| progress | a call reports progress while it runs |
| cancel | a call is cancelled while it runs: it ends at once, and the server stops too, where it can tell |
| elicitation | a tool asks the person at the client to fill in a form, and gets what was filled in |
| sampling | a tool asks the client's model, and gets its answer |
| subscribe | the client subscribes to a resource, and hears when it changes |
| read | a resource is read |
| prompts | prompts are listed, and one is taken with its arguments |
| completion | what an argument of a prompt may be is asked for |

A cell says:

- **yes**: it works, with the gateway as without.
- **gained**: it works through the gateway only, since the two do not speak the same transport or revision.
- **lost**: it works directly, and not through the gateway. This is a fault of Portolan's.
- **owed**: the two cannot meet directly, and what both can do with others does not work through the gateway. So is this.
- **no**: it does not work directly either, though the two can meet.
- **n/a**: the client cannot do it with any server; see [below](#what-a-client-cannot-do).

The columns *direct*, *client* and *server* are the protocol revisions that were spoken: between the client and the server without a
gateway, between the client and the gateway, and between the gateway and the server. `–` means that they did not get that far.
"""


def table(rows):
    head = ["server", "direct", "client", "server", *OPERATIONS]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        legs = [revision or "–" for revision in (row.direct, row.near, row.far)]
        lines.append([row.server.title, *legs, *(SIGNS[row.cells[name].state] for name in OPERATIONS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def reasons(rows):
    """Why cells are what they are, where they are not as one would like."""
    return [
        f"- {row.server.title}: {', '.join(names)} ({SIGNS[state].strip('*')}): {quiet(why)}"
        for row in rows
        for (state, why), names in row.reasons((*FAULTS, FAILS)).items()
    ]


def quiet(why):
    """A reason without what differs from run to run."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", " ".join(why.split()))


def document(found):
    parts = [OPENING, "## What was tried\n", versions(), "\n## The tables\n"]
    for client in CLIENTS:
        parts.append(f"### {client.title}\n\n{table(found[client.name])}\n")
    parts += ["## What does not work, and why\n", wrong(found), "## What a client cannot do\n", cannot(), "## Scenarios of the conformance suite that cannot pass\n", expected()]
    return "\n".join(parts).rstrip() + "\n"


def wrong(found):
    told = [f"{client.title} with\n\n" + "\n".join(lines) + "\n" for client in CLIENTS if (lines := reasons(found[client.name]))]
    return "\n".join(told) or "Nothing of what is tried here.\n"


def versions():
    node = json.loads((HERE / "node/package.json").read_text())["dependencies"]
    python = dict(re.findall(r"^([a-z-]+)==([\w.]+)", (HERE / "python/requirements.txt").read_text(), re.MULTILINE))
    rmcp = re.search(r'^name = "rmcp"\nversion = "([^"]+)"', (REPOSITORY / "Cargo.lock").read_text(), re.MULTILINE)[1]
    rows = [
        ("Python SDK (`mcp`), client and server", python["mcp"]),
        ("fastmcp, client", python["fastmcp"]),
        ("TypeScript SDK 1 (`@modelcontextprotocol/sdk`), client", node["@modelcontextprotocol/sdk"]),
        ("TypeScript SDK 2 (`@modelcontextprotocol/client`), client", node["@modelcontextprotocol/client"]),
        ("rmcp, client (`tests/fixture/client.rs`) and server (`tests/fixture/main.rs`)", rmcp),
        ("Inspector (`@modelcontextprotocol/inspector`), command line", node["@modelcontextprotocol/inspector"]),
        ("`@modelcontextprotocol/server-everything`", node["@modelcontextprotocol/server-everything"]),
    ]
    told = "\n".join(f"| {name} | {version} |" for name, version in rows)
    return f"| | version |\n|---|---|\n{told}\n\n{HOW}"


HOW = """\
The clients find the newest revision that both sides know, as far as their SDK does that: the first TypeScript SDK knows sessions
only, and the Inspector's command line asks for nothing newer unless it is told to. The server on the Python SDK
(`tests/interop/servers/python_server.py`) speaks all revisions and lists its tools in pages of three; server-everything speaks those
before 2026-07-28; the rmcp fixture is started once with those alone, and once with 2026-07-28 alone. HTTP+SSE is the transport
of revision 2024-11-05, at two addresses; servers and SDKs speak newer revisions over it as well."""


def cannot():
    lines = []
    for client in CLIENTS:
        lines += [f"- {client.title}: {name}, since {why}." for name, why in client.lacks.items()]
        lines += [f"- {client.title}: anything without a gateway where {why}." for why in client.transports.values()]
    return "\n".join(lines) + "\n"


def expected():
    """What the files of expected failures say of the conformance suite through the gateway, with the reasons from their comments."""
    files = [file.read_text() for file in sorted((HERE / "expected").glob("*.yml"))]
    if not files:
        return "None is known.\n"
    parts = ["The names are those of the suite. One that passes after all fails the test run, so that this list stays true.\n"]
    for text in files:
        by_reason = {}
        for entry, why in commented(text):
            by_reason.setdefault(why, []).append(f"`{entry}`")
        rows = "\n".join(f"| {' '.join(entries)} | {why} |" for why, entries in by_reason.items())
        parts.append(f"{text.splitlines()[0].lstrip('# ')}\n\n| scenario, or its check | why |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def commented(text):
    """The entries of a list in YAML, each with the comment beside it, or above it and those that follow it."""
    above, fresh = [], False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("#"):
            above, fresh = ([*above, line[1:].strip()] if fresh else [line[1:].strip()]), True
        elif entry := re.fullmatch(r"-\s+[\"']?([^\"'#\s]+)[\"']?\s*(?:#\s*(.*))?", line):
            yield entry[1], entry[2] or " ".join(above)
            fresh = False
        else:
            above, fresh = [], False


def write(found):
    DOCUMENT.write_text(document(found))


def compare(found):
    """Fails where the document's tables are not those that this run would write: reasons may be told in other words each time."""
    there, here = in_tables(DOCUMENT.read_text()), in_tables(document(found))
    if there != here:
        other = [f"- {line}" for line in there if line not in here] + [f"+ {line}" for line in here if line not in there]
        words = "docs/COMPATIBILITY.md is not what was found; `python3 tests/interop/matrix.py --write` writes it anew"
        why = [f"{client.title} with {reason[2:]}" for client in CLIENTS for reason in reasons(found[client.name])]
        raise AssertionError("\n   ".join([words, *other, *why]))


def in_tables(text):
    return [line for line in text.splitlines() if line.startswith("|")]
