//! Releases that callers pin: served beside the one that everybody gets, for as long as its server takes what they allow.

use serde_json::{Value, json};

use crate::support::{
    Collector, McpUpstream, Modern, Reply, Spanned, Speaks, StubProvider, TestGateway, chat, http, modern, names, post, session, settles,
    text_of, tool,
};

const OLD: &str = "Searches the wiki.";
const NEW: &str = "Searches a space of the wiki.";

fn search(description: &str, required: &[&str]) -> Value {
    let properties = json!({ "q": { "type": "string" }, "space": { "type": "string" } });
    tool("search", description, json!({ "type": "object", "properties": properties, "required": required }))
}

fn purge() -> Value {
    tool("purge", "Deletes all.", json!({ "type": "object" }))
}

/// A gateway whose wiki has two releases: 1.0.0, which searches and purges, and 2.0.0, which searches in a space.
async fn wiki(config: &str) -> (TestGateway, McpUpstream) {
    let upstream = McpUpstream::start(Speaks::Sessions, [search(OLD, &["q"]), purge()]).await;
    let gateway = TestGateway::with_config(&format!("mcp:\n  servers:\n    wiki: {{ url: '{}' }}\n{config}", upstream.url())).await;
    gateway.wait_for_server("wiki", "ready").await;
    upstream.set_tools([search(NEW, &["q", "space"])]);
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    gateway.cli(&["registry", "approve", "wiki"]).await.ok();
    assert_eq!(gateway.server("wiki").await["release"], "2.0.0");
    (gateway, upstream)
}

async fn described(client: &Modern) -> String {
    client.tools().await[0]["description"].as_str().unwrap().to_owned()
}

async fn digest_of(gateway: &TestGateway, version: &str) -> String {
    let listed = gateway.control("releases_list", json!({ "server": "wiki" })).await;
    let one = listed["releases"].as_array().unwrap().iter().find(|one| one["version"] == version).cloned();
    one.unwrap()["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_releases_are_served_side_by_side_by_every_way_to_name_one() {
    let (mut gateway, _upstream) = wiki("").await;
    let digest = digest_of(&gateway, "1.0.0").await;
    for crash in [false, true] {
        for pin in ["@1", "@1.0", "@1.0.0", &format!("@{digest}"), &format!("@{}", &digest[..20]), "?release=1", "%401.0"] {
            let url = gateway.url(&format!("/mcp/wiki{pin}"));
            assert_eq!(names(&modern(&url).tools().await), ["search", "purge"], "{pin}");
            assert_eq!(described(&modern(&url)).await, OLD, "{pin}");
            assert_eq!(session(&url).await.tools().await[0]["description"], OLD, "{pin}");
        }
        for path in ["/mcp/wiki", "/mcp/wiki@2", "/mcp"] {
            assert_eq!(described(&modern(&gateway.url(path))).await, NEW, "{path}");
        }
        if !crash {
            gateway.kill().await;
            gateway.start_again().await;
        }
    }
}

#[tokio::test]
async fn a_call_must_fit_the_release_that_is_pinned_and_what_its_server_takes_now() {
    let (gateway, upstream) = wiki("").await;
    let pinned = modern(&gateway.url("/mcp/wiki@1"));
    for (name, arguments, why) in [
        ("search", json!({ "q": "x" }), Some("(wiki@1.0.0), but its server has changed and does not take them any more")),
        ("search", json!({ "space": "y" }), Some("do not fit the input schema of `search` (wiki@1.0.0)")),
        ("purge", json!({}), Some("(wiki@1.0.0), but its server does not offer it any more")),
        ("search", json!({ "q": "x", "space": "y" }), None),
    ] {
        let result = pinned.call(name, arguments).await;
        match why {
            Some(why) => assert!(result["isError"] == true && text_of(&result).contains(why), "{result}"),
            None => assert!(result["isError"] != true, "{result}"),
        }
    }
    assert_eq!(upstream.recorded("tools/call").len(), 1, "the server hears of what it takes alone");
    settles("the journal names the release and why", async || {
        let noted = gateway.cli(&["journal", "--json"]).await.ok();
        noted.contains("wiki/search@1.0.0#") && noted.contains("outgrown")
    })
    .await;
}

#[tokio::test]
async fn a_release_that_is_not_there_is_refused_with_those_that_are() {
    let (gateway, _upstream) = wiki("  toolsets:\n    set: { tools: [wiki] }\n").await;
    for (path, why) in [
        ("/mcp/wiki@3", "`wiki` has no release `3`; there are `2.0.0`, `1.0.0`"),
        ("/mcp/wiki@latest", "`latest` is no release; write `1`, `1.4`"),
        ("/mcp/wiki@", "`` is no release"),
        ("/mcp/wiki@sha256:0000000000", "has no release `sha256:0000000000`"),
        ("/mcp/set@1", "`set` is no server, and has no releases"),
        ("/mcp/portolan@1", "`portolan` is no server, and has no releases"),
        ("/mcp/other@1", "there is no server `other` here"),
    ] {
        let answer = modern(&gateway.url(path)).request("tools/list", json!({})).await;
        assert!(answer.status == 404 && answer.text.contains(why), "{path}: {}", answer.text);
    }
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["other"] })).await;
    let hidden = modern(&gateway.url("/mcp/wiki@3")).with_key(&key).request("tools/list", json!({})).await;
    assert!(hidden.status == 404 && !hidden.text.contains("2.0.0"), "who may not see a server learns nothing of it: {}", hidden.text);
}

