//! Providers that fail: each way has its own status and code, nothing of theirs leaks, and no stream
//! ever pretends to have ended well.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Reply, StubProvider, TestGateway, chat, http, post, streamed};

/// What a provider must never make the gateway say.
const CANARY: &str = "CANARY-7f3a9c";

async fn stub(script: impl IntoIterator<Item = Reply>, limits: &str) -> (TestGateway, StubProvider, String) {
    let provider = StubProvider::start(script).await;
    let gateway = TestGateway::with_config(&format!("{}{limits}", provider.section())).await;
    let url = gateway.url("/v1/chat/completions");
    (gateway, provider, url)
}

#[tokio::test]
async fn each_failure_of_a_provider_has_its_own_status_and_code() {
    let echoed = json!({ "error": { "message": format!("bad key sk-{CANARY}"), "code": "invalid_api_key" } });
    let cases = [
        (Reply::status(401, &echoed), 502, "upstream_auth"),
        (Reply::status(403, &echoed), 502, "upstream_auth"),
        (Reply::status(429, &echoed), 429, "rate_limit_exceeded"),
        (Reply::status(500, &echoed), 502, "upstream_error"),
        (Reply::status(503, &echoed), 502, "upstream_error"),
        (Reply::html(500), 502, "upstream_error"),
        (Reply::html(200), 502, "upstream_protocol"),
        (Reply::json("nonsense"), 502, "upstream_protocol"),
        (Reply::json("[1,2]"), 502, "upstream_protocol"),
        (Reply::json("{\"id\":\"x\""), 502, "upstream_protocol"),
        (Reply::json(""), 502, "upstream_protocol"),
    ];
    let expected: Vec<(u16, &str)> = cases.iter().map(|(_, status, code)| (*status, *code)).collect();
    let replies: Vec<Reply> = cases.into_iter().map(|(reply, ..)| reply).collect();
    for body in [chat("stub/stub-1", "x"), streamed("stub/stub-1", "x")] {
        let (gateway, _provider, url) = stub(replies.clone(), "limits: { retries: 0 }\n").await;
        for (at, wanted) in expected.iter().enumerate() {
            let answer = post(&url, &body).await;
            assert_eq!((answer.status, answer.word()), *wanted, "case {at}, stream {}: {}", body["stream"], answer.text);
            assert!(!answer.text.contains(CANARY) && !answer.text.contains("127.0.0.1"), "case {at}: {}", answer.text);
            assert!(!answer.message().is_empty());
        }
        assert!(!gateway.log().contains(CANARY), "{}", gateway.log());
    }
}

