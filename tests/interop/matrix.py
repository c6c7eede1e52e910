#!/usr/bin/env python3
"""Cases: whatever a client can do with a server directly, it can do through the gateway, and where the two cannot meet, too.

Each client does the same ten things with each server, once directly and once through a gateway that has all servers. The
tables of docs/COMPATIBILITY.md are made of what was found:

    python3 tests/interop/matrix.py [CLIENT…]      prints them, and why cells are not as they should be
    python3 tests/interop/matrix.py --write        writes the document anew
"""

import sys
import time

import matrix_run
import matrix_table
from cases import case
from matrix_clients import CLIENTS


def client(name):
    return next(client for client in CLIENTS if client.name == name)


def loses_nothing(name):
    rows = matrix_run.results(client(name))
    faults = [f"{row.server.title}: {why}" for row in rows for why in row.faults()]
    if faults:
        raise AssertionError("what does not work through the gateway, and should:\n   " + "\n   ".join(faults))


@case("python", "node")
def the_python_sdk_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("python")


@case("python", "node")
def fastmcp_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("fastmcp")


@case("python", "node")
def the_first_typescript_sdk_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("typescript-1")


@case("python", "node")
def the_second_typescript_sdk_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("typescript-2")


@case("python", "node")
def the_rust_sdk_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("rmcp")


@case("python", "node")
def the_inspector_can_do_through_the_gateway_what_it_can_do_directly(_):
    loses_nothing("inspector")


@case("python", "node")
def the_document_on_compatibility_says_what_was_found(_):
    found = {client.name: matrix_run.results(client) for client in CLIENTS}
    matrix_run.HOUSE.close()
    matrix_table.compare(found)


def main(words):
    wanted = [client for client in CLIENTS if client.name in words] or CLIENTS
    unknown = [word for word in words if word != "--write" and word not in [client.name for client in CLIENTS]]
    if unknown or ("--write" in words and wanted != CLIENTS):
        print(__doc__, file=sys.stderr)
        return 2
    found = {}
    for client in wanted:
        begun = time.monotonic()
        found[client.name] = matrix_run.results(client)
        print(f"\n{client.title} ({time.monotonic() - begun:.0f} s)\n\n{matrix_table.table(found[client.name])}")
        print("\n".join(matrix_table.reasons(found[client.name])), flush=True)
    if "--write" in words:
        matrix_table.write(found)
    return 1 if any(row.faults() for rows in found.values() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
