//! Recorded bodies, replayed: requests of each dialect through their doors to either provider, answers of
//! each provider read at every door. Ours lie in `tests/cassettes`; a folder of others is named by
//! `PORTOLAN_FIXTURES`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Answer, Door, Reply, Seen, StubProvider, TestGateway, post};

async fn harbour() -> (TestGateway, StubProvider) {
    let provider = StubProvider::exacting([]).await;
    let itself = format!("  openai: {{ kind: openai, base_url: '{}', api_key: sk-x }}\n", provider.base());
    let config = format!("{}{itself}limits: {{ retries: 0, breaker_failures: 1000 }}\n", provider.both_sections());
    (TestGateway::with_config(&config).await, provider)
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { all.push(path) }
        }
    }
    all.sort();
    all
}

/// Replays all files of a folder; those of dialects that are not built are named.
async fn replay(folder: &Path) -> usize {
    let (gateway, provider) = harbour().await;
    let mut replayed = 0;
    let mut skipped = Vec::new();
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('/').collect();
        let text = || std::fs::read_to_string(&file).unwrap();
        match parts.as_slice() {
            ["requests", "completions", _] => requests(&gateway, &provider, Door::Chat, &name, &text()).await,
            ["requests", "messages", _] => requests(&gateway, &provider, Door::Messages, &name, &text()).await,
            ["requests", "responses", _] => requests(&gateway, &provider, Door::Responses, &name, &text()).await,
            ["requests", "embeddings", _] => embeddings(&gateway, Some(&text()), None, &name).await,
            ["response", "openai", "embeddings.json"] => {
                provider.then([Reply::json(&text())]);
                embeddings(&gateway, None, Some(&text()), &name).await;
            }
            ["response", "completions", _] => answers(&gateway, &provider, Door::Chat, &name, &text()).await,
            ["response", "anthropic", _] => answers(&gateway, &provider, Door::Messages, &name, &text()).await,
            ["response", "responses", _] => passed(&gateway, &provider, &name, &text()).await,
            _ => {
                skipped.push(name);
                continue;
            }
        }
        replayed += 1;
    }
    if !skipped.is_empty() {
        println!("not replayed, for their dialects are not spoken here: {}", skipped.join(", "));
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    replayed
}

/// All texts in a value that somebody said.
fn said<'v>(value: &'v Value, out: &mut Vec<&'v str>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if matches!(key.as_str(), "text" | "content" | "instructions" | "system" | "input" | "output") => {
                        out.push(text);
                    }
                    Value::Object(_) | Value::Array(_) if key != "tools" && key != "client_metadata" => said(value, out),
                    _ => {}
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| said(value, out)),
        _ => {}
    }
}

async fn requests(gateway: &TestGateway, provider: &StubProvider, door: Door, name: &str, text: &str) {
    for model in ["stub/stub-1", "claude/claude-sonnet-4-5", "openai/gpt-5-mini"] {
        let mut body: Value = serde_json::from_str(text).unwrap();
        body["model"] = model.into();
        if model.starts_with("openai") && door == Door::Responses {
            continue;
        }
        let before = provider.received().len();
        let answer = door.send(gateway, &body).await;
        let received = provider.received();
        if answer.status == 400 && received.len() == before {
            let named = answer.body["error"]["param"].as_str().unwrap_or_default();
            assert!(
                !named.is_empty() && answer.message().contains(named.split(['.', '[']).next().unwrap()),
                "{name} to {model}: {}",
                answer.text
            );
            continue;
        }
        if model.starts_with("claude") && door == Door::Messages || !model.starts_with("claude") && door == Door::Chat {
            // What a provider of its own dialect says to it is between the two of them.
            let mut sent = received.last().unwrap().body();
            sent["model"] = body["model"].clone();
            sent["stream_options"] = body["stream_options"].clone();
            body["stream_options"] = body["stream_options"].clone();
            assert_eq!(sent, body, "{name} to {model}");
            continue;
        }
        assert_eq!(answer.status, 200, "{name} to {model}: {} {:?}", answer.text, received.last());
        assert!(Seen::read(door, &answer).is_whole(), "{name} to {model}: {}", answer.text);
        let sent = received.last().unwrap().body();
        let (mut wanted, mut told) = (Vec::new(), Vec::new());
        said(&body, &mut wanted);
        said(&sent, &mut told);
        let told = told.join("\n");
        for text in wanted {
            assert!(told.contains(text.trim()), "{name} to {model}: `{text}` is lost: {sent}");
        }
    }
}

