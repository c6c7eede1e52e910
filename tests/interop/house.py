"""A scripted provider, and a gateway that knows it twice: as `chat` in OpenAI's dialect, as `claude` in Anthropic's."""

from contextlib import contextmanager

from cases import equal
from gateway import Gateway, binary
from provider import KEY, Provider
from provider.script import break_off, fail, say, stop, think, use

KINDS = ("chat", "claude")
# What clients have is the gateway's key; the provider knows its own alone, and refuses any other.
GATEWAY_KEY = "interop-gateway-key"
REPORT = {"city": "Lisbon", "degrees": 21}
TOO_LONG = "prompt is too long: 300000 tokens > 200000 maximum"

# One model for each thing that a model may do.
SCRIPT = {
    "greeter": [[say("Hello from the script")]],
    "thinker": [[think("Let me see. "), say("Forty-two.")]],
    # Two calls at once of the client's own function, and then a word about them.
    "weather": [[use("weather", city="Lisbon"), use("weather", city="Porto")], [say("Sunny in both.")]],
    "ponder": [[think("Which city? "), say("I look."), use("weather", city="Lisbon")], [say("Sunny.")]],
    # A tool that the gateway runs.
    "echoer": [[use("demo__echo", text="ahoy")], [say("The echo said ahoy.")]],
    "chain": [[say("One.")], [say("Two.")], [say("Three.")]],
    "reporter": [[say('{"city": "Lisbon", "degrees": 21}')]],
    "filer": [[use("final_result", city="Lisbon", degrees=21)]],
    "cut": [[say("Half of"), stop("max_tokens")]],
    "limited": [[fail(429, "rate_limit_error", "slow down")]],
    "overloaded": [[fail(529, "overloaded_error", "Overloaded")]],
    "too-long": [[fail(400, "invalid_request_error", TOO_LONG)]],
    "broken": [[say("Half of it"), break_off("overloaded_error", "Overloaded")]],
}


class House:
    """Where clients may ask: the gateway's address, or the provider's own."""

    def __init__(self, provider, gateway):
        self.provider = provider
        self.gateway = gateway
        self.home = gateway.home

    def variables(self, direct=False):
        """How an application finds its provider."""
        url = self.provider.url if direct else self.gateway.url
        key = KEY if direct else GATEWAY_KEY
        openai = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key}
        anthropic = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key}
        return {**openai, **anthropic, "PORTOLAN_BASE": url, "PORTOLAN_KEY": key}


@contextmanager
def house(script=None):
    with Provider(SCRIPT if script is None else script) as provider, Gateway(config=config(provider)) as gateway:
        gateway.until_ready("demo")
        yield House(provider, gateway)
        equal(provider.refused, [], "the provider refused what it was sent: ")


def config(provider):
    return f"""
auth:
  keys:
    sdk: {{ key: {GATEWAY_KEY}, grants: [models, mcp] }}
providers:
  chat: {{ kind: openai-compatible, base_url: "{provider.url}/v1", api_key: {KEY} }}
  claude: {{ kind: anthropic, base_url: "{provider.url}/v1", api_key: {KEY} }}
mcp:
  servers:
    demo: {{ command: ["{binary()}", demo-server] }}
"""
