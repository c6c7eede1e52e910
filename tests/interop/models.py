"""Cases: the OpenAI-compatible endpoint with what everyone has: the built-in model, the gateway's tools, a database of texts."""

import json
import re

import peers
from cases import case, contains, equal
from chroma_peer import Chroma
from gateway import Gateway
from peers import ask, run_plan
from provider import KEY, Provider
from provider.openai import VECTOR
from provider.script import say

SCRIPT = {"chat": [[say("Hello from the stub")]]}


def stub_alone(stub):
    """A configuration with this provider and nothing else."""
    return f'providers:\n  stub: {{ kind: openai-compatible, base_url: "{stub.url}/v1", api_key: {KEY} }}\n'


def openai(language, gateway, *steps):
    """One of the two SDKs, with an application's usual two variables. The key is another provider's: it must not matter."""
    variables = {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": "sk-not-ours"}
    return run_plan(language, "openai_client", {"steps": list(steps)}, gateway.home, **variables)["steps"]


def the_echo_model_answers(language, gateway):
    models, whole, streamed = openai(language, gateway, {"models": True}, ask("land ahoy"), ask("land ahoy", stream=True))
    contains(models, "portolan/echo")
    for answer in (whole, streamed):
        contains(answer["content"], "land ahoy")
        equal(answer["finish_reason"], "stop")
    if streamed["chunks"] < 2:
        raise AssertionError(f"expected a stream of several pieces, got {streamed}")


@case("python")
def the_openai_python_sdk_talks_to_the_echo_model(gateway):
    the_echo_model_answers("python", gateway)


@case("node")
def the_openai_node_sdk_talks_to_the_echo_model(gateway):
    the_echo_model_answers("node", gateway)


def an_unknown_model_is_not_found(language, gateway):
    for stream in (False, True):
        (refused,) = openai(language, gateway, ask("hello", model="no-such-model", stream=stream))
        error = refused["error"]
        found = (error["class"], error["status"], error["code"], error["param"])
        equal(found, ("NotFoundError", 404, "model_not_found", "model"))


@case("python")
def the_openai_python_sdk_is_told_of_an_unknown_model(gateway):
    an_unknown_model_is_not_found("python", gateway)


@case("node")
def the_openai_node_sdk_is_told_of_an_unknown_model(gateway):
    an_unknown_model_is_not_found("node", gateway)


def the_gateway_runs_the_tools_that_a_model_calls(language, gateway):
    time_server = {"type": "mcp", "server_label": "time", "require_approval": "never"}
    text = 'call time__get_current_time {"timezone":"UTC"}'
    for stream in (False, True):
        (answer,) = openai(language, gateway, ask(text, stream=stream, tools=[time_server]))
        if not re.search(r"datetime.*\d{4}-\d\d-\d\dT\d\d:", answer.get("content") or "", re.DOTALL):
            raise AssertionError(f"expected the tool's result in the {'stream' if stream else 'answer'}: {answer}")
        equal(answer["finish_reason"], "stop")


@case("python")
def the_gateway_runs_tools_for_the_openai_python_sdk(gateway):
    the_gateway_runs_the_tools_that_a_model_calls("python", gateway)


@case("python", "node")
def the_gateway_runs_tools_for_the_openai_node_sdk(gateway):
    the_gateway_runs_the_tools_that_a_model_calls("node", gateway)


@case("python", "node")
def the_openai_sdks_reach_a_configured_provider(_):
    question = {"model": "stub/chat"}
    embed = {"embed": {"model": "stub/embed", "input": ["one", "two"]}}
    with Provider(SCRIPT) as stub, Gateway(config=stub_alone(stub)) as gateway:
        for language in ("python", "node"):
            steps = [ask("hi", **question), ask("hi", **question, stream=True), embed]
            whole, streamed, vectors = openai(language, gateway, *steps)
            equal(whole["content"], "Hello from the stub")
            equal(streamed["content"], "Hello from the stub")
            equal(vectors, [VECTOR, VECTOR])


# Context from a vector database.


@case("chroma")
def what_a_vector_database_finds_for_a_question_is_put_into_the_completion(_):
    texts = [("The reef is marked by two buoys.", VECTOR), ("The tavern opens at noon.", [-part for part in VECTOR])]
    with Provider(SCRIPT) as stub, Chroma() as chroma:
        body = '{ query_embeddings: ["{{ embedding }}"], n_results: 1, include: [documents] }'
        source = f"{{ url: '{chroma.collection('papers', texts)}', embed: stub/embed, body: {body}, select: /documents/0 }}"
        with Gateway(config=f"{stub_alone(stub)}context: {{ sources: {{ papers: {source} }} }}\n") as gateway:
            question = "Tell me of the context: where is the reef?"
            shown = json.loads(gateway.cli("context", "preview", "papers", "--query", question, "--json"))
            equal((shown.get("text"), shown.get("trust")), ('["The reef is marked by two buoys."]', "untrusted"))
            asked = {"model": "stub/chat", "messages": [{"role": "user", "content": question}], "portolan": {"context": ["papers"], "report": True}}
            answer = peers.post(f"{gateway.url}/v1/chat/completions", asked)
            (told,) = answer["portolan"]["context"]
            equal((told["source"], told["cached"], told["digest"]), ("papers", True, shown["digest"]))
