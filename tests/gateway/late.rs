//! Answers that come late or packed: a refusal within ten seconds is a status of its own, a later one the
//! stream's last event; what a provider compresses unasked is understood.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::support::{Door, Reply, Seen, StubProvider, TestGateway};

async fn harbour(script: impl IntoIterator<Item = Reply>) -> (TestGateway, StubProvider) {
    let provider = StubProvider::start(script).await;
    let config = format!("{}limits: {{ retries: 0, breaker_failures: 1000 }}\n", provider.both_sections());
    (TestGateway::with_config(&config).await, provider)
}

#[tokio::test]
async fn a_refusal_that_comes_soon_is_a_status_a_late_one_the_last_event_and_a_late_answer_an_answer() {
    let refusal =
        |after: u64| Reply::refusal(429, "rate_limit_error", "slow down").header("retry-after", "7").after(Duration::from_millis(after));
    let all = Door::ALL.map(async |door| {
        let (gateway, _provider) = harbour([refusal(1_500), refusal(11_000)]).await;
        let body = door.ask_streamed("claude/claude-stub", "x");
        let soon = door.send(&gateway, &body).await;
        assert_eq!((soon.status, soon.header("retry-after")), (429, "7"), "{door:?}: no heartbeat made it a 200: {}", soon.text);
        let late = door.send(&gateway, &body).await;
        let seen = Seen::read(door, &late);
        assert!(late.status == 200 && late.text.starts_with(':'), "{door:?}: a sign of life first: {}", late.text);
        assert!(seen.error.is_some() && !seen.is_whole(), "{door:?}: {}", late.text);
    });
    let answers = Door::ALL.map(async |door| {
        let answer = Reply::stream_text(&["Land ", "ahoy"]).after(Duration::from_millis(10_500));
        let (gateway, _provider) = harbour([answer]).await;
        let seen = door.hear(&gateway, &door.ask_streamed("stub/stub-1", "x")).await;
        assert!(seen.is_whole() && seen.text == "Land ahoy", "{door:?}: {seen:?}");
    });
    // All of them wait at the same time.
    tokio::join!(futures::future::join_all(all), futures::future::join_all(answers));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(bytes).unwrap();
    out
}

type Pack = fn(&[u8]) -> Vec<u8>;
const PACKS: [(&str, Pack); 3] = [("gzip", gzip), ("deflate", deflate), ("br", brotli)];

#[tokio::test]
async fn what_a_provider_compresses_unasked_is_understood_whole_and_streamed() {
    let said = [json!({ "type": "text", "text": "Land ahoy" })];
    for (model, whole, stream) in [
        ("stub/stub-1", Reply::text("Land ahoy"), Reply::stream_text(&["Land ", "ahoy"])),
        ("claude/claude-stub", Reply::message(&said, "end_turn"), Reply::stream_message(&said, "end_turn")),
    ] {
        for (encoding, pack) in PACKS {
            let packed = [whole.clone().packed(encoding, pack), stream.clone().packed(encoding, pack).in_pieces(7, Duration::ZERO)];
            let (gateway, provider) = harbour(packed.iter().cycle().take(6).cloned()).await;
            for door in Door::ALL {
                for body in [door.ask(model, "x"), door.ask_streamed(model, "x")] {
                    let answer = door.send(&gateway, &body).await;
                    assert_eq!((answer.status, answer.header("content-encoding")), (200, ""), "{door:?} {encoding}: {}", answer.text);
                    assert_eq!(Seen::read(door, &answer).text, "Land ahoy", "{door:?} {encoding}: {}", answer.text);
                }
            }
            assert!(provider.received().iter().all(|asked| asked.header("accept-encoding") == Some("identity")), "nobody asks for it");
        }
    }
}

#[tokio::test]
async fn what_unpacks_to_too_much_or_to_nothing_is_an_error() {
    let bomb = Reply::json(&format!("{{\"a\":\"{}\"}}", " ".repeat(80 << 20))).packed("gzip", gzip);
    assert!(bomb.len() < 1 << 20);
    let broken = Reply::text("x").header("content-encoding", "gzip");
    let cut = Reply::text("x").packed("gzip", gzip);
    let half = cut.len() / 2;
    let (gateway, _provider) = harbour([bomb, broken, cut.cut_after(half)]).await;
    let before = gateway.peak_memory();
    for code in ["upstream_too_large", "upstream_truncated", "upstream_truncated"] {
        let answer = Door::Chat.send(&gateway, &Door::Chat.ask("stub/stub-1", "x")).await;
        assert_eq!((answer.status, answer.word()), (502, code), "{}", answer.text);
    }
    let grown = gateway.peak_memory() - before;
    assert!(grown < 160 << 10, "memory grew by {grown} KiB");
}
