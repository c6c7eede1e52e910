"""A browser at the console: Chromium without a window, driven by `node/console.mjs`, and gateways for it to look at."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager

import peers
from cases import equal
from gateway import Gateway, binary

PAGES = {
    "overview": "Overview",
    "servers": "Servers",
    "servers/harbour": "harbour",
    "held": "Held changes",
    "live": "Live calls",
    "keys": "Keys",
}


class Browser:
    """Chromium, driven by node/console.mjs: a step that fails fails the case. No case may end with anything on the list of what
    the console never does."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.allowed = ()

    def __enter__(self):
        about = {"chromium": chromium(), "sandbox": os.geteuid() != 0}
        self.root = tempfile.TemporaryDirectory(prefix="portolan-browser-")
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                [*peers.node("console"), json.dumps(about)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root.name,
                env=peers.environment(self.root.name),
            )
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.was_good()
        finally:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.root.cleanup()

    def __call__(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            with open(f"{self.root.name}/log") as log:
                raise AssertionError(f"the browser is gone\n{log.read()[-2000:]}")
        said = json.loads(line)
        if "failed" in said:
            raise AssertionError(said["failed"])
        return said["done"]

    def allow(self, *errors):
        """Errors that this case brings about: the browser logs every answer that is one."""
        self.allowed += errors

    def was_good(self):
        seen = self("seen")
        elsewhere = [request for request in seen["requests"] if not request.split(" ")[1].startswith(f"{self.gateway.url}/")]
        errors = [error for error in seen["errors"] if not any(allowed in error for allowed in self.allowed)]
        equal(elsewhere, [], "requests to others: ")
        equal(errors, [], "errors: ")
        equal(seen["dialogs"], [], "markup ran: ")

    def log_in(self, key=None, fresh=False):
        self("open", url=link(self.gateway, key), fresh=fresh)
        self("text", text="Overview", where="h1")

    def go(self, page):
        self("go", hash=f"#/{page}", heading=PAGES[page])


def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise AssertionError("no Chromium is installed: run tests/interop/install.sh")
    return found


def link(gateway, key=None):
    """`portolan open --json`: a link that logs in once, as whoever has the key; the owner where none is given."""
    more = {} if key is None else {"PORTOLAN_KEY": key}
    made = peers.run([binary(), "open", "--json"], gateway.home, **gateway.addressed(), **more)
    return json.loads(made, object_hook=peers.Answer)["url"]


@contextmanager
def a_console():
    """An empty gateway, and a browser in which its owner is logged in."""
    with Gateway() as gateway, Browser(gateway) as browser:
        browser.log_in()
        yield gateway, browser


@contextmanager
def a_harbour(*tools):
    """As above, with the server `harbour`, approved whatever it hides; `offer` gives it other tools and looks at it."""
    with a_console() as (gateway, browser):
        file = gateway.root / "tools.json"
        file.write_text(json.dumps(tools))
        gateway.cli("server", "add", "harbour", "--", *peers.node("console_server"), file)
        if gateway.servers()["harbour"] == "held":
            gateway.cli("registry", "approve", "harbour")
        gateway.until_ready("harbour")

        def offer(*tools):
            file.write_text(json.dumps(tools))
            gateway.cli("server", "refresh", "harbour")

        yield gateway, browser, offer
