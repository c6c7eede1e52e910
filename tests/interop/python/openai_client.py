"""The `openai` Python SDK, driven by a plan. The address comes from OPENAI_BASE_URL, as in any application.

Reads {"steps": [step, …]} on standard input and writes {"steps": [answer, …]}. The steps:
    {"models": true}                      -> ids
    {"chat": BODY}                        -> {"content", "finish_reason", "model"}
    {"chat": BODY, "stream": true}        -> the same, and "chunks": how many pieces of text came
    {"embed": BODY}                       -> vectors
An answer that is an API error comes as {"error": {"class", "status", "code", "param", "type"}}.
"""

import json
import sys

import openai


def chat(client, body):
    answer = client.chat.completions.create(**body)
    choice = answer.choices[0]
    return {"content": choice.message.content, "finish_reason": choice.finish_reason, "model": answer.model}


def streamed(client, body):
    pieces, finish_reason, model = [], None, None
    for chunk in client.chat.completions.create(**body, stream=True):
        model = chunk.model or model
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            finish_reason = choice.finish_reason or finish_reason
    return {"content": "".join(pieces), "finish_reason": finish_reason, "model": model, "chunks": len(pieces)}


def take(client, step):
    match step:
        case {"models": True}:
            return [model.id for model in client.models.list()]
        case {"chat": body, "stream": True}:
            return streamed(client, body)
        case {"chat": body}:
            return chat(client, body)
        case {"embed": body}:
            return [item.embedding for item in client.embeddings.create(**body).data]
    raise SystemExit(f"no such step: {step}")


def answer(client, step):
    try:
        return take(client, step)
    except openai.APIStatusError as error:
        return {
            "error": {
                "class": type(error).__name__,
                "status": error.status_code,
                "code": error.code,
                "param": error.param,
                "type": error.type,
            }
        }


client = openai.OpenAI(max_retries=0, timeout=30)
print(json.dumps({"steps": [answer(client, step) for step in json.load(sys.stdin)["steps"]]}))
