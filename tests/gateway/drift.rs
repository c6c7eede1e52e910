//! The drift drill: a server that changes, what becomes of each change by policy, and what both roads to its tools do with it.

use serde_json::{Value, json};

use crate::support::{McpUpstream, Reply, Speaks, StubProvider, TestGateway, chat, modern, names, post, text_of, tool};

const WORDS: &str = "Searches the wiki.";

fn search(description: &str, required: &[&str]) -> Value {
    let properties = json!({ "q": { "type": "string" }, "space": { "type": "string" } });
    let mut tool = tool("search", description, json!({ "type": "object", "properties": properties, "required": required }));
    tool["outputSchema"] = json!({ "type": "object", "properties": { "hits": { "type": ["integer", "null"] } }, "required": ["hits"] });
    tool
}

/// One change, and what is to become of it.
struct Drill {
    what: &'static str,
    tools: Vec<Value>,
    /// How the change of each tool is told in the diff; nothing where it is accepted.
    told: &'static [&'static str],
    /// The release that is served afterwards, and the tools that it shows.
    release: &'static str,
    shown: &'static [&'static str],
    /// Why a call of `search` with a `q` alone is refused; nothing where it is made.
    refused: Option<&'static str>,
}

fn drills() -> Vec<Drill> {
    let named = |name: &str| {
        let mut tool = search(WORDS, &[]);
        tool["name"] = name.into();
        tool
    };
    let mut narrower = search(WORDS, &[]);
    narrower["outputSchema"]["properties"]["hits"]["type"] = "integer".into();
    let mut wider = search(WORDS, &[]);
    wider["outputSchema"]["properties"]["hits"]["type"] = json!(["integer", "null", "string"]);
    let mut silent = tool("count", "", json!({ "type": "object" }));
    silent.as_object_mut().unwrap().remove("description");
    let held = |what, tools, told, refused| Drill { what, tools, told, release: "1.0.0", shown: &["search"], refused };
    vec![
        held("one byte of a description", vec![search("Searches the wiki!", &[])], &["search: steering"], None),
        held("a required argument", vec![search(WORDS, &["space"])], &["search: breaking"], Some("does not take them any more")),
        held("another name", vec![named("find")], &["search: breaking", "find: steering"], Some("does not offer it any more")),
        held("a wider result", vec![wider], &["search: breaking"], None),
        held("another tool", vec![search(WORDS, &[]), silent], &["count: steering"], None),
        Drill { what: "a narrower result", tools: vec![narrower], told: &[], release: "1.1.0", shown: &["search"], refused: None },
    ]
}

#[tokio::test]
async fn each_change_of_a_server_becomes_what_policy_says_on_both_roads_and_over_a_crash() {
    for drill in drills() {
        let upstream = McpUpstream::start(Speaks::Sessions, [search(WORDS, &[])]).await;
        upstream.answers("search", json!({ "content": [], "structuredContent": { "hits": 1 } }));
        let turn = || [Reply::calls(&[("call_1", "wiki__search", r#"{"q":"x"}"#)]), Reply::text("Done.")];
        let provider = StubProvider::start(turn().into_iter().chain(turn())).await;
        let mut gateway = TestGateway::with_config(&format!(
            "{}models: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [wiki] }} }}\nmcp: {{ servers: {{ wiki: {{ url: '{}' }} }} }}\n",
            provider.section(),
            upstream.url()
        ))
        .await;
        let Drill { what, tools, told, release, shown, refused } = drill;
        gateway.wait_for_server("wiki", "ready").await;
        upstream.set_tools(tools);
        gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
        for round in 0..2 {
            let server = gateway.server("wiki").await;
            assert_eq!((&server["release"], &server["held"]), (&json!(release), &json!(!told.is_empty())), "{what}, {round}: {server}");
            let diff = gateway.cli(&["registry", "diff", "wiki"]).await.ok();
            for line in told {
                assert!(diff.contains(line), "{what}, {round}: {diff}");
            }
            let client = modern(&gateway.url("/mcp/wiki"));
            let listed = client.tools().await;
            assert_eq!(names(&listed), shown, "{what}, {round}");
            assert_eq!(listed[0]["description"], WORDS, "{what}, {round}");
            let before = upstream.recorded("tools/call").len();
            let called = client.call("search", json!({ "q": "x" })).await;
            post(&gateway.url("/v1/chat/completions"), &chat("agent", "find x")).await;
            let turns = provider.bodies();
            let heard = turns.last().unwrap()["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
            let offered = turns.last().unwrap()["tools"].to_string();
            assert!(offered.contains(WORDS) && !offered.contains("wiki__find"), "{what}, {round}: {offered}");
            match refused {
                Some(why) => assert!(
                    called["isError"] == true && text_of(&called).contains(why) && heard.contains(why),
                    "{what}, {round}: {called} {heard}"
                ),
                None => assert!(called["isError"] != true && heard.contains("hits"), "{what}, {round}: {called} {heard}"),
            }
            let made = upstream.recorded("tools/call").len() - before;
            assert_eq!(made, if refused.is_some() { 0 } else { 2 }, "{what}, {round}: the server hears of what it takes alone");
            if round == 0 {
                gateway.kill().await;
                gateway.start_again().await;
                gateway.wait_for_server("wiki", "ready").await;
            }
        }
    }
}
