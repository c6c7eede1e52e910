#!/usr/bin/env python3
"""Tries the gateway with real peers: other people's MCP servers, SDKs, frameworks, agents.

    tests/interop/install.sh && python3 tests/interop/run.py [--full] [WORDS…]

Each case is a function named as a sentence; WORDS picks the cases whose names contain them all. The first cases add
servers to one gateway, as a person would, and are always run: the later ones use them. PORTOLAN_BIN names the binary.
`--full` adds the cases with a real model and those with twenty servers' histories, which `install.sh model precision` installs.
A case whose peers are not installed is skipped, or fails when PORTOLAN_PEERS=require.
"""

import importlib
import os
import sys
import time
import traceback

import peers
from cases import CASES
from gateway import Gateway, binary

# Each of these lists the cases of one kind; the first adds the servers that the others use.
KINDS = ("journeys", "models", "sdks", "frameworks", "agents", "oauth", "conformance", "suite", "matrix", "apis", "registry",
         "histories", "curated", "console")


def main(words):
    passed = failed = skipped = 0
    if not os.access(binary(), os.X_OK):
        print(f"no program at {binary()}: build it, or set PORTOLAN_BIN", file=sys.stderr)
        return 1
    try:
        passed, failed, skipped = try_all(words)
    except Exception as error:
        print(f"FAIL the gateway starts\n   {error}")
        failed += 1
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def try_all(words):
    """Runs the cases against one gateway and gives how many passed, failed and were skipped."""
    require = os.environ.get("PORTOLAN_PEERS") == "require"
    passed = failed = skipped = 0
    with Gateway() as gateway:
        for function, needs, first in CASES:
            name = function.__name__.replace("_", " ")
            if not first and not all(word in name for word in words):
                continue
            absent = " and ".join(peers.missing(needs))
            if absent and not require:
                print(f"skipped {name} (no {absent} peers: run tests/interop/install.sh)", flush=True)
                skipped += 1
                continue
            begun = time.monotonic()
            try:
                if absent:
                    raise AssertionError(f"the {absent} peers are not installed: run tests/interop/install.sh")
                function(gateway)
            except Exception as error:
                what = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
                print(f"FAIL {name}\n   {what.strip()}", flush=True)
                failed += 1
            else:
                print(f"ok {name} ({time.monotonic() - begun:.1f} s)", flush=True)
                passed += 1
        if failed:
            print(f"\nthe gateway's log ends with:\n{gateway.log()}")
    return passed, failed, skipped


if __name__ == "__main__":
    full = "--full" in sys.argv
    for kind in (*KINDS, *(["realmodel", "precision"] if full else [])):
        importlib.import_module(kind)
    sys.exit(main([word for word in sys.argv[1:] if word != "--full"]))
