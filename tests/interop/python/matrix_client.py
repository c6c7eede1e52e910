"""A client of the matrix, on the Python SDK or on fastmcp: does what a job lists with one server, and says how each went.

Reads one JSON object on standard input:
    {"sdk": "mcp" | "fastmcp",  "url": … or "command": […], "env": {…},  "transport": "stdio" | "http" | "sse",
     "patience": SECONDS,  "operations": {"list": {…}, "call": {…}, …}}
and writes {"protocol": …, "results": {operation: {"state": "ok" | "failed" | "n/a", "why": …}}}, or {"error": …} where it
cannot connect. What each operation takes is in matrix_servers.py; node/matrix_client.mjs takes the same.
"""

import asyncio
import importlib
import json
import os
import sys
import time

import mcp
import mcp_types as types
from mcp.client.sse import sse_client
from mcp.client.subscriptions import listen

MODERN = "2026-07-28"
SAMPLE = "fair winds"


class Asked:
    """What a server asked of the client, and what it was told."""

    def __init__(self):
        self.answer = {}
        self.questions = []
        self.samples = []
        self.updated = asyncio.Queue()

    async def elicit(self, params):
        self.questions.append(params.message)
        return types.ElicitResult(action="accept", content=self.answer)

    async def sample(self, messages):
        self.samples.append(messages)
        content = types.TextContent(type="text", text=SAMPLE)
        return types.CreateMessageResult(role="assistant", content=content, model="scripted", stop_reason="endTurn")

    async def heard(self, message):
        if isinstance(message, types.ResourceUpdatedNotification):
            self.updated.put_nowait(str(message.params.uri))


class Sdk:
    """The Python SDK's own client."""

    def __init__(self, job, asked):
        async def elicit(_context, params):
            return await asked.elicit(params)

        async def sample(_context, params):
            return await asked.sample(params.messages)

        hears = {"elicitation_callback": elicit, "sampling_callback": sample, "message_handler": asked.heard}
        self.client = mcp.Client(self.place(job), **hears)

    @staticmethod
    def place(job):
        if job["transport"] == "stdio":
            program, *arguments = job["command"]
            return mcp.StdioServerParameters(command=program, args=arguments, env={**os.environ, **job.get("env", {})})
        return sse_client(job["url"]) if job["transport"] == "sse" else job["url"]

    async def tools(self):
        return [tool.name for tool in await every_page(self.client.list_tools, "tools")]

    async def prompts(self):
        return [prompt.name for prompt in await every_page(self.client.list_prompts, "prompts")]

    async def call(self, step, progress=None):
        return await self.client.call_tool(step["tool"], step.get("arguments", {}), progress_callback=progress)

    async def read(self, uri):
        return (await self.client.read_resource(uri, cache_mode="bypass")).contents

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages

    async def complete(self, reference, argument):
        return (await self.client.complete(reference, argument)).completion.values


async def every_page(page_of, field):
    found, cursor = [], None
    while True:
        page = await page_of(cursor=cursor)
        found += getattr(page, field)
        cursor = page.next_cursor
        if not cursor:
            return found


def text_of(blocks):
    return "\n".join(block.text for block in blocks if getattr(block, "text", None) is not None)


def expect(text, wanted, what):
    if wanted not in text:
        raise AssertionError(f"expected `{wanted}` in {what}, found `{text[:200]}`")


def good(result):
    """The text of a call's result that is no error."""
    if result.is_error:
        raise AssertionError(f"the tool failed: {text_of(result.content)[:200]}")
    return text_of(result.content)


