//! `/v1`: what goes to a provider, what comes back, and which model answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Reply, StubProvider, TestGateway, chat, http, post, streamed};

async fn one(reply: Reply) -> (TestGateway, StubProvider) {
    let provider = StubProvider::start([reply]).await;
    (TestGateway::with_config(&provider.section()).await, provider)
}

async fn raw(gateway: &TestGateway, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let sent = http().post(gateway.url(path)).header("content-type", "application/json").body(body).send().await.unwrap();
    Answer::read(sent).await
}

#[tokio::test]
async fn a_request_reaches_the_provider_as_it_came_but_for_the_models_name() {
    let (gateway, provider) = one(Reply::text("hi")).await;
    let body = r#"{"model":"stub/stub-1","temperature":0.10,"x_new":{"k":1e2,"list":[ 1 ,2]},"messages":[ {"role":"user","content":"é\u00e9","x":null} ],"seed":18446744073709551615}"#;
    raw(&gateway, "/v1/chat/completions", body).await;
    let received = provider.only();
    assert_eq!(received.text, body.replace("stub/stub-1", "stub-1"));
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.header("authorization"), Some("Bearer sk-CANARY-7f3a9c"));
}

#[tokio::test]
async fn an_answer_comes_back_as_the_provider_wrote_it() {
    let written = r#"{ "id":"x", "choices":[{"index":0,"message":{"role":"assistant","content":"hi","reasoning_content":"…"},"finish_reason":"stop"}], "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.10}, "x_extra":1e2 }"#;
    let (gateway, _provider) = one(Reply::json(written)).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat("stub/stub-1", "x")).await;
    assert_eq!(answer.text, written);
    assert_eq!(answer.header("x-portolan-model"), "stub/stub-1");
    assert!(!answer.header("x-request-id").is_empty() && !answer.header("server-timing").is_empty());
}

/// A request for a stream that tells what it cost.
fn counted(model: &str, text: &str) -> Value {
    let mut request = streamed(model, text);
    request["stream_options"] = json!({ "include_usage": true });
    request
}

#[tokio::test]
async fn a_count_that_the_client_did_not_ask_for_is_taken_by_the_gateway_alone() {
    let (gateway, provider) = one(Reply::stream_text(&["Land"])).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &streamed("stub/stub-1", "x")).await;
    assert!(!answer.text.contains("usage") && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    assert_eq!(provider.only().body()["stream_options"], json!({ "include_usage": true }));
    let counters = http().get(gateway.url("/metrics")).bearer_auth(gateway.owner_key()).send().await.unwrap().text().await.unwrap();
    let counted = counters.lines().find(|line| line.contains("token_usage") && line.contains("output") && line.contains("stub-1"));
    assert!(counted.is_some_and(|line| line.ends_with(" 7")), "{counters}");
}

#[tokio::test]
async fn a_stream_comes_back_event_by_event_as_the_provider_wrote_it() {
    let reply = Reply::stream_text(&["Land ", "ahoy", "!"]);
    let written = reply.body_text();
    let (gateway, _provider) = one(reply).await;
    let answer = post(&gateway.url("/v1/chat/completions"), &counted("stub/stub-1", "x")).await;
    assert_eq!(answer.text, written);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    assert_eq!(answer.header("x-portolan-model"), "stub/stub-1");
    assert_eq!(answer.header("content-length"), "");
}

