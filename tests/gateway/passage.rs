//! What passes through: unknown methods and members, log messages, and resources that are followed, from one era to the other.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Manner, Modern, Puppet, Session, TestGateway, question, settles, text_of};

const ALL: [Manner; 4] = [Manner::Sessions, Manner::Stateless, Manner::Line, Manner::Pipe];

#[tokio::test]
async fn a_method_that_only_an_extension_knows_passes_on_the_servers_own_path_and_not_on_the_aggregate() {
    for manner in ALL {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (client, session) =
            (Arc::new(Modern::new(&gateway.url("/mcp/inn"))), Session::open(&gateway.url("/mcp/inn"), "2025-11-25", None).await);
        let params = json!({ "x": { "deep": [1, null] }, "_meta": { "vendor.example/a": 1 } });
        let calling = client.starting("vendor/dance", params.clone());
        let call = server.call().await;
        assert_eq!((call.method.as_str(), &call.params["x"]), ("vendor/dance", &params["x"]), "{manner:?}");
        assert_eq!(call.params["_meta"]["vendor.example/a"], 1);
        call.answer(json!({ "danced": true, "steps": 1e2 }));
        assert_eq!(calling.await.unwrap().result().await["danced"], true, "{manner:?}");
        let calling = tokio::spawn(async move { session.start("vendor/dance", params).await });
        server.call().await.answer(json!({ "danced": "again" }));
        assert_eq!(calling.await.unwrap().result().await["danced"], "again", "{manner:?}");

        let everywhere = Modern::new(&gateway.url("/mcp")).request("vendor/dance", json!({})).await;
        assert_eq!((everywhere.status, everywhere.code()), (404, -32601));
        for method in ["sampling/createMessage", "roots/list", "elicitation/create", "notifications/x"] {
            assert!(client.request(method, json!({})).await.body["error"].is_object(), "{method}");
            assert!(server.seen(method).is_empty(), "{manner:?}: {method} is not for a server");
        }
    }
}

#[tokio::test]
async fn a_key_that_may_use_only_some_tools_reaches_no_unknown_method() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "tools": ["inn__greet"] })).await;
    let refused = Modern::new(&gateway.url("/mcp/inn")).with_key(&key).request("vendor/dance", json!({})).await;
    assert_eq!(refused.code(), -32601, "{}", refused.text);
    assert!(server.seen("vendor/dance").is_empty());
}

/// JSON texts that a value would not keep: numbers of all writings, escapes, and objects of any order.
fn texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        "[a-zé☃ ]{0,8}".prop_map(|text| format!("\"{text}\"")),
        Just(r#""\u0041\n\/\\\"\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(("[a-z]{1,6}", inner), 0..5).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().enumerate().map(|(at, (name, value))| format!("\"{name}{at}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

#[tokio::test]
async fn members_that_nobody_knows_keep_their_bytes_in_both_directions() {
    let mut runner = TestRunner::deterministic();
    for manner in ALL {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = Arc::new(Session::open(&gateway.url("/mcp/inn"), "2025-11-25", None).await);
        let modern = Modern::new(&gateway.url("/mcp/inn"));
        for round in 0..25 {
            let [sent, said] = [0, 1].map(|_| texts().new_tree(&mut runner).unwrap().current());
            let meta =
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
            let (request, meta) = if round % 2 == 0 {
                (session.prepare(reqwest::Method::POST).header("content-type", "application/json"), String::new())
            } else {
                (modern.prepare("tools/call", json!({ "name": "greet", "arguments": {} })).1, format!(",{meta}"))
            };
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"greet","arguments":{{"a":{sent}}},"x-vendor":{sent}{meta}}}}}"#
            );
            let calling = tokio::spawn(async move { request.body(body).send().await.unwrap().text().await.unwrap() });
            let mut call = server.call().await;
            let raw = call.raw();
            assert!(raw.contains(&format!(r#""arguments":{{"a":{sent}}}"#)), "{manner:?}: {sent} became {raw}");
            assert!(raw.contains(&format!(r#""x-vendor":{sent}"#)), "{manner:?}: {sent} became {raw}");
            let result = format!(r#"{{"resultType":"complete","content":[],"structuredContent":{{"a":{said}}},"x-vendor":{said}}}"#);
            call.say_raw(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, call.id));
            drop(call);
            let answer = calling.await.unwrap();
            assert!(
                answer.contains(&format!(r#""structuredContent":{{"a":{said}}},"x-vendor":{said}"#)),
                "{manner:?}: {said} became {answer}"
            );
        }
    }
}

fn logged(level: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "logger": "inn", "data": { "at": level } } })
}

#[tokio::test]
async fn a_session_hears_what_servers_log_from_the_level_on_that_it_set() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = Arc::new(Session::open(&gateway.url("/mcp"), "2025-11-25", None).await);
        for (set, heard) in [("warning", vec!["warning", "emergency"]), ("debug", vec!["debug", "info", "warning", "emergency"])] {
            assert_eq!(session.request("logging/setLevel", json!({ "level": set })).await.status, 200);
            let calling = session.starting("inn__greet", json!({}));
            let mut call = server.call().await;
            for level in ["debug", "info", "warning", "emergency"] {
                call.say(&logged(level));
            }
            call.text("done");
            let mut events = calling.await.unwrap();
            let mut levels = Vec::new();
            let answer = loop {
                let message = events.next_json().await.unwrap();
                match message["params"]["level"].as_str() {
                    Some(level) => levels.push(level.to_owned()),
                    None => break message,
                }
            };
            assert_eq!((levels, text_of(&answer["result"])), (heard.into_iter().map(str::to_owned).collect(), "done"), "{manner:?} {set}");
            assert_eq!(server.seen("logging/setLevel").last().unwrap()["params"]["level"], set, "{manner:?}");
        }
        for level in [json!("loud"), json!(3), Value::Null] {
            assert_eq!(session.request("logging/setLevel", json!({ "level": level })).await.code(), -32602);
        }
    }
}