#[tokio::test]
async fn a_provider_that_sends_elsewhere_is_not_followed() {
    let elsewhere = StubProvider::start([]).await;
    let there = format!("{}/chat/completions", elsewhere.base());
    let replies = [301, 302, 307, 308].map(|status| Reply::status(status, &json!({})).header("location", &there));
    let (_gateway, provider, url) = stub(replies, "").await;
    for _ in 0..4 {
        let answer = post(&url, &chat("stub/stub-1", "x")).await;
        assert!(answer.status == 502 && answer.word().starts_with("upstream_"), "{}", answer.text);
    }
    assert_eq!((provider.received().len(), elsewhere.received().len()), (4, 0), "neither the question nor the key goes there");
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_in_a_refusal_is_taken_out() {
    let refusal = json!({ "error": { "message": format!("no access for sk-{CANARY}"), "code": "not_found", "param": null } });
    let (gateway, _provider, url) = stub([Reply::status(404, &refusal)], "").await;
    let answer = post(&url, &chat("stub/stub-1", "x")).await;
    assert_eq!(answer.status, 404);
    assert!(!(answer.text + &gateway.log()).contains(CANARY));
}

#[tokio::test]
async fn when_to_try_again_is_passed_on() {
    let (_gateway, _provider, url) = stub([Reply::status(429, &json!({})).header("retry-after", "7")], "").await;
    let answer = post(&url, &chat("stub/stub-1", "x")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert_eq!(answer.body["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let config = "providers: { dead: { kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1' } }\n";
    let gateway = TestGateway::with_config(config).await;
    for body in [chat("dead/x", "x"), streamed("dead/x", "x")] {
        let answer = post(&gateway.url("/v1/chat/completions"), &body).await;
        assert_eq!((answer.status, answer.word()), (502, "upstream_unreachable"), "{}", answer.text);
        assert!(!answer.text.contains("127.0.0.1"), "no message holds an address: {}", answer.text);
    }
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_no_answer() {
    let whole = Reply::text("hello there");
    let half = whole.len() / 2;
    let (_gateway, _provider, url) = stub([whole.clone().cut_after(half), whole.reset_after(half)], "").await;
    for _ in 0..2 {
        let answer = post(&url, &chat("stub/stub-1", "x")).await;
        assert_eq!((answer.status, answer.word()), (502, "upstream_truncated"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_cut_stream_ends_in_an_error_event_and_never_in_done() {
    let whole = Reply::stream_text(&["Land ", "ahoy", "!"]);
    let written = whole.body_text();
    // Behind the end of the answer itself, what is lost is an ornament.
    let end = written.find("\"stop\"").unwrap();
    let first = written.find("\n\n").unwrap() + 2;
    let cuts: Vec<usize> = (0..end).step_by(29).chain([first - 1, first, first + 1, end - 1]).collect();
    let replies =
        cuts.iter().enumerate().map(|(at, cut)| if at % 2 == 0 { whole.clone().cut_after(*cut) } else { whole.clone().reset_after(*cut) });
    let (_gateway, _provider, url) = stub(replies, "").await;
    for cut in cuts {
        let answer = post(&url, &streamed("stub/stub-1", "x")).await;
        assert!(!answer.text.contains("[DONE]"), "cut after {cut}: {}", answer.text);
        assert_eq!(answer.word(), "upstream_truncated", "cut after {cut}: {} {}", answer.status, answer.text);
        // Before the first event nothing was sent yet, and the status itself can say it.
        assert_eq!(answer.status, if cut < first { 502 } else { 200 }, "cut after {cut}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_stream_that_closes_in_good_order_but_before_its_end_is_cut_all_the_same() {
    let written = Reply::stream_text(&["Land ", "ahoy"]).body_text();
    let without_end = &written[..written.find("ahoy").unwrap()];
    let without_end = &without_end[..without_end.rfind("\n\n").unwrap() + 2];
    let (_gateway, _provider, url) = stub([Reply::stream(without_end)], "").await;
    let answer = post(&url, &streamed("stub/stub-1", "x")).await;
    assert_eq!(answer.word(), "upstream_truncated", "{}", answer.text);
    assert!(!answer.text.contains("[DONE]"));
}

#[tokio::test]
async fn an_error_inside_a_stream_is_an_error_and_no_end() {
    let chunk = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
    let early = format!("data: {{\"error\":{{\"message\":\"overloaded sk-{CANARY}\"}}}}\n\ndata: [DONE]\n\n");
    let late = format!("data: {chunk}\n\n{early}");
    let garbage = format!("data: {chunk}\n\ndata: {{nonsense\n\ndata: [DONE]\n\n");
    let (_gateway, _provider, url) = stub([Reply::stream(&early), Reply::stream(&late), Reply::stream(&garbage)], "").await;
    for (code, status) in [("upstream_error", 502), ("upstream_error", 200), ("upstream_protocol", 200)] {
        let answer = post(&url, &streamed("stub/stub-1", "x")).await;
        assert_eq!((answer.status, answer.word()), (status, code), "{}", answer.text);
        assert!(!answer.text.contains("[DONE]"), "{}", answer.text);
        assert!(!answer.text.contains(CANARY), "no message holds a secret: {}", answer.text);
    }
}

#[tokio::test]
async fn an_idle_stream_is_given_up_and_the_provider_let_go() {
    let reply = Reply::stream_text(&["Land ", "ahoy"]);
    let middle = reply.body_text().find("ahoy").unwrap();
    let (_gateway, provider, url) = stub([reply.stalled_after(middle)], "limits: { stream_idle: 500ms }\n").await;
    let start = Instant::now();
    let answer = post(&url, &streamed("stub/stub-1", "x")).await;
    assert_eq!(answer.word(), "upstream_timeout", "{}", answer.text);
    assert!(answer.text.contains("Land ") && !answer.text.contains("[DONE]"), "{}", answer.text);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(provider.only().gone(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_stream_that_never_begins_is_given_up_too() {
    let late = Reply::stream_text(&["x"]).after(Duration::from_secs(60));
    let silent = Reply::stream_text(&["x"]).stalled_after(0);
    let (_gateway, _provider, url) = stub([late, silent], "limits: { stream_idle: 500ms }\n").await;
    for _ in 0..2 {
        let answer = post(&url, &streamed("stub/stub-1", "x")).await;
        assert_eq!((answer.status, answer.word()), (504, "upstream_timeout"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_slow_stream_is_not_an_idle_one() {
    let reply = Reply::stream_text(&["a", "b", "c", "d"]).in_pieces(150, Duration::from_millis(200));
    let (_gateway, _provider, url) = stub([reply], "limits: { stream_idle: 1s }\n").await;
    let answer = post(&url, &streamed("stub/stub-1", "x")).await;
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
}

#[tokio::test]
async fn a_completion_as_a_whole_has_an_end() {
    let endless = Reply::stream_text(&[&"x".repeat(20_000)]).in_pieces(100, Duration::from_millis(100));
    let (_gateway, provider, url) = stub([endless, Reply::text("x").after(Duration::from_secs(60))], "limits: { completion: 1s }\n").await;
    let stream = post(&url, &streamed("stub/stub-1", "x")).await;
    assert_eq!(stream.word(), "timeout", "{} {}", stream.status, stream.text);
    assert!(!stream.text.contains("[DONE]"));
    let whole = post(&url, &chat("stub/stub-1", "x")).await;
    assert_eq!((whole.status, whole.word()), (504, "timeout"), "{}", whole.text);
    assert!(provider.received()[1].gone(Duration::from_secs(1)).await);
}

#[tokio::test]
async fn the_providers_work_ends_within_a_second_of_the_callers_leaving() {
    let middle = Reply::stream_text(&["Land ", "ahoy"]).body_text().find("ahoy").unwrap();
    let cases = [
        ("before any answer", Reply::text("x").after(Duration::from_secs(60)), chat("stub/stub-1", "x")),
        ("before a stream", Reply::stream_text(&["x"]).after(Duration::from_secs(60)), streamed("stub/stub-1", "x")),
        ("in the middle of a stream", Reply::stream_text(&["Land ", "ahoy"]).stalled_after(middle), streamed("stub/stub-1", "x")),
        ("in the middle of an answer", Reply::text("hello").stalled_after(20), chat("stub/stub-1", "x")),
    ];
    for (when, reply, body) in cases {
        let (_gateway, provider, url) = stub([reply], "").await;
        let call = tokio::spawn(async move {
            let response = http().post(url).json(&body).send().await.unwrap();
            response.text().await
        });
        let asked = provider.arrival(0).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!asked.is_gone(), "{when}: the gateway waits as long as its caller does");
        call.abort();
        assert!(asked.gone(Duration::from_secs(1)).await, "{when}");
    }
}

#[tokio::test]
async fn an_endless_line_is_cut_off_without_being_held() {
    let line = Reply::stream(&format!("data: {}", "x".repeat(64 << 20))).in_pieces(1 << 20, Duration::ZERO);
    let (gateway, _provider, url) = stub([line], "").await;
    let before = gateway.peak_memory();
    let answer = post(&url, &streamed("stub/stub-1", "x")).await;
    assert!(answer.body["error"].is_object(), "{}", answer.text.len());
    let grown = gateway.peak_memory() - before;
    assert!(grown < 40 << 10, "memory grew by {grown} KiB");
    assert_eq!(post(&url, &chat("stub/stub-1", "x")).await.status, 200, "the next one is answered");
}

#[tokio::test]
async fn one_providers_failure_is_nobody_elses() {
    let (_gateway, _provider, url) = stub([Reply::stream_text(&["x"]).stalled_after(10)], "").await;
    let (hung, fine) = (url.clone(), url);
    let call = tokio::spawn(async move { http().post(hung).json(&streamed("stub/stub-1", "x")).send().await });
    for _ in 0..5 {
        assert_eq!(post(&fine, &chat("portolan/echo", "x")).await.status, 200);
    }
    call.abort();
}
