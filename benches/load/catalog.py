#!/usr/bin/env python3
"""Measures what a large catalog costs: the time from start to ready, memory, lists, and calls while the catalog changes.

Usage: catalog.py [--servers 500] [--tools 20] [--seconds 10] [--out results.json]

All servers are paths of one process, each with as many tools, no two of which have the same schema. First the gateway registers them,
then it is started anew with its releases. Calls are made one after the other: at first while nothing happens, then while the file of the
configuration is written again four times a second, each time with ten servers that moved and have new words. PORTOLAN_BIN names the binary.
"""
import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

from idle import memory, processor

HERE = os.path.dirname(os.path.abspath(__file__))
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
NAMES = ("name owner since until kind order state label team note path limit cursor query branch title body file folder region").split()
KINDS = (
    {"type": "string", "maxLength": 400}, {"type": "string", "enum": ["open", "closed", "all"]}, {"type": "integer", "minimum": 1, "maximum": 100},
    {"type": "boolean"}, {"type": "array", "items": {"type": "string"}, "maxItems": 50}, {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
)
# So many servers move with each turn, and so long is a turn, in seconds.
MOVED, TURN = 10, 0.25


def definition(server, tool):
    """A tool of about 1.2 KB, as many real ones are, with a schema that no other has."""
    chance = random.Random(f"{server} {tool}")
    properties = {"id": {"type": "string", "description": f"Which entry of {server} it is, as find_{tool} gave it out."}}
    for name in chance.sample(NAMES, 7):
        properties[name] = {**chance.choice(KINDS), "description": f"The {name} of what is looked for at {server}, in the words that its owner uses."}
    schema = {"type": "object", "properties": properties, "required": ["id"], "additionalProperties": False}
    words = f"Looks for entries of {server} by name, owner and time, and gives the first of them with their numbers."
    return {"name": f"find_{tool}", "description": words, "inputSchema": schema, "annotations": {"readOnlyHint": True}}


class Servers:
    """MCP servers of 2026-07-28, one at each path; what stands behind the question mark is in the words of its first tool."""

    def __init__(self, tools):
        self.tools, self.lists = tools, {}

    def listed(self, path):
        name, _, words = path.removeprefix("/").partition("?")
        if name not in self.lists:
            self.lists[name] = [definition(name, at) for at in range(self.tools)]
        first, *rest = self.lists[name]
        return [{**first, "description": first["description"] + words}, *rest]

    def answer(self, path, request):
        match request["method"]:
            case "server/discover":
                return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
                        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "finder", "version": "1.0.0"}}}
            case "tools/list":
                return {"tools": self.listed(path), "ttlMs": 0, "cacheScope": "private"}
            case "tools/call":
                return {"content": [{"type": "text", "text": "found"}]}

    async def serve(self, reader, writer):
        try:
            while line := await reader.readline():
                path, length = line.split()[1].decode(), 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                request = json.loads(await reader.readexactly(length)) if length else {"method": ""}
                result = self.answer(path, request)
                outcome = {"result": {**result, "resultType": "complete"}} if result else {"error": {"code": -32601, "message": "no such method"}}
                body = json.dumps({"jsonrpc": "2.0", "id": request.get("id"), **outcome}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=4 << 20, backlog=2048)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


