#!/usr/bin/env python3
"""Measures what a large catalog costs: the time from start to ready, memory, lists, and calls while the catalog changes.

Usage: catalog.py [--servers 500] [--tools 20] [--out results.json]

All servers are addresses of this process, each with as many tools. First the gateway registers them, then it is started anew with its
releases. PORTOLAN_BIN names the binary.
"""
import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from idle import memory

HERE = os.path.dirname(os.path.abspath(__file__))
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
WORDS = "Looks for entries by name, owner and time, and gives the first of them with their numbers. " * 3


def schema():
    text = {"type": "string", "description": "What to look for, in words.", "maxLength": 400}
    properties = {name: dict(text) for name in ("name", "owner", "since", "until", "kind", "order")}
    return {"type": "object", "properties": properties, "required": ["name"], "additionalProperties": False}


class Servers:
    """MCP servers of 2026-07-28, one at each path."""

    def __init__(self, tools):
        self.tools, self.words = tools, {}

    def answer(self, path, request):
        method, name = request["method"], path.rsplit("/", 1)[-1]
        if method == "server/discover":
            return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": True}}, "ttlMs": 0, "cacheScope": "private",
                    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": name, "version": "1.0.0"}}}
        if method == "tools/list":
            words = WORDS + self.words.get(name, "")
            return {"tools": [{"name": f"find_{at}", "description": words, "inputSchema": schema()} for at in range(self.tools)], "ttlMs": 0,
                    "cacheScope": "private"}
        if method == "tools/call":
            return {"content": [{"type": "text", "text": "found"}]}
        return None

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


class Gateway:
    """The gateway in a folder."""

    def __init__(self, folder, config):
        self.folder, self.config = folder, config

    async def start(self):
        binary = os.environ.get("PORTOLAN_BIN") or os.path.join(HERE, "../../target/release/portolan")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", os.path.join(self.folder, "data"), "--config", self.config],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=self.folder,
        )
        lines = iter(self.process.stdout.readline, "")
        self.port = int(next(filter(None, (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in lines)))[1])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=64 << 20)
        while (await self.get("/readyz"))[0] != 200:
            await asyncio.sleep(0.005)
        return time.monotonic() - self.begun

    async def exchange(self, head, body=b""):
        self.writer.write(head.encode() + b"\r\n" + body)
        status, length = int((await self.reader.readline()).split()[1]), 0
        while (header := await self.reader.readline()) != b"\r\n":
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        return status, await self.reader.readexactly(length)

    async def get(self, path):
        return await self.exchange(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n")

    async def ask(self, path, method, params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}).encode()
        named = f"mcp-name: {params['name']}\r\n" if "name" in params else ""
        head = (f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
                f"accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{named}"
                f"content-length: {len(body)}\r\n")
        status, text = await self.exchange(head, body)
        answer = json.loads(text)
        if "result" not in answer:
            raise SystemExit(f"{method}: {status} {text[:300]}")
        return answer["result"]

    async def listed(self):
        """How many tools there are, over all pages."""
        count, cursor = 0, None
        while True:
            page = await self.ask("/mcp", "tools/list", {"cursor": cursor} if cursor else {})
            count, cursor = count + len(page["tools"]), page.get("nextCursor")
            if cursor is None:
                return count

    async def call(self):
        begun = time.monotonic()
        await self.ask("/mcp/s0", "tools/call", {"name": "find_0", "arguments": {"name": "x"}})
        return (time.monotonic() - begun) * 1000

    def stop(self):
        self.writer.close()
        self.process.terminate()
        self.process.wait(30)


async def measure(args, folder):
    servers = Servers(args.tools)
    server = await asyncio.start_server(servers.serve, "127.0.0.1", 0, limit=4 << 20)
    port, config = server.sockets[0].getsockname()[1], os.path.join(folder, "portolan.yaml")

    def write(note):
        lines = [f"    s{at}: {{ url: 'http://127.0.0.1:{port}/s{at}' }}" for at in range(args.servers)]
        text = f"# {note}\nregistry: {{ profile: observe, refresh: 1h }}\nmcp:\n  servers:\n" + "\n".join(lines) + "\n"
        with open(config + ".new", "w") as file:
            file.write(text)
        os.replace(config + ".new", config)

    write("first")
    gateway, wanted = Gateway(folder, config), args.servers * args.tools
    await gateway.start()
    while await gateway.listed() < wanted:
        await asyncio.sleep(0.2)
    registered = time.monotonic() - gateway.begun
    gateway.stop()

    ready = await gateway.start()
    first = time.monotonic()
    found = await gateway.listed()
    first, again = time.monotonic() - first, time.monotonic()
    await gateway.listed()
    again = time.monotonic() - again
    await asyncio.sleep(5)
    resident = memory(gateway.process.pid)
    for _ in range(50):
        await gateway.call()
    quiet = sorted([await gateway.call() for _ in range(400)])
    # The same while the configuration is read again and servers change what they offer.
    write("second")
    changing, turn = [], 0
    until = time.monotonic() + 6
    while time.monotonic() < until:
        changing.append(await gateway.call())
        turn += 1
        if turn % 200 == 0:
            servers.words[f"s{1 + turn // 200 % (args.servers - 1)}"] = f" Once more: {turn}."
            write(f"turn {turn}")
    changing.sort()
    gateway.stop()
    server.close()
    return {
        "servers": args.servers, "tools": found, "registered_s": round(registered, 2), "ready_s": round(ready, 2),
        "first_list_ms": round(first * 1000), "next_list_ms": round(again * 1000), "resident_mb": round(resident / 1024),
        "call_ms": {"p50": round(quiet[len(quiet) // 2], 2), "worst": round(quiet[-1], 2)},
        "call_while_changing_ms": {"calls": len(changing), "p50": round(changing[len(changing) // 2], 2),
                                   "p99": round(changing[len(changing) * 99 // 100], 2), "worst": round(changing[-1], 2)},
    }


def main():
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--servers", type=int, default=500)
    wanted.add_argument("--tools", type=int, default=20)
    wanted.add_argument("--out")
    args = wanted.parse_args()
    with tempfile.TemporaryDirectory(prefix="portolan-catalog-") as folder:
        result = asyncio.run(measure(args, folder))
    print(json.dumps(result, indent=2))
    if args.out:
        with open(args.out, "w") as file:
            json.dump(result, file)
    return 0 if result["ready_s"] < 2 and result["resident_mb"] < 150 else 1


if __name__ == "__main__":
    sys.exit(main())