async fn embeddings(gateway: &TestGateway, request: Option<&str>, written: Option<&str>, name: &str) {
    let mut body: Value = serde_json::from_str(request.unwrap_or(r#"{"input":"x"}"#)).unwrap();
    body["model"] = "stub/embed-1".into();
    let answer = post(&gateway.url("/v1/embeddings"), &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    assert!(written.is_none_or(|written| answer.text == written), "{name}: {}", answer.text);
}

fn reply(text: &str) -> (Reply, bool) {
    let streamed = !text.trim_start().starts_with('{');
    (if streamed { Reply::stream(text) } else { Reply::json(text) }, streamed)
}

/// An answer is the same at every door as at the provider's own.
async fn answers(gateway: &TestGateway, provider: &StubProvider, own: Door, name: &str, text: &str) {
    let model = if own == Door::Messages { "claude/claude-sonnet-4-5" } else { "stub/stub-1" };
    let (reply, streamed) = reply(text);
    let hear = async |door: Door| {
        provider.then([reply.clone()]);
        let body = if streamed { door.ask_streamed(model, "x") } else { door.ask(model, "x") };
        let answer = door.send(gateway, &body).await;
        assert_eq!(answer.status, 200, "{name} at {door:?}: {}", answer.text);
        let seen = Seen::read(door, &answer);
        assert!(seen.is_whole(), "{name} at {door:?}: {}", answer.text);
        (seen, answer)
    };
    let (original, passed) = hear(own).await;
    assert!(streamed || passed.text.trim() == text.trim(), "{name} is passed on as it was written: {}", passed.text);
    for door in Door::ALL.into_iter().filter(|door| *door != own) {
        let (seen, answer) = hear(door).await;
        let words = |seen: &Seen| format!("{}{}", seen.text, seen.refusal);
        assert_eq!(words(&seen), words(&original), "{name} at {door:?}");
        assert_eq!((&seen.thoughts, seen.seals.len()), (&original.thoughts, original.seals.len()), "{name} at {door:?}");
        assert_eq!(calls(&seen), calls(&original), "{name} at {door:?}");
        assert_eq!(seen.usage, original.usage, "{name} at {door:?}: {}", answer.text);
    }
}

fn calls(seen: &Seen) -> Vec<(&str, &str, Value)> {
    let arguments = |text: &str| serde_json::from_str(if text.is_empty() { "{}" } else { text }).unwrap();
    seen.calls.iter().map(|(id, name, text)| (id.as_str(), name.as_str(), arguments(text))).collect()
}

/// What OpenAI itself answers at the door of its own dialect is passed on as it is.
async fn passed(gateway: &TestGateway, provider: &StubProvider, name: &str, text: &str) {
    let (reply, streamed) = reply(text);
    provider.then([reply]);
    let mut body = Door::Responses.ask("openai/gpt-5-mini", "x");
    body["stream"] = streamed.into();
    let answer: Answer = Door::Responses.send(gateway, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    // Behind the last event there is no other in this dialect, though some write one.
    assert_eq!(answer.text.trim(), text.trim().trim_end_matches("data: [DONE]").trim(), "{name}");
}

#[tokio::test]
async fn our_own_cassettes_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes");
    assert!(replay(&folder).await >= 8);
}

#[tokio::test]
async fn recorded_traffic_is_understood() {
    let Some(folder) = std::env::var_os("PORTOLAN_FIXTURES") else {
        println!("`PORTOLAN_FIXTURES` names no folder of recorded traffic; only our own cassettes are replayed");
        return;
    };
    assert!(replay(Path::new(&folder)).await > 0);
}
