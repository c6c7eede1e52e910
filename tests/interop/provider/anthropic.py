"""Anthropic's Messages dialect: reads a request as strictly as the real one, and writes a scripted turn in its words."""

import itertools
import json

from provider.script import SIGNATURE, USAGE, Refused, pieces, reason_of, written

STOP = {"done": "end_turn", "call": "tool_use", "max_tokens": "max_tokens", "refusal": "refusal"}
VERSIONS = ("2023-06-01", "2026-10-21")
BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
    # A note of the operator in the midst of a conversation.
    "system": {"text"},
}
# Claude Code takes two answers of one id for one.
NUMBERS = itertools.count(1)


def key_of(headers):
    """The caller's key, from either of the two headers that may hold it."""
    return headers.get("x-api-key") or (headers.get("authorization") or "").removeprefix("Bearer ")


def check(headers, body, counting=False):
    """Raises what the real provider would refuse."""
    version = headers.get("anthropic-version")
    if version not in VERSIONS:
        raise Refused(f"anthropic-version: header is required, and one of {VERSIONS}; it is {version!r}")
    if version == "2026-10-21" and {"temperature", "top_p", "top_k"} & body.keys():
        raise Refused("temperature: sampling parameters are not supported")
    if not counting and not (isinstance(body.get("max_tokens"), int) and body["max_tokens"] >= 1):
        raise Refused("max_tokens: field required, at least 1")
    if not body.get("messages"):
        raise Refused("messages: at least one message is required")
    for field in ("portolan", "stream_options", "max_completion_tokens", "n", "response_format"):
        if field in body:
            raise Refused(f"{field}: Extra inputs are not permitted")
    if json.dumps(body).count('"cache_control"') > 4:
        raise Refused("A maximum of 4 blocks with cache_control may be provided.")
    check_tools(body.get("tools") or [])
    check_messages(body["messages"])


def check_tools(tools):
    names = [tool.get("name") for tool in tools]
    if len(set(names)) != len(names):
        raise Refused("tools: Tool names must be unique.")
    for tool in tools:
        if tool.get("type") in (None, "custom") and tool.get("input_schema", {}).get("type") != "object":
            raise Refused(f"tools.{tool.get('name')}.custom.input_schema: an object's schema is required")


def check_messages(messages):
    pending, last = [], None
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in BLOCKS:
            raise Refused(f"messages.{at}.role: Input should be 'user', 'assistant' or 'system', not {role!r}")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            raise Refused(f"messages.{at}: content must be non-empty")
        for block in blocks:
            check_block(at, role, block)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if role == "user" and sorted(results) != sorted(pending):
            raise Refused(f"messages.{at}: tool_use ids {pending} want one tool_result each next; found {results}")
        if results and any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            raise Refused(f"messages.{at}: tool_result blocks must come first")
        if role != "system":
            pending = [block["id"] for block in blocks if block["type"] == "tool_use"]
            last = role
    if pending:
        raise Refused(f"messages: tool_use ids {pending} have no tool_result")
    if last != "user":
        raise Refused("messages: the conversation must end with a user message")


def check_block(at, role, block):
    kind = block.get("type")
    if kind not in BLOCKS[role]:
        raise Refused(f"messages.{at}.content: a block of type {kind!r} can not stand in a message of the {role}")
    if kind == "text" and not block.get("text", "").strip():
        raise Refused(f"messages.{at}: text content blocks must be non-empty")
    if kind == "tool_use" and not isinstance(block.get("input"), dict):
        raise Refused(f"messages.{at}: tool_use.input: Input should be a valid dictionary")
    if kind == "thinking" and block.get("signature") != SIGNATURE:
        raise Refused(f"messages.{at}: Invalid `signature` in `thinking` block")


def assistants(body):
    return sum(message["role"] == "assistant" for message in body["messages"])


def usage():
    return {
        "input_tokens": USAGE["fresh"],
        "cache_creation_input_tokens": USAGE["cache_write"],
        "cache_read_input_tokens": USAGE["cache_read"],
        "output_tokens": USAGE["output"],
    }


def error(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_script"}


def block_of(part):
    match part["kind"]:
        case "text":
            return {"type": "text", "text": part["text"]}
        case "thinking":
            return {"type": "thinking", "thinking": part["text"], "signature": SIGNATURE}
        case "call":
            return {"type": "tool_use", "id": f"toolu_{part['id']}", "name": part["name"], "input": part["arguments"]}
    return None


def answer(model, parts):
    """A whole message."""
    content = [block for block in map(block_of, parts) if block]
    ended = {"stop_reason": STOP[reason_of(parts)], "stop_sequence": None}
    return {**opening(model), "content": content, **ended, "usage": usage()}


def opening(model):
    return {"id": f"msg_{next(NUMBERS)}", "type": "message", "role": "assistant", "model": model}


def stream(model, parts):
    """The same message as (event, data) pairs, in the real order."""
    begun = {**opening(model), "content": [], "stop_reason": None, "stop_sequence": None}
    yield event("message_start", message={**begun, "usage": {**usage(), "output_tokens": 1}})
    spoken = [part for part in parts if part["kind"] in ("text", "thinking", "call")]
    for index, part in enumerate(spoken):
        yield event("content_block_start", index=index, content_block=empty(block_of(part)))
        if index == 0:
            yield event("ping")
        for delta in deltas(part):
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    for part in parts:
        if part["kind"] == "broken":
            yield "error", error(part["type"], part["message"])
            return
    ended = {"stop_reason": STOP[reason_of(parts)], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": USAGE["output"]})
    yield event("message_stop")


def event(kind, **fields):
    return kind, {"type": kind, **fields}


def empty(block):
    blank = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
    return {**block, **blank[block["type"]]}


def deltas(part):
    match part["kind"]:
        case "text":
            for piece in pieces(part["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in pieces(part["text"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": SIGNATURE}
        case "call":
            # The real one opens with an empty piece, and sends no more than that for a call without arguments.
            for piece in ["", *pieces(written(part["arguments"]) if part["arguments"] else "")]:
                yield {"type": "input_json_delta", "partial_json": piece}


def framed(events):
    for name, data in events:
        yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
