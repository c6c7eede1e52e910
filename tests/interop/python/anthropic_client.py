"""The `anthropic` Python SDK, driven by a plan. The address comes from ANTHROPIC_BASE_URL, as in any application.

Reads {"steps": [step, …]} on standard input and writes {"steps": [answer, …]}. The steps:
    {"say": BODY, "stream": BOOL}   -> {"text", "thinking", "calls", "kinds", "stop_reason", "model", "usage"}; streamed also "events"
    {"loop": BODY, "stream": BOOL}  -> the last answer of a conversation in which each tool call is answered, and "called"
    {"beta": BODY, "betas": […], "stream": BOOL} -> as `say`, through the SDK's beta door
    {"count": BODY}                 -> a number of tokens
    {"models": true}                -> ids
An answer that is an API error comes as {"error": {"class", "status", "type", "message"}}.
"""

import json
import sys

import anthropic


def calls_of(message):
    return [{"name": block.name, "arguments": block.input} for block in message.content if block.type == "tool_use"]


def told(message):
    def joined(kind):
        return "".join(getattr(block, kind) for block in message.content if block.type == kind)

    said = {"text": joined("text"), "thinking": joined("thinking"), "calls": calls_of(message)}
    kinds = [block.type for block in message.content]
    usage = message.usage.model_dump(mode="json", exclude_none=True)
    return {**said, "kinds": kinds, "stop_reason": message.stop_reason, "model": message.model, "usage": usage}


def say(messages, body, stream):
    """A message, and the kinds of event that it came in; the SDK's own helper puts a streamed one together."""
    if not stream:
        return messages.create(**body), None
    kinds = []
    with messages.stream(**body) as events:
        for event in events:
            if not kinds or kinds[-1] != event.type:
                kinds.append(event.type)
        return events.get_final_message(), kinds


def told_with(message, kinds):
    return {**told(message), "events": kinds} if kinds is not None else told(message)


def loop(messages, body, stream):
    history, called = list(body["messages"]), []
    while True:
        message, _ = say(messages, {**body, "messages": history}, stream)
        if message.stop_reason != "tool_use":
            return {**told(message), "called": called}
        called += calls_of(message)
        history.append({"role": "assistant", "content": [block.to_dict() for block in message.content]})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name}: sunny in {block.input.get('city')}"}
            for block in message.content
            if block.type == "tool_use"
        ]
        history.append({"role": "user", "content": results})


def take(client, step):
    match step:
        case {"models": True}:
            return [model.id for model in client.models.list()]
        case {"say": body}:
            return told_with(*say(client.messages, body, step.get("stream")))
        case {"beta": body, "betas": betas}:
            return told_with(*say(client.beta.messages, {**body, "betas": betas}, step.get("stream")))
        case {"loop": body}:
            return loop(client.messages, body, step.get("stream"))
        case {"count": body}:
            return client.messages.count_tokens(**body).input_tokens
    raise SystemExit(f"no such step: {step}")


def answer(client, step):
    try:
        return take(client, step)
    except anthropic.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        kind, status = body.get("error", {}).get("type"), error.status_code
        return {"error": {"class": type(error).__name__, "status": status, "type": kind, "message": error.message}}


client = anthropic.Anthropic(max_retries=0, timeout=30)
print(json.dumps({"steps": [answer(client, step) for step in json.load(sys.stdin)["steps"]]}))
