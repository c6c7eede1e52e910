"""Cases: one real model behind the gateway, at all three doors. It is too small to make sense, so the wire alone is looked at.

`run.py --full` lists them, after `install.sh model`.
"""

import http.client
import json
import signal
import subprocess
import threading
import time
import urllib.request
from urllib.parse import urlsplit

import peers
from cases import Checks, case
from gateway import Gateway
from sdks import BOTH, Script

PROMPT = "Once upon a time"


class Gemma:
    """The model and its server, while it is entered."""

    def __enter__(self):
        python, serve = peers.ROOT / "model/bin/python", peers.HERE / "model/serve.py"
        command = [python, serve, peers.ROOT / "model"]
        env = peers.environment(peers.ROOT / "model")
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, env=env, **pipes)
        # A model that is never ready is ended, and then its output ends too.
        late = threading.Timer(90, self.process.kill)
        late.start()
        told = next((line for line in self.process.stdout if line.startswith("ready ")), None)
        late.cancel()
        if not told:
            raise AssertionError("the real model did not start within 90 s")
        self.url = told.split()[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def busy(self):
        with urllib.request.urlopen(f"{self.url}/slots", timeout=10) as slots:
            return any(slot["is_processing"] for slot in json.load(slots))

    def busy_until(self, wanted, seconds):
        """Whether the model comes to be busy, or idle, within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.busy() != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.busy() == wanted


def spoke(text, ins, outs):
    """A look that some text came, that it was counted, and that it kept to its bound of 16 tokens."""

    def look(check, where, answer):
        usage = answer.get("usage") or {}
        check.holds(f"{where}: text", answer.get(text), answer)
        check.holds(f"{where}: usage", (usage.get(ins) or 0) > 0 and 0 < (usage.get(outs) or 0) <= 16, usage)

    return look


@case("python", "model")
def a_real_model_speaks_through_all_three_doors(_):
    with Checks() as check, Gemma() as gemma, Gateway(config=config(gemma)) as gateway:
        variables = {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": "none"}
        openai, anthropic = Script(check, gateway.url), Script(check, gateway.url)
        messages = {"model": "local/gemma", "max_tokens": 16, "messages": [{"role": "user", "content": PROMPT}]}
        response = {"model": "local/gemma", "max_output_tokens": 16, "input": PROMPT}
        for stream in BOTH:
            way = "stream" if stream else "whole"
            counts = spoke("content", "prompt_tokens", "completion_tokens")
            # As it comes: the SDK's helper takes an answer that reached its bound for an error.
            asked = {**messages, "stream_options": {"include_usage": True}} if stream else messages
            openai.step(f"chat, {way}", counts, chat=asked, stream=stream and "raw")
            openai.step(f"responses, {way}", spoke("text", "input_tokens", "output_tokens"), respond=response, stream=stream)
            anthropic.step(f"messages, {way}", spoke("text", "input_tokens", "output_tokens"), say=messages, stream=stream)
        openai.run("python", "openai_client", gateway.home, **variables)
        anthropic.run("python", "anthropic_client", gateway.home, ANTHROPIC_BASE_URL=gateway.url, ANTHROPIC_API_KEY="none")


@case("model")
def a_client_that_goes_away_ends_the_real_models_work_at_every_door(_):
    with Checks() as check, Gemma() as gemma, Gateway(config=config(gemma)) as gateway:
        history = {"messages": [{"role": "user", "content": PROMPT}]}
        # Long enough that no answer is over by itself before it is looked at.
        for path, body in (
            ("/v1/chat/completions", {**history, "max_tokens": 3900}),
            ("/v1/messages", {**history, "max_tokens": 3900}),
            ("/v1/responses", {"input": PROMPT, "max_output_tokens": 3900}),
        ):
            begin_and_leave(gateway, path, {"model": "local/gemma", "stream": True, "ignore_eos": True, **body}, gemma, check)


def begin_and_leave(gateway, path, body, gemma, check):
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    check.equal(f"{path}: status", answer.status, 200)
    check.holds(f"{path}: a first piece", answer.read1(), answer.status)
    check.holds(f"{path}: at work", gemma.busy_until(True, 10), "an idle model")
    connection.close()
    answer.close()
    check.holds(f"{path}: ended", gemma.busy_until(False, 10), "a busy model")


def config(gemma):
    return f'providers: {{ local: {{ kind: openai-compatible, base_url: "{gemma.url}/v1" }} }}\n'
