#!/usr/bin/env python3
"""Puts a gateway built with `-Cprofile-generate` through all it does often, so that a build can be laid out by what it did.

Usage: LOADKIT=… PORTOLAN_BIN=… train.py

First the works of the benchmark, then each door for completions, whole and streamed, to providers of either
dialect, with context and with tools. What is never asked here counts as rare, and is built small instead of fast.
"""
import http.client
import json
import os
import shutil
import sys
import tempfile

import bench

ROUNDS = 300
TEXT = "Which tug brings the ship to berth four, and when? " * 8
CALL = 'call up__echo {"text": "Berth four is free at six.", "count": 2}'
TOOL = {"description": "Adds two numbers.", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}}


def bodies(model, text, **more):
    """The same question at each of the three doors."""
    function = {"name": "add", **TOOL}
    talk = [{"role": "user", "content": text}, {"role": "assistant", "content": "One moment."}, {"role": "user", "content": text}]
    tool = {"name": "add", "description": TOOL["description"], "input_schema": TOOL["parameters"]}
    yield "/v1/chat/completions", {"model": model, "messages": [{"role": "system", "content": "Be brief."}, *talk],
                                   "tools": [{"type": "function", "function": function}], **more}
    yield "/v1/messages", {"model": model, "max_tokens": 256, "system": "Be brief.", "messages": talk, "tools": [tool], **more}
    yield "/v1/responses", {"model": model, "instructions": "Be brief.", "input": talk, "tools": [{"type": "function", **function}], **more}


def requests():
    """What is asked, by method, path, headers and body."""
    yield "GET", "/v1/models", {}, None
    for stream in (False, True):
        for model in ("mock", "claude", "informed"):
            for path, body in bodies(model, TEXT, stream=stream):
                yield "POST", path, {}, body
        for path, body in bodies("echo", CALL, stream=stream):
            yield "POST", path, {"x-portolan-tools": "up__echo"}, body


def ask(connection, method, path, headers, body):
    headers = {"authorization": "Bearer bench-key-for-loopback", "anthropic-version": "2023-06-01", **headers}
    if body is not None:
        headers["content-type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"{method} {path} answered {answer.status}: {text[:300]}")


def main():
    loadkit, portolan = os.environ["LOADKIT"], os.environ["PORTOLAN_BIN"]
    run = tempfile.mkdtemp(prefix="portolan-train-")
    servers = []
    try:
        bench.write(run)
        servers += bench.upstreams(loadkit)
        peers = bench.peers(loadkit, portolan, run)
        for name in ("portolan", "portolan-aggregate"):
            gateway = bench.start(loadkit, name, peers[name], 0, run)
            try:
                for work in bench.WORK:
                    if bench.WORK[work][2] in peers[name]:
                        done = bench.load(loadkit, peers[name], work, 1, gateway.pid, 1)
                        if done.get("errors"):
                            sys.exit(f"{work} failed: {done}")
                if "llm" in peers[name]:
                    connection = http.client.HTTPConnection("127.0.0.1", peers[name]["llm"], timeout=30)
                    for one in requests():
                        for _ in range(ROUNDS):
                            ask(connection, *one)
            finally:
                bench.stop(gateway)
    finally:
        for server in servers:
            bench.stop(server)
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    main()
