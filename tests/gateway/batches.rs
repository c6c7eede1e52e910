//! Batches: several messages in one body, in sessions of 2025-03-26 and in no others.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Events, Manner, Modern, Puppet, REVISION_MODERN, Session, TestGateway, http, initialize, named, text_of};

fn call(id: u64, tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": { "n": id } } })
}

fn ping(id: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })
}

async fn open(gateway: &TestGateway) -> Session {
    let session = Session::able(&gateway.url("/mcp"), "2025-03-26", None, json!({ "sampling": {} })).await;
    assert_eq!(session.revision, "2025-03-26");
    session
}

/// Sends a batch for an answer in one piece.
async fn listed(session: &Session, batch: &Value) -> (u16, Value, String) {
    let answer = session.prepare(reqwest::Method::POST).header("accept", "application/json").json(batch);
    // Of two headers the later one would not count.
    let mut request = answer.build().unwrap();
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let response = session.http.execute(request).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default(), text)
}

async fn streamed(session: &Session, batch: &Value) -> Events {
    Events::of(session.prepare(reqwest::Method::POST).json(batch).send().await.unwrap(), "2025-03-26", "")
}

fn of_id(answers: &Value, id: &Value) -> Value {
    let all = answers.as_array().unwrap_or_else(|| panic!("{answers}"));
    let mut of_it = all.iter().filter(|answer| answer["id"] == *id);
    let found = of_it.next().unwrap_or_else(|| panic!("no answer to {id}: {answers}")).clone();
    assert!(of_it.next().is_none(), "one answer to {id}: {answers}");
    found
}

#[tokio::test]
async fn every_request_of_a_batch_is_answered_once_in_one_list_or_on_one_stream() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let session = open(&gateway).await;
    let echo = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "demo__echo", "arguments": { "text": format!("t{id}") } } });
    let batch = json!([
        echo(1), ping(json!("p")), { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
        { "jsonrpc": "2.0", "id": 3, "method": "tools/dance" }, { "jsonrpc": "2.0", "id": 4, "Method": "ping" }, 7, echo(2),
    ]);
    let check = |answers: &Value| {
        assert_eq!(answers.as_array().unwrap().len(), 6, "{answers}");
        for id in [1, 2] {
            assert_eq!(text_of(&of_id(answers, &json!(id))["result"]), format!("t{id}"));
        }
        assert_eq!(of_id(answers, &json!("p"))["result"], json!({}));
        assert_eq!(of_id(answers, &json!(3))["error"]["code"], -32601);
        assert_eq!(of_id(answers, &json!(4))["error"]["code"], -32600);
        assert_eq!(of_id(answers, &Value::Null)["error"]["code"], -32600);
    };
    let (status, answers, _) = listed(&session, &batch).await;
    assert_eq!(status, 200);
    check(&answers);
    let mut events = streamed(&session, &batch).await;
    let mut heard = Vec::new();
    while let Some(message) = events.next_json().await {
        heard.push(message);
    }
    check(&heard.into());
}

#[tokio::test]
async fn a_batch_without_requests_is_taken_note_of() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let session = open(&gateway).await;
    let batch = json!([
        { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }, { "jsonrpc": "2.0", "id": "nobody-asked", "result": {} },
    ]);
    let sent = session.prepare(reqwest::Method::POST).json(&batch).send().await.unwrap();
    assert_eq!((sent.status().as_u16(), sent.text().await.unwrap().as_str()), (202, ""));
}

#[tokio::test]
async fn a_question_is_asked_on_the_batchs_stream_and_answered_in_another_batch() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = Arc::new(open(&gateway).await);
    let sending = session.clone();
    let batch = json!([call(1, "inn__greet"), call(2, "inn__greet")]);
    let stream = tokio::spawn(async move { streamed(&sending, &batch).await });
    let (first, second) = (server.call().await, server.call().await);
    let (mut one, two) = if first.params["arguments"]["n"] == 1 { (first, second) } else { (second, first) };
    one.ask("q-1", "sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }));
    let mut events = stream.await.unwrap();
    let asked = events.next_of("sampling/createMessage").await;
    let sampled = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hm" } });
    let answer = json!([{ "jsonrpc": "2.0", "id": asked["id"], "result": sampled }]);
    assert_eq!(session.prepare(reqwest::Method::POST).json(&answer).send().await.unwrap().status(), 202);
    assert_eq!(server.answer_to("q-1").await["result"], sampled);
    two.text("two");
    one.text("one");
    let mut heard = [events.answer().await, events.answer().await];
    heard.sort_by_key(|answer| answer["id"].as_u64());
    let texts: Vec<&str> = heard.iter().map(|answer| text_of(&answer["result"])).collect();
    assert_eq!(texts, ["one", "two"]);
    assert!(events.next_json().await.is_none(), "the stream ends with the last answer");
}