#[tokio::test]
async fn a_stateless_client_hears_what_is_logged_only_where_it_asked_for_it() {
    for manner in ALL {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let client = Arc::new(Modern::new(&gateway.url("/mcp")));
        for (level, heard) in [(None, vec![]), (Some("error"), vec!["error"]), (Some("info"), vec!["info", "error"])] {
            let mut params = json!({ "name": "inn__greet", "arguments": {} });
            if let Some(level) = level {
                params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": level });
            }
            let calling = client.starting("tools/call", params);
            let mut call = server.call().await;
            if manner == Manner::Stateless {
                assert_eq!(call.params["_meta"]["io.modelcontextprotocol/logLevel"].as_str(), level);
            }
            for level in ["debug", "info", "error"] {
                call.say(&logged(level));
            }
            call.text("done");
            let mut events = calling.await.unwrap();
            let mut levels = Vec::new();
            while let Some(level) = events.next_json().await.unwrap()["params"]["level"].as_str() {
                levels.push(level.to_owned());
            }
            assert_eq!(levels, heard, "{manner:?} {level:?}");
        }
    }
}

#[tokio::test]
async fn what_is_logged_for_one_caller_is_not_heard_by_another() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (ada, alan) =
            (Session::open(&gateway.url("/mcp"), "2025-11-25", None).await, Session::open(&gateway.url("/mcp"), "2025-11-25", None).await);
        let (ada, alan) = (Arc::new(ada), Arc::new(alan));
        let first = ada.starting("inn__greet", json!({}));
        let mut one = server.call().await;
        let second = alan.starting("inn__greet", json!({}));
        let two = server.call().await;
        one.say(&logged("alert"));
        server.notice(&logged("alert"));
        // What is answered came after it.
        server.notice(&question("read", "ping", json!({})));
        server.answer_to("read").await;
        one.text("one");
        two.text("two");
        first.await.unwrap().result().await;
        let heard = second.await.unwrap().next_json().await.unwrap();
        assert_eq!(text_of(&heard["result"]), "two", "{manner:?}: {heard}");
    }
}

fn updated(uri: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } })
}

/// How often the server was asked to tell of a resource, and to tell no more.
fn followed(server: &Puppet, manner: Manner) -> (usize, usize) {
    if manner == Manner::Stateless {
        let last = server.seen("subscriptions/listen").pop().unwrap();
        let uris = last["params"]["notifications"]["resourceSubscriptions"].as_array().map_or(0, Vec::len);
        return (uris, usize::from(uris == 0));
    }
    (server.seen("resources/subscribe").len(), server.seen("resources/unsubscribe").len())
}

