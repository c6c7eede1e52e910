"""An MCP server on the Python SDK, for the matrix of clients and servers. It speaks both eras of the protocol.

    python python_server.py stdio
    python python_server.py http | sse          prints its address as the first line of standard output

It lists its tools three at a time, asks the client in whichever way the revision has, and remembers which calls were cancelled.
"""

import socket
import sys
from dataclasses import replace
from typing import Annotated

import anyio
import mcp_types as types
import uvicorn
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve, Sample
from pydantic import BaseModel

TIDE = "tide://now"
PAGE = 3


async def in_pages(context, call_next):
    """Parts the list of tools: the SDK gives all of them at once."""
    if context.method != "tools/list":
        return await call_next(context)
    params = dict(context.params or {})
    begin = int(params.pop("cursor", None) or 0)
    whole = await call_next(replace(context, params=params))
    tools = whole["tools"] if isinstance(whole, dict) else whole.tools
    page, end = tools[begin : begin + PAGE], begin + PAGE
    more = str(end) if end < len(tools) else None
    if isinstance(whole, dict):
        return {**whole, "tools": page, **({"nextCursor": more} if more else {})}
    return whole.model_copy(update={"tools": page, "next_cursor": more})


server = MCPServer("harbour", version="1.0.0", log_level="ERROR", middleware=[in_pages])
# Those of clients that subscribed as revisions before 2026-07-28 do; the SDK keeps the others.
subscribers = set()
begun = set()
cancelled = set()
height = 3


@server.tool()
def echo(text: str) -> str:
    """Gives back what it is given."""
    return text


@server.tool()
async def count(steps: int, context: Context) -> str:
    """Counts, and reports each step."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        await anyio.sleep(0.05)
    return f"counted to {steps}"


@server.tool()
async def hold(name: str, seconds: float) -> str:
    """Takes its time."""
    begun.add(name)
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        cancelled.add(name)
        raise
    return f"held {name}"


@server.tool()
def was_begun(name: str) -> str:
    """Whether the call of `hold` with this name has begun."""
    return "yes" if name in begun else "no"


@server.tool()
def was_cancelled(name: str) -> str:
    """Whether the call of `hold` with this name was cancelled."""
    return "yes" if name in cancelled else "no"


class Ship(BaseModel):
    name: str
    crew: int


def which_ship() -> Elicit[Ship]:
    return Elicit("Which ship is it?", Ship)


@server.tool()
async def sign_in(ship: Annotated[Ship, Resolve(which_ship)]) -> str:
    """Asks for a ship's name and crew."""
    return f"{ship.name} with {ship.crew} aboard"


def forecast() -> Sample:
    question = types.TextContent(type="text", text="How will the weather be?")
    return Sample([types.SamplingMessage(role="user", content=question)], max_tokens=50)


@server.tool()
async def ask_model(said: Annotated[types.CreateMessageResult, Resolve(forecast)]) -> str:
    """Asks the client's model."""
    return f"the model said: {said.content.text}"


@server.tool()
async def turn_tide(context: Context) -> str:
    """Changes what `tide://now` says, and tells who subscribed to it."""
    global height
    height += 1
    await context.notify_resource_updated(TIDE)
    for session in list(subscribers):
        try:
            await session.send_resource_updated(TIDE)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            subscribers.discard(session)
    return f"{height} m"


@server.resource(TIDE, mime_type="text/plain")
def tide() -> str:
    """How high the water is."""
    return f"the tide is at {height} m"


@server.resource("ship://{name}", mime_type="text/plain")
def ship(name: str) -> str:
    """What is known of a ship."""
    return f"{name} is at sea"


@server.prompt()
def greeting(name: str) -> str:
    """Greets someone."""
    return f"Say ahoy to {name}."


@server.completion()
async def known_names(reference, argument, _context):
    names = [name for name in ("Ada", "Adelaide", "Bo") if name.startswith(argument.value)]
    return types.Completion(values=names)


async def subscribe(context, params):
    subscribers.add(context.session)
    return types.EmptyResult()


async def unsubscribe(context, params):
    subscribers.discard(context.session)
    return types.EmptyResult()


# `MCPServer` has no word for these two, and they are wanted by clients of the revisions before 2026-07-28.
server._lowlevel_server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)
server._lowlevel_server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, unsubscribe)


def serve_http(transport):
    listener = socket.create_server(("127.0.0.1", 0))
    path, app = ("/sse", server.sse_app()) if transport == "sse" else ("/mcp", server.streamable_http_app())
    print(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    serve_http(sys.argv[1])
