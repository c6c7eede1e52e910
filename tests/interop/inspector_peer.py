"""The MCP Inspector's page, on loopback: `mcp-inspector`, which serves it and sends its requests on."""

import re
import socket
import threading

from peers import NODE_BIN
from program import Program

# It starts no browser, leaves no token on the disk or in a keyring, and serves what is beside its page on any free ports.
SETTINGS = {
    "MCP_SANDBOX_PORT": "0",
    "MCP_APP_ORIGIN_PORT": "0",
    "MCP_AUTO_OPEN_ENABLED": "false",
    "MCP_INSPECTOR_SECRET_STORE": "memory",
}


class Inspector(Program):
    """Serves while it is entered, with one server on its list. `url` is what it prints for a person to open."""

    def __init__(self, server, era):
        self.command = [NODE_BIN / "mcp-inspector", "--transport", "http", "--server-url", server, "--protocol-era", era]

    def __enter__(self):
        self.start("Inspector", self.command, CLIENT_PORT=str(free_port()), **SETTINGS)
        # Where it has told no address by then, it is ended, and with it what it says.
        limit = threading.Timer(30, self.process.kill)
        limit.start()
        addresses = (re.search(r"http://127\.0\.0\.1:\S+", line) for line in self.process.stdout)
        self.url = next((found[0] for found in addresses if found), None)
        limit.cancel()
        if not self.url:
            failure = self.failed("did not start")
            self.__exit__()
            raise failure
        return self

    def tell_to_end(self):
        self.process.terminate()


def free_port():
    """The page's port must be told, and cannot be any."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
