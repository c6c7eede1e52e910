"""`pydantic-ai`, driven by a plan. It reaches the gateway at PORTOLAN_BASE through one of three models of its own.

Reads {"steps": [{"through": "chat" | "responses" | "messages", "model": ID, "stream": BOOL, "report": BOOL}, …]} and answers each
with {"text", "called", "usage"}, after running the tool `weather` by itself. A `report` is an object instead: the model gives
it as the arguments of a call of `final_result`, which this framework forces.
"""

import asyncio
import json
import os
import sys

import anthropic
import openai
import pydantic
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

BASE = os.environ["PORTOLAN_BASE"]
KEY = os.environ["PORTOLAN_KEY"]


class Report(pydantic.BaseModel):
    city: str
    degrees: int


def model_of(step):
    if step["through"] == "messages":
        client = anthropic.AsyncAnthropic(base_url=BASE, api_key=KEY, max_retries=0)
        return AnthropicModel(step["model"], provider=AnthropicProvider(anthropic_client=client))
    client = openai.AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
    kind = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}[step["through"]]
    return kind(step["model"], provider=OpenAIProvider(openai_client=client))


async def take(step):
    called = []
    agent = Agent(model_of(step), instructions="Be short.", output_type=Report if step.get("report") else str)
    if not step.get("report"):

        @agent.tool_plain
        async def weather(city: str) -> str:
            """Tells the weather of a city."""
            called.append(city)
            return f"sunny in {city}"

    if step.get("stream"):
        async with agent.run_stream("How is the weather?") as result:
            output = await result.get_output()
            spent = result.usage
    else:
        result = await agent.run("How is the weather?")
        output, spent = result.output, result.usage
    if step.get("report"):
        return output.model_dump()
    return {"text": output, "called": called, "usage": {"input": spent.input_tokens, "output": spent.output_tokens}}


async def main():
    print(json.dumps({"steps": [await take(step) for step in json.load(sys.stdin)["steps"]]}))


asyncio.run(main())
