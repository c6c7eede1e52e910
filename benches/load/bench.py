#!/usr/bin/env python3
"""Measures Portolan beside a direct call, nginx and a bare relay, in one run on one machine.

Usage: bench.py [--only a,b] [--work chat32,...] [--rounds 3] [--seconds 3] [--out results.json]

The server under test is pinned to one processor, the stub upstreams and the load generator to
another. The robust figure is CPU microseconds per request; its ratio to nginx, on the same work in
the same run, is what the targets speak of. All traffic stays on 127.0.0.1, every run is bounded, and
only processes that this script started are ended.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# name: (kind, options of the load generator, upstream family, target ratio to nginx[, model, work that nginx does instead])
WORK = {
    "chat32": ("chat", ["--conns", "32"], "llm", 1.6),
    "chat20k": ("chat", ["--conns", "32", "--prompt-bytes", "20000"], "llm", 1.6),
    "stream100": ("chat-stream", ["--conns", "32"], "llm", 1.4),
    "translate32": ("chat", ["--conns", "32"], "llm", 2.6, "claude", "chat32"),
    "translate-stream100": ("chat-stream", ["--conns", "32"], "llm", 2.2, "claude", "stream100"),
    "context32": ("chat", ["--conns", "32"], "llm", None, "informed", "chat32"),
    "loop32": ("chat", ["--conns", "32"], "llm", None, "loop", "chat32"),
    "paced64": ("chat-stream", ["--conns", "64"], "llm", 1.5, "mock-d5000", "paced64"),
    "paced1000": ("chat-stream", ["--conns", "1000", "--seconds", "12"], "llm", None, "mock-d50000", "paced1000"),
    "embed32": ("embeddings", ["--conns", "32"], "llm", 1.4),
    "chat-rate": ("chat", ["--conns", "16", "--rate", "100"], "llm", None),
    "mcp-call32": ("mcp-call", ["--conns", "32"], "mcp", 2.0),
    "mcp-list32": ("mcp-list", ["--conns", "32"], "mcp", 0.6),
    "mcp-call32-stateless": ("mcp-call", ["--conns", "32", "--mcp", "stateless"], "mcp", 2.0),
}

NGINX = """
worker_processes 1;
daemon off;
error_log stderr error;
pid {run}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {run}/body;
    proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fcgi;
    uwsgi_temp_path {run}/uwsgi;
    scgi_temp_path {run}/scgi;
    client_body_buffer_size 64k;
    keepalive_requests 1000000000;
    upstream llm {{ server 127.0.0.1:18080; keepalive 256; keepalive_requests 1000000000; }}
    upstream mcp {{ server 127.0.0.1:18090; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:18101;
        tcp_nodelay on;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffer_size 16k;
        proxy_buffers 8 32k;
        location / {{ proxy_pass http://llm; proxy_buffering off; }}
        location /v1/embeddings {{ proxy_pass http://llm; }}
        location /mcp {{ proxy_pass http://mcp; }}
    }}
}}
"""

PORTOLAN = """
providers:
  stub: { kind: openai-compatible, base_url: "http://127.0.0.1:18080/v1", api_key: sk-stub }
  claude: { kind: anthropic, base_url: "http://127.0.0.1:18080/v1", api_key: sk-stub }
models:
  mock: { targets: [{ provider: stub, model: mock }] }
  claude: { targets: [{ provider: claude, model: mock }] }
  informed: { targets: [{ provider: stub, model: mock }], context: [tides, pilots] }
  loop: { targets: [{ provider: stub, model: mock-t }], tools: [up__echo] }
  mock-d5000: { targets: [{ provider: stub, model: mock-d5000 }] }
  mock-d50000: { targets: [{ provider: stub, model: mock-d50000 }] }
  echo: { targets: [{ provider: portolan, model: echo }] }
context:
  sources:
    tides: { file: tides.md, ttl: 1h }
    pilots: { file: pilots.md, ttl: 1h }
mcp:
  servers:
    up: { url: "http://127.0.0.1:18090/mcp" }
auth:
  keys:
    bench: { key: bench-key-for-loopback, grants: [mcp, models] }
telemetry: { log: warn }
"""

# What is decided and put on record for each request; the same without either stands beside it.
GOVERNED = "limits: { requests_per_minute: 1000000000, tokens_per_minute: 1000000000000 }\n"
PLAIN = "journal: { traffic: false }\n"


def spawn(command, cpu, log=None):
    out = open(log, "ab") if log else subprocess.DEVNULL
    return subprocess.Popen(["taskset", "-c", str(cpu)] + command, stdout=out, stderr=out, start_new_session=True)


def write(run):
    """The files that the servers under test read."""
    with open(f"{run}/nginx.conf", "w") as file:
        file.write(NGINX.format(run=run))
    for name, more in (("portolan", GOVERNED), ("plain", PLAIN)):
        with open(f"{run}/{name}.yaml", "w") as file:
            file.write(PORTOLAN + more)
    for source in ("tides", "pilots"):
        with open(f"{run}/{source}.md", "w") as file:
            file.write(f"# {source}\n" + "The harbour opens at six, and the pilot answers on channel 12.\n" * 32)


def upstreams(loadkit):
    """The stub of a provider and that of an MCP server."""
    yield spawn([loadkit, "upstream", "--listen", "127.0.0.1:18080"], 1)
    yield spawn([loadkit, "mcp-upstream", "--listen", "127.0.0.1:18090", "--tools", "100"], 1)
    time.sleep(0.5)


def stop(process):
    """Ends the process group that this script started, and nothing else."""
    if process and process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def peers(loadkit, portolan, run):
    key = ["authorization: Bearer bench-key-for-loopback"]
    return {
        "direct": {"llm": 18080, "mcp": 18090},
        "nginx": {"llm": 18101, "mcp": 18101, "command": ["nginx", "-c", f"{run}/nginx.conf"]},
        "relay": {"llm": 18103, "command": [loadkit, "passthrough", "--listen", "127.0.0.1:18103", "--upstream", "127.0.0.1:18080"]},
        "portolan": {
            "llm": 18120, "mcp": 18120, "headers": key, "path": {"mcp": "/mcp/up"},
            "command": [portolan, "serve", "--listen", "127.0.0.1:18120", "--data-dir", f"{run}/data", "--config", f"{run}/portolan.yaml"],
        },
        "portolan-aggregate": {
            "mcp": 18121, "headers": key, "tool": "up__echo",
            "command": [portolan, "serve", "--listen", "127.0.0.1:18121", "--data-dir", f"{run}/data2", "--config", f"{run}/portolan.yaml"],
        },
        "portolan-plain": {
            "llm": 18122, "mcp": 18122, "headers": key, "path": {"mcp": "/mcp/up"}, "works": ("chat32", "context32", "embed32", "mcp-call32"),
            "command": [portolan, "serve", "--listen", "127.0.0.1:18122", "--data-dir", f"{run}/data3", "--config", f"{run}/plain.yaml"],
        },
    }


def described(work):
    """All that is known of a work; nginx passes on everything, so its own work has the model `mock`."""
    return (*WORK[work], "mock", work)[:6] if len(WORK[work]) < 6 else WORK[work]


def load(loadkit, peer, work, seconds, pid, cpu):
    kind, options, family, _, model, _ = described(work)
    command = ["taskset", "-c", str(cpu), loadkit, "load", "--target", f"127.0.0.1:{peer[family]}", "--kind", kind,
               "--model", model, "--seconds", str(seconds), "--warmup", "1"] + options
    if pid:
        command += ["--pid", str(pid)]
    for header in peer.get("headers", []):
        command += ["--header", header]
    if family == "mcp" and "tool" in peer:
        command += ["--tool", peer["tool"]]
    if path := peer.get("path", {}).get(family):
        command += ["--path", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 90)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {"errors": 1, "first_error": (done.stderr or done.stdout)[:300]}


def start(loadkit, name, peer, cpu, run):
    if "command" not in peer:
        return None
    process = spawn(peer["command"], cpu, f"{run}/{name}.log")
    family = "llm" if "llm" in peer else "mcp"
    probe = {**peer}
    for _ in range(200):
        if process.poll() is not None:
            break
        kind = "chat" if family == "llm" else "mcp-call"
        command = [loadkit, "load", "--target", f"127.0.0.1:{probe[family]}", "--kind", kind, "--conns", "1", "--count", "1", "--model", "mock",
                   "--timeout-ms", "3000"]
        for header in peer.get("headers", []):
            command += ["--header", header]
        if family == "mcp" and "tool" in peer:
            command += ["--tool", peer["tool"]]
        if path := peer.get("path", {}).get(family):
            command += ["--path", path]
        if subprocess.run(command, capture_output=True).returncode == 0:
            time.sleep(1)
            return process
        time.sleep(0.05)
    stop(process)
    with open(f"{run}/{name}.log") as log:
        sys.exit(f"{name} did not start:\n{log.read()[-2000:]}")


def dig(value, *keys):
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def table(raw):
    def figure(name, work, *keys):
        return median([dig(one, *keys) for one in raw.get(name, {}).get(work, [])])

    lines = ["work | peer | CPU µs/request | × nginx | target | requests/s | p50 µs | p99 µs | first byte p99 µs | peak MB | errors",
             "---|---|---|---|---|---|---|---|---|---|---"]
    for work in WORK:
        _, _, _, target, _, same = described(work)
        floor = figure("nginx", same, "server", "cpu_us_per_req")
        for name in raw:
            if work not in raw[name]:
                continue
            cpu = figure(name, work, "server", "cpu_us_per_req")
            ratio = cpu / floor if cpu and floor else None
            ours = name.startswith("portolan")
            missed = " MISSED" if ours and target and ratio and ratio > target else ""
            peak = figure(name, work, "server", "rss_peak_kb")
            errors = sum(one.get("errors", 0) for one in raw[name][work])
            cell = lambda value, digits=0: "-" if value is None else f"{value:.{digits}f}"
            lines.append(f"{work} | {name} | {cell(cpu, 1)} | {cell(ratio, 2)}{missed} | {target if ours and target else '-'} | "
                         f"{cell(figure(name, work, 'rps'))} | {cell(figure(name, work, 'latency_us', 'p50'))} | "
                         f"{cell(figure(name, work, 'latency_us', 'p99'))} | {cell(figure(name, work, 'first_byte_us', 'p99'))} | "
                         f"{cell(peak / 1024 if peak else None, 1)} | {errors}")
    cost = lambda name, work: figure(name, work, "server", "cpu_us_per_req")
    turn, chat, call = cost("portolan", "loop32"), cost("portolan", "chat32"), cost("portolan-aggregate", "mcp-call32")
    if turn and chat and call:
        lines.append(f"\none turn of an agent's loop, besides its two chats and its call: {turn - 2 * chat - call:.0f} µs (target 30)")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results.json")
    parser.add_argument("--only", default="")
    parser.add_argument("--work", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    loadkit, portolan = os.environ["LOADKIT"], os.environ["PORTOLAN_BIN"]
    run = tempfile.mkdtemp(prefix="portolan-bench-")
    raw, servers = {}, []
    try:
        write(run)
        servers += upstreams(loadkit)
        for number in range(options.rounds):
            for name, peer in peers(loadkit, portolan, run).items():
                if options.only and name not in options.only.split(","):
                    continue
                fits = lambda work: WORK[work][2] in peer and work in peer.get("works", WORK) and (name.startswith("portolan") or described(work)[5] == work)
                todo = [work for work in WORK if fits(work) and (not options.work or work in options.work.split(","))]
                process = start(loadkit, name, peer, 0, run) if todo else None
                try:
                    for work in todo:
                        result = load(loadkit, peer, work, options.seconds, process.pid if process else 0, 1)
                        raw.setdefault(name, {}).setdefault(work, []).append(result)
                        print(f"round {number + 1}: {name} {work}: {dig(result, 'server', 'cpu_us_per_req')} µs/request, "
                              f"{result.get('errors')} errors {result.get('first_error', '')[:160]}", file=sys.stderr, flush=True)
                finally:
                    stop(process)
    finally:
        for server in servers:
            stop(server)
        shutil.rmtree(run, ignore_errors=True)
    with open(options.out, "w") as file:
        json.dump(raw, file)
    print(table(raw))


if __name__ == "__main__":
    main()
