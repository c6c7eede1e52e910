//! Turns as messages of Chat Completions.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::domain::raw;
use crate::llm::conversation::{Part, Role, Source, Turn};
use crate::llm::dialect::Dialect;

/// The messages of some turns. One turn may become several: each result of a tool is a message.
pub(in crate::llm) fn items(turns: &[Turn]) -> Vec<Box<RawValue>> {
    let mut messages = Vec::new();
    for turn in turns {
        match turn.role {
            Role::System => messages.push(raw(&json!({ "role": "system", "content": content(&turn.parts) }))),
            Role::User => user(&turn.parts, &mut messages),
            Role::Assistant => messages.extend(assistant(&turn.parts)),
        }
    }
    messages
}

fn user(parts: &[Part], messages: &mut Vec<Box<RawValue>>) {
    let mut said: Vec<Part> = Vec::new();
    for part in parts {
        let Part::Result { call, parts, failed, .. } = part else {
            said.push(part.clone());
            continue;
        };
        let text = Part::texts(parts);
        let text = if *failed { format!("Error: {text}") } else { text };
        messages.push(raw(&json!({ "role": "tool", "tool_call_id": call, "content": text })));
        // A tool's message holds text alone; what a tool showed is shown by the user.
        let seen = parts.iter().filter(|part| matches!(part, Part::Image(_) | Part::File(..))).cloned();
        said.extend(seen);
    }
    if !said.is_empty() {
        messages.push(raw(&json!({ "role": "user", "content": content(&said) })));
    }
}

/// What the model said; none where nothing is left of it, which would be refused.
fn assistant(parts: &[Part]) -> Option<Box<RawValue>> {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let texts: String = parts.iter().map(|part| if let Part::Text(text, _) = part { text.as_str() } else { "" }).collect();
    message.insert("content".to_owned(), if texts.is_empty() { Value::Null } else { texts.into() });
    let mut calls = Vec::new();
    let mut blocks = Vec::new();
    for part in parts {
        match part {
            Part::Call(call) => {
                let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
                calls.push(json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } }));
            }
            Part::Refusal(text) => {
                message.insert("refusal".to_owned(), text.as_str().into());
            }
            // Whoever thinks without a seal is told its thoughts again as it told them.
            Part::Thinking(text, None) => {
                message.insert("reasoning_content".to_owned(), text.as_str().into());
            }
            Part::Thinking(..) | Part::Redacted(_) => blocks.extend(block(part)),
            Part::Native(Dialect::Chat, extra) => extend(&mut message, extra),
            _ => {}
        }
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    if !blocks.is_empty() {
        message.insert("thinking_blocks".to_owned(), blocks.into());
    }
    let says = message.iter().any(|(key, value)| key != "role" && !value.is_null());
    says.then(|| raw(&message))
}

/// A thought as it is sent back; without a seal nobody could read it again.
pub(super) fn block(part: &Part) -> Option<Value> {
    match part {
        Part::Thinking(text, Some(signature)) => Some(json!({ "type": "thinking", "thinking": text, "signature": signature })),
        Part::Redacted(data) => Some(json!({ "type": "redacted_thinking", "data": data })),
        _ => None,
    }
}

/// Sealed thoughts, as a message carries them.
pub(in crate::llm) fn thoughts(parts: &[Part]) -> Vec<Value> {
    parts.iter().filter_map(block).collect()
}

/// Puts members of the provider's own into a message; those that are there already stay.
pub(super) fn extend(message: &mut Map<String, Value>, extra: &RawValue) {
    let Ok(Value::Object(extra)) = serde_json::from_str(extra.get()) else { return };
    let Some(Value::Object(extra)) = extra.get("delta").cloned() else { return };
    for (key, value) in extra {
        match (message.get_mut(&key), value) {
            // Some say the same with every piece.
            (Some(Value::String(text)), Value::String(more)) if *text == more => {}
            (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (None, value) => {
                message.insert(key, value);
            }
            _ => {}
        }
    }
}

/// Parts as the content of a message: a plain text where that is all there is.
fn content(parts: &[Part]) -> Value {
    if let [Part::Text(text, None)] = parts {
        return text.as_str().into();
    }
    parts.iter().filter_map(part).collect()
}

fn part(part: &Part) -> Option<Value> {
    let url = |source: &Source| match source {
        Source::Url(url) => url.clone(),
        Source::Data(media_type, data) => format!("data:{media_type};base64,{data}"),
        Source::Id(id) => id.clone(),
    };
    match part {
        Part::Text(text, _) if text.is_empty() => None,
        Part::Text(text, None) | Part::Refusal(text) => Some(json!({ "type": "text", "text": text })),
        Part::Text(text, Some(cache)) => Some(json!({ "type": "text", "text": text, "cache_control": cache })),
        Part::Image(source) => Some(json!({ "type": "image_url", "image_url": { "url": url(source) } })),
        Part::File(Source::Id(id), _) => Some(json!({ "type": "file", "file": { "file_id": id } })),
        Part::File(source, name) => {
            let name = name.as_deref().unwrap_or("document.pdf");
            Some(json!({ "type": "file", "file": { "filename": name, "file_data": url(source) } }))
        }
        Part::Native(Dialect::Chat, raw) => serde_json::from_str(raw.get()).ok(),
        _ => None,
    }
}
