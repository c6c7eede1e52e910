//! Targets that fail: asked again, left out for a while, and taken back; never at the price of the others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Reply, StubProvider, TestGateway, chat, http, post, streamed, until};

/// `m` is answered by `a/x`, which has a script, and else by `b/y`, which always answers; `other` is another model of `a`.
async fn failing(script: impl IntoIterator<Item = Reply>, limits: &str) -> (TestGateway, StubProvider, StubProvider) {
    let (a, b) = (StubProvider::start(script).await, StubProvider::start([]).await);
    let config = format!(
        "providers:
  a: {{ kind: openai-compatible, base_url: '{}' }}
  b: {{ kind: openai-compatible, base_url: '{}' }}
models:
  m: {{ targets: [{{ provider: a, model: x }}, {{ provider: b, model: y }}] }}
  other: {{ targets: [{{ provider: a, model: z }}, {{ provider: b, model: y }}] }}
  alone: {{ targets: [{{ provider: a, model: x }}] }}
  brief: {{ targets: [{{ provider: a, model: x, timeout: 300ms }}, {{ provider: b, model: y }}] }}
  stubborn: {{ targets: [{{ provider: a, model: x }}], retries: 3 }}
limits: {{ {limits} }}
",
        a.base(),
        b.base()
    );
    (TestGateway::with_config(&config).await, a, b)
}

async fn ask(gateway: &TestGateway, model: &str) -> Answer {
    post(&gateway.url("/v1/chat/completions"), &chat(model, "x")).await
}

async fn by(gateway: &TestGateway, model: &str) -> String {
    let answer = ask(gateway, model).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-portolan-model").to_owned()
}

fn down(status: u16) -> Reply {
    Reply::status(status, &json!({}))
}

