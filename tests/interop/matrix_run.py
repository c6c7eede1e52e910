"""One run of the matrix: each client with each server, directly and through one gateway, two pairs at a time."""

import atexit
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from gateway import Gateway
from matrix_servers import OPERATIONS, config, servers

# What may be said of an operation. `GAINED` works through the gateway only: it speaks what client or server do not. `OWED` would
# be gained, if it worked.
WORKS, GAINED, LOST, OWED, FAILS, ABSENT = "works", "gained", "lost", "owed", "fails", "n/a"
FAULTS = (LOST, OWED)

# How long the gateway may take to meet all servers, in seconds.
MEETING = 20


class Cell:
    """How one operation of one client went with one server, and why."""

    def __init__(self, state, why=""):
        self.state, self.why = state, why


class Row:
    """A client with a server: the revision on each leg, and a cell for each operation."""

    def __init__(self, server, direct, near, far, cells):
        self.server, self.direct, self.near, self.far, self.cells = server, direct, near, far, cells

    def reasons(self, states):
        """Why operations are in these states: {(state, why): [operation]}."""
        found = {}
        for name, cell in self.cells.items():
            if cell.state in states:
                found.setdefault((cell.state, cell.why), []).append(name)
        return found

    def faults(self):
        """What the gateway does not do, and should."""
        return [f"{', '.join(names)}: {why}" for (_, why), names in self.reasons(FAULTS).items()]


class House:
    """All servers and the gateway before them. It is opened once, for the first client that is tried."""

    def __init__(self):
        self.stack = None

    def open(self):
        if self.stack:
            return
        self.stack = ExitStack()
        atexit.register(self.close)
        try:
            self.servers = [self.stack.enter_context(server) for server in servers()]
            self.gateway = self.stack.enter_context(Gateway(config=config(self.servers)))
            self.meet()
            self.states = {server.name: self.state(server.name) for server in self.servers}
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.stack:
            self.stack.close()
            self.stack = None

    def meet(self):
        """Waits until the gateway has met all servers, or long enough to say that it cannot."""
        deadline = time.monotonic() + MEETING
        while set(self.gateway.servers().values()) != {"ready"} and time.monotonic() < deadline:
            time.sleep(0.2)

    def state(self, name):
        """What the gateway says of a server."""
        shown = json.loads(self.gateway.cli("server", "show", name, "--json"))
        return shown.get("server", shown)


HOUSE = House()
RESULTS = {}


def results(client):
    """The rows of a client, which is tried once."""
    if client.name not in RESULTS:
        HOUSE.open()
        RESULTS[client.name] = attempt(client)
    return RESULTS[client.name]


def attempt(client):
    """Tries a client with all servers, two at a time and never two with the same one: servers tell all who listen."""
    rows, left, lock = {}, list(HOUSE.servers), threading.Lock()

    def work(_):
        while True:
            with lock:
                if not left:
                    return
                server = left.pop(0)
            rows[server.name] = pair(client, server)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    return [rows[server.name] for server in HOUSE.servers]


def pair(client, server):
    """One client with one server: directly, which says what is to be had, and then through the gateway."""
    absent = client.lacks

    def operations(tag):
        return {name: step for name, step in server.operations(tag).items() if name not in absent}

    def directly(steps):
        return client.run(server.place(), steps, HOUSE.gateway.home)

    unreachable = client.transports.get(server.transport)
    direct = {"error": unreachable} if unreachable else directly(operations(f"{client.name}-direct"))
    upstream = HOUSE.states[server.name]
    if upstream["state"] == "ready":
        there = {"transport": "http", "url": f"{HOUSE.gateway.url}/mcp/{server.name}"}
        through = client.run(there, operations(f"{client.name}-through"), HOUSE.gateway.home)
    else:
        through = {"error": f"the gateway has the server as {upstream['state']}: {upstream.get('error')}"}
    if not unreachable:
        # Some peers fail each other now and then: what the gateway alone seems to make possible is tried once more without it.
        doubted = {name: step for name, step in operations(f"{client.name}-again").items() if gained(name, direct, through)}
        direct = better(direct, directly(doubted)) if doubted else direct
    listed_all(direct, through)
    cells = {name: Cell(ABSENT, absent[name]) if name in absent else cell(name, direct, through) for name in OPERATIONS}
    return Row(server, direct.get("protocol"), through.get("protocol"), upstream.get("era"), cells)


def listed_all(direct, through):
    """A tool that is listed directly must be listed through the gateway, too."""
    if outcome(direct, "list")["state"] == outcome(through, "list")["state"] == "ok":
        absent = sorted(set(direct["tools"]) - set(through["tools"]))
        if absent:
            through["results"]["list"] = {"state": "failed", "why": f"not listed: {', '.join(absent)}"}


def outcome(report, name):
    if "results" not in report or name not in report["results"]:
        return {"state": "failed", "why": report.get("error", "not tried")}
    return report["results"][name]


def better(report, again):
    """A report with what was done when it was tried again."""
    if "error" in report or "error" in again:
        return report if "error" in again else again
    done = {name: result for name, result in again["results"].items() if result["state"] == "ok"}
    listed = {"tools": again["tools"]} if "list" in done else {}
    return {**report, **listed, "results": {**report["results"], **done}}


def gained(name, direct, through):
    return outcome(through, name)["state"] == "ok" and outcome(direct, name)["state"] != "ok"


def cell(name, direct, through):
    before, after = outcome(direct, name), outcome(through, name)
    if after["state"] == "ok":
        return Cell(WORKS) if before["state"] == "ok" else Cell(GAINED, f"directly: {before['why']}")
    if before["state"] == "ok":
        return Cell(LOST, after["why"])
    if "error" in direct:
        return Cell(OWED, f"directly: {before['why']}; through the gateway: {after['why']}")
    return Cell(FAILS, f"directly: {before['why']}; through the gateway: {after['why']}")
