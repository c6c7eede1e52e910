//! The journal: everything that was asked for is there once, with who asked, who did it, and what came of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Answer, McpUpstream, Reply, Speaks, StubProvider, TestGateway, chat, http, modern, post, settles, streamed, tool, until,
};

/// The entries that fit a wish, once there are that many, the oldest first.
async fn entries(gateway: &TestGateway, wish: Value, many: usize) -> Vec<Value> {
    until(&format!("{many} entries of {wish}"), async || {
        let found = gateway.control("journal_query", wish.clone()).await;
        let mut entries = found["entries"].as_array().unwrap().clone();
        entries.reverse();
        (entries.len() >= many).then_some(entries)
    })
    .await
}

async fn only(gateway: &TestGateway, wish: Value) -> Value {
    let found = entries(gateway, wish, 1).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[tokio::test]
async fn a_completion_is_on_record_with_its_tokens_and_its_cost() {
    let provider = StubProvider::start([Reply::text("hello")]).await;
    let model = "models: { fast: { targets: [{ provider: stub, model: stub-1, price: { input: 2, output: 10 } }] } }\n";
    let gateway = TestGateway::with_config(&format!("{}{model}", provider.section())).await;
    let (key, id) = gateway.key(json!({ "grants": ["models"] })).await;
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).header("x-request-id", "r-1");
    assert_eq!(request.json(&chat("fast", "x")).send().await.unwrap().status(), 200);
    let entry = only(&gateway, json!({ "kind": "chat" })).await;
    assert_eq!(entry["principal"], format!("key:{id}"));
    assert_eq!((&entry["subject"], &entry["target"], &entry["outcome"]), (&json!("fast"), &json!("stub/stub-1"), &json!("ok")));
    assert_eq!((&entry["input_tokens"], &entry["output_tokens"], &entry["request"]), (&json!(11), &json!(7), &json!("r-1")));
    assert_eq!(entry["cost_usd"], 0.000_092, "11 tokens at 2 dollars a million, 7 at 10");
    let usage = gateway.control("usage_query", json!({ "by": "model" })).await;
    assert_eq!(usage["usage"][0]["name"], "fast");
    assert_eq!((&usage["usage"][0]["answers"], &usage["usage"][0]["input_tokens"]), (&json!(1), &json!(11)));
}

#[tokio::test]
async fn a_stream_is_on_record_however_it_ends() {
    let whole = Reply::stream_text(&["Land ", "ahoy"]);
    let middle = whole.body_text().find("ahoy").unwrap();
    let provider = StubProvider::start([whole.clone(), whole.clone().cut_after(middle), whole.stalled_after(middle)]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let url = gateway.url("/v1/chat/completions");
    for _ in 0..2 {
        post(&url, &streamed("stub/stub-1", "x")).await;
    }
    let leaving = tokio::spawn(async move { http().post(url).json(&streamed("stub/stub-1", "x")).send().await.unwrap().text().await });
    provider.arrival(2).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    leaving.abort();
    let entries = entries(&gateway, json!({ "kind": "chat" }), 3).await;
    let outcomes: Vec<&str> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "failed", "cancelled"], "{entries:#?}");
    assert_eq!(entries[1]["detail"], "upstream_truncated");
}

#[tokio::test]
async fn what_is_refused_is_on_record_with_the_reason() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let missing = post(&gateway.url("/v1/chat/completions"), &chat("nowhere/none", "x")).await;
    assert_eq!(missing.status, 404);
    let entry = only(&gateway, json!({ "kind": "chat" })).await;
    assert_eq!((&entry["outcome"], &entry["detail"]), (&json!("refused"), &json!("model_not_found")));
    modern(&gateway.url("/mcp")).call("demo__slow", json!({ "steps": "many" })).await;
    let entry = only(&gateway, json!({ "kind": "tool" })).await;
    assert_eq!((&entry["outcome"], &entry["detail"]), (&json!("refused"), &json!("invalid_arguments")));
}

