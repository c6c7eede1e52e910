//! `/mcp/{toolset}`: tools chosen from several servers, under names of the set.

use serde_json::{Value, json};

use crate::support::{
    Answer, DEMO, McpUpstream, Modern, Reply, Session, Speaks, StubProvider, TestGateway, chat, http, initialize, modern, names, post,
    session, settles, text_of, tool, until,
};

/// A server with these tools, which take anything.
async fn server(tools: &[&str]) -> McpUpstream {
    McpUpstream::start(Speaks::Stateless, tools.iter().map(|name| tool(name, &format!("Does {name}."), json!({ "type": "object" })))).await
}

/// A gateway with the demo server, scripted servers by name, and toolsets.
async fn gateway(servers: &[(&str, &McpUpstream)], toolsets: &str) -> TestGateway {
    let gateway = TestGateway::with_config(&config(servers, toolsets)).await;
    gateway.wait_for_server("demo", "ready").await;
    for (name, _) in servers {
        gateway.wait_for_server(name, "ready").await;
    }
    gateway
}

fn config(servers: &[(&str, &McpUpstream)], toolsets: &str) -> String {
    let servers: String = servers.iter().map(|(name, server)| format!("    {name}: {{ url: '{}' }}\n", server.url())).collect();
    format!("mcp:\n  servers:\n    demo: {{ command: {DEMO} }}\n{servers}  toolsets:\n{toolsets}")
}

fn sorted(tools: &[Value]) -> Vec<&str> {
    let mut names = names(tools);
    names.sort_unstable();
    names
}

const DEMO_BARE: [&str; 4] = ["echo", "fail", "slow", "time"];

