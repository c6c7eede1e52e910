"""Cases: other people's SDKs at each of the three doors, with a provider of each dialect behind the gateway.

A case is one program that takes many steps, since to start it costs most. Where a door's dialect is the provider's own, the
same steps are also taken without a gateway: what fails there too is not the gateway's doing.
"""

from cases import Checks, case
from house import KINDS, REPORT, TOO_LONG, house
from peers import run_plan
from provider import Provider

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
ABOUT = "Tells the weather of a city."
CITIES = [{"name": "weather", "arguments": {"city": city}} for city in ("Lisbon", "Porto")]
BOTH = (False, True)


class Script:
    """Steps with what is to be seen in the answer of each, gathered before the one program that takes them all is run."""

    def __init__(self, check, url):
        self.check = check
        self.url = url
        self.steps = []
        self.looks = []

    def step(self, where, look, **step):
        self.steps.append(step)
        self.looks.append((where, look))

    def run(self, language, program, home, **variables):
        answers = run_plan(language, program, {"steps": self.steps}, home, **variables)["steps"]
        for (where, look), answer in zip(self.looks, answers, strict=True):
            if isinstance(answer, dict) and "error" in answer and not getattr(look, "wants_error", False):
                self.check.failed.append(f"{where}: {dict(answer['error'])}")
            else:
                look(self.check, where, answer)


def sees(**expected):
    """A look that these fields of an answer are so."""

    def look(check, where, answer):
        check.equal(where, {name: answer.get(name) for name in expected}, expected)

    return look


def gives(expected):
    return lambda check, where, answer: check.equal(where, answer, expected)


def fails(*classes, **expected):
    """A look that the SDK raised one of these classes."""

    def look(check, where, answer):
        error = answer.get("error") if isinstance(answer, dict) else None
        check.holds(where, error and error["class"] in classes, error or answer)
        for name, value in expected.items():
            check.holds(where, error and value in str(error.get(name)), error)

    look.wants_error = True
    return look


def all_of(*looks):
    def look(check, where, answer):
        for one in looks:
            one(check, where, answer)

    return look


def at_every_place(language, program, dialect, steps):
    """Takes the steps straight to the provider of the dialect, and through the gateway to both."""
    with Checks() as check, house() as at:
        direct = Script(check, at.provider.url)
        steps(direct, "direct", "", dialect)
        direct.run(language, program, at.home, **at.variables(direct=True))
        through = Script(check, at.gateway.url)
        for kind in KINDS:
            steps(through, kind, f"{kind}/", kind)
        through.run(language, program, at.home, **at.variables())


# Chat Completions.


def chat_costs(check, where, answer):
    usage = answer.get("usage") or {}
    found = [usage.get("prompt_tokens"), usage.get("completion_tokens"), usage.get("total_tokens")]
    found.append((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))
    check.equal(f"{where}: prompt, completion, total and cached tokens", found, [32, 5, 37, 8])


def chat_steps(plan, place, prefix, kind):
    function = {"type": "function", "function": {"name": "weather", "description": ABOUT, "parameters": WEATHER, "strict": True}}

    def body(model, **more):
        return {"model": prefix + model, "messages": [{"role": "user", "content": "How is the weather?"}], **more}

    for stream in BOTH:
        where = f"{place}, {'stream' if stream else 'whole'}"
        hello = all_of(sees(content="Hello from the script", finish_reason="stop"), chat_costs)
        plan.step(f"{where}, text", hello, chat=body("greeter"), stream=stream)
        plan.step(f"{where}, thinking", sees(content="Forty-two.", finish_reason="stop"), chat=body("thinker"), stream=stream)
        both = all_of(sees(content="Sunny in both.", called=CITIES), chat_costs)
        plan.step(f"{where}, two calls", both, loop=body("weather", tools=[function]), stream=stream)
        # The helper for streams raises on a cut answer by itself.
        plan.step(f"{where}, a cut answer", sees(finish_reason="length"), chat=body("cut"), stream=stream and "raw")
        plan.step(f"{where}, 429", fails("RateLimitError", status="429"), chat=body("limited"), stream=stream)
        plan.step(f"{where}, 529", fails("InternalServerError"), chat=body("overloaded"), stream=stream)
        long = fails("BadRequestError", status="400")
        plan.step(f"{where}, too long", long, chat=body("too-long"), stream=stream)
        plan.step(f"{where}, no such model", fails("NotFoundError", status="404"), chat=body("nowhere"), stream=stream)
        if place != "direct":
            mcp = [{"type": "mcp", "server_label": "demo", "require_approval": "never"}]
            echo = sees(content="The echo said ahoy.", finish_reason="stop", calls=[])
            plan.step(f"{where}, a tool of the gateway's", echo, chat=body("echoer", tools=mcp), stream=stream)
    unasked = sees(content="Hello from the script", usage=None)
    plan.step(f"{place}, stream without usage", unasked, chat=body("greeter"), stream="raw")
    plan.step(f"{place}, an error in the stream", fails("APIError", message="Overloaded"), chat=body("broken"), stream="raw")
    plan.step(f"{place}, a parsed answer", gives(REPORT), parse=body("reporter"), door="chat")


