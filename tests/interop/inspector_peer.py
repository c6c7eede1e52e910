"""The MCP Inspector's page, on loopback: `mcp-inspector`, which serves it and sends its requests on."""

import re
import signal
import socket
import subprocess
import tempfile
import threading

import peers
from peers import NODE_BIN

# It starts no browser, leaves no token on the disk or in a keyring, and serves what is beside its page on any free ports.
SETTINGS = {
    "MCP_SANDBOX_PORT": "0",
    "MCP_APP_ORIGIN_PORT": "0",
    "MCP_AUTO_OPEN_ENABLED": "false",
    "MCP_INSPECTOR_SECRET_STORE": "memory",
}


class Inspector:
    """Serves while it is entered, with one server on its list. `url` is what it prints for a person to open."""

    def __init__(self, server, era):
        self.command = [NODE_BIN / "mcp-inspector", "--transport", "http", "--server-url", server, "--protocol-era", era]

    def __enter__(self):
        self.root = tempfile.TemporaryDirectory(prefix="portolan-inspector-")
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root.name,
                env=peers.environment(self.root.name, CLIENT_PORT=str(free_port()), **SETTINGS),
            )
        # Where it has told no address by then, it is ended, and with it what it says.
        limit = threading.Timer(30, self.process.kill)
        limit.start()
        addresses = (re.search(r"http://127\.0\.0\.1:\S+", line) for line in self.process.stdout)
        self.url = next((found[0] for found in addresses if found), None)
        limit.cancel()
        if not self.url:
            with open(f"{self.root.name}/log") as log:
                said = log.read()[-2000:]
            self.__exit__()
            raise AssertionError(f"the Inspector did not start\n{said}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.root.cleanup()


def free_port():
    """The page's port must be told, and cannot be any."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
