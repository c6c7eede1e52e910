//! Servers that offer some callers something else than others.

use serde_json::{Value, json};

use crate::support::{
    McpUpstream, Reply, Session, Speaks, StubProvider, TestGateway, chat, modern, names, post, session, settles, text_of, tool, until,
};

fn plain(name: &str) -> Value {
    tool(name, &format!("Does {name}."), json!({ "type": "object", "properties": { "q": { "type": "string" } } }))
}

/// A server that lists these tools in sessions in which `unlock` was called, behind a gateway that keeps callers apart.
async fn house(isolation: &str, unlocked: Vec<Value>, more: &str) -> (McpUpstream, TestGateway) {
    let upstream = McpUpstream::start(Speaks::Sessions, [plain("search"), plain("unlock")]).await;
    upstream.unlocks(unlocked);
    let gateway = TestGateway::with_config(&format!(
        "{more}mcp: {{ servers: {{ wiki: {{ url: '{}', isolation: {isolation} }} }} }}\n",
        upstream.url()
    ))
    .await;
    gateway.wait_for_server("wiki", "ready").await;
    (upstream, gateway)
}

/// Unlocks what there is more in a session, and has its server tell of it.
async fn unlock(upstream: &McpUpstream, client: &Session) {
    client.call("unlock", json!({})).await;
    settles("the caller's own stream is open", async || upstream.listeners() > 1).await;
    upstream.tell();
}

async fn held(gateway: &TestGateway) -> Value {
    until("something is held", async || Some(gateway.server("wiki").await).filter(|server| server["held"] == true)).await
}

async fn sees(client: &Session, wanted: &[&str]) {
    settles(&format!("{wanted:?} are listed"), async || names(&client.tools().await) == wanted).await;
}

#[tokio::test]
async fn what_a_session_unlocks_waits_for_approval_and_is_shown_to_that_session_alone() {
    let (upstream, mut gateway) = house("session", vec![plain("search"), plain("unlock"), plain("admin")], "").await;
    let (first, second) = (session(&gateway.url("/mcp/wiki")).await, session(&gateway.url("/mcp/wiki")).await);
    second.call("search", json!({})).await;
    unlock(&upstream, &first).await;
    let server = held(&gateway).await;
    assert_eq!((&server["release"], &server["held_changes"]), (&json!("1.0.0"), &json!(1)), "{server}");
    assert_eq!(names(&first.tools().await), ["search", "unlock"], "nobody has approved it yet");
    let diff = gateway.cli(&["registry", "diff", "wiki"]).await.ok();
    assert!(diff.contains("Some callers of `wiki` are offered") && diff.contains("tool admin: steering"), "{diff}");
    let looked = gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    assert_eq!(looked["look"]["found"], "same", "what only one caller is offered is no change of the release");

    let mut heard = first.listen().await;
    let approved = gateway.cli(&["registry", "approve", "wiki"]).await.ok();
    assert!(approved.contains("who are offered it are shown it"), "{approved}");
    heard.next_of("notifications/tools/list_changed").await;
    sees(&first, &["search", "unlock", "admin"]).await;
    assert_eq!(names(&second.tools().await), ["search", "unlock"]);
    assert!(text_of(&first.call("admin", json!({ "q": "x" })).await).contains("admin was given"));
    let missed = second.request("tools/call", json!({ "name": "admin", "arguments": {} })).await;
    assert_eq!(missed.code(), -32602, "{}", missed.text);
    let wrong = first.request("tools/call", json!({ "name": "admin", "arguments": { "q": 1 } })).await;
    assert!(wrong.text.contains("do not fit the input schema"), "{}", wrong.text);
    let releases = gateway.cli(&["registry", "releases", "wiki"]).await.ok();
    assert!(releases.contains("variant") && gateway.server("wiki").await["held"] == false, "{releases}");
    let noted = async || gateway.cli(&["journal", "--json"]).await.ok().contains("wiki/admin@1.0.0+");
    settles("the journal names the release with the variant", noted).await;

    // What was approved stays so; whoever unlocks it again is shown it at once.
    gateway.kill().await;
    gateway.start_again().await;
    gateway.wait_for_server("wiki", "ready").await;
    let third = session(&gateway.url("/mcp/wiki")).await;
    assert_eq!(names(&third.tools().await), ["search", "unlock"]);
    unlock(&upstream, &third).await;
    sees(&third, &["search", "unlock", "admin"]).await;
    assert_eq!(gateway.server("wiki").await["held"], false);
    third.end().await;
}

