//! Schemas from servers that mean harm, and arguments that do not fit: neither gets through.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{McpUpstream, Speaks, TestGateway, modern, names, session, text_of, tool};

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

/// Each level refers twice to the next.
fn exponential() -> Value {
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        definitions.insert(format!("l{level}"), json!({ "allOf": [next, next] }));
    }
    definitions.insert("l40".to_owned(), json!({ "type": "string" }));
    json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/l0" } }, "$defs": definitions })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({ "type": "string" }), |inner, _| object(json!({ "a": inner })))
}

#[tokio::test]
async fn hostile_schemas_are_left_out_and_the_servers_other_tools_stay() {
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = format!("http://{}/schema.json", trap.local_addr().unwrap());
    let hostile = [
        ("remote-ref", json!({ "$ref": remote })),
        ("remote-ref-inside", object(json!({ "a": { "items": { "$ref": format!("{remote}#/a") } } }))),
        ("file-ref", object(json!({ "a": { "$ref": "file:///etc/passwd" } }))),
        ("remote-dialect", json!({ "$schema": remote, "type": "object" })),
        ("relative-ref-to-a-remote-base", json!({ "$id": remote, "type": "object", "properties": { "a": { "$ref": "other.json" } } })),
        ("missing-ref", object(json!({ "a": { "$ref": "#/$defs/gone" } }))),
        ("self-reference", json!({ "$ref": "#" })),
        (
            "self-reference-inside",
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/x" } }, "$defs": { "x": { "allOf": [{ "$ref": "#/$defs/x" }] } } }),
        ),
        ("exponential", exponential()),
        ("look-around", object(json!({ "a": { "type": "string", "pattern": "^(?=.*a)(?!b).+$" } }))),
        ("back-reference", object(json!({ "a": { "type": "string", "pattern": "^(a+)\\1$" } }))),
        ("broken-pattern", object(json!({ "a": { "type": "string", "pattern": "(((" } }))),
        ("huge-pattern", object(json!({ "a": { "type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}" } }))),
        ("too-deep", nested(55)),
        ("no-schema-at-all", json!("object")),
        ("wrong-type", json!({ "type": 7 })),
    ];
    let mut tools: Vec<Value> = hostile.iter().map(|(name, schema)| tool(name, "Looks harmless.", schema.clone())).collect();
    tools.insert(3, tool("good", "Is harmless.", object(json!({ "a": { "type": "string" } }))));
    tools.push(tool(
        "recursive",
        "Is honest.",
        json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } }),
    ));
    let upstream = McpUpstream::start(Speaks::Sessions, tools).await;
    let gateway = TestGateway::start().await;
    let start = Instant::now();
    gateway.add_url("mixed", &upstream.url()).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    let session = session(&gateway.url("/mcp/mixed")).await;
    assert_eq!(names(&session.tools().await), ["good", "recursive"]);
    assert_eq!(text_of(&session.call("good", json!({ "a": "x" })).await), r#"good was given {"a":"x"}"#);
    for (name, _) in &hostile {
        assert_eq!(session.request("tools/call", json!({ "name": name, "arguments": {} })).await.code(), -32602, "{name}");
    }

    let shown = gateway.control("servers_show", json!({ "name": "mixed" })).await;
    for (name, _) in &hostile {
        let left_out = shown["left_out"].as_array().unwrap().iter().find(|one| one["name"] == *name);
        let reason = left_out.and_then(|one| one["reason"].as_str()).unwrap_or_default();
        assert!(!reason.is_empty(), "it is said why `{name}` was left out: {}", shown["left_out"]);
    }
    let called = tokio::time::timeout(Duration::from_millis(300), trap.accept()).await;
    assert!(called.is_err(), "a schema made the gateway call out");
}

