//! Turns as input items of Responses.

use serde_json::json;
use serde_json::value::RawValue;

use super::seal::seal;
use crate::domain::raw;
use crate::llm::conversation::{Part, Role, Source, Turn};

/// The items of some turns.
pub(in crate::llm) fn items(turns: &[Turn]) -> Vec<Box<RawValue>> {
    turns.iter().flat_map(|turn| turn.parts.iter().filter_map(|part| item(turn.role, part))).collect()
}

fn item(role: Role, part: &Part) -> Option<Box<RawValue>> {
    let (name, kind) = match role {
        Role::System => ("system", "input_text"),
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    let message = |part: serde_json::Value| Some(raw(&json!({ "type": "message", "role": name, "content": [part] })));
    match part {
        Part::Text(text, _) => message(json!({ "type": kind, "text": text })),
        Part::Refusal(text) => message(json!({ "type": "refusal", "refusal": text })),
        Part::Image(Source::Url(url)) => message(json!({ "type": "input_image", "image_url": url })),
        Part::Image(Source::Data(media_type, data)) => {
            message(json!({ "type": "input_image", "image_url": format!("data:{media_type};base64,{data}") }))
        }
        Part::Call(call) => {
            let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
            Some(raw(&json!({ "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments })))
        }
        Part::Result { call, parts, failed, .. } => {
            let text = Part::texts(parts);
            let text = if *failed { format!("Error: {text}") } else { text };
            Some(raw(&json!({ "type": "function_call_output", "call_id": call, "output": text })))
        }
        Part::Thinking(..) | Part::Redacted(_) => {
            Some(raw(&json!({ "type": "reasoning", "summary": [], "encrypted_content": seal(part)? })))
        }
        _ => None,
    }
}
