"""The Inspector's command line as a client of the matrix: takes the same job as python/matrix_client.py, one run for each step.

It does what the command line has methods for: list, call, read, prompts.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import NODE_BIN

SETTINGS = {"MCP_INSPECTOR_SECRET_STORE": "memory"}


class Inspector:
    def __init__(self, job, folder):
        self.patience = job["patience"]
        if job["transport"] == "stdio":
            program, *arguments = job["command"]
            file = Path(folder) / "servers.json"
            file.write_text(json.dumps({"mcpServers": {"it": {"command": program, "args": arguments, "env": job.get("env", {})}}}))
            self.where = ["--config", file, "--server", "it"]
        else:
            self.where = ["--server-url", job["url"], "--transport", job["transport"]]

    def ask(self, method, *words):
        command = [NODE_BIN / "mcp-inspector", "--cli", *self.where, "--format", "json", "-q", "--method", method, *words]
        try:
            done = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self.patience,
                env={**os.environ, **SETTINGS},
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {self.patience} s") from None
        lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]
        answer = next((line for line in lines if "result" in line), None)
        if answer is None:
            errors = [line["error"].get("message") for line in lines if "error" in line]
            raise AssertionError(errors[0] if errors else (done.stdout + done.stderr).strip()[-200:])
        return answer["result"]


def list_tools(inspector, step, report):
    names = sorted(tool["name"] for tool in inspector.ask("tools/list")["tools"])
    report["tools"] = names
    absent = [name for name in step["tools"] if name not in names]
    if absent:
        raise AssertionError(f"not listed: {', '.join(absent)}")


def call(inspector, step, _report):
    result = inspector.ask("tools/call", "--tool-name", step["tool"], "--tool-args-json", json.dumps(step["arguments"]))
    if result.get("isError"):
        raise AssertionError(f"the tool failed: {text_of(result['content'])}")
    expect(text_of(result["content"]), step["text"])


def read(inspector, step, _report):
    expect(text_of(inspector.ask("resources/read", "--uri", step["uri"])["contents"]), step["text"])


def prompts(inspector, step, _report):
    names = [prompt["name"] for prompt in inspector.ask("prompts/list")["prompts"]]
    if step["name"] not in names:
        raise AssertionError(f"expected {step['name']} in {names}")
    pairs = [f"{name}={value}" for name, value in step["arguments"].items()]
    answer = inspector.ask("prompts/get", "--prompt-name", step["name"], "--prompt-args", *pairs)
    expect(text_of([message["content"] for message in answer["messages"]]), step["text"])


def text_of(blocks):
    return "\n".join(block["text"] for block in blocks if "text" in block)


def expect(text, wanted):
    if wanted not in text:
        raise AssertionError(f"expected `{wanted}`, found `{text[:200]}`")


TAKEN = {"list": list_tools, "call": call, "read": read, "prompts": prompts}


def main():
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="portolan-inspector-") as folder:
        inspector = Inspector(job, folder)
        report = {"results": {}}
        try:
            report["protocol"] = inspector.ask("initialize")["protocolVersion"]
        except AssertionError as error:
            print(json.dumps({"error": str(error)}))
            return
        for name, step in job["operations"].items():
            try:
                TAKEN[name](inspector, step, report)
                report["results"][name] = {"state": "ok"}
            except AssertionError as error:
                report["results"][name] = {"state": "failed", "why": str(error)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
