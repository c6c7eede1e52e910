//! Being told to stop: readiness first, then what is in flight, then the streams, then nothing is left.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Answer, Events, Reply, StubProvider, TestGateway, chat, http, modern, post, session, settles, streamed};

#[tokio::test]
async fn requests_in_flight_finish_and_readiness_goes_first() {
    let provider = StubProvider::start([Reply::text("worth the wait").after(Duration::from_secs(2))]).await;
    let mut gateway = TestGateway::with_config(&provider.section()).await;
    let (url, ready) = (gateway.url("/v1/chat/completions"), gateway.url("/readyz"));
    let asking = tokio::spawn(async move { post(&url, &chat("stub/stub-1", "x")).await });
    provider.arrival(0).await;

    gateway.signal(Signal::TERM);
    settles("the gateway says that it is not ready, or listens no more", async || {
        http().get(&ready).send().await.map_or(true, |response| response.status() == 503)
    })
    .await;
    assert!(!asking.is_finished(), "the answer is still on its way");
    let answer = asking.await.unwrap();
    assert_eq!(answer.body["choices"][0]["message"]["content"], "worth the wait");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_stream_in_flight_comes_to_its_own_end() {
    let provider = StubProvider::start([Reply::stream_text(&["a", "b", "c"]).in_pieces(120, Duration::from_millis(200))]).await;
    let mut gateway = TestGateway::with_config(&provider.section()).await;
    let response = http().post(gateway.url("/v1/chat/completions")).json(&streamed("stub/stub-1", "x")).send().await.unwrap();
    gateway.signal(Signal::TERM);
    let answer = Answer::read(response).await;
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn streams_that_only_wait_are_ended_and_do_not_hold_up_the_end() {
    let mut gateway = TestGateway::start().await;
    let older = session(&gateway.url("/mcp")).await;
    let mut older = older.listen().await;
    let newer = modern(&gateway.url("/mcp"));
    let (id, mut newer) = newer.listen(json!({ "toolsListChanged": true })).await;
    newer.next_of("notifications/subscriptions/acknowledged").await;

    let start = Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(older.next().await.is_none());
    let last = newer.next_json().await.expect("a stateless stream ends with its result");
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(id), &json!("complete")));
    assert!(newer.next().await.is_none());
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_cut_off_and_the_end_is_still_orderly() {
    let provider = StubProvider::start([Reply::text("never").after(Duration::from_secs(600))]).await;
    let mut gateway = TestGateway::with_config(&format!("{}limits: {{ drain: 1s }}\n", provider.section())).await;
    let url = gateway.url("/v1/chat/completions");
    let asking = tokio::spawn(async move { http().post(url).json(&chat("stub/stub-1", "x")).send().await.is_ok() });
    let asked = provider.arrival(0).await;
    let start = Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(!asking.await.unwrap(), "the request was cut off");
    assert!(asked.gone(Duration::from_secs(2)).await);
}

#[tokio::test]
async fn a_session_ends_its_stream_when_it_is_ended() {
    let gateway = TestGateway::start().await;
    let session = session(&gateway.url("/mcp")).await;
    let mut stream: Events = session.listen().await;
    assert!((200..300).contains(&session.end().await));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_idle_gateway_too_says_first_that_it_is_not_ready() {
    let mut gateway = TestGateway::start().await;
    let ready = gateway.url("/readyz");
    gateway.signal(Signal::TERM);
    settles("whoever balances load can see it", async || http().get(&ready).send().await.is_ok_and(|response| response.status() == 503))
        .await;
    assert_eq!(gateway.ended().await.code(), Some(0));
}
