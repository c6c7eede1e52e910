"""The servers of the matrix: how each is started, how the gateway is told of it, and what of it each operation uses.

A client is handed a server as a job's `url` or `command`, and its operations as {name: step}:
    list        {"tools"}                            all of these are listed, on whichever page
    call        {"tool", "arguments", "text"}        the result contains the text
    progress    {"tool", "arguments", "least"}       at least so many reports, which grow
    cancel      {"tool", "arguments", "wait", "begun"?, "witness"}     a call is cancelled after so many seconds, and when `begun`
                                                     contains its text, and ends at once; then the call that is the witness
                                                     contains its text
    elicitation {"tool", "arguments", "answer", "text"}        the client is asked, accepts with the answer; the result contains the text
    sampling    {"tool", "arguments"}                the client is asked, and the result contains what its model said
    subscribe   {"uri", "trigger", "after"?}         the client subscribes, calls the trigger, and hears that the resource changed
    read        {"uri", "text"}
    prompts     {"name", "arguments", "text"}        it is listed, and what it gives contains the text
    completion  {"prompt", "argument", "values"}     all of these are among the values
"""

import json
import re
import socket
import sys
import threading
import time

import fixture_peer
from inspector_peer import free_port
from peers import HERE, NODE_BIN, PYTHON
from program import Program

OPERATIONS = ("list", "call", "progress", "cancel", "elicitation", "sampling", "subscribe", "read", "prompts", "completion")
# A call that is to be cancelled would last this long, and is cancelled after so long.
LONG, SOON = 20, 0.4
# The one server that can be of either era alone.
FIXTURE = fixture_peer.binary()


def everything(_tag):
    uri = "demo://resource/dynamic/text/1"
    toggle = {"tool": "toggle-subscriber-updates", "arguments": {}}
    echo = {"tool": "echo", "arguments": {"message": "ahoy"}, "text": "ahoy"}
    slow = "trigger-long-running-operation"
    return {
        "list": {"tools": ["echo", "get-sum", slow, "toggle-subscriber-updates"]},
        "call": echo,
        "progress": {"tool": slow, "arguments": {"duration": 0.4, "steps": 4}, "least": 3},
        # It does not tell whether it noticed: that it still answers must do.
        "cancel": {"tool": slow, "arguments": {"duration": LONG, "steps": 3}, "wait": SOON, "witness": echo},
        "elicitation": {
            "tool": "trigger-elicitation-request",
            "arguments": {},
            "answer": {"name": "Ada", "check": True, "integer": 7},
            "text": "Name: Ada",
        },
        "sampling": {"tool": "trigger-sampling-request", "arguments": {"prompt": "How is the wind?", "maxTokens": 50}},
        "subscribe": {"uri": uri, "trigger": toggle, "after": toggle},
        "read": {"uri": uri, "text": "Resource 1:"},
        "prompts": {"name": "args-prompt", "arguments": {"city": "Lisbon"}, "text": "Lisbon"},
        "completion": {"prompt": "completable-prompt", "argument": {"name": "department", "value": "S"}, "values": ["Sales", "Support"]},
    }


def harbour(tag):
    return {
        "list": {"tools": ["echo", "hold", "sign_in", "turn_tide"]},
        "call": {"tool": "echo", "arguments": {"text": "ahoy"}, "text": "ahoy"},
        "progress": {"tool": "count", "arguments": {"steps": 4}, "least": 3},
        "cancel": {
            "tool": "hold",
            "arguments": {"name": tag, "seconds": LONG},
            "wait": SOON,
            # It notices only in what it has begun.
            "begun": {"tool": "was_begun", "arguments": {"name": tag}, "text": "yes"},
            "witness": {"tool": "was_cancelled", "arguments": {"name": tag}, "text": "yes"},
        },
        "elicitation": {"tool": "sign_in", "arguments": {}, "answer": {"name": "Aurora", "crew": 7}, "text": "Aurora with 7"},
        "sampling": {"tool": "ask_model", "arguments": {}},
        "subscribe": {"uri": "tide://now", "trigger": {"tool": "turn_tide", "arguments": {}}},
        "read": {"uri": "tide://now", "text": "the tide is at"},
        "prompts": {"name": "greeting", "arguments": {"name": "Ada"}, "text": "ahoy to Ada"},
        "completion": {"prompt": "greeting", "argument": {"name": "name", "value": "Ad"}, "values": ["Ada", "Adelaide"]},
    }