@case("python")
def the_openai_python_sdk_chats_with_a_provider_of_either_dialect(_):
    at_every_place("python", "openai_client", "chat", chat_steps)


@case("node")
def the_openai_node_sdk_chats_with_a_provider_of_either_dialect(_):
    at_every_place("node", "openai_client", "chat", chat_steps)


# Responses: no provider here speaks it, so it is always the gateway's own.


def response_costs(check, where, answer):
    usage = answer.get("usage") or {}
    found = [usage.get("input_tokens"), usage.get("output_tokens"), usage.get("total_tokens")]
    found.append((usage.get("input_tokens_details") or {}).get("cached_tokens"))
    check.equal(f"{where}: input, output, total and cached tokens", found, [32, 5, 37, 8])


def event_order(check, where, answer):
    events = answer.get("events")
    if events is None:
        return
    ends = (events[:1], events[-1:])
    check.equal(f"{where}: first and last event", ends, (["response.created"], ["response.completed"]))
    for kind in ("response.output_item.added", "response.output_text.delta", "response.output_item.done"):
        check.holds(f"{where}: no {kind}", kind in events, events)


def mcp_items(check, where, answer):
    check.equal(f"{where}: items", answer["items"], ["mcp_list_tools", "mcp_call", "message"])
    events = answer.get("events")
    for kind in ("response.mcp_list_tools.completed", "response.mcp_call.completed") if events is not None else ():
        check.holds(f"{where}: no {kind}", kind in events, events)


def response_steps(plan, kind):
    function = {"type": "function", "name": "weather", "description": ABOUT, "parameters": WEATHER, "strict": True}

    def body(model, **more):
        return {"model": f"{kind}/{model}", "input": "How is the weather?", **more}

    for stream in BOTH:
        where = f"{kind}, {'stream' if stream else 'whole'}"
        hello = all_of(sees(text="Hello from the script", status="completed", items=["message"]), response_costs, event_order)
        plan.step(f"{where}, text", hello, respond=body("greeter", instructions="Be short."), stream=stream)
        plan.step(f"{where}, thinking", sees(text="Forty-two.", status="completed"), respond=body("thinker"), stream=stream)
        both = sees(text="Sunny in both.", called=CITIES)
        plan.step(f"{where}, two calls", both, respond_loop=body("weather", tools=[function]), stream=stream)
        mcp = [{"type": "mcp", "server_label": "demo", "require_approval": "never"}]
        echo = all_of(sees(text="The echo said ahoy.", calls=[]), mcp_items, event_order)
        plan.step(f"{where}, a tool of the gateway's", echo, respond=body("echoer", tools=mcp), stream=stream)
        plan.step(f"{where}, a cut answer", sees(status="incomplete"), respond=body("cut"), stream=stream)
        plan.step(f"{where}, 429", fails("RateLimitError", status="429"), respond=body("limited"), stream=stream)
        plan.step(f"{where}, too long", fails("BadRequestError", status="400"), respond=body("too-long"), stream=stream)
        plan.step(f"{where}, no such model", fails("NotFoundError", status="404"), respond=body("nowhere"), stream=stream)
    texts = ["first", "second", "third"]
    plan.step(f"{kind}, one after the other", gives(["One.", "Two.", "Three."]), converse={"model": f"{kind}/chain"}, say=texts)
    plan.step(f"{kind}, a parsed answer", gives(REPORT), parse=body("reporter"), door="responses")


def at_the_responses_door(language):
    with Checks() as check, house() as at:
        plan = Script(check, at.gateway.url)
        for kind in KINDS:
            response_steps(plan, kind)
        plan.run(language, "openai_client", at.home, **at.variables())


@case("python")
def the_openai_python_sdk_gets_responses_from_a_provider_of_either_dialect(_):
    at_the_responses_door("python")


@case("node")
def the_openai_node_sdk_gets_responses_from_a_provider_of_either_dialect(_):
    at_the_responses_door("node")


