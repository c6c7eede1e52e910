"""A real vector database, Chroma, on loopback, asked by its own HTTP interface."""

import json
import socket
import subprocess
import tempfile
import time
import urllib.request

import peers

# The package's own command imports all its dependencies; the server needs none of them.
SERVE = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', *sys.argv[1:]])"
DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"


class Chroma:
    """Serves while it is entered, with an empty database."""

    def __enter__(self):
        self.root = tempfile.TemporaryDirectory(prefix="portolan-chroma-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        serve = ["run", "--path", f"{self.root.name}/data", "--host", "127.0.0.1", "--port", str(port)]
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                [peers.CHROMA, "-c", SERVE, *serve],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root.name,
                env=peers.environment(self.root.name, ANONYMIZED_TELEMETRY="False"),
            )
        try:
            self.until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.root.cleanup()

    def until_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return self.ask("/api/v2/heartbeat")
            except OSError:
                time.sleep(0.1)
        with open(f"{self.root.name}/log") as log:
            raise AssertionError(f"Chroma did not start\n{log.read()[-2000:]}")

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def collection(self, name, texts):
        """A collection of texts with their vectors; the address at which it is queried."""
        made = self.ask(f"{DATABASE}/collections", {"name": name})
        path = f"{DATABASE}/collections/{made['id']}"
        ids = [f"text-{at}" for at, _ in enumerate(texts)]
        self.ask(f"{path}/add", {"ids": ids, "documents": [text for text, _ in texts], "embeddings": [vector for _, vector in texts]})
        return f"{self.url}{path}/query"
