"""Cases: real agents, headless, with nothing but the gateway: Claude Code through `/v1/messages`, Codex through `/v1/responses`,
both with the gateway's `/mcp`. A scripted model stands behind, of either dialect."""

import base64
import json

import peers
from cases import Checks, case
from house import GATEWAY_KEY, KINDS, TOO_LONG, house
from provider.script import fail, say, think, use

# What the model is told that the gateway's tool is called: by Claude Code, and by the gateway for Codex's namespaces alike.
GATEWAYS_TOOL = "mcp__portolan__demo__echo"

SCRIPT = {
    # Claude Code's own tool, then one of the gateway's, and an answer.
    "coder": [
        [think("A command will do. "), say("I run it."), use("Bash", command="echo ahoy-from-a-shell", description="Says ahoy")],
        [use(GATEWAYS_TOOL, text="over the sea")],
        [say("All said.")],
        [say("And said again.")],
    ],
    # A picture as a tool's result, and a tool that is looked for first.
    "looker": [[use("ToolSearch", query="select:WebFetch", max_results=1)], [use("Read", file_path="dot.png")], [say("A red dot.")]],
    # The same for Codex, to which an MCP server is a namespace.
    "codex": [
        [say("I run it."), use("exec_command", cmd="echo ahoy-from-a-shell")],
        [use(GATEWAYS_TOOL, text="over the sea")],
        [say("All said.")],
        [say("And said again.")],
    ],
    "too-long": [[fail(400, "invalid_request_error", TOO_LONG)]],
}


def node():
    return peers.NODE_BIN / "node" if (peers.NODE_BIN / "node").exists() else "node"


class Desk:
    """A home, a folder to work in, and the variables that keep an agent to itself."""

    def __init__(self, at):
        self.at = at
        self.work = at.gateway.root / "work"
        self.work.mkdir()

    def claude(self, kind, prompt, *options, model="coder", code=0):
        """One run of Claude Code, and its report."""
        headers = {"Authorization": f"Bearer {GATEWAY_KEY}"}
        servers = {"mcpServers": {"portolan": {"type": "http", "url": f"{self.at.gateway.url}/mcp", "headers": headers}}}
        wrapper = peers.AGENTS / "@anthropic-ai/claude-code/cli-wrapper.cjs"
        command = [node(), wrapper, "--print", prompt, "--model", f"{kind}/{model}", "--output-format", "json"]
        command += ["--mcp-config", json.dumps(servers), "--strict-mcp-config"]
        command += ["--allowedTools", "Bash", GATEWAYS_TOOL, *options]
        quiet = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"}
        # As `x-api-key`, or as a bearer token.
        credential = "ANTHROPIC_API_KEY" if kind == "chat" else "ANTHROPIC_AUTH_TOKEN"
        reached = {"ANTHROPIC_BASE_URL": self.at.gateway.url, credential: GATEWAY_KEY}
        return json.loads(self.run(command, code=code, **quiet, **reached))

    def codex(self, kind, prompt, *resumed):
        """One run of Codex, and its events."""
        home = self.at.home / ".codex"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(CODEX.format(url=self.at.gateway.url, model=f"{kind}/codex"))
        command = [node(), peers.AGENTS / "@openai/codex/bin/codex.js", "exec", *resumed, "--skip-git-repo-check", "--json", prompt]
        return [json.loads(line) for line in self.run(command, PORTOLAN_KEY=GATEWAY_KEY).splitlines()]

    def run(self, command, **options):
        return peers.run(command, self.work, HOME=str(self.at.home), **options)


# One red pixel.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="

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
bearer_token_env_var = "PORTOLAN_KEY"
[analytics]
enabled = false
"""


def told_of(check, at, kind, *results):
    """Whether the last request told the model of these among its tools' results."""
    path = "/v1/chat/completions" if kind == "chat" else "/v1/messages"
    seen = json.dumps(at.provider.asked(path)[-1].body["messages"])
    for result in results:
        check.holds(f"{kind}: no {result!r} among the results", result in seen, seen[-1500:])


@case("node", "agents")
def claude_code_works_with_its_own_tools_and_those_of_the_gateway(_):
    for kind in KINDS:
        with Checks() as check, house(SCRIPT) as at:
            desk = Desk(at)
            report = desk.claude(kind, "Say ahoy, here and over the sea.")
            check.equal(f"{kind}: the answer", (report["is_error"], report["result"]), (False, "All said."))
            check.equal(f"{kind}: turns", report["num_turns"], 3)
            # The note on its surroundings stands between the messages.
            told_of(check, at, kind, "# Environment", "ahoy-from-a-shell", "over the sea")
            if kind == "claude":
                last = at.provider.asked("/v1/messages")[-1]
                check.holds("no betas", "claude-code-" in last.headers.get("anthropic-beta", ""), last.headers)
                check.holds("no context_management", "context_management" in last.body, list(last.body))
            again = desk.claude(kind, "Once more.", "--continue")
            check.equal(f"{kind}: taken up again", again["result"], "And said again.")


@case("node", "agents")
def claude_code_shows_a_picture_and_looks_for_a_tool(_):
    with Checks() as check, house(SCRIPT) as at:
        desk = Desk(at)
        (desk.work / "dot.png").write_bytes(base64.b64decode(DOT))
        for kind in KINDS:
            report = desk.claude(kind, "What is in dot.png?", "--allowedTools", "Read", "ToolSearch", model="looker")
            check.equal(f"{kind}: the answer", (report["is_error"], report["result"]), (False, "A red dot."))
            told_of(check, at, kind, "WebFetch", "image/png")


@case("node", "agents")
def claude_code_is_told_what_is_wrong_in_words_that_it_knows(_):
    with Checks() as check, house(SCRIPT) as at:
        desk = Desk(at)
        for kind in KINDS:
            for model, status, words in (("too-long", 400, "Prompt is too long"), ("nowhere", 404, "issue with the selected model")):
                report = desk.claude(kind, "Say ahoy.", model=model, code=1)
                check.equal(f"{kind}, {model}: status", report["api_error_status"], status)
                check.holds(f"{kind}, {model}: words", words in report["result"], report["result"])


@case("node", "agents")
def codex_works_with_its_own_tools_and_those_of_the_gateway(_):
    for kind in KINDS:
        with Checks() as check, house(SCRIPT) as at:
            desk = Desk(at)
            events = desk.codex(kind, "Say ahoy, here and over the sea.")
            items = [event["item"] for event in events if event["type"] == "item.completed"]
            ran = [item["aggregated_output"].strip() for item in items if item["type"] == "command_execution"]
            check.equal(f"{kind}: its own tool", ran, ["ahoy-from-a-shell"])
            called = [(item["server"], item["tool"], item["status"]) for item in items if item["type"] == "mcp_tool_call"]
            check.equal(f"{kind}: the gateway's tool", called, [("portolan", "demo__echo", "completed")])
            said = [item["text"] for item in items if item["type"] == "agent_message"]
            check.equal(f"{kind}: what it said", said, ["I run it.", "All said."])
            check.equal(f"{kind}: the end", events[-1]["type"], "turn.completed")
            told_of(check, at, kind, "over the sea")
            again = desk.codex(kind, "Once more.", "resume", "--last")
            said = [event["item"].get("text") for event in again if event["type"] == "item.completed"]
            check.holds(f"{kind}: taken up again", "And said again." in said, said)
