"""A stand-in for an LLM provider that speaks OpenAI's dialect: embeddings and a short chat, on loopback."""

import base64
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "stub-key"
WORDS = ["Hello", " from", " the", " stub"]
VECTOR = [0.25, -0.5, 1.0]


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in ("chat", "embed")]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {KEY}":
            self.answer(401, {"error": {"message": "wrong key", "type": "invalid_request_error", "code": "invalid_api_key"}})
        elif self.path == "/v1/embeddings":
            self.embeddings(body)
        elif self.path == "/v1/chat/completions" and body.get("stream"):
            self.streamed(body)
        elif self.path == "/v1/chat/completions":
            message = {"role": "assistant", "content": "".join(WORDS)}
            self.answer(200, completion("chat.completion", {"message": message, "finish_reason": "stop"}))
        else:
            self.answer(404, {"error": {"message": "no such path", "type": "invalid_request_error"}})

    def embeddings(self, body):
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        vector = VECTOR
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(inputs)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.answer(200, {"object": "list", "model": body["model"], "data": data, "usage": usage})

    def streamed(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        chunks = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
        chunks += [{"delta": {"content": word}, "finish_reason": None} for word in WORDS]
        chunks.append({"delta": {}, "finish_reason": "stop"})
        for chunk in chunks:
            event = json.dumps(completion("chat.completion.chunk", chunk))
            self.wfile.write(f"data: {event}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def completion(kind, choice):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    whole = {"id": "stub-1", "object": kind, "created": 1, "model": "chat", "choices": [{"index": 0, **choice}]}
    return {**whole, "usage": usage} if kind == "chat.completion" else whole


class Stub:
    """Serves while it is entered; `config` names it as the provider `stub` of a gateway."""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.config = f"providers:\n  stub: {{ kind: openai-compatible, base_url: {base}, api_key: {KEY} }}\n"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