#[tokio::test]
async fn what_is_missing_in_a_callers_list_is_hidden_from_that_caller_and_is_no_change() {
    let (upstream, gateway) = house("session", vec![plain("search")], "").await;
    let (first, second) = (session(&gateway.url("/mcp")).await, session(&gateway.url("/mcp")).await);
    first.call("wiki__unlock", json!({})).await;
    settles("the caller's own stream is open", async || upstream.listeners() > 1).await;
    upstream.tell();
    sees(&first, &["wiki__search"]).await;
    assert_eq!(names(&second.tools().await), ["wiki__search", "wiki__unlock"]);
    let missed = first.request("tools/call", json!({ "name": "wiki__unlock", "arguments": {} })).await;
    assert_eq!(missed.code(), -32602, "{}", missed.text);
    let server = gateway.server("wiki").await;
    assert_eq!((&server["held"], &server["release"]), (&json!(false), &json!("1.0.0")), "{server}");
}

#[tokio::test]
async fn a_definition_that_is_another_for_one_caller_keeps_the_words_that_were_approved() {
    let schema = json!({ "type": "object", "properties": { "q": { "type": "string" }, "key": { "type": "string" } }, "required": ["key"] });
    let (upstream, gateway) = house("session", vec![tool("search", "Does search.", schema), plain("unlock")], "").await;
    let client = session(&gateway.url("/mcp/wiki")).await;
    unlock(&upstream, &client).await;
    held(&gateway).await;
    let listed = client.tools().await;
    assert!(listed[0]["inputSchema"].get("required").is_none(), "{listed:?}");
    let before = upstream.recorded("tools/call").len();
    let refused = client.request("tools/call", json!({ "name": "search", "arguments": { "q": "x" } })).await;
    assert!(refused.text.contains("does not take them any more"), "{}", refused.text);
    assert_eq!(upstream.recorded("tools/call").len(), before);
    assert!(text_of(&session(&gateway.url("/mcp/wiki")).await.call("search", json!({ "q": "x" })).await).contains("search was given"));

    let rejected = gateway.cli(&["registry", "reject", "wiki"]).await.ok();
    assert!(rejected.contains("rejected"), "{rejected}");
    let before = upstream.recorded("tools/list").len();
    gateway.control("servers_refresh", json!({ "name": "wiki" })).await;
    settles("the caller's list is read again as well", async || upstream.recorded("tools/list").len() > before + 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(gateway.server("wiki").await["held"], false, "what was rejected is not held again");
}

#[tokio::test]
async fn variants_are_decided_on_one_by_one_by_their_digests_or_all_at_once() {
    let (upstream, gateway) = house("session", vec![plain("search"), plain("admin"), plain("audit"), plain("reset")], "").await;
    let client = session(&gateway.url("/mcp/wiki")).await;
    unlock(&upstream, &client).await;
    settles("all of them are held", async || gateway.server("wiki").await["held_changes"] == 3).await;
    let diff = gateway.control("releases_diff", json!({ "server": "wiki" })).await;
    let of = |name: &str| {
        let variants = diff["variants"].as_array().unwrap();
        variants.iter().find(|one| one["differences"][0]["name"] == name).unwrap()["digest"].as_str().unwrap().to_owned()
    };
    gateway.control("releases_approve", json!({ "server": "wiki", "digest": of("audit") })).await;
    sees(&client, &["search", "audit"]).await;
    gateway.control("releases_reject", json!({ "server": "wiki", "digest": of("reset") })).await;
    for (name, said) in [("reset", "it was rejected:"), ("audit", "some callers are offered it:")] {
        let shown = gateway.cli(&["registry", "diff", "wiki", "--release", &of(name)]).await.ok();
        let others = ["search", "unlock"].iter().any(|other| shown.contains(&format!("tool {other}")));
        assert!(shown.contains(said) && shown.contains(&format!("tool {name}: ")) && !others, "{shown}");
    }
    gateway.control("releases_approve", json!({ "server": "wiki" })).await;
    sees(&client, &["search", "admin", "audit"]).await;
    assert_eq!(gateway.server("wiki").await["held"], false);
    gateway.control("releases_reject", json!({ "server": "wiki", "digest": of("audit") })).await;
    sees(&client, &["search", "admin"]).await;
}

#[tokio::test]
async fn what_is_new_for_everybody_is_a_change_of_the_release_and_reaches_those_with_a_list_of_their_own() {
    let (upstream, gateway) = house("session", vec![plain("search")], "registry: { on_change: { steering: accept } }\n").await;
    let (first, second) = (session(&gateway.url("/mcp/wiki")).await, session(&gateway.url("/mcp/wiki")).await);
    second.call("search", json!({})).await;
    unlock(&upstream, &first).await;
    sees(&first, &["search"]).await;
    // Callers may hear of it before the gateway does; nobody tells of it on the gateway's own stream first.
    upstream.unlocks([plain("search"), plain("audit")]);
    upstream.set_tools([plain("search"), plain("unlock"), plain("audit")]);
    upstream.tell();
    sees(&first, &["search", "audit"]).await;
    sees(&second, &["search", "unlock", "audit"]).await;
    let listed = gateway.control("releases_list", json!({ "server": "wiki" })).await;
    let rows = listed["releases"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["variant"] == false) && rows[0]["version"] == "1.1.0", "{listed}");

    // What is taken back is taken back for them, too.
    gateway.control("releases_rollback", json!({ "server": "wiki" })).await;
    sees(&first, &["search"]).await;
    sees(&second, &["search", "unlock"]).await;
}

