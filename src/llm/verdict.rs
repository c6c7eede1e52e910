//! What an event of a provider's stream means for its end, and where an answer is an error.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::dialect::Dialect;
use super::error::Refusal;
use crate::domain::{RawObject, clip};
use crate::net::Event;

/// What an event of a stream means for its end.
pub(super) enum Verdict {
    /// The stream goes on.
    Goes,
    /// All is said; the connection may close.
    Finished,
    /// It has ended; the event says so and is part of the answer.
    Ends,
    /// It has ended; the event is no part of the answer.
    Done,
    /// The provider failed.
    Failed(Refusal),
}

impl Dialect {
    /// What an event means for the end of its stream.
    pub(super) fn verdict(self, event: &Event, data: &str) -> Verdict {
        match self {
            Self::Chat => chat_verdict(event, data),
            Self::Messages | Self::Responses => typed_verdict(data),
        }
    }
}

fn chat_verdict(event: &Event, data: &str) -> Verdict {
    if data.trim() == "[DONE]" {
        return Verdict::Done;
    }
    match error_in(data.as_bytes()) {
        Some(refusal) => Verdict::Failed(refusal),
        None if event.data.is_some() && finishes(data) => Verdict::Finished,
        None => Verdict::Goes,
    }
}

/// Words that stand in every event that may end a stream of typed events.
static ENDS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| ["message_stop", "error", "response."].map(Finder::new));

fn typed_verdict(data: &str) -> Verdict {
    // The types that end a stream are few, and most events have none of their names in them.
    if data.trim() == "[DONE]" {
        return Verdict::Done;
    }
    if !ENDS.iter().any(|name| name.find(data.as_bytes()).is_some()) {
        return Verdict::Goes;
    }
    let kind = RawObject::parse(data).ok().and_then(|event| event.string("type"));
    match kind.as_deref() {
        Some("message_stop" | "response.completed" | "response.incomplete" | "response.failed") => Verdict::Ends,
        Some("error") | None => error_in(data.as_bytes()).map_or(Verdict::Goes, Verdict::Failed),
        Some(_) => Verdict::Goes,
    }
}

/// The error in an event, or in a body, that is one.
pub(super) fn error_in(data: &[u8]) -> Option<Refusal> {
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
    ERROR.find(data)?;
    let data = std::str::from_utf8(data).ok()?;
    let object = RawObject::parse(data).ok()?;
    let typed = object.string("type").as_deref() == Some("error");
    let error = match object.get("error").filter(|error| error.get() != "null") {
        Some(error) => error,
        None if typed => return Some(refusal(&serde_json::from_str(data).ok()?)),
        None => return None,
    };
    // A response that failed is passed on as it is. An answer of another dialect with an error is none.
    if object.has("output") || matches!(error.get(), "{}" | "\"\"" | "false") {
        return None;
    }
    Some(refusal(&serde_json::from_str(error.get()).ok()?))
}

fn refusal(error: &serde_json::Value) -> Refusal {
    let text = |key: &str| error.get(key).and_then(|value| value.as_str()).map(|text| clip(text, 500));
    let message = text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| "it gave no reason".to_owned());
    let number = error.get("code").filter(|code| code.is_u64()).map(ToString::to_string);
    Refusal { message, code: text("code").or(number).or_else(|| text("type")), param: None }
}

/// Whether a chunk gives a reason for the answer's end.
fn finishes(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Vec<Choice>,
    }
    #[derive(serde::Deserialize)]
    struct Choice {
        finish_reason: Option<serde::de::IgnoredAny>,
    }
    // Most chunks say `null` or nothing, and are not parsed for it.
    static REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
    let Some(at) = REASON.find(data.as_bytes()) else { return false };
    let value = data.get(at + 15..).unwrap_or_default().trim_start_matches([':', ' ']);
    if value.starts_with("null") && REASON.find_iter(data.as_bytes()).take(2).count() == 1 {
        return false;
    }
    serde_json::from_str::<Chunk>(data).is_ok_and(|chunk| chunk.choices.iter().any(|choice| choice.finish_reason.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_from_a_word_that_looks_like_one() {
        let goes =
            |text: &str| matches!(chat_verdict(&Event { data: Some(text.to_owned().into()), ..Event::default() }, text), Verdict::Goes);
        assert!(goes(r#"{"choices":[{"delta":{"content":"finish_reason"},"finish_reason":null}]}"#));
        assert!(!goes(r#"{"choices":[{"finish_reason": "stop"}]}"#));
        assert!(!goes(r#"{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}"#));
        assert!(matches!(typed_verdict(r#"{"type":"content_block_delta","delta":{"text":"message_stop error"}}"#), Verdict::Goes));
        assert!(matches!(typed_verdict(r#"{"type":"message_stop" }"#), Verdict::Ends));
        assert!(matches!(typed_verdict(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#), Verdict::Failed(_)));
    }
}
