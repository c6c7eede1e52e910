"""What a scripted model says: turns, each a list of parts, in no provider's words.

A script is {model: [turn, turn, …]}. Which turn answers a request is read from the request alone: the first turn answers
a history without an assistant in it, the second a history with one, and so on, and the last goes on for ever. So many
clients can talk to one model at once, and whoever loses a part of the history is given the wrong turn.
"""

import itertools
import json

# What every answer costs. Tokens read from the cache and written to it are no part of `fresh`, as Anthropic counts.
USAGE = {"fresh": 20, "cache_read": 8, "cache_write": 4, "output": 5}

SIGNATURE = "c2lnbmVkLWJ5LXRoZS1zY3JpcHQ="


def say(text):
    """Text of the answer."""
    return {"kind": "text", "text": text}


def think(text):
    """Reasoning before the answer; Anthropic signs it."""
    return {"kind": "thinking", "text": text}


def use(tool, /, **arguments):
    """A call of a tool. Several in one turn are parallel calls."""
    return {"kind": "call", "name": tool, "arguments": arguments}


def fail(status, kind, message, **headers):
    """An error in place of an answer; `retry_after="1"` and the like become headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "error", "status": status, "type": kind, "message": message, "headers": named}


def break_off(kind, message):
    """An error in the midst of a stream that began well."""
    return {"kind": "broken", "type": kind, "message": message}


def stop(reason):
    """Ends the turn for another reason than that it is done: `max_tokens` or `refusal`."""
    return {"kind": "stop", "reason": reason}


class Refused(Exception):
    """A request that a real provider would answer with 400."""


def turn_for(script, model, assistants):
    """The parts that answer a history with so many assistant turns in it; calls get an id that says which they are."""
    turns = script.get(model)
    if turns is None:
        return [fail(404, "not_found_error", f"model: {model}")]
    index = min(assistants, len(turns) - 1)
    numbers = itertools.count()
    return [{**part, "id": f"{index}_{next(numbers)}"} if part["kind"] == "call" else part for part in turns[index]]


def reason_of(parts):
    """Why a turn ends: `done`, `call`, or what its script says."""
    told = [part["reason"] for part in parts if part["kind"] == "stop"]
    if told:
        return told[0]
    return "call" if any(part["kind"] == "call" for part in parts) else "done"


def pieces(text, size=7):
    """A text as a model streams it: in small pieces that know nothing of words or JSON."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def written(arguments):
    return json.dumps(arguments, ensure_ascii=False)
