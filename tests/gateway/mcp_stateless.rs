//! `/mcp` and `/mcp/{server}` for clients of the stateless revision 2026-07-28.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Answer, McpUpstream, Modern, REVISION_MODERN, Speaks, TestGateway, http, modern, names, session, settles, text_of, tool,
};

async fn demo() -> TestGateway {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    gateway
}

fn any() -> Value {
    json!({ "type": "object" })
}

/// A whole and right `tools/call` of `demo__echo`, to be spoilt in one place at a time.
fn call() -> Value {
    json!({ "jsonrpc": "2.0", "id": "r-1", "method": "tools/call", "params": {
        "name": "demo__echo", "arguments": { "text": "x" },
        "_meta": { "io.modelcontextprotocol/protocolVersion": REVISION_MODERN, "io.modelcontextprotocol/clientCapabilities": {} },
    } })
}

async fn send(gateway: &TestGateway, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = headers.iter().fold(http().post(gateway.url("/mcp")), |request, (name, value)| request.header(*name, *value));
    Answer::read(request.json(body).send().await.unwrap()).await
}

const HEADERS: [(&str, &str); 3] = [("mcp-protocol-version", REVISION_MODERN), ("mcp-method", "tools/call"), ("mcp-name", "demo__echo")];

#[tokio::test]
async fn the_gateway_says_what_it_is_when_asked() {
    let gateway = demo().await;
    for path in ["/mcp", "/mcp/demo", "/mcp/portolan"] {
        let client = Modern::new(&gateway.url(path)).with_key(&gateway.owner_key());
        let answer = client.request("server/discover", json!({})).await;
        let found = answer.result();
        assert!(found["supportedVersions"].as_array().unwrap().contains(&json!(REVISION_MODERN)), "{path}: {found}");
        assert_eq!(found["resultType"], "complete");
        assert!(
            found["ttlMs"].is_u64() && found["cacheScope"].is_string() && found["capabilities"]["tools"].is_object(),
            "{path}: {found}"
        );
    }
}

#[tokio::test]
async fn lists_and_reads_say_how_long_they_may_be_kept() {
    let gateway = demo().await;
    let client = modern(&gateway.url("/mcp"));
    for (method, params) in [
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "demo+demo://notes" })),
    ] {
        let answer = client.request(method, params).await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.text);
        assert_eq!(answer.result()["resultType"], "complete", "{method}");
        assert!(answer.result()["ttlMs"].is_u64(), "{method}: {}", answer.text);
        assert!(["public", "private"].contains(&answer.result()["cacheScope"].as_str().unwrap_or_default()), "{method}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_tool_is_called_without_a_session_and_none_is_made() {
    let gateway = demo().await;
    let answer = send(&gateway, &HEADERS, &call()).await;
    assert_eq!((answer.status, text_of(answer.result())), (200, "x"));
    assert_eq!(answer.result()["resultType"], "complete");
    assert_eq!(answer.header("mcp-session-id"), "");
}

