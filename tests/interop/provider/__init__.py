"""A scripted stand-in for LLM providers, on loopback: OpenAI's chat and embeddings, and Anthropic's messages.

It answers from a script (script.py), refuses what the real ones would refuse, and remembers every request, so that a case
can look at what reached the provider. Each dialect is a file of its own; one more is one more file and one line in `POST`.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from provider import anthropic, openai
from provider.script import Refused, turn_for

KEY = "sk-script"


class Request:
    """One request as it came."""

    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.received()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        self.received()
        if urlsplit(self.path).path == "/v1/models":
            models = [{"id": name, "type": "model", "object": "model", "display_name": name} for name in self.server.script]
            self.answer(200, {"object": "list", "data": models, "has_more": False})
        else:
            self.answer(404, openai.error("invalid_request_error", f"no such path: {self.path}"))

    def do_POST(self):
        request = self.received()
        respond = POST.get(urlsplit(self.path).path)
        if respond is None:
            self.answer(404, openai.error("invalid_request_error", f"no such path: {self.path}"))
        else:
            respond(self, request)

    def received(self):
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.server.requests.append(request)
        return request

    def completions(self, request):
        if (parts := self.opened(openai, request)) is None:
            return
        model, options = request.body["model"], request.body.get("stream_options") or {}
        if request.body.get("stream"):
            self.streamed(openai.framed(openai.stream(model, parts, options.get("include_usage"))))
        else:
            self.answer(200, openai.answer(model, parts))

    def messages(self, request):
        if (parts := self.opened(anthropic, request)) is None:
            return
        model = request.body["model"]
        if request.body.get("stream"):
            self.streamed(anthropic.framed(anthropic.stream(model, parts)))
        else:
            self.answer(200, anthropic.answer(model, parts))

    def opened(self, dialect, request):
        """The turn that answers this request; an error is answered here."""
        if dialect.key_of(request.headers) != KEY:
            return self.answer(401, dialect.error("authentication_error", "wrong key"))
        try:
            dialect.check(request.headers, request.body)
        except Refused as why:
            self.server.refused.append(f"{self.path}: {why}")
            return self.answer(400, dialect.error("invalid_request_error", str(why)))
        parts = turn_for(self.server.script, request.body["model"], dialect.assistants(request.body))
        failed = next((part for part in parts if part["kind"] == "error"), None)
        if failed:
            return self.answer(failed["status"], dialect.error(failed["type"], failed["message"]), failed["headers"])
        return parts

    def count_tokens(self, request):
        try:
            anthropic.check(request.headers, request.body, counting=True)
        except Refused as why:
            self.server.refused.append(f"{self.path}: {why}")
            return self.answer(400, anthropic.error("invalid_request_error", str(why)))
        self.answer(200, {"input_tokens": self.server.counted})

    def embeddings(self, request):
        self.answer(200, openai.embeddings(request.body))

    def streamed(self, frames):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for frame in frames:
            self.wfile.write(frame.encode())
            self.wfile.flush()
        self.close_connection = True

    def answer(self, status, body, headers=None):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


POST = {
    "/v1/chat/completions": Door.completions,
    "/v1/embeddings": Door.embeddings,
    "/v1/messages": Door.messages,
    "/v1/messages/count_tokens": Door.count_tokens,
}


class Provider:
    """Serves a script while it is entered."""

    COUNTED = 42

    def __init__(self, script):
        self.script = script

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.script, self.server.counted = self.script, self.COUNTED
        self.requests = self.server.requests = []
        # What was refused as a real provider would: a case that means no such thing looks that it is empty.
        self.refused = self.server.refused = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, path):
        """The requests to one path, in order."""
        return [request for request in self.requests if urlsplit(request.path).path == path]