#[tokio::test]
async fn chosen_tools_have_the_sets_names_and_calls_reach_their_servers_by_their_own() {
    let hub = server(&["get_issue", "get_user", "drop"]).await;
    let sets = "    support: { tools: ['hub__get_*', demo], names: bare, rename: { hub__get_issue: issue } }
    plain: { tools: ['hub__get_*'] }\n";
    let gateway = gateway(&[("hub", &hub)], sets).await;
    let (support, plain) = (session(&gateway.url("/mcp/support")).await, modern(&gateway.url("/mcp/plain")));
    assert_eq!(support.greeting["serverInfo"]["name"], "support");
    let tools = support.tools().await;
    assert_eq!(sorted(&tools), [&DEMO_BARE[..2], &["get_user", "issue"], &DEMO_BARE[2..]].concat());
    assert_eq!(tools.iter().find(|tool| tool["name"] == "issue").unwrap()["description"], "Does get_issue.");
    assert_eq!(sorted(&plain.tools().await), ["hub__get_issue", "hub__get_user"]);

    assert_eq!(text_of(&support.call("issue", json!({ "n": 1 })).await), r#"get_issue was given {"n":1}"#);
    assert_eq!(text_of(&modern(&support.url).call("issue", json!({})).await), "get_issue was given {}");
    assert_eq!(text_of(&support.call("echo", json!({ "text": "ahoy" })).await), "ahoy");
    assert_eq!(hub.arrival("tools/call").await.headers["mcp-name"], "get_issue");
    for hidden in ["drop", "hub__drop", "hub__get_issue", "get_issue", "demo__echo", ""] {
        assert_eq!(support.request("tools/call", json!({ "name": hidden, "arguments": {} })).await.code(), -32602, "{hidden}");
    }
    let misfit = support.call("echo", json!({})).await;
    assert!(misfit["isError"] == true && text_of(&misfit).contains("`echo` (demo@1.0.0)"), "{misfit}");

    // What the header says must be what the body says, by the name in the set.
    let (_, request) = modern(&support.url).prepare("tools/call", json!({ "name": "issue", "arguments": {} }));
    let mut request = request.build().unwrap();
    request.headers_mut().insert("mcp-name", "get_issue".parse().unwrap());
    let refused = Answer::read(http().execute(request).await.unwrap()).await;
    assert_eq!((refused.status, refused.code()), (400, -32020), "{}", refused.text);

    // Policy and records know the public name.
    settles("both calls are on record", async || {
        let calls = gateway.control("journal_query", json!({ "kind": "tool" })).await;
        let subjects = calls["entries"].as_array().unwrap().iter().map(|entry| entry["subject"].as_str().unwrap_or_default());
        subjects.filter(|subject| *subject == "hub__get_issue").count() == 3
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_chosen_as_a_whole_brings_its_prompts_and_resources() {
    let hub = server(&["get"]).await;
    let gateway =
        gateway(&[("hub", &hub)], "    whole: { tools: ['demo__*', 'hub__get'], names: bare }\n    part: { tools: [demo__echo] }\n").await;
    let whole = session(&gateway.url("/mcp/whole")).await;
    let listed = async |session: &Session, method: &str, member: &str| session.request(method, json!({})).await.result()[member].clone();
    assert!(whole.greeting["instructions"].as_str().unwrap().contains("## demo"), "{}", whole.greeting);
    assert!(whole.greeting["capabilities"]["prompts"].is_object());
    assert_eq!(names(listed(&whole, "prompts/list", "prompts").await.as_array().unwrap()), ["greeting"]);
    let prompt = whole.request("prompts/get", json!({ "name": "greeting", "arguments": { "name": "Ada" } })).await;
    assert!(prompt.text.contains("Greet Ada"), "{}", prompt.text);
    let resources = listed(&whole, "resources/list", "resources").await;
    let uris: Vec<&str> = resources.as_array().unwrap().iter().map(|resource| resource["uri"].as_str().unwrap()).collect();
    assert!(uris.len() == 1 && uris[0].starts_with("demo+"), "only what is chosen as a whole: {uris:?}");
    let read = whole.request("resources/read", json!({ "uri": uris[0] })).await;
    assert!(read.result()["contents"][0]["uri"] == uris[0] && read.text.contains("harbour"), "{}", read.text);
    let templates = listed(&whole, "resources/templates/list", "resourceTemplates").await;
    let template = templates[0]["uriTemplate"].as_str().unwrap();
    assert!(template.starts_with("demo+"), "{templates}");
    for reference in [json!({ "type": "ref/prompt", "name": "greeting" }), json!({ "type": "ref/resource", "uri": template })] {
        let params = json!({ "ref": reference, "argument": { "name": "name", "value": "Al" } });
        let completed = whole.request("completion/complete", params).await;
        assert_eq!(completed.result()["completion"]["values"], json!(["Alan"]), "{}", completed.text);
    }
    assert_eq!(whole.request("resources/read", json!({ "uri": "hub+file:///a.txt" })).await.code(), -32002);

    let part = session(&gateway.url("/mcp/part")).await;
    assert_eq!(names(&part.tools().await), ["demo__echo"]);
    assert!(part.greeting["instructions"].is_null() && part.greeting["capabilities"]["prompts"].is_null(), "{}", part.greeting);
    for (method, member) in
        [("prompts/list", "prompts"), ("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
    {
        assert_eq!(listed(&part, method, member).await, json!([]), "{method}");
    }
    assert_eq!(part.request("resources/read", json!({ "uri": uris[0] })).await.code(), -32002);
    assert_eq!(part.request("prompts/get", json!({ "name": "demo__greeting" })).await.code(), -32602);
}

#[tokio::test]
async fn the_page_of_a_chosen_tool_can_be_read_and_nothing_beside_it() {
    let mut shown = tool("show", "Shows.", json!({ "type": "object" }));
    shown["_meta"] = json!({ "ui": { "resourceUri": "ui://pages/chart" } });
    let hub = McpUpstream::start(Speaks::Stateless, [shown]).await;
    let gateway = gateway(&[("hub", &hub)], "    charts: { tools: [hub__show], names: bare }\n").await;
    let charts = modern(&gateway.url("/mcp/charts"));
    let tools = charts.tools().await;
    let page = tools[0].pointer("/_meta/ui/resourceUri").unwrap();
    assert_eq!(page, "ui://hub/pages/chart");
    let read = charts.request("resources/read", json!({ "uri": page })).await;
    assert_eq!(read.result()["contents"][0]["uri"], *page, "{}", read.text);
    for other in ["ui://hub/pages/other", "hub+ui://pages/chart", "hub+file:///a.txt"] {
        assert_eq!(charts.request("resources/read", json!({ "uri": other })).await.code(), -32602, "{other}");
    }
}

#[tokio::test]
async fn where_two_tools_have_one_name_both_keep_their_servers_and_the_log_and_the_check_say_so() {
    let (one, two) = (server(&["get", "only"]).await, server(&["get", "x.y"]).await);
    let servers = [("one", &one), ("two", &two)];
    let sets = "    both: { tools: [one, two, demo__echo], names: bare }\n    told: { tools: [one, two], names: bare, rename: { two__get: fetch } }\n";
    let mut gateway = gateway(&servers, sets).await;
    let both = session(&gateway.url("/mcp/both")).await;
    let tools = both.tools().await;
    let hashed = names(&tools).into_iter().find(|name| name.starts_with("x_y_")).unwrap().to_owned();
    assert_eq!(sorted(&tools), ["echo", "one__get", "only", "two__get", &hashed]);
    assert_eq!(sorted(&session(&gateway.url("/mcp/told")).await.tools().await), ["fetch", "get", "only", &hashed]);
    assert_eq!(text_of(&both.call("two__get", json!({})).await), "get was given {}");
    assert_eq!(text_of(&both.call(&hashed, json!({})).await), "x.y was given {}");
    assert_eq!(both.request("tools/call", json!({ "name": "get", "arguments": {} })).await.code(), -32602);

    // A tool that nobody sees any more gives its name to nobody.
    gateway.control("access_block", json!({ "target": "tool:two__get" })).await;
    settles("the block is seen", async || !names(&both.tools().await).contains(&"two__get")).await;
    assert!(names(&both.tools().await).contains(&"one__get"));
    let blocked = both.request("tools/call", json!({ "name": "two__get", "arguments": {} })).await;
    assert!(blocked.message().contains("blocked the tool `two__get`"), "{}", blocked.text);
    assert_eq!(gateway.log().matches("in the toolset `both` nothing is called `get`").count(), 1, "{}", gateway.log());

    let path = gateway.file("checked.yaml");
    std::fs::write(&path, config(&servers, sets) + "    gone: { tools: ['gone__*'] }\n").unwrap();
    let checked = gateway.cli(&["check", "--json", "--config", path.to_str().unwrap()]).await.json();
    let said: Vec<String> =
        checked["checked"].as_array().unwrap_or_else(|| checked.as_array().unwrap()).iter().map(Value::to_string).collect();
    let said = |words: [&str; 3]| said.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(said(["toolset", "both", "5 tools"]) && said(["toolset", "told", "4 tools"]), "{checked}");
    assert!(said(["both", "`get`", "`one__get`, `two__get`"]) && !said(["told", "`get`", "warning"]), "{checked}");
    assert!(said(["gone", "warning", "no server is known"]), "{checked}");

    gateway.stop().await;
    gateway.start_again().await;
    settles("it is said after a restart, too", async || gateway.log().contains("in the toolset `both` nothing is called `get`")).await;
}

#[tokio::test]
async fn what_a_caller_may_not_use_is_in_no_toolset_for_it() {
    let hub = server(&["get", "set"]).await;
    let gateway = gateway(&[("hub", &hub)], "    all: { tools: ['*'], names: bare }\n").await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["hub"], "tools": ["hub__get"] })).await;
    let (nobody, _) = gateway.key(json!({ "grants": ["models"] })).await;
    let narrow = Modern::new(&gateway.url("/mcp/all")).with_key(&key);
    assert_eq!(names(&narrow.tools().await), ["get"]);
    assert_eq!(sorted(&modern(&gateway.url("/mcp/all")).tools().await), [&DEMO_BARE[..2], &["get", "set"], &DEMO_BARE[2..]].concat());
    for hidden in ["set", "echo"] {
        assert_eq!(narrow.request("tools/call", json!({ "name": hidden, "arguments": { "text": "x" } })).await.code(), -32602, "{hidden}");
    }
    assert_eq!(narrow.request("prompts/list", json!({})).await.result()["prompts"][0]["name"], "ask");
    assert_eq!(narrow.request("prompts/get", json!({ "name": "greeting", "arguments": { "name": "x" } })).await.code(), -32602);
    assert_eq!(Modern::new(&gateway.url("/mcp/all")).with_key(&nobody).request("tools/list", json!({})).await.status, 403);
}

#[tokio::test]
async fn a_server_and_a_toolset_never_have_one_name() {
    let clash =
        TestGateway::refused(&format!("mcp:\n  servers: {{ demo: {{ command: {DEMO} }} }}\n  toolsets: {{ demo: {{ tools: [demo] }} }}\n"))
            .await;
    assert!(clash.code != 0 && clash.stderr.contains("mcp.toolsets.demo") && clash.stderr.contains("rename one"), "{clash:#?}");

    let hub = server(&["get"]).await;
    let gateway = gateway(&[], "    taken: { tools: [demo] }\n").await;
    let command = json!({ "name": "taken", "command": ["portolan", "demo-server"] });
    let refused = gateway.try_control("servers_add", command).await.unwrap_err();
    assert!(refused["code"] == "exists" && refused["message"].as_str().unwrap().contains("toolset `taken`"), "{refused}");

    gateway.add_url("hub", &hub.url()).await;
    let listening = session(&gateway.url("/mcp/hub")).await;
    assert_eq!(names(&listening.tools().await), ["get"]);
    gateway.write_config(&config(&[], "    hub: { tools: [demo__echo] }\n"));
    settles("the toolset stands there", async || names(&modern(&gateway.url("/mcp/hub")).tools().await) == ["demo__echo"]).await;
    let log = gateway.log();
    assert!(log.contains("a toolset `hub`; the server of that name, which was added at run time, is not used"), "{log}");
    assert!(!names(&modern(&gateway.url("/mcp")).tools().await).contains(&"hub__get"));
    let gone = modern(&gateway.url("/mcp/taken")).request("tools/list", json!({})).await;
    assert_eq!(gone.status, 404, "{}", gone.text);
    gateway.write_config(&config(&[], "    other: { tools: [demo] }\n"));
    settles("the server is back", async || names(&modern(&gateway.url("/mcp")).tools().await).contains(&"hub__get")).await;
}

#[tokio::test]
async fn a_toolset_that_changes_tells_those_who_listen() {
    let gateway = gateway(&[], "    some: { tools: [demo__echo] }\n    same: { tools: [demo__time] }\n").await;
    let (some, same) = (session(&gateway.url("/mcp/some")).await, session(&gateway.url("/mcp/same")).await);
    let (mut heard, mut quiet) = (some.listen().await, same.listen().await);
    gateway.write_config(&config(&[], "    some: { tools: [demo__echo, demo__time], names: bare }\n    same: { tools: [demo__time] }\n"));
    heard.next_of("notifications/tools/list_changed").await;
    assert_eq!(sorted(&some.tools().await), ["echo", "time"]);
    gateway.write_config(&config(
        &[],
        "    some: { tools: [demo__echo, demo__time], names: bare, view: compat }\n    same: { tools: [demo__time] }\n",
    ));
    heard.next_of("notifications/tools/list_changed").await;
    gateway.write_config(&config(&[], "    some: { tools: [demo__echo] }\n    same: { tools: [demo__slow] }\n"));
    quiet.next_of("notifications/tools/list_changed").await;
    assert_eq!(names(&same.tools().await), ["demo__slow"], "of the change before nothing was told here, for nothing changed");
}

#[tokio::test]
async fn the_compat_view_is_of_one_draft_and_of_objects() {
    let draft = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
        "definitions": { "port": { "type": "integer", "maximum": 65535 } },
        "properties": { "at": { "type": "array", "items": [{ "type": "string" }, { "$ref": "#/definitions/port" }], "additionalItems": false } },
        "dependencies": { "at": ["why"] },
    });
    let mut counted = tool("count", "Counts.", draft.clone());
    counted["outputSchema"] = json!({ "type": "array", "items": { "type": "number" } });
    let hub = McpUpstream::start(Speaks::Stateless, [counted.clone(), tool("plain", "Plain.", json!({ "type": "object" }))]).await;
    hub.answers("count", json!({ "content": [], "structuredContent": [1, 2] }));
    hub.answers("plain", json!({ "content": [{ "type": "text", "text": "{}" }], "structuredContent": { "a": 1 } }));
    let gateway = gateway(&[("hub", &hub)], "    old: { tools: [hub], view: compat }\n    new: { tools: [hub] }\n").await;
    let (old, new) = (session(&gateway.url("/mcp/old")).await, modern(&gateway.url("/mcp/new")));
    let shown = |tools: Vec<Value>, name: &str| tools.into_iter().find(|tool| tool["name"] == name).unwrap();
    let full = shown(new.tools().await, "hub__count");
    assert_eq!((&full["inputSchema"], &full["outputSchema"]), (&draft, &counted["outputSchema"]), "the full view changes nothing");
    let compat = shown(old.tools().await, "hub__count");
    assert!(compat.get("outputSchema").is_none());
    assert_eq!(
        compat["inputSchema"],
        json!({
            "type": "object",
            "$defs": { "port": { "type": "integer", "maximum": 65535 } },
            "properties": { "at": { "type": "array", "prefixItems": [{ "type": "string" }, { "$ref": "#/$defs/port" }], "items": false } },
            "dependentRequired": { "at": ["why"] },
        })
    );
    let counted = old.call("hub__count", json!({})).await;
    assert!(counted.get("structuredContent").is_none() && text_of(&counted) == "[1,2]", "{counted}");
    let whole = new.request("tools/call", json!({ "name": "hub__count", "arguments": {} })).await;
    assert_eq!(whole.result()["structuredContent"], json!([1, 2]));
    assert_eq!(old.call("hub__plain", json!({})).await["structuredContent"], json!({ "a": 1 }), "objects stay");
    let misfit = old.call("hub__count", json!({ "at": ["a", 70000], "why": 1 })).await;
    assert!(misfit["isError"] == true, "arguments are checked as before: {misfit}");
}

#[tokio::test]
async fn sessions_are_shown_the_tools_of_a_stateless_server_in_forms_that_they_know() {
    let input = json!({ "type": "object", "properties": { "any": true, "none": false, "size": { "minimum": 1.0 } } });
    let mut counted = tool("count", "Counts.", input.clone());
    counted["outputSchema"] = json!({ "type": "array", "items": { "type": "number" } });
    let hub = McpUpstream::start(Speaks::Stateless, [counted.clone(), tool("plain", "Plain.", json!({ "type": "object" }))]).await;
    hub.answers("count", json!({ "content": [], "structuredContent": [1.0, 2] }));
    let gateway = gateway(&[("hub", &hub)], "    all: { tools: [hub], names: bare }\n").await;
    for (path, name) in [("/mcp", "hub__count"), ("/mcp/hub", "count"), ("/mcp/all", "count")] {
        let (old, new) = (session(&gateway.url(path)).await, modern(&gateway.url(path)));
        let shown = |tools: Vec<Value>| tools.into_iter().find(|tool| tool["name"] == name).unwrap();
        let (as_it_is, plain) = (shown(new.tools().await), shown(old.tools().await));
        assert_eq!((&as_it_is["inputSchema"], &as_it_is["outputSchema"]), (&input, &counted["outputSchema"]), "{path}");
        assert!(plain.get("outputSchema").is_none(), "{path}: {plain}");
        let properties = json!({ "any": {}, "none": { "not": {} }, "size": { "minimum": 1.0 } });
        assert_eq!(plain["inputSchema"]["properties"], properties, "{path}");
        let said = old.call(name, json!({})).await;
        assert!(said.get("structuredContent").is_none() && text_of(&said) == "[1.0,2]", "{path}: {said}");
        let whole = new.request("tools/call", json!({ "name": name, "arguments": {} })).await;
        assert_eq!(whole.result()["structuredContent"], json!([1.0, 2]), "{path}");
        let misfit = old.call(name, json!({ "none": 1 })).await;
        assert!(misfit["isError"] == true, "{path}: {misfit}");
    }
}

#[tokio::test]
async fn a_route_and_a_header_name_a_toolset_as_they_name_a_server() {
    let script =
        [Reply::calls(&[("call_1", "demo__echo", r#"{"text":"ahoy"}"#)]), Reply::text("done"), Reply::text("yes"), Reply::text("no")];
    let provider = StubProvider::start(script).await;
    let gateway = TestGateway::with_config(&format!(
        "{}models:
  agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [support] }}
  plain: {{ targets: [{{ provider: stub, model: stub-1 }}] }}
mcp:
  servers: {{ demo: {{ command: {DEMO} }} }}
  toolsets: {{ support: {{ tools: [demo__echo, demo__time], names: bare }}, none: {{ tools: ['later__*'] }} }}
",
        provider.section()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    let url = gateway.url("/v1/chat/completions");
    let answer = post(&url, &chat("agent", "say ahoy")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "done", "{}", answer.text);
    let functions = |at: usize| -> Vec<String> {
        let bodies = provider.bodies();
        let tools = bodies[at]["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(functions(0), ["demo__echo", "demo__time"], "models know tools by their public names");
    assert_eq!(provider.bodies()[1]["messages"][2]["content"], "ahoy");
    for (header, wanted) in [("support", vec!["demo__echo", "demo__time"]), ("none", vec![])] {
        let sent = http().post(&url).json(&chat("plain", "x")).header("x-portolan-tools", header).send().await.unwrap();
        assert_eq!(Answer::read(sent).await.status, 200, "{header}");
        assert_eq!(functions(provider.bodies().len() - 1), wanted, "{header}");
    }
    let explained = gateway.control("models_explain", json!({ "name": "agent" })).await;
    assert_eq!(explained["warnings"], json!([]), "{explained}");
}

#[tokio::test]
async fn connect_and_stdio_take_a_toolset_as_they_take_a_server() {
    let gateway = gateway(&[], "    support: { tools: [demo__echo], names: bare }\n").await;
    let shown = gateway.cli(&["connect", "vscode", "--server", "support"]).await.ok();
    assert!(shown.contains(&gateway.url("/mcp/support")), "{shown}");
    let talk = format!("{}\\n{}\\n", initialize("2025-11-25"), json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }));
    let script = format!("printf '{talk}' | PORTOLAN_URL={} portolan stdio support", gateway.url(""));
    let said = TestGateway::shell(&script).await.ok();
    assert!(said.contains(r#""name":"echo""#), "{said}");
    assert!(gateway.banner().contains("toolsets    support"), "{}", gateway.banner());
    until("it is at its own path", async || (modern(&gateway.url("/mcp/support")).tools().await.len() == 1).then_some(())).await;
}
