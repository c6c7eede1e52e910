"""One server after the other, or one version after the other, at the same place of a gateway's file: what the registry says of each change."""

import json
from typing import NamedTuple

from cases import equal

# What it holds is shown with all its parts; what is accepted at once is not.
ALL_SHOWN = "locked"


class Offer(NamedTuple):
    """How a server is started: its version as it is told to people, its command, and the variables it needs."""

    version: str
    command: list
    env: dict = {}


class Step(NamedTuple):
    """What became of a change: `accepted`, `held`, or `same` where there was none; the release that came of it, and all differences."""

    verdict: str
    release: str
    differences: list


class Replay:
    """The registry's judgement of one server's changes, one by one, through a gateway that has read an empty file."""

    def __init__(self, gateway, server):
        self.gateway = gateway
        self.server = server

    def start(self, offer):
        """The server's first release, approved by a person where it is suspect: only then all differences from nothing are given."""
        self.offered(offer, "team")
        release = self.served()
        if release is not None:
            return Step("accepted", release, [])
        differences = self.asked("registry", "diff", self.server)["differences"]
        return Step("held", self.approve(), differences)

    def change(self, offer, profile="team"):
        """Another version in the place of the one before. It is judged by the profile, and then approved where it was held."""
        step = self.judged(offer, profile)
        return step if step.verdict != "held" else step._replace(release=self.approve())

    def judged(self, offer, profile="team"):
        """The same without the approval."""
        before = self.served()
        self.offered(offer, ALL_SHOWN)
        differences = self.asked("registry", "diff", self.server)["differences"]
        if not differences:
            equal(self.served(), before, "nothing is held, and another release is served: ")
            return Step("same", before, [])
        # The server is not started again for this: its own part of the file is what it was.
        return Step(self.under(offer, profile), self.served(), differences)

    def under(self, offer, profile):
        """What becomes of the held change under another profile."""
        self.offered(offer, profile)
        held = self.asked("registry", "diff", self.server)["digest"]
        return "accepted" if held is None else "held"

    def offered(self, offer, profile):
        """Puts the server into the file, and has the gateway look at it."""
        declared = {"command": [escaped(part) for part in offer.command]}
        if offer.env:
            declared["env"] = {name: escaped(value) for name, value in offer.env.items()}
        # JSON is YAML.
        self.gateway.configure(json.dumps({"registry": {"profile": profile}, "mcp": {"servers": {self.server: declared}}}, indent=1))
        self.look()

    def look(self):
        """Has the gateway look at the server now."""
        return self.asked("server", "refresh", self.server)["look"]["found"]

    def served(self):
        """The version of the release that is served, if one is."""
        releases = self.asked("registry", "releases", self.server)["releases"]
        return next((release["version"] for release in releases if release["state"] == "served"), None)

    def approve(self):
        """Approves the very change that was shown."""
        digest = self.asked("registry", "diff", self.server)["digest"]
        return self.asked("registry", "approve", self.server, "--digest", digest)["release"]

    def asked(self, *words):
        return json.loads(self.gateway.cli("--json", *words))


def escaped(text):
    """A text in which nothing stands for a variable."""
    return str(text).replace("$", "$$")


def shown(difference):
    """One difference as lines: its kind, name and class, and each part of it with its class, place and reason."""
    yield f"{difference['kind']} {difference['name']}: {difference['class']}"
    for change in difference["changes"]:
        yield f"    {change['class']:<9} {change['at'] or '(the whole)'} {change['why']}"
