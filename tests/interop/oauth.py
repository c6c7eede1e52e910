"""Cases: the gateway takes the access tokens of a real issuer, and clients of several makes get them there by themselves.

One of these is another gateway, which a person logs in.
"""

import json
import signal
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import peers
import person
from cases import case, contains, equal
from chromium_peer import Chromium
from conformance_client import ask, log_in, settled, visit
from console_peer import Browser
from gateway import Gateway, binary
from inspector_peer import Inspector
from issuer_peer import Issuer
from journeys import LEGACY, MODERN, MODES
from peers import HERE, NODE_BIN, ROOT, call, run_plan, tools, wait

# The gateway allows for clocks that differ by half a minute. With an issuer whose clock does, a token ends there after its
# three seconds, and not half a minute later.
BRIEF = {"ttl": 3, "behind": 30}
PAST_ITS_END = wait(BRIEF["ttl"] + 2)


@contextmanager
def guarded(**settings):
    """An issuer, and a gateway that only its tokens open."""
    with Issuer(**settings) as issuer:
        with Gateway(config=config(issuer)) as gateway:
            gateway.until_ready("demo")
            yield issuer, gateway


def config(issuer):
    return f"""
auth:
  issuers:
    - issuer: {issuer.url}
      scopes: {{ mcp.use: [mcp], llm.use: [models] }}
providers: {{}}
mcp:
  servers:
    demo: {{ command: ["{binary()}", demo-server] }}
"""


@contextmanager
def before_the_harbour(**settings):
    """A gateway with a guarded one for a server, as `harbour`, where nobody has logged in."""
    with guarded(**settings) as (_, harbour), Gateway() as gateway:
        gateway.cli("server", "add", "harbour", "--url", f"{harbour.url}/mcp/demo", "--allow-private")
        equal(gateway.servers(), {"harbour": "login_needed"})
        yield gateway


def knock(url, token, body=None):
    """What a bare request with a token is answered: the status, and the challenge if there is one."""
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.status, refused.headers.get("www-authenticate", "")


def open_mcp(gateway, token, path="/mcp"):
    about = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "interop", "version": "1"}}
    return knock(gateway.url + path, token, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about})


# People: an SDK is told 401, and finds out where to register, to log in and to get a token.


@case("node")
def the_typescript_sdk_gets_from_a_bare_401_to_the_tools_by_itself(_):
    with guarded() as (_, gateway):
        for path, tool in (("/mcp", "demo__echo"), ("/mcp/demo", "echo")):
            plan = {"url": gateway.url + path, "login": True, "steps": [tools(), call(tool, text="ahoy")]}
            report = run_plan("node", "mcp_client", plan, gateway.home)
            names, echo = report["steps"]
            contains(names, tool)
            contains(echo["text"], "ahoy")
            equal(report["login"], {"logins": 1, "tokens": 1}, f"{path}: ")


@case("python", "node")
def the_python_sdk_gets_from_a_bare_401_to_the_tools_by_itself(_):
    with guarded() as (_, gateway):
        for protocol, mode in {**MODES, "unsaid": "auto"}.items():
            plan = {"url": f"{gateway.url}/mcp", "login": True, "mode": mode, "steps": [tools(), call("demo__echo", text="ahoy")]}
            report = run_plan("python", "mcp_client", plan, gateway.home)
            names, echo = report["steps"]
            equal(report["protocol"], MODERN if protocol == "unsaid" else protocol)
            contains(names, "demo__echo")
            contains(echo["text"], "ahoy")
            equal(report["login"], {"logins": 1, "tokens": 1}, f"{protocol}: ")


@case("node")
def the_typescript_sdks_session_goes_on_with_a_refreshed_token(_):
    a_session_goes_on_with_a_refreshed_token("node")


@case("python", "node")
def the_python_sdks_session_goes_on_with_a_refreshed_token(_):
    a_session_goes_on_with_a_refreshed_token("python", mode="legacy")


def a_session_goes_on_with_a_refreshed_token(language, **more):
    with guarded(**BRIEF) as (_, gateway):
        steps = [call("demo__echo", text="before"), PAST_ITS_END, call("demo__echo", text="after")]
        plan = {"url": f"{gateway.url}/mcp", "login": True, "steps": steps, **more}
        report = run_plan(language, "mcp_client", plan, gateway.home)
        before, _, after = report["steps"]
        contains(before["text"], "before")
        contains(after["text"], "after")
        # On a slow machine there may be a token more; a second login would be a person asked again.
        login = report["login"]
        if login["logins"] != 1 or login["tokens"] < 2:
            raise AssertionError(f"expected one login and at least two tokens, found {dict(login)}")


