"""Cases: agent frameworks on top of the SDKs, each through every door that it knows, to a provider of either dialect."""

from cases import Checks, case
from house import KINDS, REPORT, house
from sdks import BOTH, Script, gives, sees

BOTH_CITIES = ["Lisbon", "Porto"]


def at_every_door(language, program, field, doors, reporter="reporter"):
    """A conversation with a function of the framework's own, and a structured answer, at each door, whole and streamed."""
    with Checks() as check, house() as at:
        plan = Script(check, at.gateway.url)
        for kind in KINDS:
            for door in doors:
                for stream in BOTH:
                    where = f"{door} to {kind}, {'stream' if stream else 'whole'}"
                    talk = {field: door, "model": f"{kind}/weather", "stream": stream}
                    plan.step(f"{where}, two calls", sees(text="Sunny in both.", called=BOTH_CITIES), **talk)
                report = {field: door, "model": f"{kind}/{reporter}", "report": True}
                plan.step(f"{door} to {kind}, a report", gives(REPORT), **report)
        plan.run(language, program, at.home, **at.variables())


@case("node")
def vercels_ai_calls_its_tools_through_every_door(_):
    at_every_door("node", "ai_client", "through", ("openai", "openai-compatible", "anthropic"))


@case("python")
def pydantic_ai_calls_its_tools_through_every_door(_):
    at_every_door("python", "pydantic_ai_client", "through", ("chat", "responses", "messages"), reporter="filer")


@case("python")
def langchain_calls_its_tools_through_both_of_openais_doors(_):
    at_every_door("python", "langchain_client", "door", ("chat", "responses"))


@case("python")
def openais_agents_call_their_own_tools_and_those_of_the_gateway(_):
    with Checks() as check, house() as at:
        plan = Script(check, at.gateway.url)
        for kind in KINDS:
            for stream in BOTH:
                way = "stream" if stream else "whole"
                for door in ("chat", "responses"):
                    own = {"door": door, "model": f"{kind}/weather", "stream": stream}
                    looks = sees(text="Sunny in both.", called=BOTH_CITIES)
                    plan.step(f"{door} to {kind}, {way}, two calls", looks, **own)
                hosted = {"door": "responses", "model": f"{kind}/echoer", "stream": stream, "hosted": "demo"}
                items = sees(text="The echo said ahoy.", items=["mcp_list_tools", "mcp_call", "message"])
                plan.step(f"{kind}, {way}, a hosted server", items, **hosted)
        plan.run("python", "agents_client", at.home, **at.variables())
