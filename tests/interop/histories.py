"""Cases: what the registry says of changes that servers really made, from one published version to the next.

`histories/` pins three versions of each server; `expected/histories-*.txt` tells what becomes of each change and why, and was read
beside the definitions of both versions. PORTOLAN_EXPECTED=write writes those files anew: read what changed in them.
"""

import difflib
import json
import os
import re

import peers
from cases import case
from gateway import Gateway
from peers import HERE
from replay import Offer, Replay, shown

INSTALLED = peers.ROOT / "histories"
SERVERS = {"filesystem": "@modelcontextprotocol/server-filesystem", "everything": "@modelcontextprotocol/server-everything", "git": "mcp-server-git"}


@case("histories", "node")
def the_history_of_the_filesystem_server_is_judged_as_it_was_when_somebody_read_it(_):
    as_read("filesystem", lambda gateway: npm("filesystem", gateway.home))


@case("histories", "node")
def the_history_of_the_everything_server_is_judged_as_it_was_when_somebody_read_it(_):
    as_read("everything", lambda _: npm("everything", "stdio"))


@case("histories")
def the_history_of_the_git_server_is_judged_as_it_was_when_somebody_read_it(_):
    as_read("git", lambda _: pypi("git"))


def npm(server, argument):
    """A server's versions, each in a folder of its own, in their order."""
    for folder in folders(server):
        package = SERVERS[server]
        version = json.loads((folder / "package.json").read_text())["dependencies"][package]
        program = INSTALLED / folder.name / "node_modules" / package / "dist/index.js"
        yield Offer(version, ["node", str(program), str(argument)])


def pypi(server):
    for folder in folders(server):
        pinned = rf"^{SERVERS[server]}==(\S+)$"
        version = re.search(pinned, (folder / "requirements.in").read_text(), re.MULTILINE)[1]
        env = {"PYTHONPATH": str(INSTALLED / folder.name), "PYTHONDONTWRITEBYTECODE": "1"}
        yield Offer(version, [str(INSTALLED / "python/bin/python"), "-m", SERVERS[server].replace("-", "_")], env)


def folders(server):
    return sorted((HERE / "histories").glob(f"{server}-*"))


def as_read(server, offers):
    """Fails where what the registry says of a history is not what stands in its file."""
    with Gateway(config="{}\n") as gateway:
        found = "\n".join(told(server, offers(gateway), Replay(gateway, server))) + "\n"
    file = HERE / f"expected/histories-{server}.txt"
    if os.environ.get("PORTOLAN_EXPECTED") == "write":
        file.write_text(found)
    there = file.read_text() if file.exists() else ""
    if found != there:
        other = list(difflib.unified_diff(there.splitlines(), found.splitlines(), "expected", "found", lineterm=""))
        words = f"expected/{file.name} is not what was found; PORTOLAN_EXPECTED=write writes it anew"
        raise AssertionError("\n   ".join([words, *other]))


def told(server, offers, replay):
    """The history as text, one change of a version after the other."""
    yield f"# What the registry says of three versions of {SERVERS[server]} under the profile `team`: each difference with its parts."
    before = None
    for offer in offers:
        yield ""
        if before is None:
            yield f"{offer.version}: {become(replay.start(offer))}"
        else:
            step = replay.change(offer)
            yield f"{before} -> {offer.version}: {become(step)}"
            for difference in step.differences:
                yield from (f"  {line}" for line in shown(difference))
        before = offer.version


def become(step):
    """What became of a version, in words."""
    return {"accepted": f"accepted as {step.release}", "held": f"held; {step.release} once approved", "same": "no change"}[step.verdict]
