"""Our own MCP server, `tests/fixture/`, which offers what the conformance suite asks a server for. Built by `cargo build --examples`."""

import os
from pathlib import Path

from program import Program


def binary():
    """The program: PORTOLAN_FIXTURE, or what `cargo build --examples` makes."""
    target = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[2] / "target"
    return Path(os.environ.get("PORTOLAN_FIXTURE") or Path(target) / "debug/examples/mcp_fixture").resolve()


class Fixture(Program):
    """Serves while it is entered, for clients of one era, `legacy` or `modern`, or of `both`."""

    def __init__(self, era):
        self.era = era

    def __enter__(self):
        if not os.access(binary(), os.X_OK):
            raise AssertionError(f"no program at {binary()}: build it with `cargo build --examples`, or set PORTOLAN_FIXTURE")
        self.start("fixture", [str(binary()), "--era", self.era])
        self.url = self.process.stdout.readline().strip()
        if not self.url.startswith("http://"):
            self.__exit__()
            raise self.failed("told no address")
        return self