class Operations:
    """One method for each operation. Each takes its part of the job, and raises where it is not as it should be."""

    def __init__(self, sdk, asked):
        self.sdk = sdk
        self.asked = asked
        self.names = []

    async def list(self, step):
        self.names = sorted(await self.sdk.tools())
        absent = [name for name in step["tools"] if name not in self.names]
        if absent:
            raise AssertionError(f"not listed: {', '.join(absent)}")

    async def call(self, step):
        expect(good(await self.sdk.call(step)), step["text"], "the result")

    async def progress(self, step):
        heard = []

        async def progress(done, _total, _message):
            heard.append(done)

        good(await self.sdk.call(step, progress))
        if len(heard) < step["least"] or heard != sorted(heard):
            raise AssertionError(f"expected progress that grows in {step['least']} steps or more, heard {heard}")

    async def cancel(self, step):
        running = asyncio.create_task(self.sdk.call(step))
        await asyncio.sleep(step["wait"])
        if running.done():
            raise AssertionError(f"the call ended before it was cancelled: {running.exception() or text_of(running.result().content)}")
        if "begun" in step:
            await self.witnessed(step["begun"], "the server did not begin")
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=5)
        if not done:
            raise AssertionError("the call did not end when it was cancelled")
        await self.witnessed(step["witness"], "the server was not told")

    async def witnessed(self, witness, what):
        """Calls a tool until it says what it should, for some seconds."""
        begun = time.monotonic()
        while witness["text"] not in (text := good(await self.sdk.call(witness))):
            if time.monotonic() - begun > 15:
                raise AssertionError(f"{what} within 15 s: `{witness['tool']}` says `{text[:100]}`")
            await asyncio.sleep(0.1)

    async def elicitation(self, step):
        self.asked.answer, before = step["answer"], len(self.asked.questions)
        text = good(await self.sdk.call(step))
        if len(self.asked.questions) == before:
            raise AssertionError(f"the client was not asked, and the tool says `{text[:200]}`")
        expect(text, step["text"], "the result")

    async def sampling(self, step):
        before = len(self.asked.samples)
        text = good(await self.sdk.call(step))
        if len(self.asked.samples) == before:
            raise AssertionError(f"the client was not asked, and the tool says `{text[:200]}`")
        expect(text, SAMPLE, "the result")

    async def subscribe(self, step):
        uri = step["uri"]
        if self.sdk.client.protocol_version < MODERN:
            await self.sdk.client.session.subscribe_resource(uri)
            try:
                await self.changed(step, lambda: self.asked.updated.get())
            finally:
                await self.sdk.client.session.unsubscribe_resource(uri)
            return
        async with listen(self.sdk.client.session, resource_subscriptions=[uri]) as stream:
            if uri not in (stream.honored.resource_subscriptions or []):
                raise AssertionError(f"the server does not accept a subscription to {uri}")

            async def event():
                return str((await anext(aiter(stream))).uri)

            await self.changed(step, event)

    async def changed(self, step, event):
        """Makes the server change the resource, and waits until the client hears of it."""
        waits = asyncio.ensure_future(event())
        try:
            good(await self.sdk.call(step["trigger"]))
            try:
                heard = await asyncio.wait_for(waits, 15)
            except TimeoutError:
                raise AssertionError("no notification within 15 s of the change") from None
            if heard != step["uri"]:
                raise AssertionError(f"the notification is of {heard}")
        finally:
            waits.cancel()
            if "after" in step:
                await self.sdk.call(step["after"])

    async def read(self, step):
        expect(text_of(await self.sdk.read(step["uri"])), step["text"], "the resource")

    async def prompts(self, step):
        names = await self.sdk.prompts()
        if step["name"] not in names:
            raise AssertionError(f"expected {step['name']} in {names}")
        messages = await self.sdk.prompt(step["name"], step["arguments"])
        expect(text_of(message.content for message in messages), step["text"], "the prompt")

    async def completion(self, step):
        reference = types.PromptReference(type="ref/prompt", name=step["prompt"])
        values = await self.sdk.complete(reference, step["argument"])
        absent = [value for value in step["values"] if value not in values]
        if absent:
            raise AssertionError(f"expected {step['values']}, found {values}")


async def attempt(operations, name, step, patience):
    try:
        await asyncio.wait_for(getattr(operations, name)(step), patience)
    except TimeoutError:
        return {"state": "failed", "why": f"no end within {patience} s"}
    except Exception as error:
        return {"state": "failed", "why": innermost(error)}
    return {"state": "ok"}


def innermost(error):
    """The words of the first failure in a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"


async def main():
    job = json.load(sys.stdin)
    asked = Asked()
    # To load fastmcp takes a second, which the other need not wait.
    kind = Sdk if job["sdk"] == "mcp" else importlib.import_module("matrix_fastmcp").Fast
    sdk = kind(job, asked)
    report = {}
    try:
        async with asyncio.timeout(job["patience"] + len(job["operations"]) * job["patience"]), sdk.client:
            report = {"protocol": sdk.client.protocol_version, "results": {}}
            operations = Operations(sdk, asked)
            for name, step in job["operations"].items():
                report["results"][name] = await attempt(operations, name, step, job["patience"])
            report["tools"] = operations.names
    except Exception as error:
        report.setdefault("error", innermost(error))
    print(json.dumps(report))


asyncio.run(main())
