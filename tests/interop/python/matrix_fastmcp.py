"""The client of fastmcp, as `matrix_client.py` wants a client to be."""

import os

import fastmcp
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport


class Fast:
    def __init__(self, job, asked):
        async def elicit(_message, _kind, params, _context):
            return await asked.elicit(params)

        async def sample(messages, _params, _context):
            return await asked.sample(messages)

        hears = {"elicitation_handler": elicit, "sampling_handler": sample, "message_handler": asked.heard}
        self.client = fastmcp.Client(self.place(job), **hears)

    @staticmethod
    def place(job):
        if job["transport"] == "stdio":
            program, *arguments = job["command"]
            return StdioTransport(program, arguments, env={**os.environ, **job.get("env", {})}, keep_alive=False)
        return SSETransport(job["url"]) if job["transport"] == "sse" else StreamableHttpTransport(job["url"])

    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def prompts(self):
        return [prompt.name for prompt in await self.client.list_prompts()]

    async def call(self, step, progress=None):
        return await self.client.call_tool_mcp(step["tool"], step.get("arguments", {}), progress_handler=progress)

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompt(self, name, arguments):
        return (await self.client.get_prompt(name, arguments)).messages

    async def complete(self, reference, argument):
        return (await self.client.complete(reference, argument)).values
