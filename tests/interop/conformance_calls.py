#!/usr/bin/env python3
"""The client that the conformance suite tries where nobody must log in: a gateway, and one client at its door.

    conformance_calls.py ERA URL

The suite starts it with its server's address, and tells the scenario in the environment. A gateway of its own is given the server, and
a client of the era, `legacy` or `modern`, does at the gateway what the scenario wants done.
"""

import json
import os
import sys

from callers import ERAS, Refused
from cases import contains, equal
from gateway import Gateway

SERVER = "suite"


def initialize(client):
    equal(client.list("tools"), [])


def tools_call(client):
    equal(names(client.list("tools")), ["add_numbers"])
    equal(text(client.call("add_numbers", {"a": 2, "b": 3})), "The sum of 2 and 3 is 5")


def elicitation(client):
    contains(text(client.call("test_client_elicitation_defaults", {})), "Elicitation completed")


def sse_retry(client):
    contains(text(client.call("test_reconnection", {})), "completed")


def request_state(client):
    """Another tool is called between the rounds of each that asks."""

    def meanwhile():
        equal(text(client.call("test_mrtr_unrelated", {})), "unrelated-ok")

    equal(text(client.call("test_mrtr_echo_state", {}, meanwhile)), "echo-state-ok")
    equal(text(client.call("test_mrtr_no_state", {}, meanwhile)), "no-state-ok")
    equal(text(client.call("test_mrtr_no_result_type", {})), "no-result-type-test-ok")


def standard_headers(client):
    for tool in client.list("tools"):
        client.call(tool["name"], {})
    for resource in client.list("resources"):
        client.ask("resources/read", uri=resource["uri"])
    for prompt in client.list("prompts"):
        client.ask("prompts/get", name=prompt["name"])


def custom_headers(client):
    """One of the values is null where the tool's schema wants a boolean: it is left out, since the gateway calls no tool with what its
    schema refuses."""
    for wanted in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        text(client.call(wanted["name"], {name: value for name, value in wanted["arguments"].items() if value is not None}))


def invalid_tool_headers(client):
    listed = names(client.list("tools"))
    equal([name for name in listed if name.startswith("invalid_")], [])
    for name in listed:
        client.call(name, {"region": "us-east1"})
    # What is not listed is not there to be called, either.
    try:
        client.ask("tools/call", name="invalid_space_in_name", arguments={"value": "v"})
    except Refused:
        return
    raise AssertionError("a tool that is not listed can be called")


def no_dereference(client):
    client.list("tools")


def preservation(client):
    schemas = {tool["name"]: tool["inputSchema"] for tool in client.list("tools")}
    equal(text(client.call("json_schema_echo", {"schema": schemas["json_schema_2020_12_tool"]})), "echoed")


SCENARIOS = {
    "initialize": initialize,
    "tools_call": tools_call,
    "elicitation-sep1034-client-defaults": elicitation,
    "sse-retry": sse_retry,
    "request-metadata": initialize,
    "sep-2322-client-request-state": request_state,
    "http-standard-headers": standard_headers,
    "http-custom-headers": custom_headers,
    "http-invalid-tool-headers": invalid_tool_headers,
    "json-schema-ref-no-deref": no_dereference,
    "json-schema-2020-12-preservation": preservation,
}


def names(items):
    return [item["name"] for item in items]


def text(result):
    """What a tool says; it must not have failed."""
    said = "".join(block.get("text", "") for block in result["content"])
    equal(result.get("isError", False), False, f"{said}: ")
    return said


def main(era, url):
    config = f'mcp: {{ servers: {{ {SERVER}: {{ url: "{url}", isolation: caller }} }} }}\n'
    with Gateway(config) as gateway:
        gateway.until_ready(SERVER)
        SCENARIOS[os.environ["MCP_CONFORMANCE_SCENARIO"]](ERAS[era](f"{gateway.url}/mcp/{SERVER}"))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, AssertionError) as why:
        sys.exit(f"{type(why).__name__}: {why}")
