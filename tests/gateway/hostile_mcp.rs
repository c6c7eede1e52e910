//! Servers that send nonsense, too much, or what is not theirs to say: it harms the call it comes on at most, and costs little.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{
    Answer, Events, Manner, Modern, Puppet, REVISION_MODERN, Session, TestGateway, form, http, named, question, saying, text_of,
};

async fn able(gateway: &TestGateway) -> Arc<Session> {
    Arc::new(Session::able(&gateway.url("/mcp"), "2025-11-25", None, json!({ "elicitation": {}, "sampling": {} })).await)
}

fn answer_to(id: &Value, text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": saying(text) })
}

/// What is none of a message, as a server may send it between messages.
const GARBAGE: [&str; 12] = [
    "nonsense",
    "{",
    "[]",
    "[1,2]",
    "null",
    "7",
    "{}",
    r#"{"jsonrpc":"2.0"}"#,
    r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":1.5,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","Id":1,"Result":{}}"#,
];

#[tokio::test]
async fn what_is_no_message_is_passed_over() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        for text in GARBAGE {
            call.bytes(if manner == Manner::Pipe { format!("{text}\n") } else { format!("data: {text}\n\n") });
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        call.bytes(if manner == Manner::Pipe { format!("{deep}\n\u{0}\n\n\r\n") } else { format!("data: {deep}\n\n: x\n\nevent: y\n\n") });
        call.text("clear");
        let mut events = calling.await.unwrap();
        let answer = events.next_json().await.unwrap();
        assert_eq!(text_of(&answer["result"]), "clear", "{manner:?}: {answer}");
    }
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_dropped_and_a_second_one_changes_nothing() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        let id = call.id.as_u64().unwrap();
        for other in [json!(id + 1000), json!(id.to_string()), json!(-1), json!("x"), Value::Null, json!(u64::MAX)] {
            call.say(&answer_to(&other, "not yours"));
        }
        call.say(&json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "not yours" } }));
        call.say(&answer_to(&json!(id), "first"));
        call.say(&answer_to(&json!(id), "second"));
        assert_eq!(text_of(&calling.await.unwrap().result().await), "first", "{manner:?}");
        drop(call);
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        if manner != Manner::Sessions {
            call.say(&answer_to(&json!(id), "third"));
        }
        call.text("next");
        assert_eq!(text_of(&calling.await.unwrap().result().await), "next", "{manner:?}");
    }
}

#[tokio::test]
async fn an_answer_on_anothers_stream_is_none() {
    for manner in [Manner::Sessions, Manner::Stateless] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let (ada, alan) = (able(&gateway).await, able(&gateway).await);
        let first = ada.starting("inn__greet", json!({}));
        let mut one = server.call().await;
        one.bytes(": open\n\n");
        let second = alan.starting("inn__greet", json!({}));
        let two = server.call().await;
        let mut forged = answer_to(&two.id, "forged");
        forged["result"]["resultType"] = "complete".into();
        one.say(&forged);
        one.say(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": two.id, "progress": 1 } }));
        server.notice(&forged);
        one.text("one");
        assert_eq!(text_of(&first.await.unwrap().result().await), "one");
        two.text("two");
        assert_eq!(text_of(&second.await.unwrap().result().await), "two", "{manner:?}");
    }
}

#[tokio::test]
async fn a_question_on_a_calls_stream_is_never_put_to_another_caller() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (ada, plain) = (able(&gateway).await, Session::open(&gateway.url("/mcp"), "2025-11-25", None).await);
    let plain = Arc::new(plain);
    let first = ada.starting("inn__greet", json!({}));
    let one = server.call().await;
    let second = plain.starting("inn__greet", json!({}));
    let mut two = server.call().await;
    two.ask_name("q-1");
    assert_eq!(server.answer_to("q-1").await["result"], json!({ "action": "cancel" }));
    one.text("one");
    two.text("two");
    let heard = first.await.unwrap().next_json().await.unwrap();
    assert_eq!(text_of(&heard["result"]), "one", "{heard}");
    assert_eq!(text_of(&second.await.unwrap().result().await), "two");
}

#[tokio::test]
async fn what_is_asked_after_the_answer_is_asked_of_nobody() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        let done = call.success(saying("done"));
        // In one piece, so that both are read at once.
        let ask = question("late", "elicitation/create", form("Still there?"));
        let end = if manner == Manner::Pipe { "\n" } else { "\n\n" };
        let begin = if manner == Manner::Pipe { "" } else { "data: " };
        call.bytes(format!("{begin}{done}{end}{begin}{ask}{end}"));
        let heard = calling.await.unwrap().next_json().await.unwrap();
        assert_eq!(text_of(&heard["result"]), "done", "{manner:?}: {heard}");
        let more = session.listen().await.for_a_while(Duration::from_millis(300)).await;
        assert_eq!(more, Vec::<Value>::new(), "{manner:?}");
        assert!(server.answers("late").iter().all(|answer| answer["result"]["action"] == "cancel"), "{manner:?}");
    }
}

