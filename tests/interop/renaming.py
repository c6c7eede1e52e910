"""What a gateway's aggregate names otherwise, named as its one server does: a proxy between the conformance suite and `/mcp`.

The suite asks for names of its own, and the aggregate offers them as `server__name` and `server+uri`. Nothing else is changed: not
the order of anything, no status, no other header.
"""

import base64
import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NAMED = ("tools/call", "prompts/get")
# Headers of one connection, and those whose values are another here.
HOP = {"connection", "content-length", "host", "keep-alive", "origin", "transfer-encoding"}
ENCODED = re.compile(r"=\?base64\?(.*)\?=")


class Renaming:
    """Listens while it is entered, at `url`."""

    def __init__(self, url, server):
        self.target = urlsplit(url)
        self.server = server

    def __enter__(self):
        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.listener.names = self
        self.authority = f"127.0.0.1:{self.listener.server_port}"
        self.url = f"http://{self.authority}{self.target.path}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown()
        self.listener.server_close()

    def public(self, method, name):
        return f"{self.server}__{name}" if method in NAMED else f"{self.server}+{name}"

    def request(self, body):
        """A request in the gateway's names. What is no request is left as it is, so that the gateway sees it."""
        try:
            message = json.loads(body)
            method, params = message["method"], message["params"]
        except (ValueError, KeyError, TypeError):
            return body
        if not isinstance(params, dict):
            return body
        if method in NAMED and isinstance(params.get("name"), str):
            params["name"] = self.public(method, params["name"])
        if method.startswith("resources/") and isinstance(params.get("uri"), str):
            params["uri"] = self.public(method, params["uri"])
        about = params.get("ref")
        if method == "completion/complete" and isinstance(about, dict):
            if "name" in about:
                about["name"] = self.public("prompts/get", about["name"])
            if "uri" in about:
                about["uri"] = self.public(method, about["uri"])
        watched = params.get("notifications")
        if method == "subscriptions/listen" and isinstance(watched, dict) and "resourceSubscriptions" in watched:
            watched["resourceSubscriptions"] = [self.public(method, uri) for uri in watched["resourceSubscriptions"]]
        return json.dumps(message).encode()

    def header(self, value, body):
        """`Mcp-Name` in the gateway's names, spelled as it came."""
        try:
            method = json.loads(body)["method"]
        except (ValueError, KeyError, TypeError):
            return value
        if method not in NAMED and not method.startswith("resources/"):
            return value
        if encoded := ENCODED.fullmatch(value):
            try:
                plain = base64.b64decode(encoded[1], validate=True).decode()
            except ValueError:
                return value
            return f"=?base64?{base64.b64encode(self.public(method, plain).encode()).decode()}?="
        return self.public(method, value)

    def message(self, text):
        """A message of the gateway in its server's names."""
        try:
            message = json.loads(text)
        except ValueError:
            return text
        return json.dumps(self.own(message))

    def own(self, value):
        if isinstance(value, list):
            return [self.own(item) for item in value]
        if isinstance(value, dict):
            return {key: self.own_name(key, item) for key, item in value.items()}
        return value

    def own_name(self, key, value):
        if not isinstance(value, str):
            return self.own(value)
        if key == "name":
            return value.removeprefix(f"{self.server}__")
        return value.removeprefix(f"{self.server}+") if key in ("uri", "uriTemplate") else value


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away in the middle of something does no harm."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def relay(self):
        names = self.server.names
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        for name in headers:
            if name.lower() == "mcp-name":
                headers[name] = names.header(headers[name], body)
        # Our own address stands for the gateway's; any other is shown to it.
        headers["Host"] = self.headers["host"].replace(names.authority, names.target.netloc)
        if origin := self.headers.get("origin"):
            headers["Origin"] = origin.replace(names.authority, names.target.netloc)
        gateway = http.client.HTTPConnection(names.target.hostname, names.target.port, timeout=60)
        try:
            gateway.request(self.command, self.path, names.request(body) or None, headers)
            self.answer(gateway.getresponse(), names)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            gateway.close()

    do_GET = do_POST = do_DELETE = do_PUT = do_OPTIONS = relay

    def answer(self, answer, names):
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if answer.getheader("content-type", "").startswith("text/event-stream"):
            # It ends with the connection.
            self.close_connection = True
            self.send_header("Connection", "close")
            self.end_headers()
            for line in answer:
                if line.startswith(b"data:") and line[5:].strip():
                    line = f"data: {names.message(line[5:])}\n".encode()
                self.wfile.write(line)
                self.wfile.flush()
            return
        body = answer.read()
        if answer.getheader("content-type", "").startswith("application/json"):
            body = names.message(body.decode()).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
