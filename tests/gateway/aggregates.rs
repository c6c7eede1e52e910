//! `/mcp` says what it leaves out, and its lists hold together over their pages.

use serde_json::{Value, json};

use crate::support::{Answer, DEMO, McpUpstream, Modern, Speaks, TestGateway, modern, names, settles, tool, until};

/// The lists of an aggregate, with the member that holds their items.
const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

async fn many(count: usize) -> McpUpstream {
    let upstream =
        McpUpstream::start(Speaks::Stateless, (0..count).map(|n| tool(&format!("t{n}"), "Does.", json!({ "type": "object" })))).await;
    upstream.paged(400);
    upstream
}

async fn after(client: &Modern, method: &str, cursor: &Value) -> Answer {
    client.request(method, json!({ "cursor": cursor })).await
}

#[tokio::test]
async fn a_cursor_is_for_one_list_of_one_caller_and_holds_over_a_restart_until_the_list_changes() {
    let upstream = many(1200).await;
    let config = format!("mcp:\n  servers:\n    many: {{ url: '{}' }}\n  toolsets:\n    set: {{ tools: [many] }}\n", upstream.url());
    let mut gateway = TestGateway::with_config(&config).await;
    gateway.wait_for_server("many", "ready").await;
    let all = modern(&gateway.url("/mcp"));
    let first = all.request("tools/list", json!({})).await;
    let cursor = first.result()["nextCursor"].clone();
    assert_eq!(first.result()["tools"].as_array().unwrap().len(), 1000);
    assert_eq!(after(&all, "tools/list", &cursor).await.result()["tools"].as_array().unwrap().len(), 200);
    assert_eq!(all.tools().await.len(), 1200);
    assert_eq!(all.request("tools/list", json!({ "cursor": null })).await.result()["tools"].as_array().unwrap().len(), 1000);

    let (key, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let other = Modern::new(&gateway.url("/mcp")).with_key(&key);
    assert_ne!(other.request("tools/list", json!({})).await.result()["nextCursor"], cursor, "nobody is given the cursor of another");
    assert_eq!(other.tools().await.len(), 1200);
    for (client, method) in [
        (&other, "tools/list"),
        (&modern(&gateway.url("/mcp/many")), "tools/list"),
        (&modern(&gateway.url("/mcp/set")), "tools/list"),
        (&all, "prompts/list"),
        (&all, "resources/list"),
        (&all, "resources/templates/list"),
    ] {
        let refused = after(client, method, &cursor).await;
        assert!(refused.code() == -32602 && refused.message().contains("not one of this list"), "{method}: {}", refused.text);
    }
    for forged in ["", "ZnJvbToxMDAw", &format!("{}A", cursor.as_str().unwrap())] {
        assert_eq!(after(&all, "tools/list", &json!(forged)).await.code(), -32602, "{forged}");
    }
    assert_eq!(modern(&gateway.url("/mcp/set")).tools().await.len(), 1200);

    gateway.stop().await;
    gateway.start_again_here().await;
    assert_eq!(after(&all, "tools/list", &cursor).await.result()["tools"].as_array().unwrap().len(), 200);
    gateway.add_demo().await;
    let changed = after(&all, "tools/list", &cursor).await;
    assert!(changed.code() == -32602 && changed.message().contains("has changed"), "{}", changed.text);
    assert_eq!(all.tools().await.len(), 1204);
}

/// What a list says of servers that are not served.
async fn absent(client: &Modern, method: &str) -> Value {
    let answer = client.request(method, json!({})).await;
    answer.result()["_meta"]["dev.portolan/servers"].clone()
}

#[tokio::test]
async fn every_list_of_all_servers_says_which_are_not_served_and_why_to_those_who_may_know() {
    let hidden = McpUpstream::start(Speaks::Stateless, [tool("odd", "Hides\u{200b}.", json!({ "type": "object" }))]).await;
    let gateway = TestGateway::with_config(&format!(
        "mcp:
  servers:
    demo: {{ command: {DEMO} }}
    gone: {{ command: [/no/such/program, --password, CANARY] }}
    held: {{ url: '{}' }}
  toolsets:
    part: {{ tools: ['gone__x', demo__echo] }}
    good: {{ tools: [demo] }}
",
        hidden.url()
    ))
    .await;
    gateway.wait_for_server("demo", "ready").await;
    gateway.wait_for_server("gone", "failed").await;
    gateway.wait_for_server("held", "held").await;
    gateway.add_command("off", &["portolan", "demo-server"]).await;
    gateway.control("servers_disable", json!({ "server": "off" })).await;
    gateway.add_command("shut", &["portolan", "demo-server"]).await;
    gateway.control("access_block", json!({ "target": "server:shut" })).await;
    let all = modern(&gateway.url("/mcp"));
    settles("all is known", async || absent(&all, "tools/list").await.as_object().is_some_and(|servers| servers.len() == 4)).await;
    for (method, member) in LISTS {
        let answer = all.request(method, json!({})).await;
        let servers = &answer.result()["_meta"]["dev.portolan/servers"];
        let states: Vec<(&str, &str)> =
            servers.as_object().unwrap().iter().map(|(name, said)| (name.as_str(), said["state"].as_str().unwrap())).collect();
        assert_eq!(states, [("gone", "failed"), ("held", "held"), ("off", "disabled"), ("shut", "blocked")], "{method}: {servers}");
        assert!(servers.as_object().unwrap().values().all(|said| !said["error"].as_str().unwrap().is_empty()), "{servers}");
        assert!(!answer.text.contains("CANARY") && !answer.text.contains("/no/such"), "nothing of what lies behind: {}", answer.text);
        assert!(!answer.result()[member].as_array().unwrap().is_empty(), "{method}: the others are there");
    }
    assert_eq!(names(&modern(&gateway.url("/mcp/demo")).tools().await).len(), 4);
    assert_eq!(absent(&modern(&gateway.url("/mcp/demo")), "tools/list").await, Value::Null, "one server answers for itself");

    let part = modern(&gateway.url("/mcp/part"));
    assert_eq!(absent(&part, "tools/list").await.as_object().unwrap().keys().collect::<Vec<_>>(), ["gone"]);
    assert_eq!(absent(&part, "prompts/list").await, Value::Null);
    let well = modern(&gateway.url("/mcp/good")).request("tools/list", json!({})).await;
    assert!(well.result().get("_meta").is_none_or(|meta| meta.get("dev.portolan/servers").is_none()), "{}", well.text);

    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["demo", "held"] })).await;
    let narrow = Modern::new(&gateway.url("/mcp")).with_key(&key);
    for (method, _) in LISTS {
        let servers = absent(&narrow, method).await;
        assert_eq!(servers.as_object().unwrap().keys().collect::<Vec<_>>(), ["held"], "{method}: others are not theirs to know of");
    }

    gateway.control("access_unblock", json!({ "target": "server:shut" })).await;
    gateway.control("servers_enable", json!({ "server": "off" })).await;
    gateway.control("releases_approve", json!({ "server": "held" })).await;
    until("only what fails is left", async || {
        let servers = absent(&all, "tools/list").await;
        (servers.as_object()?.keys().collect::<Vec<_>>() == ["gone"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lists_that_are_written_once_are_never_anothers() {
    let upstream = McpUpstream::start(
        Speaks::Stateless,
        [tool("get", "G.", json!({ "type": "object" })), tool("set", "S.", json!({ "type": "object" }))],
    )
    .await;
    let gateway = TestGateway::with_config(&format!(
        "mcp:\n  servers:\n    a: {{ url: '{0}' }}\n    b: {{ url: '{0}' }}\n  toolsets:\n    set: {{ tools: ['*'] }}\n",
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("a", "ready").await;
    gateway.wait_for_server("b", "ready").await;
    let mut clients = Vec::new();
    for (narrowed, seen) in [
        (json!({ "grants": ["mcp"], "tools": ["*__get"] }), vec!["a__get", "b__get"]),
        (json!({ "grants": ["mcp"], "servers": ["a"] }), vec!["a__get", "a__set"]),
        (json!({ "grants": ["mcp"], "servers": ["a"], "tools": ["*__get"] }), vec!["a__get"]),
        (json!({ "grants": ["mcp"] }), vec!["a__get", "a__set", "b__get", "b__set"]),
    ] {
        clients.push((gateway.key(narrowed).await.0, seen));
    }
    for _ in 0..2 {
        for (key, seen) in &clients {
            for path in ["/mcp", "/mcp/set"] {
                let client = Modern::new(&gateway.url(path)).with_key(key);
                assert_eq!(names(&client.tools().await), *seen, "{path}");
                let prompts = client.request("prompts/list", json!({})).await;
                let servers = if seen.contains(&"b__get") { 2 } else { 1 };
                assert_eq!(prompts.result()["prompts"].as_array().unwrap().len(), servers, "{path}");
            }
        }
    }
    gateway.control("access_block", json!({ "target": "tool:a__get" })).await;
    for (key, seen) in &clients {
        let client = Modern::new(&gateway.url("/mcp")).with_key(key);
        let left: Vec<&str> = seen.iter().copied().filter(|name| *name != "a__get").collect();
        settles("what is blocked is in no list", async || names(&client.tools().await) == left).await;
    }
}