#[tokio::test]
async fn no_other_revision_has_batches_and_nothing_of_one_is_done() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let batch = json!([call(1, "inn__greet"), call(2, "inn__greet")]);
    for revision in ["2025-06-18", "2025-11-25"] {
        let session = Session::open(&gateway.url("/mcp"), revision, None).await;
        let refused = session.send(&batch).await;
        assert_eq!((refused.status, refused.code()), (400, -32600), "{revision}: {}", refused.text);
    }
    let headers = [("mcp-protocol-version", REVISION_MODERN), ("mcp-method", "tools/call"), ("mcp-name", "inn__greet")];
    for headers in [&headers[..], &[]] {
        let request = headers.iter().fold(http().post(gateway.url("/mcp")), |request, (name, value)| request.header(*name, *value));
        let refused = Answer::read(request.json(&batch).send().await.unwrap()).await;
        assert_eq!((refused.status, refused.code()), (400, -32600), "{headers:?}: {}", refused.text);
    }
    let line = http().get(gateway.url("/mcp/sse")).header("accept", "text/event-stream").send().await.unwrap();
    let address = Events::new(line).next().await.unwrap().data;
    let refused = Answer::read(http().post(gateway.url(&address)).json(&batch).send().await.unwrap()).await;
    assert!(refused.status >= 400, "{}", refused.text);
    assert!(server.seen("tools/call").is_empty());
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_as_a_whole() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = open(&gateway).await;
    let many: Vec<Value> = (0..101).map(|id| call(id, "inn__greet")).collect();
    let deep = format!("[{}{}]", "[".repeat(500), "]".repeat(500));
    for body in ["[]".to_owned(), Value::from(many).to_string(), deep, "[1".to_owned(), format!("[{},]", ping(json!(1)))] {
        let request = session.prepare(reqwest::Method::POST).header("content-type", "application/json").body(body.clone());
        let refused = Answer::read(request.send().await.unwrap()).await;
        assert!(
            refused.status == 400 && refused.body["error"]["code"].as_i64().is_some_and(|code| code == -32600 || code == -32700),
            "{}",
            refused.text
        );
    }
    let inside = json!([[ping(json!(1))], ping(json!(2))]);
    let (status, answers, text) = listed(&session, &inside).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(of_id(&answers, &json!(2))["result"], json!({}));
    assert_eq!(of_id(&answers, &Value::Null)["error"]["code"], -32600, "a batch in a batch is no message");
    let most: Vec<Value> = (0..100).map(|id| ping(json!(id))).collect();
    assert_eq!(listed(&session, &most.into()).await.1.as_array().unwrap().len(), 100);
    assert!(server.seen("tools/call").is_empty());
}

#[tokio::test]
async fn a_session_is_opened_by_a_message_of_its_own() {
    let gateway = TestGateway::start().await;
    let answer = http().post(gateway.url("/mcp")).json(&json!([initialize("2025-03-26")])).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(!answer.headers().contains_key("mcp-session-id"));
    let session = open(&gateway).await;
    let (_, answers, _) = listed(&session, &json!([initialize("2025-03-26"), ping(json!(1))])).await;
    assert_eq!(of_id(&answers, &json!(0))["error"]["code"], -32600);
    assert_eq!(of_id(&answers, &json!(1))["result"], json!({}));
}

#[tokio::test]
async fn two_requests_of_one_id_are_not_both_begun() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = Arc::new(open(&gateway).await);
    let sending = session.clone();
    let stream = tokio::spawn(async move { streamed(&sending, &json!([call(1, "inn__greet"), call(1, "inn__greet")])).await });
    let begun = server.call().await;
    let mut events = stream.await.unwrap();
    let refused = events.answer().await;
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    begun.text("one");
    assert_eq!(text_of(&events.result().await), "one");
    assert_eq!(server.seen("tools/call").len(), 1);
}

#[tokio::test]
async fn each_call_of_a_batch_counts_and_what_is_too_much_is_refused_by_itself() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let (key, _) = gateway.key(json!({ "grants": ["mcp"], "requests_per_minute": 2 })).await;
    let session = Arc::new(Session::open(&gateway.url("/mcp"), "2025-03-26", Some(&key)).await);
    let sending = session.clone();
    let batch: Vec<Value> = (1..=4).map(|id| call(id, "inn__greet")).collect();
    let answered = tokio::spawn(async move { listed(&sending, &batch.into()).await });
    for _ in 0..2 {
        server.call().await.text("done");
    }
    let (status, answers, text) = answered.await.unwrap();
    assert_eq!(status, 200, "{text}");
    for id in 1..=4 {
        let answer = of_id(&answers, &json!(id));
        assert_eq!(answer["result"].is_object(), id <= 2, "{answer}");
    }
    assert_eq!(server.seen("tools/call").len(), 2);
}

#[tokio::test]
async fn one_of_a_batch_is_cancelled_and_the_others_go_on() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let session = Arc::new(open(&gateway).await);
    let sending = session.clone();
    let answered = tokio::spawn(async move { streamed(&sending, &json!([call(1, "inn__greet"), call(2, "inn__greet")])).await });
    let (first, second) = (server.call().await, server.call().await);
    let (one, two) = if first.params["arguments"]["n"] == 1 { (first, second) } else { (second, first) };
    session.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    let told = server.arrival("notifications/cancelled").await;
    assert_eq!(told["params"]["requestId"], one.id);
    two.text("two");
    let mut events = answered.await.unwrap();
    let answers = events.for_a_while(Duration::from_secs(1)).await;
    assert!(answers.iter().any(|answer| answer["id"] == 2 && text_of(&answer["result"]) == "two"), "{answers:?}");
    assert!(answers.iter().all(|answer| answer["id"] != 1 || answer["error"].is_object()), "{answers:?}");
    drop(one);
}

#[tokio::test]
async fn a_stateless_client_may_send_no_list_of_answers() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let client = Modern::new(&gateway.url("/mcp")).able(json!({ "elicitation": {} }));
    for responses in [json!([named("Ada")]), json!("x"), json!({ "ask-1": "Ada" }), json!({ "ask-1": null })] {
        let params = json!({ "name": "inn__greet", "arguments": {}, "requestState": "x", "inputResponses": responses });
        let refused = client.request("tools/call", params).await;
        assert_eq!(refused.code(), -32602, "{responses}: {}", refused.text);
    }
    assert!(server.seen("tools/call").is_empty());
}
