"""The `openai` Python SDK, driven by a plan. The address comes from OPENAI_BASE_URL, as in any application.

Reads {"steps": [step, …]} on standard input and writes {"steps": [answer, …]}. The steps:
    {"models": true}                      -> ids
    {"chat": BODY, "stream": BOOL}        -> {"content", "finish_reason", "model", "calls", "usage"}; streamed also "chunks"
    {"loop": BODY, "stream": BOOL}        -> the last answer of a chat in which each tool call is answered, and "called"
    {"respond": BODY, "stream": BOOL}     -> {"text", "status", "items", "calls", "usage"}; streamed also "events"
    {"converse": BODY, "say": [TEXT, …]}  -> texts, each response taking up the one before by its id
    {"respond_loop": BODY, "stream": BOOL} -> as `loop`, each response taking up the one before by its id
    {"parse": BODY, "door": "chat" | "responses"} -> {"city", "degrees"}, as the SDK parsed it
    {"embed": BODY}                       -> vectors
An answer that is an API error comes as {"error": {"class", "status", "code", "param", "type"}}.
"""

import json
import sys

import openai
import pydantic


class Report(pydantic.BaseModel):
    city: str
    degrees: int


def plain(model):
    return model and model.model_dump(mode="json", exclude_none=True)


def calls_of(message):
    return [{"name": call.function.name, "arguments": json.loads(call.function.arguments)} for call in message.tool_calls or []]


def told(answer):
    choice = answer.choices[0]
    said = {"content": choice.message.content, "finish_reason": choice.finish_reason, "calls": calls_of(choice.message)}
    return {**said, "model": answer.model, "usage": plain(answer.usage)}


def complete(client, body, stream):
    """A completion, and how many pieces of text it came in; the SDK's own helper puts a streamed one together."""
    if not stream:
        return client.chat.completions.create(**body), None
    pieces = 0
    with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
        for event in events:
            pieces += event.type == "content.delta"
        return events.get_final_completion(), pieces


def chat(client, body, stream):
    answer, pieces = complete(client, body, stream)
    return {**told(answer), "chunks": pieces} if stream else told(answer)


def streamed_as_it_comes(client, body):
    pieces, finish_reason, model, usage = [], None, None, None
    for chunk in client.chat.completions.create(**body, stream=True):
        model = chunk.model or model
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            finish_reason = choice.finish_reason or finish_reason
    said = {"content": "".join(pieces), "finish_reason": finish_reason, "calls": []}
    return {**said, "model": model, "usage": plain(usage), "chunks": len(pieces)}


def result_of(call):
    return f"{call['name']}: sunny in {call['arguments'].get('city')}"


def loop(client, body, stream):
    messages, called = list(body["messages"]), []
    while True:
        answer, _ = complete(client, {**body, "messages": messages}, stream)
        said = answer.choices[0].message
        if not said.tool_calls:
            return {**told(answer), "called": called}
        messages.append(said.model_dump(mode="json", exclude_none=True, exclude={"parsed"}))
        for call, read in zip(said.tool_calls, calls_of(said), strict=True):
            called.append(read)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result_of(read)})


def respond(client, body, stream):
    """A response, and the kinds of event that it came in."""
    if not stream:
        return client.responses.create(**body), None
    kinds = []
    with client.responses.stream(**body) as events:
        for event in events:
            if not kinds or kinds[-1] != event.type:
                kinds.append(event.type)
            last = event
        # The helper has a final response only where it is complete.
        return getattr(last, "response", None) or events.get_final_response(), kinds


def responded(answer, kinds=None):
    calls = [
        {"name": item.name, "arguments": json.loads(item.arguments)} for item in answer.output if item.type == "function_call"
    ]
    said = {"text": answer.output_text, "status": answer.status, "items": [item.type for item in answer.output]}
    kinds = {"events": kinds} if kinds is not None else {}
    return {**said, "calls": calls, "usage": plain(answer.usage), **kinds}


def converse(client, body, texts):
    previous, said = None, []
    for text in texts:
        follow = {"previous_response_id": previous} if previous else {}
        answer = client.responses.create(**body, input=text, **follow)
        previous = answer.id
        said.append(answer.output_text)
    return said


def respond_loop(client, body, stream):
    called = []
    while True:
        answer, kinds = respond(client, body, stream)
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return {**responded(answer, kinds), "called": called}
        outputs = []
        for call in calls:
            read = {"name": call.name, "arguments": json.loads(call.arguments)}
            called.append(read)
            outputs.append({"type": "function_call_output", "call_id": call.call_id, "output": result_of(read)})
        body = {**body, "input": outputs, "previous_response_id": answer.id}


def parse(client, body, door):
    if door == "chat":
        return client.chat.completions.parse(**body, response_format=Report).choices[0].message.parsed.model_dump()
    return client.responses.parse(**body, text_format=Report).output_parsed.model_dump()


def take(client, step):
    match step:
        case {"models": True}:
            return [model.id for model in client.models.list()]
        case {"chat": body, "stream": "raw"}:
            return streamed_as_it_comes(client, body)
        case {"chat": body}:
            return chat(client, body, step.get("stream"))
        case {"loop": body}:
            return loop(client, body, step.get("stream"))
        case {"respond": body}:
            return responded(*respond(client, body, step.get("stream")))
        case {"converse": body, "say": texts}:
            return converse(client, body, texts)
        case {"respond_loop": body}:
            return respond_loop(client, body, step.get("stream"))
        case {"parse": body, "door": door}:
            return parse(client, body, door)
        case {"embed": body}:
            return [item.embedding for item in client.embeddings.create(**body).data]
    raise SystemExit(f"no such step: {step}")


def answer(client, step):
    try:
        return take(client, step)
    except openai.APIStatusError as error:
        found = {"status": error.status_code, "code": error.code, "param": error.param, "type": error.type}
        return {"error": {"class": type(error).__name__, **found}}
    except openai.APIError as error:
        # An error in the midst of a stream has no status of its own.
        return {"error": {"class": type(error).__name__, "message": error.message}}


client = openai.OpenAI(max_retries=0, timeout=30)
print(json.dumps({"steps": [answer(client, step) for step in json.load(sys.stdin)["steps"]]}))
