//! Turns as messages of Messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::grown::blocks;
use super::input::input;
use crate::domain::{RawObject, raw};
use crate::llm::conversation::{Call, Part, Role, Source, Turn};
use crate::llm::dialect::Dialect;

/// The messages of some turns. Sides alternate, results stand first, and nothing is empty.
pub(in crate::llm) fn items(turns: &[Turn]) -> Vec<Box<RawValue>> {
    let mut messages: Vec<(&'static str, Vec<Box<RawValue>>)> = Vec::new();
    for turn in turns {
        let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
        let first = turn.parts.iter().filter(|part| matches!(part, Part::Result { .. }));
        let then = turn.parts.iter().filter(|part| !matches!(part, Part::Result { .. }));
        let blocks = blocks(first.chain(then), block);
        match messages.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, all)) if *last == role => all.extend(blocks),
            _ => messages.push((role, blocks)),
        }
    }
    let message = |(role, blocks): (&str, Vec<Box<RawValue>>)| {
        let mut message = RawObject::default();
        message.set("role", raw(role));
        message.set("content", raw(&blocks));
        message.to_raw()
    };
    messages.into_iter().map(message).collect()
}

/// One part as a block; none where there is nothing to say.
pub(super) fn block(part: &Part) -> Option<Box<RawValue>> {
    match part {
        Part::Text(text, cache) => self::text(text, cache.as_deref()),
        Part::Refusal(text) => self::text(text, None),
        Part::Image(source) => Some(raw(&json!({ "type": "image", "source": self::source(source) }))),
        Part::File(source, name) => Some(document(source, name.as_deref())),
        Part::Call(call) => Some(self::call(call)),
        Part::Result { call, parts, failed, cache } => {
            let mut result = RawObject::default();
            result.set("type", raw("tool_result"));
            result.set("tool_use_id", raw(&id(call)));
            let content: Vec<_> = parts.iter().filter_map(block).collect();
            if !content.is_empty() {
                result.set("content", raw(&content));
            }
            if *failed {
                result.set("is_error", raw(&true));
            }
            if let Some(cache) = cache {
                result.set("cache_control", cache.clone());
            }
            Some(result.to_raw())
        }
        Part::Thinking(text, Some(signature)) if !signature.is_empty() => {
            Some(raw(&json!({ "type": "thinking", "thinking": text, "signature": signature })))
        }
        Part::Redacted(data) => Some(raw(&json!({ "type": "redacted_thinking", "data": data }))),
        Part::Native(Dialect::Messages, raw) => Some(raw.clone()),
        // A thought without a seal, and what only others have, cannot be told.
        Part::Thinking(..) | Part::Runs(_) | Part::Ran(_) | Part::Listed(_) | Part::Native(..) => None,
    }
}

/// A text as a block; most blocks are, and so nothing is built for it in between.
#[derive(Serialize)]
struct Words<'t> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'t RawValue>,
}

/// A text; one that is empty or blank is refused, and so left out.
pub(super) fn text(text: &str, cache: Option<&RawValue>) -> Option<Box<RawValue>> {
    if text.trim().is_empty() {
        return None;
    }
    Some(raw(&Words { kind: "text", text, cache_control: cache }))
}

/// Ids hold letters, digits, `_` and `-` alone.
fn id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

pub(super) fn call(call: &Call) -> Box<RawValue> {
    let mut block = RawObject::default();
    block.set("type", raw("tool_use"));
    block.set("id", raw(&id(&call.id)));
    block.set("name", raw(&call.name));
    block.set("input", input(&call.arguments));
    block.to_raw()
}

fn source(source: &Source) -> Value {
    match source {
        Source::Url(url) => json!({ "type": "url", "url": url }),
        Source::Data(media_type, data) => json!({ "type": "base64", "media_type": media_type, "data": data }),
        Source::Id(id) => json!({ "type": "file", "file_id": id }),
    }
}

fn document(from: &Source, name: Option<&str>) -> Box<RawValue> {
    let inner = match from {
        // Plain text is given as text.
        Source::Data(media_type, data) if media_type.starts_with("text/") => {
            let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.map_or_else(|| source(from), |text| json!({ "type": "text", "media_type": "text/plain", "data": text }))
        }
        _ => source(from),
    };
    match name {
        Some(name) => raw(&json!({ "type": "document", "source": inner, "title": name })),
        None => raw(&json!({ "type": "document", "source": inner })),
    }
}
