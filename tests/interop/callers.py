"""Two clients of one of a gateway's servers, as small as can be: one of each era. Whatever they are asked, they answer by its defaults."""

import base64
import json
import urllib.error
import urllib.request

from journeys import LEGACY, MODERN

ABOUT = {"name": "interop", "version": "1"}
ABILITIES = {"elicitation": {"form": {}}}
# A call may wait for a server that lets its clients come back.
TIMEOUT = 20


class Refused(Exception):
    """An error instead of a result."""


class Caller:
    """What both can do."""

    def __init__(self, url):
        self.url = url
        self.last = 0

    def list(self, kind):
        """All that the server has of a kind: `tools`, `resources` or `prompts`."""
        return self.ask(f"{kind}/list")[kind]

    def call(self, tool, arguments, meanwhile=None):
        """Calls a tool; `meanwhile` runs while it waits for an answer of this client."""
        return self.ask("tools/call", meanwhile, name=tool, arguments=arguments)

    def post(self, message, headers):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
        try:
            return urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as refused:
            with refused:
                raise Refused(f"{message.get('method')}: {refused.status} {refused.read().decode()[:500]}") from None

    def next_id(self):
        self.last += 1
        return self.last


class Session(Caller):
    """Begins with `initialize`, and is asked over the stream of its call."""

    def __init__(self, url):
        super().__init__(url)
        self.headers = {"mcp-protocol-version": LEGACY}
        hello = {"protocolVersion": LEGACY, "clientInfo": ABOUT, "capabilities": ABILITIES}
        with self.post({"id": 0, "method": "initialize", "params": hello}, self.headers) as answer:
            self.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
            result(next(messages(answer)))
        self.post({"method": "notifications/initialized"}, self.headers).close()

    def ask(self, method, meanwhile=None, **params):
        """Asks, and gives the result."""
        number = self.next_id()
        with self.post({"id": number, "method": method, "params": params}, self.headers) as answer:
            for message in messages(answer):
                if "method" not in message and message["id"] == number:
                    return result(message)
                if "id" in message:
                    if meanwhile:
                        meanwhile()
                    self.post({"id": message["id"], "result": by_default(message)}, self.headers).close()
        raise Refused(f"{method}: the stream ended without an answer")


class Stateless(Caller):
    """Says all about itself with each request, and asks once more with what it was asked."""

    def call(self, tool, arguments, meanwhile=None):
        """Repeats in headers what the tool's schema wants there."""
        [schema] = [listed["inputSchema"] for listed in self.list("tools") if listed["name"] == tool]
        fields = schema.get("properties", {})
        headers = {fields[key]["x-mcp-header"]: value for key, value in arguments.items() if "x-mcp-header" in fields.get(key, {})}
        mirrored = {f"mcp-param-{name}": in_header(value) for name, value in headers.items()}
        return self.ask("tools/call", meanwhile, mirrored, name=tool, arguments=arguments)

    def ask(self, method, meanwhile=None, mirrored=None, **params):
        """Asks, and gives the complete result."""
        about = {"protocolVersion": MODERN, "clientInfo": ABOUT, "clientCapabilities": ABILITIES}
        params["_meta"] = {f"io.modelcontextprotocol/{key}": value for key, value in about.items()}
        headers = {"mcp-protocol-version": MODERN, "mcp-method": method, **(mirrored or {})}
        if named := params.get("name") or params.get("uri"):
            headers["mcp-name"] = named
        while True:
            with self.post({"id": self.next_id(), "method": method, "params": params}, headers) as answer:
                found = result(next(messages(answer)))
            if found["resultType"] != "input_required":
                return found
            if meanwhile:
                meanwhile()
            params["inputResponses"] = {key: by_default(asked) for key, asked in found["inputRequests"].items()}
            params.pop("requestState", None)
            if "requestState" in found:
                params["requestState"] = found["requestState"]


def messages(answer):
    """The messages of an answer: one, or those of its events."""
    if answer.headers["content-type"].startswith("application/json"):
        yield json.load(answer)
        return
    for line in answer:
        if line.startswith(b"data:") and line[5:].strip():
            yield json.loads(line[5:])


def result(message):
    if "result" not in message:
        raise Refused(json.dumps(message.get("error", message)))
    return message["result"]


def in_header(value):
    """An argument as a header says it; a text in base64, which is always right for one."""
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?=" if isinstance(value, str) else json.dumps(value)


def by_default(asked):
    """A form as it is filled in by who changes nothing, and agrees where nothing is said."""
    fields = asked["params"]["requestedSchema"]["properties"]
    return {"action": "accept", "content": {name: field.get("default", True) for name, field in fields.items()}}


ERAS = {"legacy": Session, "modern": Stateless}
