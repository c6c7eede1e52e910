"""A streamed answer through the gateway, with the tools of an MCP server: pip install openai

    portolan serve                                     # in one terminal
    portolan server add demo -- portolan demo-server   # in another
    python3 examples/openai_client.py
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("PORTOLAN_URL", "http://127.0.0.1:8484") + "/v1",
    # On this machine no key is needed, but the SDK wants one.
    api_key=os.environ.get("PORTOLAN_KEY", "unused"),
)

stream = client.chat.completions.create(
    model="portolan/echo",
    messages=[{"role": "user", "content": "call demo__time"}],
    tools=[{"type": "mcp", "server_label": "demo", "require_approval": "never"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
