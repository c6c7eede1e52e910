//! Rates: how much a caller may do in a minute, and what it is told of that.

use serde_json::json;

use crate::support::{Answer, Modern, Reply, StubProvider, TestGateway, chat, http, post, settles};

async fn ask(gateway: &TestGateway, key: &str, model: &str) -> Answer {
    let request = http().post(gateway.url("/v1/chat/completions")).bearer_auth(key).json(&chat(model, "x"));
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_key_has_its_requests_and_is_told_what_is_left() {
    let gateway = TestGateway::start().await;
    let (key, _) = gateway.key(json!({ "grants": ["models"], "requests_per_minute": 2 })).await;
    let (other, _) = gateway.key(json!({ "grants": ["models"] })).await;
    for left in ["1", "0"] {
        let answer = ask(&gateway, &key, "portolan/echo").await;
        assert_eq!(answer.status, 200);
        assert_eq!((answer.header("x-ratelimit-limit-requests"), answer.header("x-ratelimit-remaining-requests")), ("2", left));
    }
    let refused = ask(&gateway, &key, "portolan/echo").await;
    assert_eq!((refused.status, refused.word()), (429, "rate_limit_exceeded"), "{}", refused.text);
    assert!(
        refused.header("retry-after").parse::<u64>().unwrap() <= 30 && refused.message().contains("2 requests a minute"),
        "{}",
        refused.text
    );
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert!(refused.header("x-ratelimit-reset-requests").ends_with('s'));
    let free = ask(&gateway, &other, "portolan/echo").await;
    assert!(free.status == 200 && !free.headers.contains_key("x-ratelimit-limit-requests"));
}

#[tokio::test]
async fn tokens_are_counted_when_they_are_known_and_a_debt_is_waited_for() {
    let provider = StubProvider::start([Reply::text("x"), Reply::text("x")]).await;
    let gateway = TestGateway::with_config(&format!("{}limits: {{ tokens_per_minute: 10 }}\n", provider.section())).await;
    let (key, _) = gateway.key(json!({ "grants": ["models"], "models": ["*"] })).await;
    let first = ask(&gateway, &key, "stub/stub-1").await;
    assert_eq!((first.status, first.header("x-ratelimit-remaining-tokens")), (200, "10"), "{}", first.text);
    let refused = ask(&gateway, &key, "stub/stub-1").await;
    assert_eq!((refused.status, refused.header("x-ratelimit-limit-tokens")), (429, "10"), "{}", refused.text);
    assert!(refused.message().contains("10 tokens a minute"), "{}", refused.text);
    assert_eq!(provider.received().len(), 1, "nothing is sent for it");
}

#[tokio::test]
async fn calls_of_tools_are_requests_and_other_messages_are_not() {
    let gateway = TestGateway::with_config("auth: { keys: { few: { key: 0123456789abcdef, grants: [mcp, models], requests_per_minute: 1 } } }\nmcp: { servers: { demo: { command: [portolan, demo-server] } } }\n").await;
    gateway.wait_for_server("demo", "ready").await;
    let client = Modern::new(&gateway.url("/mcp")).with_key("0123456789abcdef");
    for _ in 0..3 {
        assert!(!client.tools().await.is_empty());
    }
    assert!(client.call("demo__echo", json!({ "text": "a" })).await["content"].is_array());
    let refused = client.request("tools/call", json!({ "name": "demo__echo", "arguments": { "text": "b" } })).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after") && refused.message().contains("1 requests a minute"), "{}", refused.text);
    let completion = ask(&gateway, "0123456789abcdef", "portolan/echo").await;
    assert_eq!(completion.status, 429, "both doors count together");
}

#[tokio::test]
async fn the_rate_of_all_changes_with_the_file_and_the_owner_has_none() {
    let gateway = TestGateway::with_config("limits: { requests_per_minute: 1 }\n").await;
    let url = gateway.url("/v1/chat/completions");
    let local = async || post(&url, &chat("portolan/echo", "x")).await.status;
    assert_eq!((local().await, local().await), (200, 429));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, &gateway.owner_key(), "portolan/echo").await.status, 200);
    }
    gateway.write_config("limits: {}\n");
    settles("the rate is gone", async || local().await == 200).await;
}

#[tokio::test]
async fn a_refusal_for_its_rate_is_on_record() {
    let gateway = TestGateway::with_config("limits: { requests_per_minute: 1 }\n").await;
    let url = gateway.url("/v1/chat/completions");
    for _ in 0..2 {
        post(&url, &chat("portolan/echo", "x")).await;
    }
    settles("both are on record", async || {
        let found = gateway.control("journal_query", json!({ "kind": "chat" })).await;
        let entries = found["entries"].as_array().unwrap();
        entries.len() == 2 && entries[0]["outcome"] == "refused" && entries[0]["detail"] == "rate_limit_exceeded"
    })
    .await;
}

#[tokio::test]
async fn rates_of_keys_are_shown_and_those_that_cannot_be_are_refused() {
    let gateway = TestGateway::start().await;
    gateway.cli(&["key", "create", "--grant", "models", "--requests-per-minute", "30", "--tokens-per-minute", "5000"]).await.ok();
    let listed = gateway.cli(&["key", "list"]).await.ok();
    assert!(listed.contains("30 requests a minute; 5000 tokens a minute"), "{listed}");
    let refused = gateway.try_control("keys_create", json!({ "grants": ["mcp"], "requests_per_minute": 0 })).await.unwrap_err();
    assert_eq!(refused["code"], "invalid_arguments");
    gateway.cli(&["key", "create", "--grant", "models", "--requests-per-minute", "0"]).await.failed(2);
    let said = TestGateway::refused("limits: { requests_per_minute: 0 }\n").await.failed(1);
    assert!(said.contains("requests_per_minute") || said.contains("line 1"), "{said}");
}