#[tokio::test]
async fn toolsets_and_routes_pin_what_they_choose() {
    let provider =
        StubProvider::start([Reply::calls(&[("call_1", "wiki__search", r#"{"q":"x"}"#)]), Reply::text("Nothing."), Reply::text("Done.")])
            .await;
    let routes = "models:\n  agent: { targets: [{ provider: stub, model: stub-1 }], tools: ['wiki__search@1'] }\n";
    let sets = "  toolsets:\n    old: { tools: ['wiki@1'] }\n    mixed: { tools: [wiki, 'wiki__search@1.0'], names: bare }\n";
    let (mut gateway, upstream) = wiki(&format!("{sets}{}{routes}", provider.section())).await;
    for round in 0..2 {
        let old = modern(&gateway.url("/mcp/old"));
        assert_eq!(names(&old.tools().await), ["wiki__search", "wiki__purge"], "{round}");
        assert_eq!(described(&old).await, OLD);
        let mixed = modern(&gateway.url("/mcp/mixed"));
        assert_eq!((names(&mixed.tools().await), described(&mixed).await.as_str()), (vec!["search"], OLD));
        let refused = mixed.call("search", json!({ "q": "x" })).await;
        assert!(text_of(&refused).contains("does not take them any more"), "{refused}");
        gateway.kill().await;
        gateway.start_again().await;
    }
    gateway.wait_for_server("wiki", "ready").await;
    post(&gateway.url("/v1/chat/completions"), &chat("agent", "find x")).await;
    let mut own = chat("stub/stub-1", "find x");
    own["portolan"] = json!({ "tools": ["wiki@1.0.0"] });
    post(&gateway.url("/v1/chat/completions"), &own).await;
    let turns = provider.bodies();
    for turn in &turns {
        let offered = turn["tools"].as_array().unwrap().iter().find(|tool| tool["function"]["name"] == "wiki__search").unwrap();
        assert_eq!(offered["function"]["description"], OLD, "the model is shown what is pinned");
    }
    assert!(turns[1]["messages"].to_string().contains("does not take them any more"), "{}", turns[1]);
    assert!(upstream.recorded("tools/call").is_empty());
    own["portolan"] = json!({ "tools": ["wiki@7"] });
    let refused = post(&gateway.url("/v1/chat/completions"), &own).await;
    assert!(refused.status == 400 && refused.text.contains("`wiki` has no release `7`; there are `2.0.0`, `1.0.0`"), "{}", refused.text);
}

#[tokio::test]
async fn who_pins_a_release_that_ends_is_told_until_when_and_then_refused() {
    let (mut gateway, _upstream) = wiki("  toolsets:\n    old: { tools: ['wiki@1'] }\n").await;
    let served = gateway.cli(&["registry", "deprecate", "wiki", "2.0.0", "--sunset", "2099-01-31"]).await.failed(1);
    assert!(served.contains("is the release that is served"), "{served}");
    let wrong = gateway.cli(&["registry", "deprecate", "wiki", "1.0.0", "--sunset", "soon"]).await.failed(1);
    assert!(wrong.contains("neither a day"), "{wrong}");
    let over = gateway.cli(&["registry", "deprecate", "wiki", "1.0.0", "--sunset", "2020-01-31"]).await.ok();
    assert!(over.contains("wiki@1.0.0 has ended: it cannot be pinned any more"), "{over}");
    let told = gateway.cli(&["registry", "deprecate", "wiki", "1.0.0", "--sunset", "2099-01-31"]).await.ok();
    assert!(told.contains("wiki@1.0.0 can be pinned until 2099-01-31"), "{told}");
    let listed = gateway.cli(&["registry", "releases", "wiki"]).await.ok();
    assert!(listed.contains("deprecated until 2099-01-31T23:59:59Z"), "{listed}");

    let ending = json!({ "wiki": { "release": "1.0.0", "sunset": "2099-01-31T23:59:59Z", "served": "2.0.0" } });
    for _ in 0..2 {
        for path in ["/mcp/wiki@1", "/mcp/old"] {
            let listed = modern(&gateway.url(path)).request("tools/list", json!({})).await;
            assert_eq!(listed.result()["_meta"]["dev.portolan/deprecated"], ending, "{path}");
        }
        let listed = modern(&gateway.url("/mcp/wiki@1")).request("tools/list", json!({})).await;
        assert_eq!(listed.header("sunset"), "Sat, 31 Jan 2099 23:59:59 GMT");
        assert!(listed.header("deprecation").starts_with('@'), "{:?}", listed.headers);
        assert_eq!(modern(&gateway.url("/mcp/wiki")).request("tools/list", json!({})).await.header("sunset"), "");
        gateway.kill().await;
        gateway.start_again().await;
    }
    let api = gateway.url("/v0.1/servers/localhost%2Fwiki/versions/1.0.0");
    let shown: Value = http().get(api).send().await.unwrap().json().await.unwrap();
    let official = &shown["_meta"]["io.modelcontextprotocol.registry/official"];
    assert_eq!((&official["status"], &official["isLatest"]), (&json!("deprecated"), &json!(false)), "{shown}");
    assert!(shown["server"]["remotes"][0]["url"].as_str().unwrap().ends_with("/mcp/wiki@1.0.0"), "{shown}");

    let ends = chrono::Utc::now() + chrono::TimeDelta::milliseconds(400);
    gateway.control("releases_deprecate", json!({ "server": "wiki", "release": "1.0.0", "sunset": ends.to_rfc3339() })).await;
    settles("the release ends", async || modern(&gateway.url("/mcp/wiki@1")).request("tools/list", json!({})).await.status == 404).await;
    let refused = modern(&gateway.url("/mcp/wiki@1")).request("tools/list", json!({})).await;
    assert!(refused.text.contains("the release `1` of `wiki` has ended; there are `2.0.0`"), "{}", refused.text);
    let called = modern(&gateway.url("/mcp/old")).request("tools/call", json!({ "name": "wiki__purge", "arguments": {} })).await;
    assert!(called.text.contains("wiki@1.0.0 has ended"), "{}", called.text);
    gateway.cli(&["registry", "deprecate", "wiki", "1.0.0", "--never"]).await.ok();
    assert_eq!(described(&modern(&gateway.url("/mcp/wiki@1"))).await, OLD, "and it does not end after all");
}

#[tokio::test]
async fn a_session_at_a_release_is_told_of_its_changes_alone() {
    let (gateway, upstream) = wiki("").await;
    let (pinned, newest) = (session(&gateway.url("/mcp/wiki@1")).await, session(&gateway.url("/mcp/wiki")).await);
    let (mut of_pinned, mut of_newest) = (pinned.listen().await, newest.listen().await);
    upstream.set_tools([search("Searches all spaces.", &["q", "space"])]);
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    gateway.cli(&["registry", "approve", "wiki"]).await.ok();
    of_newest.next_of("notifications/tools/list_changed").await;
    let heard = of_pinned.for_a_while(std::time::Duration::from_millis(300)).await;
    assert!(heard.is_empty(), "{heard:?}");
    assert_eq!(newest.tools().await[0]["description"], "Searches all spaces.");
    assert_eq!(pinned.tools().await[0]["description"], OLD);
    // A release that was taken back cannot be pinned any more.
    gateway.cli(&["registry", "rollback", "wiki"]).await.ok();
    let gone = modern(&gateway.url("/mcp/wiki@2.0.1")).request("tools/list", json!({})).await;
    assert!(gone.status == 404 && gone.text.contains("there are `2.0.0`, `1.0.0`"), "{}", gone.text);
    assert_eq!(described(&modern(&gateway.url("/mcp/wiki@2"))).await, NEW, "the newest that is left is meant");
}

#[tokio::test]
async fn after_a_change_was_rejected_a_call_that_its_server_does_not_take_is_still_refused() {
    let (gateway, upstream) = wiki("").await;
    upstream.set_tools([search(NEW, &["q", "space", "page"])]);
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    gateway.cli(&["registry", "reject", "wiki"]).await.ok();
    for _ in 0..2 {
        let result = modern(&gateway.url("/mcp/wiki")).call("search", json!({ "q": "x", "space": "y" })).await;
        assert!(text_of(&result).contains("does not take them any more"), "{result}");
        gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    }
    assert!(upstream.recorded("tools/call").is_empty());
}

#[tokio::test]
async fn metrics_and_traces_name_the_release_that_was_called() {
    let collector = Collector::start().await;
    let upstream = McpUpstream::start(Speaks::Sessions, [search(OLD, &["q"])]).await;
    let config = format!("{}mcp: {{ servers: {{ wiki: {{ url: '{}' }} }} }}\n", collector.section(), upstream.url());
    let gateway = TestGateway::with_config(&config).await;
    gateway.wait_for_server("wiki", "ready").await;
    modern(&gateway.url("/mcp/wiki@1.0")).call("search", json!({ "q": "x" })).await;
    let metrics = http().get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("portolan_tool_definition_info{")).unwrap();
    assert!(line.contains(r#"tool="wiki__search",definition="wiki/search@1.0.0#"#), "{line}");
    let spans = collector.trace("tools/call search", 2).await;
    let named = |span: &Spanned| span.get("portolan.definition").as_str().is_some_and(|text| text.starts_with("wiki/search@1.0.0#"));
    assert!(spans.iter().any(named), "{spans:?}");
}
