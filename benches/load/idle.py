#!/usr/bin/env python3
"""Measures what idle listeners cost: memory for each open `subscriptions/listen` stream, and how long one change takes to reach all.

Usage: idle.py [--streams 10000] [--session] [--out results.json]

The gateway and its clients are processes of their own. `--session` opens the GET streams of as many sessions of 2025-11-25 instead.
PORTOLAN_BIN names the binary.
"""
import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
LISTEN = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": True}, "_meta": META}}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "idle", "version": "1"}}
# So many are opened at the same time.
TOGETHER = 200


def main():
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--streams", type=int, default=10_000)
    wanted.add_argument("--session", action="store_true")
    wanted.add_argument("--out")
    args = wanted.parse_args()
    room = args.streams + 512
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, max(room, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    binary = os.environ.get("PORTOLAN_BIN") or os.path.join(HERE, "../../target/release/portolan")
    with tempfile.TemporaryDirectory(prefix="portolan-idle-") as data:
        gateway = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", data],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=data,
        )
        try:
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in gateway.stdout)))
            result = asyncio.run(measure(gateway.pid, int(found[1]), args, binary, data))
        finally:
            gateway.terminate()
            gateway.wait(20)
    print(json.dumps(result, indent=2))
    if args.out:
        with open(args.out, "w") as file:
            json.dump(result, file)
    return 0 if result["kib_per_stream"] <= 24 and result["told"] == args.streams else 1


async def measure(pid, port, args, binary, data):
    opening = session if args.session else stateless
    gate, told, changed = asyncio.Semaphore(TOGETHER), [], asyncio.Event()

    async def one():
        async with gate:
            reader, writer = await opening(port)
        told.append(reader)
        return reader, writer

    warm = await asyncio.gather(*(one() for _ in range(100)))
    await asyncio.sleep(1)
    before, begun = memory(pid), time.monotonic()
    rest = await asyncio.gather(*(one() for _ in range(args.streams - 100)))
    opened = time.monotonic() - begun
    await asyncio.sleep(2)
    after = memory(pid)
    cpu, idle_begun = processor(pid), time.monotonic()
    await asyncio.sleep(5)
    idle = (processor(pid) - cpu) / (time.monotonic() - idle_begun)

    async def hears(reader):
        while b"tools/list_changed" not in await reader.readline():
            pass

    hearing = [asyncio.ensure_future(hears(reader)) for reader, _ in warm + rest]
    environment = dict(os.environ, PORTOLAN_URL=f"http://127.0.0.1:{port}", PORTOLAN_DATA_DIR=data)
    adding = await asyncio.create_subprocess_exec(
        binary, "--data-dir", data, "server", "add", "demo", "--", binary, "demo-server",
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    changed = time.monotonic()
    done, late = await asyncio.wait(hearing, timeout=30)
    fanned = time.monotonic() - changed
    for task in late:
        task.cancel()
    await adding.wait()
    for _, writer in warm + rest:
        writer.close()
    return {
        "streams": args.streams,
        "kind": "session" if args.session else "stateless",
        "rss_mib_with_100": round(before / 1024, 1),
        "rss_mib_with_all": round(after / 1024, 1),
        "kib_per_stream": round((after - before) / (args.streams - 100), 2),
        "opened_in_s": round(opened, 2),
        "idle_cpu_percent": round(100 * idle, 2),
        "told": sum(not task.cancelled() and task.exception() is None for task in done),
        "change_to_all_in_s": round(fanned, 2),
    }


async def stateless(port):
    """The stream of a stateless client, once it is acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
    writer.write(request("POST", port, head, json.dumps(LISTEN)))
    while b"acknowledged" not in await reader.readline():
        pass
    return reader, writer


async def session(port):
    """The stream of a session, which was opened on the same connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("POST", port, {}, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO})))
    name, length = "", 0
    while (line := await reader.readline()).strip():
        key, _, value = line.decode().partition(":")
        name = value.strip() if key.lower() == "mcp-session-id" else name
        length = int(value) if key.lower() == "content-length" else length
    await reader.readexactly(length)
    writer.write(request("GET", port, {"mcp-session-id": name}, ""))
    while b"listening" not in await reader.readline():
        pass
    return reader, writer


def request(method, port, headers, body):
    lines = [f"{method} /mcp HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json"]
    lines += ["accept: application/json, text/event-stream", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def memory(pid):
    """What is resident, in KiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def processor(pid):
    """Seconds of processor time so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
