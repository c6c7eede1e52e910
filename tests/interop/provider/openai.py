"""OpenAI's Chat Completions dialect: reads a request as strictly as the real one, and writes a scripted turn in its words."""

import base64
import itertools
import json
import struct

from provider.script import USAGE, Refused, pieces, reason_of, written

FINISH = {"done": "stop", "call": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}
VECTOR = [0.25, -0.5, 1.0]
NUMBERS = itertools.count(1)


def key_of(headers):
    return (headers.get("authorization") or "").removeprefix("Bearer ")


def check(_, body):
    """Raises what the real provider would refuse."""
    if not body.get("messages"):
        raise Refused("[] is too short - 'messages'")
    for field in ("portolan", "system", "stop_sequences", "thinking", "previous_response_id", "input", "mcp_servers"):
        if field in body:
            raise Refused(f"Unrecognized request argument supplied: {field}")
    if "stream_options" in body and not body.get("stream"):
        raise Refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    names = [tool.get("function", {}).get("name") for tool in body.get("tools") or []]
    if None in names or len(set(names)) != len(names):
        raise Refused(f"Invalid 'tools': each is a function with a name of its own; found {names}")
    pending = []
    for at, message in enumerate(body["messages"]):
        role = message.get("role")
        if role == "tool":
            if message.get("tool_call_id") not in pending:
                raise Refused(f"messages.[{at}]: 'tool' must answer a preceding message with 'tool_calls'")
            pending.remove(message["tool_call_id"])
            continue
        if pending:
            raise Refused(f"messages.[{at}]: these tool_call_ids have no answer: {pending}")
        if role not in ("system", "developer", "user", "assistant"):
            raise Refused(f"messages.[{at}].role: {role!r} is not one of the roles")
        for call in message.get("tool_calls") or []:
            json.loads(call["function"]["arguments"])
            pending.append(call["id"])
        if not message.get("content") and not message.get("tool_calls"):
            raise Refused(f"messages.[{at}].content: expected a string or parts")
    if pending:
        raise Refused(f"these tool_call_ids have no answer: {pending}")


def assistants(body):
    return sum(message["role"] == "assistant" for message in body["messages"])


def usage():
    prompt = USAGE["fresh"] + USAGE["cache_read"] + USAGE["cache_write"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": USAGE["output"],
        "total_tokens": prompt + USAGE["output"],
        "prompt_tokens_details": {"cached_tokens": USAGE["cache_read"], "cache_write_tokens": USAGE["cache_write"]},
    }


def error(kind, message, code=None):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def call_of(part):
    function = {"name": part["name"], "arguments": written(part["arguments"])}
    return {"id": f"call_{part['id']}", "type": "function", "function": function}


def text_of(parts, kind):
    return "".join(part["text"] for part in parts if part["kind"] == kind)


def answer(model, parts):
    """A whole completion."""
    message = {"role": "assistant", "content": text_of(parts, "text") or None}
    if thoughts := text_of(parts, "thinking"):
        message["reasoning_content"] = thoughts
    if calls := [call_of(part) for part in parts if part["kind"] == "call"]:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": FINISH[reason_of(parts)]}
    return {**opening("chat.completion", model), "choices": [choice], "usage": usage()}


def opening(kind, model):
    return {"id": f"chatcmpl-{next(NUMBERS)}", "object": kind, "created": 1, "model": model}


def stream(model, parts, include_usage):
    """The same completion as chunks."""

    begun = opening("chat.completion.chunk", model)

    def chunk(delta, finish=None):
        return {**begun, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    calls = 0
    for part in parts:
        match part["kind"]:
            case "text":
                yield from (chunk({"content": piece}) for piece in pieces(part["text"]))
            case "thinking":
                yield from (chunk({"reasoning_content": piece}) for piece in pieces(part["text"]))
            case "call":
                call, index, calls = call_of(part), calls, calls + 1
                function = {**call["function"], "arguments": ""}
                yield chunk({"tool_calls": [{"index": index, **call, "function": function}]})
                for piece in pieces(call["function"]["arguments"]):
                    yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            case "broken":
                yield error(part["type"], part["message"])
                return
    yield chunk({}, FINISH[reason_of(parts)])
    if include_usage:
        yield {**begun, "choices": [], "usage": usage()}


def framed(chunks):
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
        if "error" in chunk:
            return
    yield "data: [DONE]\n\n"


def embeddings(body):
    """The same small vector for every input."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vector = VECTOR
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(inputs)]
    return {"object": "list", "model": body["model"], "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}
