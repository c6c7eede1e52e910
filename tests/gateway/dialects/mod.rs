//! Three doors, two kinds of provider: whatever a client says in its dialect, and whatever a provider
//! answers in its own. What is expected follows from the providers' API references.

mod answers;
mod carried;
mod history;
mod requests;
mod streams;
mod thinking;

use serde_json::Value;

use crate::support::{Reply, StubProvider, TestGateway};

/// Each question is asked once, however often an answer failed before.
const PATIENT: &str = "limits: { retries: 0, breaker_failures: 1000000 }\n";

/// A gateway before a provider of either kind, which refuses what the real ones refuse: `stub/…` speaks
/// like OpenAI, `claude/…` like Anthropic, `openai/…` is OpenAI itself.
async fn harbour(script: impl IntoIterator<Item = Reply>) -> (TestGateway, StubProvider) {
    let provider = StubProvider::exacting(script).await;
    let itself = format!("  openai: {{ kind: openai, base_url: '{}', api_key: sk-CANARY-7f3a9c }}\n", provider.base());
    let gateway = TestGateway::with_config(&format!("{}{itself}{PATIENT}", provider.both_sections())).await;
    (gateway, provider)
}

/// The body of the newest request.
fn newest(provider: &StubProvider) -> Value {
    provider.received().last().expect("a request").body()
}

/// A value without any marker for a cache.
fn unmarked(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            object.remove("cache_control");
            object.values_mut().for_each(|value| *value = unmarked(value.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| *value = unmarked(value.take())),
        _ => {}
    }
    value
}
