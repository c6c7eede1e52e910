"""The clients of the matrix: the program of each, and what it cannot do, with or without a gateway."""

import json
import subprocess
import sys
import tempfile

import fixture_peer
import peers
from peers import HERE, PYTHON, node

# One operation may take so long, in seconds; and one client with one server.
PATIENCE, WHOLE = 45, 300


class Client:
    def __init__(self, name, title, needs, command, sdk=None, lacks=None, transports=None):
        self.name, self.title, self.needs = name, title, needs
        self.command, self.sdk = command, sdk
        # What it cannot do, as {operation: why}; and over what, as {transport: why}.
        self.lacks, self.transports = lacks or {}, transports or {}

    def run(self, place, operations, home):
        """Has it do these with the server at a place, and gives its report: {"error"} or {"protocol", "results", "tools"}."""
        job = {"sdk": self.sdk, "patience": PATIENCE, **place, "operations": operations}
        # Each in a folder of its own: some keep what they learn of a server.
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=home) as folder:
            try:
                done = subprocess.run(
                    [str(part) for part in self.command()],
                    input=json.dumps(job),
                    capture_output=True,
                    text=True,
                    timeout=WHOLE,
                    cwd=folder,
                    env=peers.environment(folder, PORTOLAN_PEERS_DIR=str(peers.ROOT)),
                )
            except subprocess.TimeoutExpired:
                return {"error": f"{self.title} did not end within {WHOLE} s"}
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"error": f"{self.title} exited {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}"}


def rust():
    """Made by `cargo build --examples`, as the fixture is, and beside it."""
    program = fixture_peer.binary().with_name("mcp_client")
    if not program.exists():
        raise AssertionError(f"no program at {program}: build it with `cargo build --examples`")
    return [program]


def python():
    return [PYTHON, HERE / "python/matrix_client.py"]


ONE_BY_ONE = {
    "progress": "it prints no progress",
    "cancel": "it cannot cancel a call",
    "elicitation": "it does not let itself be asked",
    "sampling": "it does not let itself be asked",
    "subscribe": "it has no method for it",
    "completion": "it has no method for it",
}

CLIENTS = (
    Client("python", "Python SDK", "python", python, sdk="mcp"),
    Client("fastmcp", "fastmcp", "python", python, sdk="fastmcp"),
    Client("typescript-1", "TypeScript SDK 1", "node", lambda: node("matrix_client"), sdk="typescript-1"),
    Client("typescript-2", "TypeScript SDK 2", "node", lambda: node("matrix_client"), sdk="typescript-2"),
    Client("rmcp", "rmcp", "python", rust, transports={"sse": "the server speaks HTTP+SSE alone, which it does not"}),
    Client("inspector", "Inspector, command line", "node", lambda: [sys.executable, HERE / "inspector_client.py"], lacks=ONE_BY_ONE),
)