#[tokio::test]
async fn many_follow_a_resource_by_one_subscription_in_every_era_until_the_last_one_leaves() {
    for manner in [Manner::Sessions, Manner::Stateless, Manner::Line] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (all, own) = ("inn+file:///a.txt", "file:///a.txt");
        let ada = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
        let alan = Session::open(&gateway.url("/mcp/inn"), "2025-06-18", None).await;
        let (mut of_ada, mut of_alan) = (ada.listen().await, alan.listen().await);
        for _ in 0..2 {
            assert_eq!(ada.request("resources/subscribe", json!({ "uri": all })).await.result(), &json!({}), "{manner:?}");
        }
        assert_eq!(alan.request("resources/subscribe", json!({ "uri": own })).await.result(), &json!({}));
        let client = Modern::new(&gateway.url("/mcp"));
        let (id, mut of_client) = client.listen(json!({ "resourceSubscriptions": [all, "inn+file:///a.txt/none", "nobody+x:y"] })).await;
        let acknowledged = of_client.next_json().await.unwrap();
        assert!(
            acknowledged["params"]["notifications"]["resourceSubscriptions"].as_array().unwrap().contains(&json!(all)),
            "{acknowledged}"
        );
        settles("the server tells of it", async || followed(&server, manner).0 >= 1).await;
        let asked: Vec<Value> = server.seen("resources/subscribe").into_iter().filter(|message| message["params"]["uri"] == own).collect();
        assert!(asked.len() <= 1, "{manner:?}: one subscription for all");

        server.notice(&updated("file:///other.txt"));
        server.notice(&updated(own));
        assert_eq!(of_ada.next_of("notifications/resources/updated").await["params"]["uri"], all, "{manner:?}");
        assert_eq!(of_alan.next_of("notifications/resources/updated").await["params"]["uri"], own, "{manner:?}");
        let told = of_client.next_of("notifications/resources/updated").await;
        assert_eq!(told["params"]["uri"], all, "{manner:?}");
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);

        ada.request("resources/unsubscribe", json!({ "uri": all })).await.result();
        server.notice(&updated(own));
        of_alan.next_of("notifications/resources/updated").await;
        let silence = of_ada.for_a_while(Duration::from_millis(400)).await;
        assert_eq!(silence, Vec::<Value>::new(), "{manner:?}: who follows no more hears no more");
        alan.end().await;
        drop(of_client);
        settles("the server need not tell any more", async || {
            followed(&server, manner).1 >= 1 || (manner == Manner::Stateless && followed(&server, manner).0 == 0)
        })
        .await;
    }
}

#[tokio::test]
async fn a_subscription_is_made_anew_when_the_server_comes_back() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Line, &["greet"]).await;
    let session = Session::open(&gateway.url("/mcp/inn"), "2025-11-25", None).await;
    let mut events = session.listen().await;
    session.request("resources/subscribe", json!({ "uri": "file:///a.txt" })).await.result();
    server.hang_up();
    // What changed meanwhile was told to nobody.
    assert_eq!(events.next_of("notifications/resources/updated").await["params"]["uri"], "file:///a.txt");
    assert_eq!(server.seen("resources/subscribe").len(), 2);
    server.notice(&updated("file:///a.txt"));
    events.next_of("notifications/resources/updated").await;
}

#[tokio::test]
async fn what_is_not_there_cannot_be_followed_and_neither_can_anothers() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "servers": ["other"] })).await;
    let stranger = Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&key)).await;
    let refused = stranger.request("resources/subscribe", json!({ "uri": "inn+file:///a.txt" })).await;
    assert!(refused.body["error"].is_object(), "{}", refused.text);
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
    for uri in [json!("nobody+file:///a.txt"), json!(""), json!(7), Value::Null] {
        assert!(session.request("resources/subscribe", json!({ "uri": uri })).await.body["error"].is_object(), "{uri}");
    }
    assert!(server.seen("resources/subscribe").is_empty());
    let client = Modern::new(&gateway.url("/mcp")).with_key(&key);
    let (_, mut events) = client.listen(json!({ "resourceSubscriptions": ["inn+file:///a.txt"] })).await;
    let acknowledged = events.next_json().await.unwrap();
    assert_eq!(acknowledged["params"]["notifications"], json!({}), "{acknowledged}");
    server.notice(&updated("file:///a.txt"));
    assert_eq!(events.for_a_while(Duration::from_millis(300)).await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_kill_switch_ends_what_is_followed_and_it_can_be_followed_anew_afterwards() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = Session::open(&gateway.url("/mcp"), "2025-11-25", None).await;
    let mut events = session.listen().await;
    session.request("resources/subscribe", json!({ "uri": "inn+file:///a.txt" })).await.result();
    server.notice(&updated("file:///a.txt"));
    events.next_of("notifications/resources/updated").await;
    gateway.control("access_block", json!({ "target": "server:inn", "reason": "drill" })).await;
    server.notice(&updated("file:///a.txt"));
    let heard = events.for_a_while(Duration::from_millis(400)).await;
    assert!(heard.iter().all(|message| message["method"] != "notifications/resources/updated"), "{heard:?}");

    gateway.control("access_unblock", json!({ "target": "server:inn" })).await;
    settles("the gateway is back", async || {
        session.request("resources/subscribe", json!({ "uri": "inn+file:///a.txt" })).await.body["result"].is_object()
    })
    .await;
    settles("the client hears of it again", async || {
        server.notice(&updated("file:///a.txt"));
        let heard = events.for_a_while(Duration::from_millis(200)).await;
        heard.iter().any(|message| message["method"] == "notifications/resources/updated")
    })
    .await;
}