# People at a browser: the issuer asks them who they are, and whether they agree.

NAME = "boatswain"


def callers(gateway):
    """Who called tools, as the journal names them."""
    journal = json.loads(gateway.cli("journal", "--kind", "tool", "--json"))
    return {entry["principal"] for entry in journal["entries"]}


@case("python", "node", "browser")
def mcp_remote_takes_a_client_that_knows_only_stdio_through_a_persons_login(_):
    with guarded(pages=True) as (issuer, gateway):
        bridge = [str(NODE_BIN / "mcp-remote"), f"{gateway.url}/mcp", "--transport", "http-only"]
        report = gateway.root / "person.json"
        about = {"PERSON": NAME, "PERSON_UNTIL": "Authorization successful!", "PERSON_REPORT": str(report)}
        env = {"BROWSER": str(HERE / "person.py"), "PORTOLAN_PEERS_DIR": str(ROOT), **about}
        steps = [tools(), call("demo__echo", text="over the bridge")]
        plan = {"command": bridge, "env": env, "mode": "legacy", "steps": steps}
        with ThreadPoolExecutor(1) as crew:
            client = crew.submit(run_plan, "python", "mcp_client", plan, gateway.home)
            contains(person.opened(report), "shown")
            names, echo = client.result()["steps"]
        contains(names, "demo__echo")
        contains(echo["text"], "over the bridge")
        equal(callers(gateway), {f"subject:{NAME}@{issuer.url}"})


@case("node", "browser")
def the_inspectors_page_gets_from_a_bare_401_by_a_persons_login_to_the_tools(_):
    with guarded(pages=True) as (issuer, gateway), Chromium() as browser:
        for protocol, era in ((LEGACY, "legacy"), (MODERN, "modern")):
            with Inspector(f"{gateway.url}/mcp", era) as inspector:
                browser("open", url=inspector.url, fresh=True)
                browser("click", where="[role=switch]")
                person.log_in(browser, NAME)
                browser("text", text="Authentication succeeded.")
                browser("text", text=f"MCP {protocol}")
                # Until it has faded, it lies on what is to be pressed.
                browser("gone", where="header", text="MCP Inspector")
                browser("click", where='::-p-xpath(//header//label[normalize-space()="Tools"])')
                browser("click", where="::-p-text(demo__echo)")
                browser("type", where='::-p-aria([role="textbox"][name="text"])', text=f"ahoy, {era}")
                browser("click", name="Execute Tool")
                browser("text", text=f"Results ahoy, {era}")
        equal(callers(gateway), {f"subject:{NAME}@{issuer.url}"})


@case("node", "browser")
def a_person_logs_a_gateway_in_at_another_at_a_browser(_):
    with before_the_harbour(pages=True) as gateway, Chromium() as browser:

        def open_address(address):
            browser("open", url=address)
            person.log_in(browser, NAME)
            browser("text", text="The gateway is logged in at harbour.")

        log_in(gateway, "harbour", open_address=open_address)
        gateway.until_ready("harbour")
        contains(gateway.cli("tool", "call", "harbour__echo", "text=ahoy"), "ahoy")


# Services, which ask for a token in their own name.


@case("python", "node")
def a_services_token_for_models_opens_them_and_nothing_of_mcp(_):
    with guarded() as (issuer, gateway):
        token = issuer.token(f"{gateway.url}/v1", "llm.use")
        variables = {"OPENAI_BASE_URL": f"{gateway.url}/v1", "OPENAI_API_KEY": token}
        plan = {"steps": [{"models": True}, peers.ask("land ahoy")]}
        models, answer = run_plan("python", "openai_client", plan, gateway.home, **variables)["steps"]
        contains(models, "portolan/echo")
        contains(answer["content"], "land ahoy")
        for path in ("/mcp", "/mcp/demo", "/mcp/portolan"):
            status, challenge = open_mcp(gateway, token, path)
            equal(status, 401, f"{path}: ")
            contains(challenge, 'error="invalid_token"', f"{path}: ")


@case("node")
def a_services_token_for_mcp_opens_it_and_no_models(_):
    with guarded() as (issuer, gateway):
        token = issuer.token(f"{gateway.url}/mcp", "mcp.use")
        equal(open_mcp(gateway, token), (200, ""))
        equal(open_mcp(gateway, token, "/mcp/demo"), (200, ""))
        equal(knock(f"{gateway.url}/v1/models", token)[0], 401)


