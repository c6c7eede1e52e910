#!/usr/bin/env python3
"""The client that the conformance suite tries: a gateway, and the person who logs it in at the suite's server.

The suite starts it with the server's address, and tells the scenario in the environment. All goes through a gateway of its own:
it is given the server, a person agrees wherever it asks for that, and then the server's tools are listed and called at the
gateway. Exits 0 when all was answered, and 1 when the gateway would not log in, or was never let in.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import peers
from cases import equal
from gateway import Gateway, binary

SERVER = "suite"
MODERN = "2026-07-28"
# The world cannot reach this machine by https. Whoever follows a redirect to this address is led to the gateway, as by a proxy.
PUBLIC_URL = "https://portolan.test"
# A person who is asked once more goes to look what is wrong.
LOGINS = 2


class NotLoggedIn(Exception):
    """No login came of it; says what the person was told."""


class NotLetIn(Exception):
    """The server refuses whatever login there is."""


def log_in(gateway, server, *options, open_address=None, public_url=None):
    """`portolan server login`, and whoever opens the address that it prints: `visit`, if nobody is named."""
    open_address = open_address or (lambda address: visit(address, gateway, public_url))
    words = [str(binary()), "server", "login", server, "--no-browser", *options]
    environment = peers.environment(gateway.home, **gateway.addressed())
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, text=True, cwd=gateway.home, env=environment, **pipes) as command:
        try:
            heard = []
            for line in command.stderr:
                heard.append(line)
                if address := re.match(r"\s+(https?://\S+)$", line):
                    open_address(address[1])
                    break
            _, rest = command.communicate(timeout=peers.TIMEOUT)
            if command.returncode != 0:
                raise NotLoggedIn("".join([*heard, rest]).strip())
        finally:
            command.kill()


def visit(address, gateway, public_url=None):
    """Follows redirects with cookies, as a browser does, to the gateway's page that says that it is logged in."""

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request, page, code, message, headers, new):
            if public_url and new.startswith(f"{public_url}/"):
                new = gateway.url + new.removeprefix(public_url)
            return super().redirect_request(request, page, code, message, headers, new)

    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(), Redirects())
    try:
        with browser.open(address, timeout=30) as page:
            if not page.url.startswith(f"{gateway.url}/oauth/callback?"):
                raise NotLoggedIn(f"the browser ends at {page.url}")
    except urllib.error.HTTPError as refused:
        with refused:
            text = re.sub(r"<[^>]+>", " ", refused.read().decode())
            raise NotLoggedIn(f"the browser shows, with status {refused.status}: {' '.join(text.split())}") from None


def ask(gateway, server, method, **params):
    """Asks a server by way of the gateway, and gives the answer: it has a `result` or an `error`."""
    name = {"mcp-name": params["name"]} if "name" in params else {}
    about = {"protocolVersion": MODERN, "clientInfo": {"name": "interop", "version": "1"}, "clientCapabilities": {}}
    params["_meta"] = {f"io.modelcontextprotocol/{key}": value for key, value in about.items()}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    headers |= {"mcp-protocol-version": MODERN, "mcp-method": method, **name}
    request = urllib.request.Request(f"{gateway.url}/mcp/{server}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)


def tools(gateway):
    """Lists the tools and calls each; gives what was refused, if anything was."""
    listed = ask(gateway, SERVER, "tools/list")
    if not listed.get("result", {}).get("tools"):
        return listed
    for tool in listed["result"]["tools"]:
        called = ask(gateway, SERVER, "tools/call", name=tool["name"], arguments={})
        if "result" not in called:
            return called
    return None


def settled(gateway, server):
    """Whether a server is ready, once that is known: after a login the gateway looks at it by itself."""
    since, before = time.monotonic(), None
    while time.monotonic() - since < 1:
        state = gateway.servers()[server]
        if state == "ready":
            return True
        if state != before:
            since, before = time.monotonic(), state
        time.sleep(0.1)
    return False


def main(url):
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    known = [f"--{word.replace('_', '-')}={context[word]}" for word in ("client_id", "client_secret") if word in context]
    public_url = PUBLIC_URL if os.environ["MCP_CONFORMANCE_SCENARIO"] == "auth/basic-cimd" else None
    config = f"server: {{ public_url: {public_url} }}" if public_url else None
    with Gateway(config) as gateway:
        gateway.cli("server", "add", SERVER, "--url", url, "--allow-private", *known)
        equal(gateway.servers()[SERVER], "login_needed", "before anybody logged in: ")
        for _ in range(LOGINS):
            log_in(gateway, SERVER, public_url=public_url)
            refused = tools(gateway) if settled(gateway, SERVER) else gateway.cli("server", "show", SERVER)
            if not refused:
                return
        raise NotLetIn(f"after {LOGINS} logins: {refused}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (NotLoggedIn, NotLetIn, AssertionError) as why:
        sys.exit(f"{type(why).__name__}: {why}")