#[tokio::test]
async fn a_call_is_on_record_with_the_release_that_it_was_checked_by() {
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("go", "Goes.", json!({ "type": "object" }))]).await;
    upstream.answers("go", json!({ "content": [{ "type": "text", "text": "no" }], "isError": true }));
    let gateway = TestGateway::start().await;
    gateway.add_url("up", &upstream.url()).await;
    gateway.add_demo().await;
    let client = modern(&gateway.url("/mcp"));
    client.call("demo__echo", json!({ "text": "SECRET-ARGUMENT" })).await;
    client.call("up__go", json!({})).await;
    let entries = entries(&gateway, json!({ "kind": "tool" }), 2).await;
    assert_eq!((&entries[0]["subject"], &entries[0]["outcome"]), (&json!("demo__echo"), &json!("ok")));
    let target = entries[0]["target"].as_str().unwrap();
    assert!(target.starts_with("demo/echo@1.0.0#") && target.len() == "demo/echo@1.0.0#".len() + 12, "{target}");
    assert_eq!((&entries[1]["subject"], &entries[1]["outcome"]), (&json!("up__go"), &json!("tool_error")));
    assert!(!json!(entries).to_string().contains("SECRET-ARGUMENT"), "what was said is nobody's record");
}

#[tokio::test]
async fn the_calls_of_a_loop_are_found_by_the_request_they_were_made_for() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut body = chat("portolan/echo", "call demo__time");
    body["tools"] = json!([{ "type": "mcp", "server_label": "demo", "require_approval": "never" }]);
    let request = http().post(gateway.url("/v1/chat/completions")).header("x-request-id", "loop-1").json(&body);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let entries = entries(&gateway, json!({ "request": "loop-1" }), 2).await;
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"chat") && kinds.contains(&"tool"), "{entries:#?}");
}

