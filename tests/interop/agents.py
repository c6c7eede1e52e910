"""Cases: real agents, headless, with nothing but the gateway: Claude Code through `/v1/messages`, Codex through `/v1/responses`,
both with the gateway's `/mcp`. A scripted model stands behind, of either dialect."""

import json
import os
import shutil
import sys

import peers
from cases import Checks, case, contains, equal
from house import KINDS, house
from provider.script import fail, say, think, use
from provider import KEY

SCRIPT = {
    # Claude Code's own tool, then one of the gateway's, and an answer.
    "coder": [
        [think("A command will do. "), say("I run it."), use("Bash", command="echo ahoy-from-a-shell", description="Says ahoy")],
        [use("mcp__portolan__demo__echo", text="over the sea")],
        [say("All said.")],
        [say("And said again.")],
    ],
    # The same for Codex, to which an MCP server is a namespace.
    "codex": [
        [say("I run it."), use("exec_command", cmd="echo ahoy-from-a-shell")],
        [use("mcp__portolan__demo__echo", text="over the sea")],
        [say("All said.")],
        [say("And said again.")],
    ],
    "too-long": [[fail(400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum")]],
}


def node():
    return peers.NODE_BIN / "node" if (peers.NODE_BIN / "node").exists() else "node"


class Desk:
    """A home, a folder to work in, and the variables that keep an agent to itself."""

    def __init__(self, at):
        self.at = at
        self.work = at.gateway.root / "work"
        self.work.mkdir()

    def claude(self, kind, prompt, model="coder", *options):
        """One run of Claude Code, and its report."""
        servers = {"mcpServers": {"portolan": {"type": "http", "url": f"{self.at.gateway.url}/mcp"}}}
        wrapper = peers.AGENTS / "@anthropic-ai/claude-code/cli-wrapper.cjs"
        command = [node(), wrapper, "--print", prompt, "--model", f"{kind}/{model}", "--output-format", "json"]
        command += ["--mcp-config", json.dumps(servers), "--strict-mcp-config"]
        command += ["--allowedTools", "Bash", "mcp__portolan__demo__echo", *options]
        quiet = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"}
        reached = {"ANTHROPIC_BASE_URL": self.at.gateway.url, "ANTHROPIC_API_KEY": KEY}
        return self.run(command, **quiet, **reached)

    def codex(self, kind, prompt, *resumed):
        """One run of Codex, and its events."""
        home = self.at.home / ".codex"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(CODEX.format(url=self.at.gateway.url, model=f"{kind}/codex"))
        command = [node(), peers.AGENTS / "@openai/codex/bin/codex.js", "exec", *resumed, "--skip-git-repo-check", "--json", prompt]
        return [json.loads(line) for line in self.run(command, PORTOLAN_KEY=KEY).splitlines()]

    def run(self, command, **variables):
        return peers.run(command, self.work, **{"HOME": str(self.at.home), **variables})


CODEX = """
model = "{model}"
model_provider = "portolan"
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.portolan]
name = "Portolan"
base_url = "{url}/v1"
env_key = "PORTOLAN_KEY"
wire_api = "responses"
[mcp_servers.portolan]
url = "{url}/mcp"
[analytics]
enabled = false
"""
