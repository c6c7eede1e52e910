//! The transport of 2024-11-05, on both sides: `GET` opens one stream for everything, and names the address to send to.

use serde_json::{Value, json};

use crate::support::{Answer, Events, Manner, Modern, Puppet, TestGateway, http, initialize, named, session, settles, text_of};

const REVISION: &str = "2024-11-05";

/// A client of the oldest transport.
struct Line {
    address: String,
    events: Events,
    key: Option<String>,
}

impl Line {
    async fn open(gateway: &TestGateway, path: &str, key: Option<&str>) -> Self {
        let request = http().get(gateway.url(path)).header("accept", "text/event-stream");
        let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let mut events = Events::of(request.send().await.unwrap(), REVISION, "");
        let first = events.next().await.unwrap();
        assert_eq!(first.event, "endpoint");
        assert!(first.data.starts_with(&format!("{path}?session_id=")), "{}", first.data);
        Self { address: gateway.url(&first.data), events, key: key.map(str::to_owned) }
    }

    async fn send(&self, message: &Value) -> Answer {
        let request = http().post(&self.address).json(message);
        let request = self.key.iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        Answer::read(request.send().await.unwrap()).await
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        let sent = self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let answer = self.events.answer().await;
        assert_eq!(answer["id"], id);
        crate::support::official::check(REVISION, method, &answer);
        answer
    }

    async fn greet(&mut self, capabilities: Value) {
        let mut greeting = initialize(REVISION);
        greeting["params"]["capabilities"] = capabilities;
        assert_eq!(self.send(&greeting).await.status, 202);
        let answer = self.events.answer().await;
        assert_eq!(answer["result"]["protocolVersion"], REVISION, "{answer}");
        crate::support::official::check(REVISION, "initialize", &answer);
        assert_eq!(self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await.status, 202);
    }
}

#[tokio::test]
async fn the_oldest_clients_list_call_and_read_on_one_stream() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    for (path, prefix, before) in [("/mcp/sse", "demo__", "demo+"), ("/mcp/demo/sse", "", "")] {
        let mut line = Line::open(&gateway, path, None).await;
        line.greet(json!({})).await;
        let tools = line.ask(1, "tools/list", json!({})).await;
        assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 4, "{path}: {tools}");
        let called = line.ask(2, "tools/call", json!({ "name": format!("{prefix}echo"), "arguments": { "text": "a\nb é" } })).await;
        assert_eq!(text_of(&called["result"]), "a\nb é");
        let read = line.ask(3, "resources/read", json!({ "uri": format!("{before}demo://notes") })).await;
        assert!(read["result"]["contents"][0]["text"].is_string(), "{path}: {read}");
        for list in ["prompts/list", "resources/list", "resources/templates/list"] {
            assert!(line.ask(4, list, json!({})).await["result"].is_object());
        }
        assert_eq!(line.ask(5, "ping", json!({})).await["result"], json!({}));
        assert_eq!(line.ask(6, "tools/dance", json!({})).await["error"]["code"], -32601);
        assert_eq!(line.ask(7, "server/discover", json!({})).await["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn the_oldest_clients_hear_progress_questions_and_changes_on_the_same_stream() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let mut line = Line::open(&gateway, "/mcp/sse", None).await;
    line.greet(json!({ "sampling": {} })).await;
    let params = json!({ "name": "inn__greet", "arguments": {}, "_meta": { "progressToken": "t" } });
    line.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await;
    let mut call = server.call().await;
    call.progress(1);
    call.ask("q-1", "sampling/createMessage", json!({ "messages": [], "maxTokens": 1 }));
    // There was no elicitation in that revision.
    call.ask_name("q-2");
    assert_eq!(line.events.next_of("notifications/progress").await["params"]["progressToken"], "t");
    let asked = line.events.next_of("sampling/createMessage").await;
    let sampled = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hm" } });
    line.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": sampled })).await;
    assert_eq!(server.answer_to("q-1").await["result"], sampled);
    assert_eq!(server.answer_to("q-2").await["result"], json!({ "action": "cancel" }));
    call.text("done");
    assert_eq!(text_of(&line.events.result().await), "done");
    gateway.add_demo().await;
    line.events.next_of("notifications/tools/list_changed").await;
}

#[tokio::test]
async fn a_session_of_the_oldest_transport_begins_with_a_greeting_and_ends_with_its_stream() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Sessions, &["greet"]).await;
    let mut line = Line::open(&gateway, "/mcp/sse", None).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let early = line.send(&list).await;
    assert_eq!((early.status, early.code()), (400, -32600), "{}", early.text);
    line.greet(json!({})).await;
    assert_eq!(line.send(&initialize(REVISION)).await.status, 202);
    assert_eq!(line.events.answer().await["error"]["code"], -32600, "it greets once");
    line.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "inn__greet", "arguments": {} } })).await;
    let mut call = server.call().await;
    let (address, key) = (line.address.clone(), line.key.clone());
    drop(line.events);
    let late = Line { address, events: session(&gateway.url("/mcp")).await.listen().await, key };
    settles("the session is over", async || late.send(&list).await.status == 404).await;
    server.arrival("notifications/cancelled").await;
    call.left().await;
}