#[tokio::test]
async fn acts_of_administration_are_on_record_before_they_are_answered_and_looks_are_not() {
    let gateway = TestGateway::start().await;
    let (_, id) = gateway.key(json!({ "grants": ["mcp"], "name": "ci" })).await;
    gateway.control("keys_list", json!({})).await;
    gateway.control("keys_revoke", json!({ "id": id })).await;
    let _ = gateway.try_control("keys_revoke", json!({ "id": id })).await.unwrap_err();
    let found = gateway.control("journal_query", json!({ "kind": "control" })).await;
    let entries: Vec<(&str, &str, &str)> = found["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["subject"].as_str().unwrap(), entry["outcome"].as_str().unwrap(), entry["principal"].as_str().unwrap()))
        .collect();
    let revoke = format!("keys_revoke {id}");
    assert_eq!(entries, [(revoke.as_str(), "failed", "owner"), (&revoke, "ok", "owner"), ("keys_create ci", "ok", "owner")]);
    assert_eq!(found["entries"][0]["detail"], "not_found");
}

#[tokio::test]
async fn what_was_answered_is_there_after_an_orderly_stop() {
    let mut gateway = TestGateway::start().await;
    for _ in 0..20 {
        post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
    }
    gateway.stop().await;
    gateway.start_again().await;
    let found = gateway.control("journal_query", json!({ "kind": "chat" })).await;
    assert_eq!(found["entries"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn the_journal_is_read_in_pages_and_followed() {
    let gateway = TestGateway::start().await;
    for _ in 0..7 {
        post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
    }
    entries(&gateway, json!({ "kind": "chat" }), 7).await;
    let first = gateway.control("journal_query", json!({ "kind": "chat", "limit": 4 })).await;
    let ids = |page: &Value| page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()).collect::<Vec<_>>();
    let last = *ids(&first).last().unwrap();
    let second = gateway.control("journal_query", json!({ "kind": "chat", "limit": 4, "before": last })).await;
    assert_eq!((ids(&first).len(), ids(&second).len()), (4, 3));
    assert!(ids(&second).iter().all(|id| *id < last));
    let newer = gateway.control("journal_query", json!({ "kind": "chat", "after": last })).await;
    assert_eq!(ids(&newer).len(), 3);
    for limit in [0, 1_001] {
        let refused = gateway.try_control("journal_query", json!({ "limit": limit })).await.unwrap_err();
        assert_eq!(refused["code"], "invalid_arguments");
    }

    let mut following = gateway.spawn_cli(&["journal", "--follow", "--kind", "embeddings", "--json"]);
    tokio::time::sleep(Duration::from_millis(800)).await;
    post(&gateway.url("/v1/embeddings"), &json!({ "model": "nowhere/none", "input": "x" })).await;
    let mut line = String::new();
    let mut out = tokio::io::BufReader::new(following.stdout.take().unwrap());
    tokio::time::timeout(Duration::from_secs(5), tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)).await.unwrap().unwrap();
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["subject"], "nowhere/none");
    following.kill().await.unwrap();
}

#[tokio::test]
async fn the_command_line_shows_the_journal_and_what_was_spent() {
    let gateway = TestGateway::start().await;
    assert_eq!(gateway.cli(&["usage"]).await.ok(), "Nothing was spent.\n");
    post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
    entries(&gateway, json!({ "kind": "chat" }), 1).await;
    let shown = gateway.cli(&["journal"]).await.ok();
    assert!(shown.contains("portolan/echo") && shown.contains("local") && shown.contains("OUTCOME"), "{shown}");
    let spent = gateway.cli(&["usage", "--by", "target"]).await.ok();
    assert!(spent.starts_with("TARGET") && spent.contains("portolan/echo"), "{spent}");
}

#[tokio::test]
async fn an_answer_without_a_known_price_is_counted_and_not_taken_for_free() {
    let provider = StubProvider::start([Reply::text("hello")]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    post(&gateway.url("/v1/chat/completions"), &chat("stub/stub-1", "x")).await;
    let entry = only(&gateway, json!({ "kind": "chat" })).await;
    assert_eq!(entry["cost_usd"], Value::Null);
    assert!(gateway.cli(&["usage"]).await.ok().contains("Of 1 answers no price is known"));
}

#[tokio::test]
async fn traffic_is_left_out_where_the_operator_wishes_and_acts_never() {
    let gateway = TestGateway::with_config("journal: { traffic: false }\n").await;
    post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
    gateway.key(json!({ "grants": ["mcp"] })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let found = gateway.control("journal_query", json!({})).await;
    let kinds: Vec<&str> = found["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["control"]);
}

/// Keeps the database's only writer for itself, as a full disk or another program would.
async fn lock(gateway: &TestGateway) -> sqlx::SqliteConnection {
    use sqlx::Connection as _;
    let path = gateway.data_dir().join("portolan.db");
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn while_the_journal_cannot_be_written_nothing_is_administered_and_traffic_goes_on_as_configured() {
    for (config, status) in [("", 200), ("journal: { required: true }\n", 503)] {
        let gateway = TestGateway::with_config(config).await;
        let ask = async || post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await;
        assert_eq!(ask().await.status, 200);
        let held = lock(&gateway).await;
        assert_eq!(ask().await.status, 200, "nobody knows yet");
        settles("the gateway knows that its journal cannot be written", async || gateway.log().contains("cannot be written")).await;
        let answer = ask().await;
        assert_eq!(answer.status, status, "{config}: {}", answer.text);
        let key = gateway.owner_key();
        let request = http().post(gateway.url("/api/v1/keys_create")).bearer_auth(&key).json(&json!({ "grants": ["mcp"] }));
        let refused = Answer::read(request.send().await.unwrap()).await;
        assert_eq!((refused.status, refused.body["code"].as_str().unwrap()), (503, "journal_unavailable"), "{}", refused.text);
        drop(held);
        settles("the gateway answers again", async || ask().await.status == 200).await;
        entries(&gateway, json!({ "kind": "chat" }), 3).await;
        assert!(gateway.control("keys_list", json!({})).await["keys"].as_array().unwrap().is_empty(), "what was refused was not done");
    }
}