def fixture(tag):
    watched = "test://watched-resource"
    simple = {"tool": "test_simple_text", "arguments": {}, "text": "text"}
    return {
        "list": {"tools": ["test_simple_text", "test_elicitation", "test_sampling", "slow_compute"]},
        "call": simple,
        "progress": {"tool": "test_tool_with_progress", "arguments": {}, "least": 2},
        "cancel": {"tool": "slow_compute", "arguments": {"seconds": LONG, "label": tag}, "wait": SOON, "witness": simple},
        "elicitation": {
            "tool": "test_elicitation",
            "arguments": {"message": "Who are you?"},
            "answer": {"username": "ada", "email": "ada@example.com"},
            "text": "ada@example.com",
        },
        "sampling": {"tool": "test_sampling", "arguments": {"prompt": "How is the wind?"}},
        "subscribe": {"uri": watched, "trigger": {"tool": "test_trigger_resource_change", "arguments": {"uri": watched}}},
        "read": {"uri": "test://static-text", "text": "text"},
        "prompts": {"name": "test_prompt_with_arguments", "arguments": {"arg1": "harbour", "arg2": "quay"}, "text": "harbour"},
        "completion": {"prompt": "test_prompt_with_arguments", "argument": {"name": "arg1", "value": "par"}, "values": ["park", "party"]},
    }


class Server(Program):
    """A server of the matrix. While it is entered, one that speaks HTTP runs; one that speaks over a pipe is started by its client."""

    def __init__(self, name, title, transport, operations, command, port_variable=None, path="/mcp"):
        self.name, self.title, self.transport, self.operations = name, title, transport, operations
        self.command = [str(part) for part in command]
        self.port_variable, self.path = port_variable, path
        self.url = None

    def place(self):
        """How a client finds it without the gateway."""
        where = {"command": self.command} if self.transport == "stdio" else {"url": self.url}
        return {"transport": self.transport, **where}

    def declared(self):
        """The gateway's configuration of it."""
        return {"command": self.command} if self.transport == "stdio" else {"url": self.url}

    def __enter__(self):
        if self.transport == "stdio":
            return self
        port = free_port() if self.port_variable else None
        self.start(self.name, self.command, **({self.port_variable: str(port)} if port else {}))
        told = threading.Event()

        def listen(stdout):
            # To the end: a server whose output is not read stands still.
            for line in stdout:
                if not port and (found := re.match(r"http://\S+", line)):
                    self.url = found[0]
                    told.set()
            told.set()

        self.reader = threading.Thread(target=listen, args=[self.process.stdout], daemon=True)
        self.reader.start()
        if port:
            self.url = f"http://127.0.0.1:{port}{self.path}" if accepts(port) else None
        else:
            told.wait(30)
        if not self.url:
            failure = self.failed("did not start")
            self.__exit__()
            raise failure
        return self

    def __exit__(self, *_):
        if self.transport == "stdio":
            return
        self.tell_to_end()
        self.process.wait(10)
        self.reader.join(5)
        super().__exit__()


def accepts(port):
    """Waits until somebody listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.1)
    return False


def servers():
    """All servers of the matrix that can be started here: those of the fixture only where it is built."""
    npm = NODE_BIN / "mcp-server-everything"
    python = [PYTHON, HERE / "servers/python_server.py"]
    found = [
        Server("everything-stdio", "server-everything, stdio", "stdio", everything, [npm, "stdio"]),
        Server("everything-http", "server-everything, Streamable HTTP", "http", everything, [npm, "streamableHttp"], "PORT"),
        Server("everything-sse", "server-everything, HTTP+SSE", "sse", everything, [npm, "sse"], "PORT", "/sse"),
        Server("python-stdio", "Python SDK, stdio", "stdio", harbour, [*python, "stdio"]),
        Server("python-http", "Python SDK, Streamable HTTP", "http", harbour, [*python, "http"]),
        Server("python-sse", "Python SDK, HTTP+SSE", "sse", harbour, [*python, "sse"]),
    ]
    if not FIXTURE.exists():
        print(f"matrix: without the fixture, which is not at {FIXTURE}", file=sys.stderr)
        return found
    for era, words in (("legacy", "up to 2025-11-25"), ("modern", "only 2026-07-28")):
        for transport, how in (("stdio", "stdio"), ("http", "Streamable HTTP")):
            command = [FIXTURE, "--era", era, "--transport", transport]
            found.append(Server(f"fixture-{era}-{transport}", f"rmcp fixture, {words}, {how}", transport, fixture, command))
    return found


def config(all_servers):
    """A gateway's configuration with all of these. `caller`: what one caller does is not to be seen by another's server."""
    declared = {server.name: {**server.declared(), "isolation": "caller"} for server in all_servers}
    return json.dumps({"mcp": {"servers": declared}})