async fn metrics(gateway: &TestGateway) -> String {
    http().get(gateway.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_target_that_fails_for_a_moment_is_asked_again() {
    for status in [429, 500, 502, 503, 504, 529] {
        let (gateway, a, _b) = failing([down(status), Reply::text("back")], "").await;
        assert_eq!(by(&gateway, "m").await, "a/x", "{status}");
        assert_eq!(a.received().len(), 2, "{status}");
    }
    let (gateway, a, _b) = failing([down(502), down(503), Reply::stream_text(&["back"])], "").await;
    let stream = post(&gateway.url("/v1/chat/completions"), &streamed("stubborn", "x")).await;
    assert!(stream.text.contains("back") && stream.text.ends_with("data: [DONE]\n\n"), "{}", stream.text);
    assert_eq!(a.received().len(), 3);
    assert!(metrics(&gateway).await.contains("portolan_retries_total{gen_ai_provider_name=\"a\",outcome=\"sent\"} 2"));
}

#[tokio::test]
async fn a_connection_that_breaks_before_any_answer_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It takes each connection and closes it.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let config = format!(
        "providers: {{ a: {{ kind: openai-compatible, base_url: 'http://{address}/v1' }} }}
models: {{ m: {{ targets: [{{ provider: a, model: x }}, {{ provider: portolan, model: echo }}] }} }}
"
    );
    let gateway = TestGateway::with_config(&config).await;
    assert_eq!(by(&gateway, "m").await, "portolan/echo");
    assert!(metrics(&gateway).await.contains("portolan_retries_total{gen_ai_provider_name=\"a\",outcome=\"sent\"} 1"));
}

#[tokio::test]
async fn embeddings_are_asked_for_again_too() {
    let (gateway, a, _b) = failing([down(503)], "").await;
    let answer = post(&gateway.url("/v1/embeddings"), &json!({ "model": "alone", "input": "x" })).await;
    assert_eq!((answer.status, a.received().len()), (200, 2), "{}", answer.text);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_neither_asked_again_nor_held_against_anyone() {
    let refusals = (0..12).map(|n| Reply::status(if n % 2 == 0 { 400 } else { 422 }, &json!({ "error": { "message": "no" } })));
    let (gateway, a, b) = failing(refusals, "breaker_failures: 2").await;
    for n in 0..12 {
        assert!(matches!(ask(&gateway, "m").await.status, 400 | 422));
        assert_eq!((a.received().len(), b.received().len()), (n + 1, 0));
    }
    assert_eq!(by(&gateway, "m").await, "a/x");
}

#[tokio::test]
async fn a_request_too_long_for_one_model_goes_to_the_next() {
    let words = [
        json!({ "error": { "message": "no", "code": "context_length_exceeded" } }),
        json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum" } }),
    ];
    let (gateway, a, _b) = failing(words.map(|body| Reply::status(400, &body)), "").await;
    assert_eq!((by(&gateway, "m").await, by(&gateway, "m").await), ("b/y".to_owned(), "b/y".to_owned()));
    assert_eq!(a.received().len(), 2);
}

#[tokio::test]
async fn a_provider_that_asks_for_time_is_given_it() {
    let (gateway, a, b) = failing([down(429).header("retry-after-ms", "700")], "").await;
    let start = Instant::now();
    assert_eq!(by(&gateway, "m").await, "a/x");
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    assert_eq!((a.received().len(), b.received().len()), (2, 0));
}

#[tokio::test]
async fn whoever_asks_for_too_much_time_is_passed_over_and_left_alone() {
    for (name, value) in [("retry-after", "60"), ("retry-after-ms", "60000"), ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")] {
        let (gateway, a, _b) = failing([down(429).header(name, value)], "").await;
        for _ in 0..5 {
            assert_eq!(by(&gateway, "m").await, "b/y", "{name}: {value}");
        }
        assert_eq!(a.received().len(), 1, "it is not asked again: {name}: {value}");
    }
}

#[tokio::test]
async fn nonsense_in_retry_after_is_no_reason_to_wait() {
    let (gateway, a, _b) = failing([down(503).header("retry-after", "soonish")], "").await;
    assert_eq!((by(&gateway, "m").await.as_str(), a.received().len()), ("a/x", 2));
}

#[tokio::test]
async fn retries_come_to_an_end_for_a_request_and_can_be_turned_off() {
    let (gateway, a, _b) = failing(vec![down(503); 4], "breaker_failures: 100").await;
    assert_eq!(ask(&gateway, "stubborn").await.word(), "upstream_error");
    assert_eq!(a.received().len(), 4, "one, and three more");
    let (gateway, a, _b) = failing([down(503)], "retries: 0").await;
    assert_eq!(by(&gateway, "m").await, "b/y");
    assert_eq!(a.received().len(), 1);
}

#[tokio::test]
async fn an_outage_is_not_multiplied_beyond_the_budget() {
    let script = (0..200).map(|n| if n % 2 == 0 { down(503) } else { Reply::text("ok") });
    let (gateway, a, _b) = failing(script, "breaker_failures: 100").await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(ask(&gateway, "alone").await.status != 200);
    }
    let retries = a.received().len() - 40;
    // Ten to begin with, a fifth of the requests, and a few with time on a slow machine.
    assert!((10..=26).contains(&retries) && failed > 0, "{retries} retries, {failed} failed");
    assert!(metrics(&gateway).await.contains("outcome=\"over_budget\""));
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_out_then_tried_and_taken_back() {
    let (gateway, a, _b) = failing([down(500), down(500), down(500)], "retries: 0, breaker_failures: 2, breaker_open: 400ms").await;
    for _ in 0..2 {
        assert_eq!(by(&gateway, "m").await, "b/y");
    }
    assert_eq!(a.received().len(), 2);
    let told = gateway.control("models_explain", json!({ "name": "m" })).await;
    let target = &told["targets"][0];
    assert!(target["used"] == false && target["breaker"] == "open" && target["opens_in_ms"].is_u64(), "{told:#}");
    // The first one that tries fails, the second is answered.
    until("it is taken back", async || (by(&gateway, "m").await == "a/x").then_some(())).await;
    assert_eq!(a.received().len(), 4, "while it was left out, it was asked once");
    assert_eq!(by(&gateway, "m").await, "a/x");
    let log = gateway.log();
    assert!(log.contains("`a/x` is left out for 400ms") && log.contains("`a/x` is left out for 800ms"), "{log}");
    assert!(log.contains("`a/x` answers again"), "{log}");
    let metrics = metrics(&gateway).await;
    assert!(metrics.contains("portolan_breaker_openings_total{gen_ai_provider_name=\"a\"} 2"), "{metrics}");
    assert!(metrics.contains("portolan_fallbacks_total{gen_ai_provider_name=\"a\"} 3"), "{metrics}");
}

#[tokio::test]
async fn one_request_alone_tries_a_target_that_was_left_out() {
    let slow = Reply::text("slow").after(Duration::from_secs(60));
    let (gateway, a, _b) = failing([down(500), slow], "retries: 0, breaker_failures: 1, breaker_open: 100ms").await;
    assert_eq!(by(&gateway, "m").await, "b/y");
    let url = gateway.url("/v1/chat/completions");
    until("one tries", async || {
        let url = url.clone();
        let call = tokio::spawn(async move { http().post(url).json(&chat("m", "x")).send().await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let trying = a.received().len() == 2;
        if !trying {
            call.abort();
        }
        trying.then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(by(&gateway, "m").await, "b/y", "the others do not wait for it");
    }
    assert_eq!(a.received().len(), 2);
}

#[tokio::test]
async fn a_target_is_asked_although_it_fails_when_there_is_no_other() {
    let (gateway, a, _b) = failing(vec![down(500); 5], "retries: 0, breaker_failures: 1, breaker_open: 1h").await;
    for n in 0..5 {
        assert_eq!(ask(&gateway, "alone").await.word(), "upstream_error");
        assert_eq!(a.received().len(), n + 1);
    }
    assert_eq!(by(&gateway, "alone").await, "a/x");
    assert_eq!(by(&gateway, "m").await, "a/x", "an answer takes it back at once");
}

#[tokio::test]
async fn a_refused_credential_leaves_out_all_models_of_the_provider() {
    let (gateway, a, _b) = failing([down(401)], "").await;
    for model in ["m", "m", "other"] {
        assert_eq!(by(&gateway, model).await, "b/y");
    }
    assert_eq!(a.received().len(), 1);
    let (gateway, a, _b) = failing([down(403)], "").await;
    assert_eq!((by(&gateway, "m").await.as_str(), by(&gateway, "other").await.as_str()), ("b/y", "a/z"), "a 403 may be about one model");
    assert_eq!(a.received().len(), 2);
}

#[tokio::test]
async fn a_target_that_does_not_begin_in_its_time_is_passed_over() {
    let late = Reply::text("late").after(Duration::from_secs(60));
    let silent = Reply::stream_text(&["late"]).stalled_after(0);
    let (gateway, a, _b) = failing([late, silent], "").await;
    let whole = ask(&gateway, "brief").await;
    assert_eq!((whole.status, whole.header("x-portolan-model")), (200, "b/y"), "{}", whole.text);
    let stream = post(&gateway.url("/v1/chat/completions"), &streamed("brief", "x")).await;
    assert_eq!((stream.status, stream.header("x-portolan-model")), (200, "b/y"), "{}", stream.text);
    assert!(a.received().len() == 2 && a.received()[0].gone(Duration::from_secs(1)).await, "and it is let go");
}

#[tokio::test]
async fn a_caller_cannot_close_a_model_for_the_others_by_asking_wrongly() {
    let (gateway, a, _b) = failing([], "breaker_failures: 1").await;
    for body in [json!({ "model": "m", "messages": "no" }), json!({ "model": "m", "messages": [], "portolan": 1 })] {
        assert_eq!(post(&gateway.url("/v1/chat/completions"), &body).await.status, 400);
    }
    let told: Value = gateway.control("models_explain", json!({ "name": "m" })).await;
    assert_eq!(told["targets"][0]["breaker"], "closed");
    assert_eq!((by(&gateway, "m").await.as_str(), a.received().len()), ("a/x", 1));
}