@case("node")
def a_token_without_the_scope_is_told_which_it_needs(_):
    with guarded() as (issuer, gateway):
        status, challenge = open_mcp(gateway, issuer.token(f"{gateway.url}/mcp", "llm.use"))
        equal(status, 403)
        contains(challenge, 'error="insufficient_scope", ')
        contains(challenge, 'scope="mcp.use"')


@case("node")
def a_token_of_another_issuer_is_refused(_):
    with guarded() as (issuer, gateway), Issuer() as stranger:
        resource = f"{gateway.url}/mcp"
        status, challenge = open_mcp(gateway, stranger.token(resource, "mcp.use"))
        equal(status, 401)
        contains(challenge, 'error="invalid_token"')
        equal(open_mcp(gateway, issuer.token(resource, "mcp.use")), (200, ""))


# The gateway itself, as a client of another one.


def echo(gateway, text="ahoy"):
    """The answer of the harbour's `echo`."""
    return ask(gateway, "harbour", "tools/call", name="echo", arguments={"text": text})


@case("node")
def a_gateway_is_logged_in_at_another_until_it_logs_out_and_restarts_change_nothing(_):
    with before_the_harbour() as gateway:
        log_in(gateway, "harbour")
        gateway.until_ready("harbour")
        contains(gateway.cli("tool", "list"), "harbour__echo")
        contains(gateway.cli("tool", "call", "harbour__echo", "text=ahoy"), "ahoy")
        equal(gateway.end(signal.SIGTERM), 0)
        gateway.start()
        gateway.until_ready("harbour")
        contains(gateway.cli("tool", "call", "harbour__echo", "text=still here"), "still here")
        gateway.cli("server", "logout", "harbour")
        equal(settled(gateway, "harbour"), False)
        contains(echo(gateway)["error"]["message"], "not logged in")
        equal(gateway.servers(), {"harbour": "login_needed"})
        # Since the restart it is elsewhere, where the issuer has not agreed to send browsers to: it registers anew.
        log_in(gateway, "harbour")
        gateway.until_ready("harbour")
        contains(gateway.cli("tool", "call", "harbour__echo", "text=back again"), "back again")


def another(look, first):
    """What is seen once it is not `first` any more."""
    deadline = time.monotonic() + 10
    while (seen := look()) == first:
        if time.monotonic() > deadline:
            raise AssertionError(f"it is still {first!r} after 10 s")
        time.sleep(0.1)
    return seen


@case("node", "browser")
def a_login_is_begun_on_the_servers_page_of_the_console_and_begun_again(_):
    agree = "main a[target=_blank]"
    with before_the_harbour() as gateway, Browser(gateway) as browser:
        browser.log_in()
        browser.go("servers/harbour")
        browser("text", text="login needed", where="main")
        browser("click", name="Log in")
        browser("text", text="Agree at", where="main")
        first = browser("leads", where=agree)
        browser("click", name="Begin again")
        second = another(lambda: browser("leads", where=agree), first)
        contains(second, "/auth?")
        visit(second, gateway)
        browser("text", text="ready", where="main")
        browser("gone", text="Agree at", where="main")
        browser("text", text="echo", where="main")
        # When the login ends, there is a button again, and not the link that was used.
        gateway.cli("server", "logout", "harbour")
        browser("text", text="login needed", where="main")
        equal(browser("leads", where=agree), None)
        browser("click", name="Log in")
        browser("text", text="Agree at", where="main")


@case("node")
def a_gateways_login_at_another_outlives_its_tokens_however_many_ask_at_once(_):
    # The issuer takes each refresh token once, and ends the login of who shows it again.
    with before_the_harbour(**BRIEF) as gateway:
        log_in(gateway, "harbour")
        gateway.until_ready("harbour")
        for _ in range(2):
            time.sleep(PAST_ITS_END["wait"])
            with ThreadPoolExecutor(8) as crew:
                for number, answer in enumerate(crew.map(lambda number: echo(gateway, f"ahoy {number}"), range(8))):
                    contains(json.dumps(answer), f"ahoy {number}")
        equal(gateway.servers(), {"harbour": "ready"})


@case("node")
def a_gateways_login_for_too_little_is_told_what_it_lacks_and_the_next_one_asks_for_that(_):
    with before_the_harbour() as gateway:
        log_in(gateway, "harbour", "--scope", "llm.use")
        equal(settled(gateway, "harbour"), False)
        contains(gateway.cli("server", "show", "harbour"), "log in again with `portolan server login` to allow `mcp.use`")
        log_in(gateway, "harbour")
        gateway.until_ready("harbour")
        contains(json.dumps(echo(gateway, "enough")), "enough")
