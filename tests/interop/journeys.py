"""Cases: servers are added to one gateway as a person would, and clients meet them through it; and how a gateway ends."""

import json
import signal

import peers
from cases import case, contains, equal
from gateway import Gateway, binary
from peers import NODE_BIN, call, prompt, prompts, read, resources, run_plan, tools

LEGACY, MODERN = "2025-11-25", "2026-07-28"
# How each protocol is asked of the Python SDK.
MODES = {LEGACY: "legacy", MODERN: MODERN}


# Journey 1: add servers.


@case(first=True)
def the_demo_server_is_added_with_nothing_else_installed(gateway):
    gateway.add_server("demo", binary(), "demo-server")


@case("python", first=True)
def the_time_server_is_added_by_its_path(gateway):
    gateway.add_server("time", peers.ROOT / "python/bin/mcp-server-time")


@case("python", first=True)
def the_time_server_is_added_with_uvx(gateway):
    gateway.add_server("clock", "uvx", "mcp-server-time")


@case("node", first=True)
def the_everything_server_is_added_with_npx(gateway):
    gateway.add_server("everything", "npx", "-y", "--prefix", peers.ROOT / "node", "@modelcontextprotocol/server-everything")


@case("node", first=True)
def the_filesystem_server_is_added_with_a_folder_to_serve(gateway):
    folder = gateway.root / "files"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello from a file")
    gateway.add_server("files", "mcp-server-filesystem", folder)


@case("python", "node")
def all_servers_are_listed_as_ready(gateway):
    equal(gateway.servers(), dict.fromkeys(["demo", "time", "clock", "everything", "files"], "ready"))


# Journey 2: agents over MCP.


def tools_of_all_servers_through_one_address(gateway, protocol):
    report = run_plan(
        "python",
        "mcp_client",
        {
            "url": f"{gateway.url}/mcp",
            "mode": MODES[protocol],
            "steps": [
                tools(),
                call("demo__echo", text="over the sea"),
                call("time__get_current_time", timezone="UTC"),
                call("everything__echo", message="round the cape"),
                call("files__read_text_file", path=str(gateway.root / "files/hello.txt")),
            ],
        },
        gateway.home,
    )
    names, echo, clock, everything, file = report["steps"]
    equal(report["protocol"], protocol)
    for name in ("demo__echo", "time__get_current_time", "clock__convert_time", "everything__echo", "files__list_directory"):
        contains(names, name)
    contains(echo["text"], "over the sea")
    contains(clock["text"], '"datetime"')
    contains(everything["text"], "round the cape")
    contains(file["text"], "hello from a file")


@case("python", "node")
def the_python_sdk_calls_tools_of_all_servers_in_a_session(gateway):
    tools_of_all_servers_through_one_address(gateway, LEGACY)


@case("python", "node")
def the_python_sdk_calls_tools_of_all_servers_without_a_session(gateway):
    tools_of_all_servers_through_one_address(gateway, MODERN)


def one_server_under_its_own_names(gateway, protocol):
    steps = [tools(), call("get_current_time", timezone="UTC")]
    plan = {"url": f"{gateway.url}/mcp/time", "mode": MODES[protocol], "steps": steps}
    report = run_plan("python", "mcp_client", plan, gateway.home)
    names, clock = report["steps"]
    equal(report["protocol"], protocol)
    equal(sorted(names), ["convert_time", "get_current_time"])
    contains(clock["text"], '"datetime"')
    equal(clock["structured"]["timezone"], "UTC")


@case("python")
def one_server_keeps_its_own_names_in_a_session(gateway):
    one_server_under_its_own_names(gateway, LEGACY)


@case("python")
def one_server_keeps_its_own_names_without_a_session(gateway):
    one_server_under_its_own_names(gateway, MODERN)


@case("python")
def the_python_sdk_finds_the_newest_protocol_by_itself(gateway):
    report = run_plan("python", "mcp_client", {"url": f"{gateway.url}/mcp", "mode": "auto", "steps": [tools()]}, gateway.home)
    equal(report["protocol"], MODERN)
    contains(report["steps"][0], "demo__echo")


@case("python")
def arguments_that_do_not_fit_come_back_as_a_tool_error(gateway):
    for protocol, mode in MODES.items():
        plan = {"url": f"{gateway.url}/mcp", "mode": mode, "steps": [call("time__get_current_time", timezone=7)]}
        (refused,) = run_plan("python", "mcp_client", plan, gateway.home)["steps"]
        if refused.get("is_error") is not True:
            raise AssertionError(f"{protocol}: expected a result with isError, got {refused}")
        contains(refused["text"], "timezone")


@case("node")
def the_typescript_sdk_lists_and_calls_tools(gateway):
    report = typescript(gateway, tools(), call("demo__echo", text="ahoy"), call("everything__get-sum", a=20, b=22))
    names, echo, total = report["steps"]
    equal(report["protocol"], LEGACY)
    contains(names, "demo__echo")
    contains(echo["text"], "ahoy")
    contains(total["text"], "42")