#[tokio::test]
async fn how_a_stream_is_cut_into_packets_changes_nothing() {
    let whole = Reply::stream_calls(&[("call_1", "first", r#"{"é":"ü"}"#), ("call_2", "second", r#"{"b":[1,2,3]}"#)]);
    let written = whole.body_text();
    let provider = StubProvider::start([1, 2, 3, 7, 64].map(|size| whole.clone().in_pieces(size, Duration::ZERO))).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    for _ in 0..5 {
        assert_eq!(post(&gateway.url("/v1/chat/completions"), &counted("stub/stub-1", "x")).await.text, written);
    }
}

#[tokio::test]
async fn every_spelling_of_an_event_stream_is_understood() {
    let chunk = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;
    for written in [
        format!("data:{chunk}\n\ndata:[DONE]\n\n"),
        format!("data: {chunk}\r\n\r\ndata: [DONE]\r\n\r\n"),
        format!("data: {chunk}\r\rdata: [DONE]\r\r"),
        format!("\u{feff}data: {chunk}\n\ndata: [DONE]\n\n"),
        format!(": comment\n\nevent: x\nid: 7\nretry: 10\ndata: {chunk}\n\n: comment\n\ndata: [DONE]\n\n"),
        format!("data: {}\ndata: {}\n\ndata: [DONE]\n\n", &chunk[..10], &chunk[10..]),
        format!("data: {chunk}\n\ndata: [DONE]"),
        format!("data: {chunk}\n\n"),
    ] {
        let (gateway, _provider) = one(Reply::stream(&written)).await;
        let answer = post(&gateway.url("/v1/chat/completions"), &streamed("stub/stub-1", "x")).await;
        let text: String =
            answer.notes.iter().chain([&answer.body]).filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str()).collect();
        assert_eq!(text, "hi", "{written:?} became {:?}", answer.text);
        assert_eq!(answer.text.matches("[DONE]").count(), 1, "{written:?} became {:?}", answer.text);
    }
}

#[tokio::test]
async fn the_first_words_arrive_while_the_last_are_still_to_come() {
    let reply = Reply::stream_text(&["first", "last"]);
    let until_last = reply.body_text().find("last").unwrap();
    let (gateway, _provider) = one(reply.stalled_after(until_last)).await;
    let mut response = http().post(gateway.url("/v1/chat/completions")).json(&streamed("stub/stub-1", "x")).send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("first") {
        let chunk = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.expect("it is not held back").unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[tokio::test]
async fn nothing_of_the_callers_headers_goes_to_the_provider() {
    let (gateway, provider) = one(Reply::text("hi")).await;
    let request = http().post(gateway.url("/v1/chat/completions")).json(&chat("stub/stub-1", "x"));
    let request =
        request.bearer_auth("sk-the-callers-own").header("cookie", "a=b").header("x-forwarded-for", "1.2.3.4").header("x-custom", "y");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let received = provider.only();
    assert_eq!(received.header("authorization"), Some("Bearer sk-CANARY-7f3a9c"));
    for name in ["cookie", "x-forwarded-for", "x-custom", "x-portolan-key"] {
        assert_eq!(received.header(name), None);
    }
}

#[tokio::test]
async fn embeddings_are_relayed_as_they_are() {
    let (gateway, provider) =
        one(Reply::json(r#"{"object":"list","data":[{"embedding":[0.10,-2e-3],"index":0}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#))
            .await;
    let answer = raw(&gateway, "/v1/embeddings", r#"{"model":"stub/embed-1","input":["a"],"dimensions":2}"#).await;
    assert!(answer.text.contains("[0.10,-2e-3]"), "{}", answer.text);
    assert_eq!(provider.only().text, r#"{"model":"embed-1","input":["a"],"dimensions":2}"#);
    assert_eq!(provider.only().path, "/v1/embeddings");
}

#[tokio::test]
async fn models_are_listed_and_shown_in_openais_shape() {
    let provider = StubProvider::start([]).await;
    let config = format!("{}models:\n  assistant: {{ targets: [{{ provider: stub, model: stub-1 }}] }}\n", provider.section());
    let gateway = TestGateway::with_config(&config).await;
    let listed = Answer::read(http().get(gateway.url("/v1/models")).send().await.unwrap()).await;
    assert_eq!(listed.body["object"], "list");
    let ids: Vec<&str> = listed.body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    for id in ["assistant", "stub/stub-1", "portolan/echo"] {
        assert!(ids.contains(&id), "{id} is among {ids:?}");
        let shown = Answer::read(http().get(gateway.url(&format!("/v1/models/{id}"))).send().await.unwrap()).await;
        assert_eq!((&shown.body["id"], &shown.body["object"]), (&json!(id), &json!("model")));
    }
    let missing = Answer::read(http().get(gateway.url("/v1/models/stub/../x")).send().await.unwrap()).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn bodies_that_are_wrong_are_refused_before_anyone_is_asked() {
    let (gateway, provider) = one(Reply::text("hi")).await;
    for (body, param) in [
        ("{", Value::Null),
        ("", Value::Null),
        ("[]", Value::Null),
        (r#"{"messages":[]}"#, json!("model")),
        (r#"{"model":7,"messages":[]}"#, json!("model")),
        (r#"{"model":"stub/stub-1"}"#, json!("messages")),
        (r#"{"model":"stub/stub-1","messages":"hi"}"#, json!("messages")),
        (r#"{"model":"stub/stub-1","messages":[],"stream":"yes"}"#, json!("stream")),
        (r#"{"model":"stub/stub-1","model":"stub/stub-2","messages":[]}"#, Value::Null),
        (r#"{"model":"stub/stub-1","messages":[]}"#, json!("messages")),
        (r#"{"model":"stub/stub-1","messages":[{"role":"user","content":"x"}],"portolan":{"nonsense":1}}"#, json!("portolan")),
    ] {
        let answer = raw(&gateway, "/v1/chat/completions", body).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &param), "{body}: {}", answer.text);
        assert_eq!(answer.body["error"]["type"], "invalid_request_error", "{body}");
    }
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn a_body_that_is_nested_without_end_is_refused() {
    let (gateway, provider) = one(Reply::text("hi")).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        format!(r#"{{"model":"stub/stub-1","messages":{deep}}}"#),
        format!(r#"{{"model":"stub/stub-1","messages":[],"metadata":{deep}}}"#),
        format!(r#"{{"model":"stub/stub-1","messages":[],"tools":[{{"type":"function","function":{{"name":"f","parameters":{deep}}}}}]}}"#),
    ] {
        assert_eq!(raw(&gateway, "/v1/chat/completions", body).await.status, 400);
    }
    assert!(provider.received().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_with_or_without_its_length() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&format!("{}limits: {{ body: 64KiB }}\n", provider.section())).await;
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        for told in [true, false] {
            assert_eq!(gateway.post_blanks(path, "", (64 << 10) + 1, told).await, 413, "{path}, told: {told}");
        }
        let whole = raw(&gateway, path, chat("stub/stub-1", &"x".repeat(64 << 10)).to_string()).await;
        assert_eq!((whole.status, whole.body["error"]["type"].as_str()), (413, Some("invalid_request_error")), "{}", whole.text);
    }
    assert!(provider.received().is_empty());
    let fits = post(&gateway.url("/v1/chat/completions"), &chat("stub/stub-1", &"x".repeat(60 << 10))).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn a_claimed_length_over_the_limit_is_refused_before_the_body_is_read() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let gateway = TestGateway::start().await;
    let mut stream = tokio::net::TcpStream::connect(gateway.authority()).await.unwrap();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn the_built_in_model_answers_streams_and_counts() {
    let gateway = TestGateway::start().await;
    let url = gateway.url("/v1/chat/completions");
    let whole = post(&url, &chat("portolan/echo", "land ahoy")).await;
    assert_eq!(whole.body["choices"][0]["message"]["content"], "land ahoy");
    assert!(whole.body["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let mut body = streamed("portolan/echo", "land ahoy");
    body["stream_options"] = json!({ "include_usage": true });
    let stream = post(&url, &body).await;
    let text: String = stream.notes.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str()).collect();
    assert_eq!(text, "land ahoy");
    assert_eq!(stream.notes[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(stream.text.ends_with("data: [DONE]\n\n"));
    assert!(stream.body["usage"]["total_tokens"].as_u64().unwrap() > 0, "usage is the last thing said: {}", stream.text);
}

#[tokio::test]
async fn a_name_that_no_model_has_is_refused_before_it_is_compared_with_any() {
    let gateway = TestGateway::start().await;
    let answer = post(&gateway.url("/v1/chat/completions"), &chat(&"x".repeat(200_000), "x")).await;
    assert_eq!((answer.status, answer.body["error"]["param"].as_str()), (400, Some("model")), "{}", answer.text);
}
