"""An MCP client on the Python SDK, driven by a plan.

Reads one JSON object on standard input:
    {"url": …} or {"command": […], "env": {…}},  "mode": "legacy" | "auto" | "2026-07-28",  "steps": [step, …]
and writes {"protocol": …, "server": …, "steps": [answer, …]}. The steps:
    {"list": "tools" | "resources" | "prompts"}       -> names or addresses
    {"call": NAME, "arguments": {…}}                  -> {"text", "structured", "is_error", "progress"}
    {"read": URI}                                     -> {"text"}
    {"prompt": NAME, "arguments": {…}}                -> {"text"}
    {"wait": SECONDS}                                 -> null
A step that the server refuses answers {"error": {"code", "message"}}.
With "login": true it logs in with OAuth where a URL asks for that; the report then has {"login": {"logins", "tokens"}}: how often
it was sent to the issuer's pages, and how many tokens it was given.
"""

import asyncio
import json
import os
import sys

from login import Login
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def every_page(page_of, field):
    """Follows the cursors of a list to its end."""
    found, cursor = [], None
    while True:
        page = await page_of(cursor=cursor)
        found += getattr(page, field)
        cursor = page.next_cursor
        if not cursor:
            return found


def text_of(blocks):
    return "\n".join(block.text for block in blocks if getattr(block, "text", None) is not None)


async def take(client, step):
    match step:
        case {"list": "tools"}:
            return [tool.name for tool in await every_page(client.list_tools, "tools")]
        case {"list": "resources"}:
            return [str(resource.uri) for resource in await every_page(client.list_resources, "resources")]
        case {"list": "prompts"}:
            return [prompt.name for prompt in await every_page(client.list_prompts, "prompts")]
        case {"call": name}:
            heard = []

            async def progress(done, total, message):
                heard.append({"progress": done, "total": total, "message": message})

            result = await client.call_tool(name, step.get("arguments", {}), progress_callback=progress)
            return {
                "text": text_of(result.content),
                "structured": result.structured_content,
                "is_error": bool(result.is_error),
                "progress": heard,
            }
        case {"read": uri}:
            return {"text": text_of((await client.read_resource(uri)).contents)}
        case {"prompt": name}:
            answer = await client.get_prompt(name, step.get("arguments", {}))
            return {"text": text_of(message.content for message in answer.messages)}
        case {"wait": seconds}:
            return await asyncio.sleep(seconds)
    raise SystemExit(f"no such step: {step}")


async def answer(client, step):
    try:
        return await take(client, step)
    except MCPError as error:
        return {"error": {"code": error.error.code, "message": error.error.message}}


async def main():
    plan = json.load(sys.stdin)
    login = Login(plan["url"]) if plan.get("login") else None
    if login:
        server = streamable_http_client(plan["url"], http_client=login.http())
    elif "command" in plan:
        program, *arguments = plan["command"]
        server = StdioServerParameters(command=program, args=arguments, env={**os.environ, **plan.get("env", {})})
    else:
        server = plan["url"]
    async with Client(server, mode=plan.get("mode", "auto"), read_timeout_seconds=30) as client:
        report = {
            "protocol": client.protocol_version,
            "server": client.server_info and client.server_info.name,
            "steps": [await answer(client, step) for step in plan["steps"]],
        }
    print(json.dumps({**report, "login": login.report()} if login else report))


asyncio.run(main())