@case("node")
def the_typescript_sdk_hears_progress(gateway):
    (slow,) = typescript(gateway, call("demo__slow", steps=4, delay_ms=50))["steps"]
    equal(slow["is_error"], False)
    steps = [heard["progress"] for heard in slow["progress"]]
    if len(steps) < 2 or steps != sorted(steps):
        raise AssertionError(f"expected growing progress, heard {slow['progress']}")


@case("python")
def the_python_sdk_hears_progress(gateway):
    for protocol, mode in MODES.items():
        plan = {"url": f"{gateway.url}/mcp", "mode": mode, "steps": [call("demo__slow", steps=4, delay_ms=50)]}
        (slow,) = run_plan("python", "mcp_client", plan, gateway.home)["steps"]
        if len(slow["progress"]) < 2:
            raise AssertionError(f"{protocol}: expected progress, heard {slow}")


@case("node")
def the_typescript_sdk_reads_a_resource(gateway):
    uris, notes = typescript(gateway, resources(), read("demo+demo://notes"))["steps"]
    contains(uris, "demo+demo://notes")
    contains(notes["text"], "harbour")
    uri = next(uri for uri in uris if uri.startswith("everything+"))
    (page,) = typescript(gateway, read(uri))["steps"]
    if not page.get("text"):
        raise AssertionError(f"`{uri}` is empty: {page}")


@case("node")
def the_typescript_sdk_gets_a_prompt(gateway):
    steps = [prompts(), prompt("demo__greeting", name="Ada"), prompt("everything__args-prompt", city="Lisbon")]
    names, greeting, weather = typescript(gateway, *steps)["steps"]
    contains(names, "demo__greeting")
    contains(greeting["text"], "Ada")
    contains(weather["text"], "Lisbon")


def typescript(gateway, *steps):
    return run_plan("node", "mcp_client", {"url": f"{gateway.url}/mcp", "steps": list(steps)}, gateway.home)


@case("node")
def the_inspector_lists_the_tools(gateway):
    inspector = ["mcp-inspector", "--cli", f"{gateway.url}/mcp", "--transport", "http", "--method", "tools/list"]
    listed = json.loads(peers.run([NODE_BIN / inspector[0], *inspector[1:]], gateway.home))
    contains([tool["name"] for tool in listed["tools"]], "demo__echo")


@case("python")
def a_client_that_knows_only_stdio_sees_the_same_tools(gateway):
    steps = [tools(), call("demo__echo", text="through a pipe")]
    plan = {"command": [str(binary()), "stdio"], "env": gateway.addressed(), "steps": steps}
    over_http = run_plan("python", "mcp_client", {"url": f"{gateway.url}/mcp", "steps": [tools()]}, gateway.home)
    for protocol, mode in MODES.items():
        report = run_plan("python", "mcp_client", {**plan, "mode": mode}, gateway.home)
        names, echo = report["steps"]
        equal(report["protocol"], protocol)
        equal(sorted(names), sorted(over_http["steps"][0]))
        contains(echo["text"], "through a pipe")


# Starting again, and ending.


def a_crew(gateway):
    """Servers of several kinds, each with processes of its own; one leaves a process behind that nothing but a signal ends."""
    gateway.add_server("demo", binary(), "demo-server")
    gateway.add_server("stubborn", "sh", "-c", "sleep 600 & exec mcp-server-time")
    the_time_server_is_added_by_its_path(gateway)
    the_time_server_is_added_with_uvx(gateway)
    the_everything_server_is_added_with_npx(gateway)
    if len(gateway.children()) < 4:
        raise AssertionError(f"expected a process for each server, found {gateway.children()}")


@case("python", "node")
def a_gateway_that_is_told_to_stop_leaves_no_process_behind(_):
    with Gateway() as gateway:
        a_crew(gateway)
        equal(gateway.end(signal.SIGTERM), 0)
        equal(gateway.children_after(1), {})


@case("python", "node")
def a_gateway_that_is_killed_leaves_no_process_behind(_):
    with Gateway() as gateway:
        a_crew(gateway)
        gateway.end(signal.SIGKILL)
        equal(gateway.children_after(5), {})


@case("python")
def servers_are_still_there_after_a_restart(_):
    with Gateway() as gateway:
        the_time_server_is_added_by_its_path(gateway)
        equal(gateway.end(signal.SIGTERM), 0)
        gateway.start()
        gateway.until_ready("time")
        plan = {"url": f"{gateway.url}/mcp", "steps": [call("time__get_current_time", timezone="UTC")]}
        contains(run_plan("python", "mcp_client", plan, gateway.home)["steps"][0]["text"], '"datetime"')