# Messages.


def message_costs(check, where, answer):
    usage = answer["usage"]
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    found = [usage["input_tokens"] + read + written, read, usage["output_tokens"]]
    check.equal(f"{where}: all input, cached and output tokens", found, [32, 8, 5])


def message_order(check, where, answer):
    """The helper puts in events of its own, so the order is looked at in those of the wire alone."""
    wire = [kind for kind in answer.get("events", []) if kind.startswith(("message_", "content_block_"))]
    blocks = ["content_block_start", "content_block_delta", "content_block_stop"]
    if "events" in answer:
        check.equal(f"{where}: events", without_repeats(wire), ["message_start", *blocks, "message_delta", "message_stop"])


def without_repeats(kinds):
    return list(dict.fromkeys(kinds))


def message_steps(plan, place, prefix, kind):
    server = {"type": "url", "name": "demo", "url": f"{plan.url}/mcp/demo"}
    tool = {"name": "weather", "description": ABOUT, "input_schema": WEATHER}
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}

    def body(model, **more):
        return {"model": prefix + model, "max_tokens": 500, "messages": [{"role": "user", "content": "How is it?"}], **more}

    for stream in BOTH:
        where = f"{place}, {'stream' if stream else 'whole'}"
        hello = all_of(sees(text="Hello from the script", kinds=["text"], stop_reason="end_turn"), message_costs, message_order)
        plan.step(f"{where}, text", hello, say=body("greeter", system="Be short."), stream=stream)
        thought = {"thinking": "Let me see. ", "kinds": ["thinking", "text"]} if kind == "claude" else {}
        plan.step(f"{where}, thinking", sees(text="Forty-two.", **thought), say=body("thinker", **thinking), stream=stream)
        both = all_of(sees(text="Sunny in both.", called=CITIES), message_costs)
        plan.step(f"{where}, two calls", both, loop=body("weather", tools=[tool]), stream=stream)
        # The thoughts go back with the call's result, signed as they came.
        ponder = sees(text="Sunny.", called=CITIES[:1])
        plan.step(f"{where}, thoughts and a call", ponder, loop=body("ponder", tools=[tool], **thinking), stream=stream)
        plan.step(f"{where}, a cut answer", sees(stop_reason="max_tokens"), say=body("cut"), stream=stream)
        limited = fails("RateLimitError", status="429", type="rate_limit_error")
        plan.step(f"{where}, 429", limited, say=body("limited"), stream=stream)
        overloaded = fails("OverloadedError", "InternalServerError", "ServiceUnavailableError")
        plan.step(f"{where}, 529", overloaded, say=body("overloaded"), stream=stream)
        long = fails("BadRequestError", status="400", type="invalid_request_error", message=TOO_LONG)
        plan.step(f"{where}, too long", long, say=body("too-long"), stream=stream)
        nowhere = fails("NotFoundError", status="404", type="not_found_error")
        plan.step(f"{where}, no such model", nowhere, say=body("nowhere"), stream=stream)
        if place != "direct":
            ours = body("echoer", mcp_servers=[server], tools=[{"type": "mcp_toolset", "mcp_server_name": "demo"}])
            echo = sees(text="The echo said ahoy.", kinds=["mcp_tool_use", "mcp_tool_result", "text"], stop_reason="end_turn")
            plan.step(f"{where}, a tool of the gateway's", echo, beta=ours, betas=["mcp-client-2025-11-20"], stream=stream)
    broken = fails("APIStatusError", "APIError", "OverloadedError", "InternalServerError", message="Overloaded")
    plan.step(f"{place}, an error in the stream", broken, say=body("broken"), stream=True)
    count = {name: value for name, value in body("greeter").items() if name != "max_tokens"}
    counted = gives(Provider.COUNTED) if kind == "claude" else is_some_number
    plan.step(f"{place}, a count of tokens", counted, count=count)
    plan.step(f"{place}, the models", lists(f"{prefix}greeter"), models=True)


def is_some_number(check, where, answer):
    check.holds(where, isinstance(answer, int) and answer > 0, answer)


def lists(name):
    return lambda check, where, answer: check.holds(where, name in answer, answer)


@case("python")
def the_anthropic_python_sdk_talks_to_a_provider_of_either_dialect(_):
    at_every_place("python", "anthropic_client", "claude", message_steps)


@case("node")
def the_anthropic_node_sdk_talks_to_a_provider_of_either_dialect(_):
    at_every_place("node", "anthropic_client", "claude", message_steps)
