"""Where the real peers lie, which of them are there, and how to run one."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = Path(os.environ.get("PORTOLAN_PEERS_DIR") or Path.home() / ".cache/portolan/peers")
PYTHON = ROOT / "python/bin/python"
NODE_BIN = ROOT / "node/node_modules/.bin"
AGENTS = ROOT / "agents/node_modules"
CHROMA = ROOT / "chroma/bin/python"
SCHEMATHESIS = ROOT / "api/bin/schemathesis"

# What a person's shell would find first: the peers' own programs, `node` and `uvx` among them.
PATH = os.pathsep.join([str(NODE_BIN), str(ROOT / "python/bin"), os.environ["PATH"]])
# A case that waits longer than this hangs.
TIMEOUT = 90

# Kept of our own environment: what a download or a certificate check needs. No provider key gets to a gateway by this.
KEPT = ("LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")


def missing(kinds):
    """Says which of the wanted kinds of peer (a folder of ROOT) is not installed."""
    there = {kind: (ROOT / f"{kind}.stamp").exists() for kind in kinds}
    return [kind for kind in kinds if not there[kind]]


def environment(home, **extra):
    """The environment of someone new to the machine, who has used `uvx` before."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    used_before = {"XDG_CACHE_HOME": str(ROOT / "cache"), "XDG_CONFIG_HOME": str(ROOT / "config")}
    return {**kept, "PATH": PATH, "HOME": str(home), **used_before, **extra}


def run(command, home, stdin=None, code=0, **extra):
    """Runs a peer to its end and gives what it printed; an exit code other than the wanted one fails the case."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=home,
        env=environment(home, **extra),
    )
    if done.returncode != code:
        words = " ".join(str(part) for part in command)
        raise AssertionError(f"`{words}` exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_plan(language, script, plan, home, **extra):
    """Runs one of the plan-driven clients beside this file: `python` or `node`."""
    if language == "python":
        command = [PYTHON, HERE / "python" / f"{script}.py"]
    else:
        command = node(script)
    return json.loads(run(command, home, stdin=json.dumps(plan), **extra), object_hook=Answer)


def node(script):
    """The command of a Node program beside this file."""
    # An ES module finds its packages beside itself and nowhere else.
    for module in (HERE / "node").glob("*.mjs"):
        shutil.copy(module, ROOT / "node" / module.name)
    return [NODE_BIN / "node" if (NODE_BIN / "node").exists() else "node", ROOT / "node" / f"{script}.mjs"]


def post(url, body):
    """Posts JSON and gives the JSON that comes back."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer, object_hook=Answer)


class Answer(dict):
    """An object of an answer: where a key is missing, the case fails and shows what came instead."""

    def __missing__(self, key):
        raise AssertionError(f"expected {key!r} in {dict(self)}")


# The steps of a plan; python/mcp_client.py and python/openai_client.py say what each answers.


def tools():
    return {"list": "tools"}


def resources():
    return {"list": "resources"}


def prompts():
    return {"list": "prompts"}


def call(tool, /, **arguments):
    return {"call": tool, "arguments": arguments}


def read(uri):
    return {"read": uri}


def prompt(name, /, **arguments):
    return {"prompt": name, "arguments": arguments}


def wait(seconds):
    return {"wait": seconds}


def ask(text, /, model="portolan/echo", stream=False, **body):
    messages = [{"role": "user", "content": text}]
    return {"chat": {"model": model, "messages": messages, **body}, "stream": stream}