#[tokio::test]
async fn the_address_of_one_client_is_no_use_to_another() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let (ada, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let (mallory, _) = gateway.key(json!({ "grants": ["mcp"] })).await;
    let mut line = Line::open(&gateway, "/mcp/sse", Some(&ada)).await;
    line.greet(json!({})).await;
    let list = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" });
    let post = |url: String, key: &str| http().post(url).bearer_auth(key).json(&list).send();
    assert_eq!(post(line.address.clone(), &mallory).await.unwrap().status(), 404);
    assert_eq!(post(line.address.replace("/mcp/sse", "/mcp/demo/sse"), &ada).await.unwrap().status(), 404);
    assert_eq!(post(gateway.url("/mcp/sse?session_id=nobody"), &ada).await.unwrap().status(), 404);
    assert_eq!(post(gateway.url("/mcp/sse"), &ada).await.unwrap().status(), 400);
    // Its id is none of the other transport, and the other way round.
    let id = line.address.split("session_id=").nth(1).unwrap().to_owned();
    let request = http().post(gateway.url("/mcp")).bearer_auth(&ada).header("mcp-session-id", &id).json(&list);
    assert_eq!(request.send().await.unwrap().status(), 404);
    let newer = crate::support::Session::open(&gateway.url("/mcp"), "2025-11-25", Some(&ada)).await;
    assert_eq!(post(gateway.url(&format!("/mcp/sse?session_id={}", newer.id)), &ada).await.unwrap().status(), 404);
    assert_eq!(line.ask(1, "ping", json!({})).await["result"], json!({}), "and it goes on");
}

#[tokio::test]
async fn nonsense_at_the_address_is_refused_there_and_not_on_the_stream() {
    let gateway = TestGateway::start().await;
    gateway.add_demo().await;
    let mut line = Line::open(&gateway, "/mcp/sse", None).await;
    line.greet(json!({})).await;
    for body in
        ["", "{", "7", "[]", r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#]
    {
        let sent = http().post(&line.address).header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(sent.status(), 400, "{body}");
    }
    for method in [reqwest::Method::DELETE, reqwest::Method::PUT] {
        assert_eq!(http().request(method, &line.address).send().await.unwrap().status(), 405);
    }
    let refused = http().get(gateway.url("/mcp/sse")).header("accept", "application/json").send().await.unwrap();
    assert_eq!(refused.status(), 406);
    assert_eq!(line.ask(1, "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn a_server_that_knows_only_the_oldest_transport_serves_clients_of_every_era() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Line, &["greet"]).await;
    assert_eq!(gateway.server("inn").await["era"], REVISION);
    let modern = std::sync::Arc::new(Modern::new(&gateway.url("/mcp")));
    let calling = modern.starting("tools/call", json!({ "name": "inn__greet", "arguments": { "a": 1 } }));
    server.call().await.text("modern");
    assert_eq!(text_of(&calling.await.unwrap().result().await), "modern");
    let mut line = Line::open(&gateway, "/mcp/inn/sse", None).await;
    line.greet(json!({})).await;
    line.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "greet", "arguments": {} } })).await;
    server.call().await.text("oldest");
    assert_eq!(text_of(&line.events.result().await), "oldest");
}

#[tokio::test]
async fn a_server_whose_one_stream_ends_fails_what_waits_and_is_met_anew() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Line, &["greet"]).await;
    let client = std::sync::Arc::new(Modern::new(&gateway.url("/mcp")));
    let params = json!({ "name": "inn__greet", "arguments": {} });
    let calling = client.starting("tools/call", params.clone());
    let call = server.call().await;
    server.hang_up();
    drop(call);
    let answer = calling.await.unwrap().answer().await;
    assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{answer}");
    assert_eq!(server.seen("tools/call").len(), 1, "what may have been done is not done again");
    settles("the gateway is back", async || server.listeners() == 1 && gateway.server("inn").await["state"] == "ready").await;
    let calling = client.starting("tools/call", params);
    server.call().await.text("back");
    assert_eq!(text_of(&calling.await.unwrap().result().await), "back");
}

#[tokio::test]
async fn questions_of_a_server_of_the_oldest_transport_are_answered_at_its_address() {
    let gateway = TestGateway::start().await;
    let server = Puppet::at(&gateway, "inn", Manner::Line, &["greet"]).await;
    let session =
        std::sync::Arc::new(crate::support::Session::able(&gateway.url("/mcp"), "2025-11-25", None, json!({ "elicitation": {} })).await);
    let calling = session.starting("inn__greet", json!({}));
    let mut call = server.call().await;
    call.ask_name("q-1");
    let mut events = calling.await.unwrap();
    let asked = events.next_of("elicitation/create").await;
    session.reply(&asked, named("Ada")).await;
    assert_eq!(server.answer_to("q-1").await["result"], named("Ada"));
    call.text("done");
    assert_eq!(text_of(&events.result().await), "done");
}
