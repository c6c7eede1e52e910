//! A text as it was read, with what its giver said of how long it holds and for whom; and a part chosen of JSON.

use std::time::Duration;

use serde_json::Value;

/// Most bytes that are taken of one text.
pub(super) const MAX_TEXT: usize = 256 << 10;

/// A text as it was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) text: String,
    /// How long it holds, where that was said.
    pub(super) ttl: Option<Duration>,
    /// Whether it is for nobody but who asked.
    pub(super) private: bool,
}

impl Read {
    /// A text of which nothing more is known.
    pub(super) fn plain(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// The longest a server may say that its answer holds; what is longer is no hint but a mistake.
const LONGEST: f64 = 86_400_000.0;

/// What an MCP result says of itself (2026-07-28, server/utilities/caching). A scope that is not known is not public.
pub(super) fn hints(result: &Value) -> (Option<Duration>, bool) {
    let ttl = result.get("ttlMs").and_then(Value::as_f64);
    let ttl = ttl.map(|ms| Duration::from_secs_f64(ms.clamp(0.0, LONGEST) / 1000.0));
    let private = result.get("cacheScope").is_some_and(|scope| scope != "public");
    (ttl, private)
}

/// A part of JSON, as text: a text as it is, anything else as JSON.
pub(super) fn select(value: &Value, pointer: &str) -> Result<String, String> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Err(format!("the answer has nothing at `{pointer}`")),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(part) => Ok(part.to_string()),
    }
}

/// At most [`MAX_TEXT`] bytes of a text, and whether it was longer.
pub(super) fn bounded(mut text: String) -> (String, bool) {
    let cut = text.len() > MAX_TEXT;
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    (text, cut)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hints_are_bounded_and_an_unknown_scope_is_private() {
        assert_eq!(hints(&json!({})), (None, false));
        assert_eq!(hints(&json!({ "ttlMs": 1500, "cacheScope": "public" })), (Some(Duration::from_millis(1500)), false));
        assert_eq!(hints(&json!({ "ttlMs": -7, "cacheScope": "" })), (Some(Duration::ZERO), true));
        assert_eq!(hints(&json!({ "ttlMs": 1e300, "cacheScope": "private" })), (Some(Duration::from_hours(24)), true));
    }

    #[test]
    fn a_part_is_a_text_or_json_and_a_miss_is_an_error() {
        let value = json!({ "a": [{ "t": "x" }, null], "": 1 });
        assert_eq!(select(&value, "/a/0/t").as_deref(), Ok("x"));
        assert_eq!(select(&value, "/a/0").as_deref(), Ok(r#"{"t":"x"}"#));
        assert!(select(&value, "/a/1").is_err() && select(&value, "/b").is_err());
    }
}
