"""`langchain-openai`, driven by a plan. The address comes from OPENAI_BASE_URL.

Reads {"steps": [{"door": "chat" | "responses", "model": ID, "stream": BOOL, "report": BOOL}, …]} and answers each with
{"text", "called", "usage"}, after answering every call of the tool `weather`; a `report` is an object instead.
"""

import json
import sys
from functools import reduce
from operator import add

import pydantic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


class Report(pydantic.BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def take(step):
    model = ChatOpenAI(model=step["model"], use_responses_api=step["door"] == "responses", stream_usage=True, max_retries=0)
    if step.get("report"):
        return model.with_structured_output(Report, method="json_schema").invoke("How is the weather?").model_dump()
    bound, messages, called = model.bind_tools([weather]), [HumanMessage("How is the weather?")], []
    while True:
        said = reduce(add, bound.stream(messages)) if step.get("stream") else bound.invoke(messages)
        if not said.tool_calls:
            return {"text": said.text, "called": called, "usage": said.usage_metadata}
        messages.append(said)
        for call in said.tool_calls:
            called.append(call["args"]["city"])
            messages.append(weather.invoke(call))


print(json.dumps({"steps": [take(step) for step in json.load(sys.stdin)["steps"]]}))