#[tokio::test]
async fn a_batch_may_hold_the_answer_where_batches_were_known_and_what_else_is_in_it_is_heard() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        let batch = json!([7, answer_to(&json!("x"), "no"), answer_to(&call.id, "yes"), question("late", "elicitation/create", form("?"))]);
        call.say(&batch);
        assert_eq!(text_of(&calling.await.unwrap().result().await), "yes", "{manner:?}");
    }
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    for (body, said) in [
        (json!([question("q", "elicitation/create", form("?"))]), None),
        (json!([]), None),
        (json!({ "jsonrpc": "2.0", "id": 0, "result": {} }), None),
        (Value::Null, Some("whole")),
    ] {
        let calling = session.starting("inn__greet", json!({}));
        let mut call = server.call().await;
        let body = if said.is_some() { json!([question("q", "ping", json!({})), answer_to(&call.id, "whole")]) } else { body };
        call.whole(body.to_string());
        let answer = calling.await.unwrap().answer().await;
        match said {
            Some(said) => assert_eq!(text_of(&answer["result"]), said),
            None => assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{answer}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_refused_and_its_answer_still_comes() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = able(&gateway).await;
    let calling = session.starting("inn__greet", json!({}));
    let mut call = server.call().await;
    for number in 0..300 {
        call.ask_name(&format!("q-{number}"));
    }
    let mut events = calling.await.unwrap();
    for _ in 0..64 {
        let asked = events.next_of("elicitation/create").await;
        session.reply(&asked, named("Ada")).await;
    }
    call.text("at last");
    let mut more = 0;
    let answer = loop {
        let message = events.next_json().await.unwrap();
        if message.get("method").is_none() {
            break message;
        }
        more += 1;
    };
    assert_eq!((text_of(&answer["result"]), more), ("at last", 0), "nobody is asked more than 64 times in one call");
}

/// A line of so many MiB without an end.
fn endless(first: &str, mebibytes: usize) -> Vec<Bytes> {
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    std::iter::once(Bytes::from(first.to_owned())).chain(std::iter::repeat_n(piece, mebibytes)).collect()
}

#[tokio::test]
async fn an_endless_line_fails_its_own_call_without_being_held() {
    for manner in [Manner::Sessions, Manner::Stateless, Manner::Pipe] {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let client = Arc::new(Modern::new(&gateway.url("/mcp")));
        let params = json!({ "name": "inn__greet", "arguments": {} });
        let before = gateway.peak_memory();
        let calling = client.starting("tools/call", params.clone());
        let mut call = server.call().await;
        let first = match manner {
            Manner::Pipe => format!(r#"{{"jsonrpc":"2.0","id":{},"result":""#, call.id),
            _ => "data: ".to_owned(),
        };
        for piece in endless(&first, 64) {
            call.bytes(piece);
        }
        if manner == Manner::Pipe {
            call.bytes("\"}\n");
        }
        let answer = calling.await.unwrap().answer().await;
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{manner:?}");
        assert!(!answer.to_string().contains("xxx"), "nothing of it is repeated");
        let grown = gateway.peak_memory().saturating_sub(before);
        assert!(grown < 48 << 10, "{manner:?}: memory grew by {grown} KiB");
        let calling = client.starting("tools/call", params);
        server.call().await.text("next");
        assert_eq!(text_of(&calling.await.unwrap().result().await), "next", "{manner:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let client = Arc::new(Modern::new(&gateway.url("/mcp")));
    let params = json!({ "name": "inn__greet", "arguments": {} });
    let before = gateway.peak_memory();
    let calling = client.starting("tools/call", params.clone());
    let mut call = server.call().await;
    let pieces = endless(r#"{"jsonrpc":"2.0","result":""#, 128);
    call.whole(Body::from_stream(futures::stream::iter(pieces).map(Ok::<_, std::convert::Infallible>)));
    let answer = calling.await.unwrap().answer().await;
    assert!(answer["error"].is_object(), "{}", answer.to_string().len());
    let grown = gateway.peak_memory().saturating_sub(before);
    assert!(grown < 64 << 10, "memory grew by {grown} KiB");
    let calling = client.starting("tools/call", params);
    server.call().await.text("next");
    assert_eq!(text_of(&calling.await.unwrap().result().await), "next");
}

#[tokio::test]
async fn a_flood_of_notifications_costs_little_and_hides_no_answer() {
    for manner in Manner::ASKING {
        let gateway = TestGateway::start().await;
        let server = Puppet::at(&gateway, "inn", manner, &["greet"]).await;
        let session = able(&gateway).await;
        let params = json!({ "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": 1 } });
        let calling = {
            let session = session.clone();
            tokio::spawn(async move { session.start("tools/call", params).await })
        };
        let mut call = server.call().await;
        call.progress(0);
        let _events = calling.await.unwrap();
        let before = gateway.peak_memory();
        // Nobody reads the stream meanwhile.
        for step in 1..=50_000 {
            call.progress(step);
            call.say(
                &json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "x".repeat(200) } }),
            );
        }
        call.text("done");
        let other = session.starting("inn__greet", json!({}));
        server.call().await.text("other");
        assert_eq!(text_of(&other.await.unwrap().result().await), "other", "{manner:?}");
        let grown = gateway.peak_memory().saturating_sub(before);
        assert!(grown < 48 << 10, "{manner:?}: memory grew by {grown} KiB");
    }
}

#[tokio::test]
async fn a_result_that_means_two_things_reaches_nobody() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Stateless, &["greet"]).await;
    let client = Arc::new(Modern::new(&gateway.url("/mcp")));
    for result in [
        r#""result":{"resultType":"complete","content":[]},"error":{"code":1,"message":"x"}"#,
        r#""result":{"resultType":"complete","resultType":"input_required","content":[]}"#,
        r#""result":{"resultType":"complete","content":[]},"result":{"resultType":"complete","content":[{"type":"text","text":"b"}]}"#,
        r#""result":{"resultType":"surprise","content":[]}"#,
        r#""result":{"resultType":7,"content":[]}"#,
        r#""result":{"resultType":"input_required"}"#,
        r#""result":{"resultType":"input_required","requestState":7}"#,
        r#""result":{"resultType":"input_required","inputRequests":{"a":{"method":"tools/call","params":{}}}}"#,
        r#""result":{"resultType":"task","taskId":"t"}"#,
        r#""result":[]"#,
        r#""result":"text""#,
        r#""results":{}"#,
    ] {
        let able = Arc::new(Modern::new(&gateway.url("/mcp")).able(json!({ "elicitation": {} })));
        for client in [&client, &able] {
            let calling = client.starting("tools/call", json!({ "name": "inn__greet", "arguments": {} }));
            let mut call = server.call().await;
            call.whole(format!(r#"{{"jsonrpc":"2.0","id":{},{result}}}"#, call.id));
            let answer = calling.await.unwrap().answer().await;
            // A task is for whoever said that it knows them.
            assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{result}: {answer}");
        }
    }
}

#[tokio::test]
async fn requests_that_say_something_twice_are_refused_in_either_era() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet", "other"]).await;
    let session = able(&gateway).await;
    let meta = format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{REVISION_MODERN}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    for params in [
        r#""name":"inn__greet","name":"inn__other","arguments":{}"#.to_owned(),
        r#""name":"inn__greet","arguments":{},"arguments":{"a":1}"#.to_owned(),
        r#""name":"inn__greet","n\u0061me":"inn__other","arguments":{}"#.to_owned(),
        r#""name":"inn__greet","arguments":{"a":{"b":1,"b":2}}"#.to_owned(),
        r#""name":"inn__greet","arguments":{"a":[{"b":1,"\u0062":2}]}"#.to_owned(),
        format!(r#""name":"inn__greet","arguments":{{}},{meta}"#),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params},{meta}}}}}"#);
        let of_session = session.prepare(reqwest::Method::POST);
        let headers = [("mcp-protocol-version", REVISION_MODERN), ("mcp-method", "tools/call"), ("mcp-name", "inn__greet")];
        let stateless = headers.iter().fold(http().post(gateway.url("/mcp")), |request, (name, value)| request.header(*name, *value));
        for request in [of_session, stateless] {
            let refused = Answer::read(request.header("content-type", "application/json").body(body.clone()).send().await.unwrap()).await;
            assert!(refused.body["error"].is_object() || refused.body["result"]["isError"] == true, "{params}: {}", refused.text);
        }
    }
    assert!(server.seen("tools/call").is_empty());
}

#[tokio::test]
async fn headers_of_sessions_mean_nothing_to_a_stateless_request() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let session = able(&gateway).await;
    let client = Modern::new(&gateway.url("/mcp"));
    for id in [session.id.as_str(), "nobody's"] {
        let (_, request) = client.prepare("tools/call", json!({ "name": "demo__echo", "arguments": { "text": "x" } }));
        let answer = Answer::read(request.header("mcp-session-id", id).header("last-event-id", "a-1").send().await.unwrap()).await;
        assert_eq!((answer.status, text_of(answer.result())), (200, "x"));
        assert_eq!(answer.header("mcp-session-id"), "");
    }
}

#[tokio::test]
async fn the_oldest_transport_is_closed_to_the_pages_of_others_too() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for path in ["/mcp/sse", "/mcp/demo/sse"] {
        for header in [("host", "evil.example.com"), ("origin", "null"), ("origin", "https://evil.example.com")] {
            let opened =
                http().get(gateway.url(path)).header("accept", "text/event-stream").header(header.0, header.1).send().await.unwrap();
            assert_eq!(opened.status(), 403, "{path} {header:?}");
        }
        let opened = http().get(gateway.url(path)).header("accept", "text/event-stream").send().await.unwrap();
        let address = Events::new(opened).next().await.unwrap().data;
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        for header in [("host", "evil.example.com"), ("origin", "null")] {
            let sent = http().post(gateway.url(&address)).header(header.0, header.1).json(&ping).send().await.unwrap();
            assert_eq!(sent.status(), 403, "{path} {header:?}");
        }
        let sent = http().post(gateway.url(&address)).header("content-type", "text/plain").body(ping.to_string()).send().await.unwrap();
        assert_eq!(sent.status(), 415, "{path}");
    }
}