#[tokio::test]
async fn headers_that_contradict_the_body_are_refused() {
    let gateway = demo().await;
    let with = |name: &'static str, value: Option<&'static str>| -> Vec<(&str, &str)> {
        let kept = HEADERS.into_iter().filter(|(key, _)| *key != name);
        kept.chain(value.map(|value| (name, value))).collect()
    };
    for headers in [
        with("mcp-protocol-version", None),
        with("mcp-protocol-version", Some("2025-11-25")),
        with("mcp-method", None),
        with("mcp-method", Some("tools/list")),
        with("mcp-method", Some("Tools/Call")),
        with("mcp-name", None),
        with("mcp-name", Some("demo__fail")),
        with("mcp-name", Some("=?base64?ZGVtb19fZmFpbA==?=")),
        with("mcp-name", Some("=?base64?!!!?=")),
    ] {
        let answer = send(&gateway, &headers, &call()).await;
        assert_eq!((answer.status, answer.code(), &answer.body["id"]), (400, -32020, &json!("r-1")), "{headers:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_name_may_come_in_its_base64_form() {
    let gateway = demo().await;
    let headers = [HEADERS[0], HEADERS[1], ("mcp-name", "=?base64?ZGVtb19fZWNobw==?=")];
    assert_eq!(text_of(send(&gateway, &headers, &call()).await.result()), "x");
}

#[tokio::test]
async fn a_revision_that_is_not_served_is_refused_with_those_that_are() {
    let gateway = demo().await;
    let mut body = call();
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    let answer = send(&gateway, &[("mcp-protocol-version", "2099-01-01"), HEADERS[1], HEADERS[2]], &body).await;
    assert_eq!((answer.status, answer.code()), (400, -32022), "{}", answer.text);
    let data = &answer.body["error"]["data"];
    assert_eq!(data["requested"], "2099-01-01");
    assert!(data["supported"].as_array().unwrap().contains(&json!(REVISION_MODERN)), "{data}");
}

#[tokio::test]
async fn a_request_without_its_stamp_is_refused() {
    let gateway = demo().await;
    for key in ["io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"] {
        let mut body = call();
        body["params"]["_meta"].as_object_mut().unwrap().remove(key);
        let answer = send(&gateway, &HEADERS, &body).await;
        assert_eq!((answer.status, answer.code()), (400, -32602), "without {key}: {}", answer.text);
    }
    let mut body = call();
    body["params"].as_object_mut().unwrap().remove("_meta");
    assert_eq!(send(&gateway, &HEADERS, &body).await.status, 400);
}

#[tokio::test]
async fn an_unknown_method_is_404_and_so_are_those_that_went_with_sessions() {
    let gateway = demo().await;
    let client = modern(&gateway.url("/mcp"));
    for method in ["tools/dance", "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
        let answer = client.request(method, json!({})).await;
        assert_eq!((answer.status, answer.code()), (404, -32601), "{method}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_not_there_is_an_error_in_band() {
    let gateway = demo().await;
    let client = modern(&gateway.url("/mcp"));
    for (method, params) in [
        ("tools/call", json!({ "name": "demo__nothing", "arguments": {} })),
        ("tools/call", json!({ "name": "nobody__echo", "arguments": {} })),
        ("prompts/get", json!({ "name": "demo__nothing" })),
        ("resources/read", json!({ "uri": "demo+demo://gone" })),
        ("resources/read", json!({ "uri": "nobody+x://y" })),
        ("tools/list", json!({ "cursor": "nonsense" })),
    ] {
        let answer = client.request(method, params.clone()).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{method} {params}: {}", answer.text);
    }
}

#[tokio::test]
async fn get_and_delete_are_not_for_stateless_clients() {
    let gateway = demo().await;
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let request = http().request(method.clone(), gateway.url("/mcp")).header("mcp-protocol-version", REVISION_MODERN);
        let answer = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method}");
    }
}

#[tokio::test]
async fn progress_comes_on_the_requests_own_stream() {
    let gateway = demo().await;
    let client = modern(&gateway.url("/mcp"));
    let params = json!({ "name": "demo__slow", "arguments": { "steps": 3, "delay_ms": 20 }, "_meta": { "progressToken": 7 } });
    let answer = client.request("tools/call", params).await;
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    assert_eq!(answer.header("x-accel-buffering"), "no");
    let tokens: Vec<&Value> = answer.notes.iter().map(|note| &note["params"]["progressToken"]).collect();
    assert_eq!(tokens, [7, 7, 7], "{}", answer.text);
    assert_eq!(text_of(answer.result()), "done after 3 steps");
}

#[tokio::test]
async fn listening_begins_with_what_was_accepted_and_every_message_carries_its_id() {
    let gateway = demo().await;
    let client = modern(&gateway.url("/mcp"));
    let (id, mut stream) = client.listen(json!({ "toolsListChanged": true, "somethingNew": true })).await;
    let first = stream.next_json().await.unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(first["params"]["notifications"], json!({ "toolsListChanged": true }));
    assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);

    let upstream = McpUpstream::start(Speaks::Stateless, [tool("find", "Finds.", any())]).await;
    gateway.add_url("late", &upstream.url()).await;
    let told = stream.next_json().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed", "nothing else was asked for");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
}

#[tokio::test]
async fn nobody_hears_of_a_server_that_is_not_theirs() {
    let gateway = demo().await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["d*"] })).await;
    let client = Modern::new(&gateway.url("/mcp")).with_key(&key);
    let (_, mut stream) = client.listen(json!({ "toolsListChanged": true })).await;
    stream.next_of("notifications/subscriptions/acknowledged").await;
    for name in ["secret", "dunes"] {
        let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
        gateway.add_url(name, &upstream.url()).await;
    }
    stream.next_of("notifications/tools/list_changed").await;
    let seen = client.tools().await;
    assert!(names(&seen).contains(&"dunes__find") && !names(&seen).contains(&"secret__find"), "{seen:?}");
    let more = tokio::time::timeout(Duration::from_millis(700), stream.next_json()).await;
    assert!(more.is_err(), "one change was theirs to hear of, and a second one came: {more:?}");
}