#[tokio::test]
async fn a_variant_that_looks_like_another_tool_or_whose_change_is_blocked_is_not_served() {
    let schema = json!({ "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] });
    let unlocked = vec![tool("search", "Does search.", schema), plain("unl\u{43e}ck")];
    let (upstream, gateway) = house("session", unlocked, "registry: { profile: observe, on_change: { breaking: block } }\n").await;
    let client = session(&gateway.url("/mcp/wiki")).await;
    unlock(&upstream, &client).await;
    settles("both are held", async || gateway.server("wiki").await["held_changes"] == 2).await;
    let diff = gateway.cli(&["registry", "diff", "wiki"]).await.ok();
    assert!(diff.contains("has a name that looks like `unlock`"), "{diff}");
    sees(&client, &[]).await;
    assert_eq!(names(&session(&gateway.url("/mcp/wiki")).await.tools().await), ["search", "unlock"]);
}

#[tokio::test]
async fn an_agent_loop_offers_its_caller_what_only_that_caller_is_offered() {
    let provider = StubProvider::start([Reply::calls(&[("c", "wiki__admin", r#"{"q":"x"}"#)]), Reply::text("Done.")]).await;
    let more = format!(
        "{}registry: {{ profile: observe }}\nmodels: {{ agent: {{ targets: [{{ provider: stub, model: stub-1 }}], tools: [wiki] }} }}\n",
        provider.section()
    );
    let (upstream, gateway) = house("caller", vec![plain("search"), plain("unlock"), plain("admin")], &more).await;
    let client = modern(&gateway.url("/mcp/wiki"));
    client.call("unlock", json!({})).await;
    settles("the caller's own stream is open", async || upstream.listeners() > 1).await;
    upstream.tell();
    settles("it is shown, for policy accepts it", async || client.tools().await.len() == 3).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("agent", "x")).await;
    assert_eq!(answer.body["choices"][0]["message"]["content"], "Done.", "{}", answer.text);
    let told = provider.bodies()[1]["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
    assert!(told.contains("admin was given"), "{told}");
    assert!(gateway.log().contains("policy accepts it"), "{}", gateway.log());
}

#[tokio::test]
async fn what_is_new_to_one_caller_waits_while_its_server_cannot_be_looked_at_and_is_judged_soon_afterwards() {
    let (upstream, gateway) = house("session", vec![plain("search"), plain("unlock"), plain("admin")], "").await;
    let client = session(&gateway.url("/mcp/wiki")).await;
    client.call("unlock", json!({})).await;
    settles("the caller's own stream is open", async || upstream.listeners() > 1).await;
    // Then nobody knows whether the new tool is new for everybody.
    upstream.breaks(true);
    let before = upstream.recorded("tools/list").len();
    upstream.tell();
    settles("the caller's list was read, and the server's asked for", async || upstream.recorded("tools/list").len() > before + 1).await;
    assert_eq!(gateway.server("wiki").await["held"], false, "nothing is taken for a variant before");
    upstream.breaks(false);
    let server = held(&gateway).await;
    assert_eq!((&server["release"], &server["held_changes"]), (&json!("1.0.0"), &json!(1)), "{server}");
}
