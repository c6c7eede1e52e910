//! What the gateway does in the place of others: a model answers for a client that has none, and what a resource said is kept for its server.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Manner, McpUpstream, Modern, Puppet, Reply, Speaks, StubProvider, TestGateway, session, text_of, tool, until};

/// What a server asks of a model.
fn asked() -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": "When is high water?" } });
    json!({ "messages": [message], "systemPrompt": "Be brief.", "maxTokens": 9_000 })
}

/// A gateway whose model `stub/gpt-5-mini` answers for the clients of a server, so many tokens a day.
async fn standing_in(provider: &StubProvider, server: &Puppet, tokens: u64) -> TestGateway {
    let policy = format!("{{ model: stub/gpt-5-mini, max_tokens: 50, tokens_per_day: {tokens} }}");
    let servers = format!("mcp:\n  servers:\n    inn: {{ url: '{}', sampling: {policy} }}\n", server.url());
    let gateway = TestGateway::with_config(&format!("{}{servers}", provider.section())).await;
    gateway.wait_for_server("inn", "ready").await;
    gateway
}

#[tokio::test]
async fn a_model_answers_what_a_server_asks_for_a_client_that_has_none_and_it_is_on_record() {
    let provider = StubProvider::start([Reply::text("At noon.")]).await;
    let server = Puppet::start(Manner::Sessions, &["tide"]).await;
    let gateway = standing_in(&provider, &server, 100_000).await;
    let client = Arc::new(session(&gateway.url("/mcp/inn")).await);
    let mut events = client.starting("tide", json!({}));
    let mut call = server.call().await;
    call.ask("q-1", "sampling/createMessage", asked());
    let answer = server.answer_to("q-1").await;
    let result = &answer["result"];
    assert_eq!((&result["role"], &result["content"]["text"]), (&json!("assistant"), &json!("At noon.")), "{answer}");
    call.text("done");
    assert_eq!(text_of(&(&mut events).await.unwrap().result().await), "done");
    let body = provider.only().body();
    assert_eq!(body["max_tokens"], 50, "no more than the operator allows");
    assert_eq!(body["messages"][0], json!({ "role": "system", "content": "Be brief." }));
    let entry = until("it is on record", async || {
        let found = gateway.control("journal_query", json!({ "kind": "sampling" })).await;
        found["entries"].get(0).cloned()
    });
    let entry = entry.await;
    assert_eq!((&entry["subject"], &entry["outcome"]), (&json!("inn"), &json!("ok")), "{entry}");
}

#[tokio::test]
async fn a_server_that_has_used_up_its_tokens_is_refused_and_no_model_is_asked() {
    let provider = StubProvider::start([Reply::text("At noon."), Reply::text("At noon.")]).await;
    let server = Puppet::start(Manner::Sessions, &["tide"]).await;
    let gateway = standing_in(&provider, &server, 1).await;
    let client = Arc::new(session(&gateway.url("/mcp/inn")).await);
    let events = client.starting("tide", json!({}));
    let mut call = server.call().await;
    call.ask("q-1", "sampling/createMessage", asked());
    assert!(server.answer_to("q-1").await["result"].is_object());
    call.ask("q-2", "sampling/createMessage", asked());
    let refused = server.answer_to("q-2").await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("used up"), "{refused}");
    call.text("done");
    events.await.unwrap().result().await;
    assert_eq!(provider.received().len(), 1);
}

#[tokio::test]
async fn a_stateless_server_gets_the_models_answer_in_its_round_trip_without_the_client() {
    let provider = StubProvider::start([Reply::text("At noon.")]).await;
    let server = Puppet::start(Manner::Stateless, &["tide"]).await;
    let gateway = standing_in(&provider, &server, 100_000).await;
    let client = Arc::new(Modern::new(&gateway.url("/mcp/inn")));
    let events = client.starting("tools/call", json!({ "name": "tide", "arguments": {} }));
    let call = server.call().await;
    let questions = json!({ "a": { "method": "sampling/createMessage", "params": asked() } });
    call.answer(json!({ "resultType": "input_required", "inputRequests": questions, "requestState": "mine" }));
    let again = server.call().await;
    assert_eq!(again.params["requestState"], "mine");
    assert_eq!(again.params["inputResponses"]["a"]["content"]["text"], "At noon.");
    again.text("done");
    assert_eq!(text_of(&events.await.unwrap().result().await), "done");
}

/// A server whose resources hold for a time, and how often it was read.
async fn holding(hints: Value, shared: bool) -> (McpUpstream, TestGateway) {
    let server = McpUpstream::start(Speaks::Stateless, [tool("a", "Does a.", json!({ "type": "object" }))]).await;
    server.resources_say(Some(hints));
    let entry = format!("mcp:\n  servers:\n    wiki: {{ url: '{}', share_public: {shared} }}\n", server.url());
    let gateway = TestGateway::with_config(&entry).await;
    gateway.wait_for_server("wiki", "ready").await;
    (server, gateway)
}

async fn read(gateway: &TestGateway, key: &str) -> Value {
    let client = Modern::new(&gateway.url("/mcp/wiki")).with_key(key);
    client.request("resources/read", json!({ "uri": "file:///a.txt" })).await.result().clone()
}

#[tokio::test]
async fn what_holds_for_a_time_is_read_once_by_each_caller_and_says_how_long_it_still_holds() {
    let (server, gateway) = holding(json!({ "ttlMs": 60_000, "cacheScope": "public" }), false).await;
    let (one, _) = gateway.key(json!({ "name": "one", "grants": ["mcp"] })).await;
    let (two, _) = gateway.key(json!({ "name": "two", "grants": ["mcp"] })).await;
    let first = read(&gateway, &one).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = read(&gateway, &one).await;
    assert_eq!(first["contents"], second["contents"]);
    assert!(second["ttlMs"].as_u64().unwrap() < first["ttlMs"].as_u64().unwrap(), "{first} {second}");
    assert_eq!(second["cacheScope"], "private");
    assert_eq!(server.recorded("resources/read").len(), 1);
    read(&gateway, &two).await;
    assert_eq!(server.recorded("resources/read").len(), 2, "nobody gets what another caller read");
    server.tell_of_resources();
    until("it is read anew", async || {
        read(&gateway, &one).await;
        (server.recorded("resources/read").len() > 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_trusted_server_calls_public_is_read_once_for_all() {
    let (server, gateway) = holding(json!({ "ttlMs": 60_000, "cacheScope": "public" }), true).await;
    let (one, _) = gateway.key(json!({ "name": "one", "grants": ["mcp"] })).await;
    let (two, _) = gateway.key(json!({ "name": "two", "grants": ["mcp"] })).await;
    assert_eq!(read(&gateway, &one).await["contents"], read(&gateway, &two).await["contents"]);
    assert_eq!(server.recorded("resources/read").len(), 1);
    server.resources_say(Some(json!({ "ttlMs": 60_000, "cacheScope": "private" })));
}

#[tokio::test]
async fn what_held_until_lately_is_served_where_the_server_fails_and_what_never_held_is_not() {
    let (server, gateway) = holding(json!({ "ttlMs": 1 }), false).await;
    let (one, _) = gateway.key(json!({ "name": "one", "grants": ["mcp"] })).await;
    let good = read(&gateway, &one).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.resources_say(None);
    let late = read(&gateway, &one).await;
    assert_eq!((&late["contents"], &late["ttlMs"]), (&good["contents"], &json!(0)));
    let other = Modern::new(&gateway.url("/mcp/wiki")).with_key(&one);
    assert_eq!(other.request("resources/read", json!({ "uri": "file:///b.txt" })).await.code(), -32603);
}