#[tokio::test]
async fn every_era_of_client_meets_every_era_of_server() {
    let gateway = TestGateway::start().await;
    for (name, speaks, era) in [("old", Speaks::Sessions, "2025-06-18"), ("new", Speaks::Stateless, "2026-07-28")] {
        let upstream = McpUpstream::start(speaks, [tool("find", "Finds.", any())]).await;
        let added = gateway.add_url(name, &upstream.url()).await;
        assert_eq!(added["era"], era);
        let older = session(&gateway.url("/mcp")).await;
        let newer = modern(&gateway.url("/mcp"));
        let public = format!("{name}__find");
        let (old_answer, new_answer) = (older.call(&public, json!({ "q": 1 })).await, newer.call(&public, json!({ "q": 1 })).await);
        assert_eq!(text_of(&old_answer), r#"find was given {"q":1}"#, "{name}");
        assert_eq!(text_of(&new_answer), r#"find was given {"q":1}"#, "{name}");
        assert!(old_answer.get("resultType").is_none(), "{name}: {old_answer}");
        assert_eq!(new_answer["resultType"], "complete", "{name}");
        let uri = format!("{name}+file:///a.txt");
        let read = json!({ "uri": uri });
        assert_eq!(
            older.request("resources/read", read.clone()).await.result()["contents"][0]["text"],
            "the text of \"file:///a.txt\"",
            "{name}"
        );
        assert_eq!(newer.request("resources/read", read).await.result()["contents"][0]["text"], "the text of \"file:///a.txt\"", "{name}");
        let prompt = json!({ "name": format!("{name}__ask"), "arguments": { "what": "tides" } });
        assert!(older.request("prompts/get", prompt.clone()).await.text.contains("about tides"), "{name}");
        assert!(newer.request("prompts/get", prompt).await.text.contains("about tides"), "{name}");
    }
}

#[tokio::test]
async fn the_callers_stamp_stays_with_the_gateway() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("old", &upstream.url()).await;
    let params = json!({ "name": "old__find", "arguments": {}, "_meta": { "vendor.example/keep": 1 } });
    modern(&gateway.url("/mcp")).request("tools/call", params).await.result();
    let seen = upstream.recorded("tools/call").pop().unwrap();
    assert_eq!(seen.body["params"]["_meta"], json!({ "vendor.example/keep": 1 }), "{}", seen.body);
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_connections_end_cancels_the_call_at_the_server() {
    for speaks in [Speaks::Sessions, Speaks::Stateless] {
        let upstream = McpUpstream::start(speaks, [tool("wait", "Waits.", any())]).await;
        upstream.hangs("wait");
        let gateway = TestGateway::start().await;
        gateway.add_url("slow", &upstream.url()).await;
        let client = modern(&gateway.url("/mcp"));
        let (_, request) = client.prepare("tools/call", json!({ "name": "slow__wait", "arguments": {} }));
        let call = tokio::spawn(request.send());
        upstream.arrival("tools/call").await;
        call.abort();
        settles("the server has seen the end of the call", async || match speaks {
            Speaks::Sessions => !upstream.recorded("notifications/cancelled").is_empty(),
            Speaks::Stateless => upstream.left() == 1,
        })
        .await;
    }
}

#[tokio::test]
async fn an_argument_that_travels_in_a_header_is_mirrored_and_checked() {
    let schema = json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
    let upstream = McpUpstream::start(Speaks::Stateless, [tool("deploy", "Deploys.", schema)]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("cloud", &upstream.url()).await;

    let older = session(&gateway.url("/mcp")).await;
    older.call("cloud__deploy", json!({ "region": "us-west1\r\nX-Evil: 1" })).await;
    let seen = upstream.recorded("tools/call").pop().unwrap();
    assert_eq!(seen.headers["mcp-param-region"], "=?base64?dXMtd2VzdDENClgtRXZpbDogMQ==?=");
    assert!(!seen.headers.contains_key("x-evil"));
    assert_eq!((&seen.headers["mcp-name"], &seen.headers["mcp-method"]), (&"deploy".parse().unwrap(), &"tools/call".parse().unwrap()));

    let client = modern(&gateway.url("/mcp"));
    let ask = async |header: Option<&str>| {
        let (_, request) = client.prepare("tools/call", json!({ "name": "cloud__deploy", "arguments": { "region": "eu" } }));
        let request = match header {
            Some(value) => request.header("mcp-param-region", value),
            None => request,
        };
        Answer::read(request.send().await.unwrap()).await
    };
    assert_eq!(ask(Some("eu")).await.status, 200);
    for header in [None, Some("us")] {
        let answer = ask(header).await;
        assert_eq!((answer.status, answer.code()), (400, -32020), "{header:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_opened_anew() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("find", "Finds.", any())]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("old", &upstream.url()).await;
    upstream.forget_sessions();
    let client = modern(&gateway.url("/mcp"));
    settles("calls work again", async || {
        let answer = client.request("tools/call", json!({ "name": "old__find", "arguments": {} })).await;
        answer.body.get("result").is_some()
    })
    .await;
    assert!(upstream.recorded("initialize").len() >= 2);
}