class Gateway:
    """The gateway in a folder."""

    def __init__(self, folder, config):
        self.folder, self.config = folder, config

    async def start(self):
        binary = os.environ.get("PORTOLAN_BIN") or os.path.join(HERE, "../../target/release/portolan")
        self.begun, log = time.monotonic(), open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self.folder, "data"), "--config", self.config],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.folder,
        )
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in self.process.stdout)), None)
        if found is None:
            raise SystemExit(open(log.name).read())
        self.port = int(found[1])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=64 << 20)
        while (await self.exchange(f"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"))[0] != 200:
            await asyncio.sleep(0.002)
        return time.monotonic() - self.begun

    async def settle(self):
        """Waits until it has looked at all servers and does nothing more."""
        quiet = 0
        while quiet < 2:
            before = processor(self.process.pid)
            await asyncio.sleep(1)
            quiet = quiet + 1 if processor(self.process.pid) - before < 0.03 else 0

    async def exchange(self, head, body=b""):
        self.writer.write(head.encode() + b"\r\n" + body)
        status, length = int((await self.reader.readline()).split()[1]), 0
        while (header := await self.reader.readline()) != b"\r\n":
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        return status, await self.reader.readexactly(length)

    def request(self, path, method, params):
        """The head and the body of a request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}).encode()
        named = f"mcp-name: {params['name']}\r\n" if "name" in params else ""
        head = (f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
                f"accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{named}"
                f"content-length: {len(body)}\r\n")
        return head, body

    async def ask(self, path, method, params):
        head, body = self.request(path, method, params)
        begun = time.monotonic()
        status, text = await self.exchange(head, body)
        self.took = (time.monotonic() - begun) * 1000
        answer = json.loads(text)
        if "result" not in answer:
            raise ValueError(f"{method}: {status} {text[:300]}")
        return answer["result"]

    async def listed(self):
        """How many tools there are over all pages, and what the pages took in milliseconds."""
        count, cursor, took = 0, None, 0
        while True:
            page = await self.ask("/mcp", "tools/list", {"cursor": cursor} if cursor else {})
            count, cursor, took = count + len(page["tools"]), page.get("nextCursor"), took + self.took
            if cursor is None:
                return count, took

    async def calls(self, seconds, meanwhile=lambda: None):
        """What calls took, one after the other, in milliseconds; `meanwhile` is done between two of them."""
        took, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            result = await self.ask("/mcp/s0", "tools/call", {"name": "find_0", "arguments": {"id": "x"}})
            if result.get("isError"):
                raise SystemExit(f"a call failed: {result}")
            took.append(self.took)
            meanwhile()
        took.sort()
        return {"calls": len(took), "p50": round(took[len(took) // 2], 2), "p99": round(took[len(took) * 99 // 100], 2), "worst": round(took[-1], 2)}

    def stop(self):
        self.writer.close()
        self.process.terminate()
        self.process.wait(30)


class Changes:
    """The file of the configuration, in which servers move from turn to turn."""

    def __init__(self, path, port, servers):
        self.path, self.port, self.servers = path, port, servers
        self.turn, self.last, self.moved = 0, 0, {}

    def write(self):
        lines = [f"    s{at}: {{ url: 'http://127.0.0.1:{self.port}/s{at}{self.moved.get(at, '')}' }}" for at in range(self.servers)]
        with open(self.path + ".new", "w") as file:
            file.write("registry: { profile: observe, refresh: 1h }\nmcp:\n  servers:\n" + "\n".join(lines) + "\n")
        os.replace(self.path + ".new", self.path)

    def step(self):
        if time.monotonic() - self.last < TURN:
            return
        self.turn, self.last = self.turn + 1, time.monotonic()
        for at in range(MOVED):
            # The one that is called stays where it is.
            self.moved[1 + (self.turn * MOVED + at) % (self.servers - 1)] = f"?turn={self.turn}"
        self.write()


async def measure(args, folder, port):
    changes = Changes(os.path.join(folder, "portolan.yaml"), port, args.servers)
    changes.write()
    gateway, wanted = Gateway(folder, changes.path), args.servers * args.tools
    await gateway.start()
    found = 0
    while found < wanted:
        await asyncio.sleep(0.2)
        try:
            found, _ = await gateway.listed()
        except ValueError:
            pass  # The list changed between two of its pages.
    registered = time.monotonic() - gateway.begun
    gateway.stop()

    starts = []
    for _ in range(args.starts):
        starts.append(await gateway.start())
        gateway.stop()
    starts.append(await gateway.start())
    at_ready = processor(gateway.process.pid)
    found, first = await gateway.listed()
    _, again = await gateway.listed()
    await gateway.settle()
    settled, resident = processor(gateway.process.pid), memory(gateway.process.pid)
    await gateway.calls(1)
    quiet = await gateway.calls(args.seconds)
    changing = await gateway.calls(args.seconds, changes.step)
    await gateway.settle()
    after = memory(gateway.process.pid)
    gateway.stop()
    return {
        "servers": args.servers, "tools": found, "registered_s": round(registered, 2), "ready_s": round(sorted(starts)[len(starts) // 2], 2),
        "ready_cpu_s": round(at_ready, 2), "looked_at_all_cpu_s": round(settled - at_ready, 2),
        "first_list_ms": round(first), "next_list_ms": round(again), "resident_mb": round(resident / 1024), "call_ms": quiet,
        "call_while_changing_ms": changing, "turns": changes.turn, "resident_after_changes_mb": round(after / 1024),
    }


def main():
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--servers", type=int, default=500)
    wanted.add_argument("--tools", type=int, default=20)
    wanted.add_argument("--seconds", type=float, default=10)
    wanted.add_argument("--starts", type=int, default=5)
    wanted.add_argument("--out")
    wanted.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = wanted.parse_args()
    if args.serve:
        return asyncio.run(Servers(args.tools).run())
    servers = subprocess.Popen([sys.executable, __file__, "--serve", "--tools", str(args.tools)], stdout=subprocess.PIPE, text=True)
    try:
        with tempfile.TemporaryDirectory(prefix="portolan-catalog-") as folder:
            result = asyncio.run(measure(args, folder, int(servers.stdout.readline())))
    finally:
        servers.terminate()
        servers.wait()
    print(json.dumps(result, indent=2))
    if args.out:
        with open(args.out, "w") as file:
            json.dump(result, file)
    return 0 if result["ready_s"] < 2 and result["resident_mb"] < 150 else 1


if __name__ == "__main__":
    sys.exit(main())
