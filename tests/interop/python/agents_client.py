"""OpenAI's Agents SDK, driven by a plan. The address comes from OPENAI_BASE_URL.

Reads {"steps": [{"door": "chat" | "responses", "model": ID, "stream": BOOL, "hosted": SERVER or null}, …]} and answers each
with {"text", "called", "items"}. The agent has a function tool `weather`, which runs here, or with `hosted` an MCP server that the
other side is to run.
"""

import asyncio
import json
import sys

from agents import Agent, HostedMCPTool, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from agents import set_tracing_disabled
from openai import AsyncOpenAI

MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


async def take(client, step):
    called = []

    @function_tool
    async def weather(city: str) -> str:
        """Tells the weather of a city."""
        called.append(city)
        return f"sunny in {city}"

    tools = [weather]
    if step.get("hosted"):
        tools = [HostedMCPTool({"type": "mcp", "server_label": step["hosted"], "require_approval": "never"})]
    model = MODELS[step["door"]](model=step["model"], openai_client=client)
    agent = Agent(name="sailor", instructions="Be short.", model=model, tools=tools)
    if step.get("stream"):
        result = Runner.run_streamed(agent, "How is the weather?", max_turns=5)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, "How is the weather?", max_turns=5)
    items = [item.raw_item for item in result.new_items]
    kinds = [item.get("type") if isinstance(item, dict) else item.type for item in items]
    return {"text": result.final_output, "called": called, "items": kinds}


async def main():
    set_tracing_disabled(True)
    client = AsyncOpenAI(max_retries=0, timeout=30)
    print(json.dumps({"steps": [await take(client, step) for step in json.load(sys.stdin)["steps"]]}))


asyncio.run(main())
