//! HTTP itself: what is malformed, endless or slow is turned away, and costs nobody else anything.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Reply, StubProvider, TestGateway, chat, http, post, within};

/// Sends bytes as they are; everything that comes back until the gateway closes or has answered.
async fn raw(gateway: &TestGateway, bytes: &str) -> String {
    let mut stream = TcpStream::connect(gateway.authority()).await.unwrap();
    let _ = stream.write_all(bytes.as_bytes()).await;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_secs(3), stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status codes of all answers in a text.
fn statuses(answer: &str) -> Vec<u16> {
    answer.match_indices("HTTP/1.1 ").filter_map(|(at, word)| answer[at + word.len()..].get(..3)?.parse().ok()).collect()
}

#[tokio::test]
async fn requests_that_two_parsers_could_read_in_two_ways_reach_a_provider_at_most_once() {
    let provider = StubProvider::start([]).await;
    let gateway = TestGateway::with_config(&provider.section()).await;
    let body = chat("stub/stub-1", "x").to_string();
    let inner = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    for smuggled in [
        format!("{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}", inner.len() + 5),
        format!("{head}content-length: {}\r\ncontent-length: {}\r\n\r\n{body}{inner}", body.len(), body.len() + inner.len()),
        format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{head}content-length: +{}\r\n\r\n{body}{inner}", body.len()),
        format!("{head}x: a\r\n transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n{body}{inner}", body.len()),
    ] {
        let before = provider.received().len();
        raw(&gateway, &smuggled).await;
        let reached = provider.received().len() - before;
        assert!(reached <= 1, "{reached} requests came of\n{smuggled}");
    }
    for received in provider.received() {
        let framing = received.header("content-length").is_some() && received.header("transfer-encoding").is_some();
        assert!(!framing, "a request to a provider has one length");
    }
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("stub/stub-1", "x")).await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let gateway = TestGateway::start().await;
    for bytes in [
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nna me: x\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nx: a\u{0}b\r\n\r\n",
    ] {
        let answer = raw(&gateway, bytes).await;
        assert!(statuses(&answer).iter().all(|status| *status == 400 || *status == 505), "{bytes:?}: {answer}");
    }
    assert_eq!(http().get(gateway.url("/livez")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn too_many_and_too_large_headers_are_431() {
    let gateway = TestGateway::start().await;
    let many: String = (0..150).map(|at| format!("x-{at}: y\r\n")).collect();
    let answer = raw(&gateway, &format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await;
    assert_eq!(statuses(&answer), [431], "{answer}");
    let large = "y".repeat(1 << 20);
    let answer = raw(&gateway, &format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {large}\r\n\r\n")).await;
    assert!(statuses(&answer).iter().all(|status| *status == 431), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let gateway = TestGateway::start().await;
    let mut stream = TcpStream::connect(gateway.authority()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let start = Instant::now();
    let (mut read, mut write) = stream.split();
    let dripping = async {
        while write.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let mut rest = Vec::new();
    let ended = async {
        tokio::select! {
            _ = read.read_to_end(&mut rest) => {}
            () = dripping => {}
        }
    };
    within(Duration::from_secs(15), "a slow head", ended).await;
    assert!(start.elapsed() > Duration::from_secs(1), "it was given some time");
}

#[tokio::test]
async fn many_slow_connections_hold_up_nobody() {
    let gateway = TestGateway::start().await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(gateway.authority()).await.unwrap();
        stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        slow.push(stream);
    }
    let start = Instant::now();
    assert_eq!(post(&gateway.url("/v1/chat/completions"), &chat("portolan/echo", "x")).await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_error() {
    let provider = StubProvider::start([Reply::status(500, &serde_json::json!({}))]).await;
    let gateway = TestGateway::with_config(&format!("{}limits: {{ retries: 0 }}\n", provider.section())).await;
    let body = chat("stub/stub-1", "x").to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let probe = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = raw(&gateway, &format!("{request}{request}{probe}")).await;
    assert_eq!(statuses(&answer), [502, 200, 200], "{answer}");
}

#[tokio::test]
async fn a_head_in_drops_is_cut_off_and_an_idle_connection_may_rest() {
    let gateway = TestGateway::start().await;
    let start = Instant::now();
    let connect = async || TcpStream::connect(gateway.authority()).await.unwrap();
    let ask = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut idle = connect().await;
    let mut drops = connect().await;
    let mut buffer = [0; 2048];
    idle.write_all(ask).await.unwrap();
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let cut = async {
        for byte in ask.iter().cycle() {
            if drops.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    within(PATIENCE, "the end of a slow head", cut).await;
    assert!((5..12).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(13).saturating_sub(start.elapsed())).await;
    idle.write_all(ask).await.unwrap();
    assert!(idle.read(&mut buffer).await.unwrap() > 0, "the same connection still answers");
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_still_hears_why_its_body_was_refused() {
    let gateway = TestGateway::with_config("limits: { body: 1MiB }\n").await;
    for told in [true, false] {
        let mut stream = TcpStream::connect(gateway.authority()).await.unwrap();
        let length = 8 << 20;
        let framing = if told { format!("content-length: {length}") } else { "transfer-encoding: chunked".to_owned() };
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
        let body = vec![b' '; length];
        stream.write_all(head.as_bytes()).await.unwrap();
        if told {
            stream.write_all(&body).await.unwrap();
        } else {
            stream.write_all(&[format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await.unwrap();
        }
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start[9..], b"413");
    }
}
