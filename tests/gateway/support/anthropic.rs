//! What the stub provider says in Anthropic's dialect, as its API reference writes it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Reply;

/// A block that calls a tool.
pub fn tool_use(id: &str, name: &str, input: Value) -> Value {
    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
}

impl Reply {
    /// A whole message of these blocks.
    pub fn message(blocks: &[Value], stop_reason: &str) -> Self {
        let message = json!({
            "id": id(), "type": "message", "role": "assistant", "model": "claude-stub", "content": blocks,
            "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(7),
        });
        Self::json(&message.to_string())
    }

    /// The same as a stream: each block a few characters at a time, with a ping behind the start.
    pub fn stream_message(blocks: &[Value], stop_reason: &str) -> Self {
        let mut text = String::new();
        let message = json!({
            "id": id(), "type": "message", "role": "assistant", "model": "claude-stub", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage(1),
        });
        event(&mut text, &json!({ "type": "message_start", "message": message }));
        event(&mut text, &json!({ "type": "ping" }));
        for (index, block) in blocks.iter().enumerate() {
            let (start, deltas) = taken_apart(block);
            event(&mut text, &json!({ "type": "content_block_start", "index": index, "content_block": start }));
            for delta in deltas {
                event(&mut text, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            }
            event(&mut text, &json!({ "type": "content_block_stop", "index": index }));
        }
        let delta = json!({ "stop_reason": stop_reason, "stop_sequence": null });
        event(&mut text, &json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 7 } }));
        event(&mut text, &json!({ "type": "message_stop" }));
        Self::stream(&text)
    }

    /// An error in Anthropic's shape; OpenAI's clients find what they look for in it, too.
    pub fn refusal(status: u16, kind: &str, message: &str) -> Self {
        Self::status(status, &json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_stub" }))
    }

    /// The stream so far, and then an error event.
    #[must_use]
    pub fn ended_by_error(&self, kind: &str, events: usize) -> Self {
        let body = self.body_text();
        let mut text: String = body.split_inclusive("\n\n").take(events).collect();
        event(&mut text, &json!({ "type": "error", "error": { "type": kind, "message": "Overloaded" } }));
        Self::stream(&text)
    }
}

/// Each answer has its own.
fn id() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("msg_stub{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn usage(output: u64) -> Value {
    json!({ "input_tokens": 11, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 5, "output_tokens": output })
}

fn event(text: &mut String, data: &Value) {
    let _ = write!(text, "event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
}

/// How a block begins, and what it grows by.
fn taken_apart(block: &Value) -> (Value, Vec<Value>) {
    let grow = |key: &str, kind: &str| -> Vec<Value> {
        pieces(block[key].as_str().unwrap_or_default()).iter().map(|piece| json!({ "type": kind, key: piece })).collect()
    };
    match block["type"].as_str().unwrap() {
        "text" => (json!({ "type": "text", "text": "" }), grow("text", "text_delta")),
        "thinking" => {
            let mut deltas = grow("thinking", "thinking_delta");
            deltas.push(json!({ "type": "signature_delta", "signature": block["signature"] }));
            (json!({ "type": "thinking", "thinking": "", "signature": "" }), deltas)
        }
        "tool_use" => {
            let input = block["input"].to_string();
            let input = if input == "{}" { String::new() } else { input };
            // The real one begins with an empty piece.
            let mut deltas = vec![json!({ "type": "input_json_delta", "partial_json": "" })];
            deltas.extend(pieces(&input).iter().map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })));
            (json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} }), deltas)
        }
        _ => (block.clone(), Vec::new()),
    }
}

fn pieces(text: &str) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(5).map(|piece| piece.iter().collect()).collect()
}