#[tokio::test]
async fn a_list_that_is_nested_without_end_costs_its_own_server_alone() {
    let upstream = McpUpstream::start(Speaks::Sessions, []).await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    upstream.set_raw_tools([format!(r#"{{"name":"deep","inputSchema":{{"type":"object"}},"x":{deep}}}"#)]);
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    // Whether that one tool is left out or its whole server, nothing else is harmed.
    let added = gateway.try_control("servers_add", json!({ "name": "deep", "url": upstream.url(), "allow_private": true })).await;
    if let Err(refused) = added {
        assert_eq!(refused["code"], "server_unusable", "{refused}");
    }
    let tools = modern(&gateway.url("/mcp")).tools().await;
    assert!(names(&tools).iter().all(|name| name.starts_with("demo__")) && tools.len() == 4, "{:?}", names(&tools));
}

#[tokio::test]
async fn a_catastrophic_pattern_takes_no_longer_than_any_other() {
    let schema = object(json!({ "a": { "type": "string", "pattern": "^(a+)+$" } }));
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("match", "Matches.", schema)]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("regex", &upstream.url()).await;
    let client = modern(&gateway.url("/mcp"));
    if names(&client.tools().await).is_empty() {
        return; // Left out is as good as harmless.
    }
    let start = Instant::now();
    let result = client.call("regex__match", json!({ "a": format!("{}!", "a".repeat(50_000)) })).await;
    assert_eq!(result["isError"], true);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_a_result_that_names_path_and_release() {
    let schema = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": { "city": { "type": "string", "minLength": 2 }, "days": { "type": "array", "items": { "type": "integer", "maximum": 14 } } },
    });
    for speaks in [Speaks::Sessions, Speaks::Stateless] {
        let upstream = McpUpstream::start(speaks, [tool("forecast", "Forecasts.", schema.clone())]).await;
        let gateway = TestGateway::start().await;
        gateway.add_url("weather", &upstream.url()).await;
        let (older, newer) = (session(&gateway.url("/mcp")).await, modern(&gateway.url("/mcp")));
        let one = modern(&gateway.url("/mcp/weather"));
        for (arguments, word) in [
            (json!({}), "city"),
            (json!({ "city": 7 }), "/city"),
            (json!({ "city": "x" }), "/city"),
            (json!({ "city": "Oslo", "days": [1, 99] }), "/days/1"),
            (json!({ "city": "Oslo", "daze": [] }), "daze"),
        ] {
            for result in [
                older.call("weather__forecast", arguments.clone()).await,
                newer.call("weather__forecast", arguments.clone()).await,
                one.call("forecast", arguments.clone()).await,
            ] {
                assert_eq!(result["isError"], true, "{arguments}: {result}");
                let text = text_of(&result);
                assert!(text.contains(word) && text.contains("weather@1.0.0"), "{arguments}: {text}");
            }
        }
        assert!(upstream.recorded("tools/call").is_empty(), "none of these reached the server");
        older.call("weather__forecast", json!({ "city": "Oslo", "days": [1, 2] })).await;
        assert_eq!(upstream.recorded("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn numbers_reach_a_server_as_they_were_written() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("count", "Counts.", object(json!({ "n": { "type": "integer" } })))]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("exact", &upstream.url()).await;
    let session = session(&gateway.url("/mcp")).await;
    let result = session.call("exact__count", json!({ "n": 9_007_199_254_740_993_i64 })).await;
    assert_eq!(text_of(&result), r#"count was given {"n":9007199254740993}"#);
}

#[tokio::test]
async fn missing_arguments_are_an_empty_object() {
    let upstream = McpUpstream::start(Speaks::Sessions, [tool("free", "Needs nothing.", object(json!({})))]).await;
    let gateway = TestGateway::start().await;
    gateway.add_url("none", &upstream.url()).await;
    let answer = modern(&gateway.url("/mcp")).request("tools/call", json!({ "name": "none__free" })).await;
    assert_ne!(answer.result()["isError"], true, "{}", answer.text);
}
