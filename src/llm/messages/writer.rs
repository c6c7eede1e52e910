//! Writes a stream of Messages: one start, blocks one after the other, one stop.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{id, reason, result_block, usage, use_block};
use crate::domain::{RawObject, Usage};
use crate::llm::answer::{Finish, Piece};
use crate::llm::dialect::Dialect;

/// A writer of one stream.
#[derive(Default)]
pub struct Writer {
    begun: bool,
    /// The block that is open, and the number of the next one.
    open: Option<Open>,
    next: usize,
    calls: Vec<Call>,
    usage: Option<Usage>,
    finish: Option<(Finish, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Native,
    Call(usize),
}

/// A call on its way.
struct Call {
    id: String,
    name: String,
    /// All arguments so far; those of a call that waits are not written yet.
    arguments: String,
    written: bool,
}

impl Writer {
    /// Writes what a piece is to the client.
    pub(in crate::llm) fn piece(&mut self, piece: Piece, out: &mut String) {
        match piece {
            Piece::Begin { id, model } => self.begin(&id, &model, out),
            Piece::Text(text) | Piece::Refusal(text) => {
                self.enter(Open::Text, || json!({ "type": "text", "text": "" }), out);
                self.delta(&json!({ "type": "text_delta", "text": text }), out);
            }
            Piece::Thinking(text) => {
                self.enter(Open::Thinking, || json!({ "type": "thinking", "thinking": "", "signature": "" }), out);
                self.delta(&json!({ "type": "thinking_delta", "thinking": text }), out);
            }
            Piece::Signature(signature) => {
                self.enter(Open::Thinking, || json!({ "type": "thinking", "thinking": "", "signature": "" }), out);
                self.delta(&json!({ "type": "signature_delta", "signature": signature }), out);
                self.close(out);
            }
            Piece::Redacted(data) => self.block(&json!({ "type": "redacted_thinking", "data": data }).to_string(), out),
            Piece::Break => {
                if matches!(self.open, Some(Open::Text | Open::Thinking)) {
                    self.close(out);
                }
            }
            Piece::Call { id, name } => {
                self.calls.push(Call { id, name, arguments: String::new(), written: false });
                self.advance(false, out);
            }
            Piece::Arguments(at, text) => self.arguments(at, &text, out),
            Piece::Native(Dialect::Messages, raw) => self.native(&raw, out),
            Piece::Runs(ran) if ran.shown => self.block(use_block(&ran).get(), out),
            Piece::Ran(ran) if ran.shown => self.block(result_block(&ran).get(), out),
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Finish(finish, native) => self.finish = Some((finish, native)),
            Piece::Beat => {
                if self.begun {
                    event(out, "ping", "{\"type\":\"ping\"}");
                }
            }
            Piece::Runs(_) | Piece::Ran(_) | Piece::Listed(_) | Piece::Native(..) => {}
        }
    }

    fn begin(&mut self, given: &str, model: &str, out: &mut String) {
        // A later turn of one answer begins nothing.
        if !std::mem::replace(&mut self.begun, true) {
            let message = json!({
                "id": id(given), "type": "message", "role": "assistant", "model": model, "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": usage(&self.usage.unwrap_or_default()),
            });
            event(out, "message_start", &json!({ "type": "message_start", "message": message }).to_string());
        }
    }

    fn arguments(&mut self, at: usize, text: &str, out: &mut String) {
        let open = self.open == Some(Open::Call(at));
        let Some(call) = self.calls.get_mut(at) else { return };
        call.arguments.push_str(text);
        if open {
            self.delta(&json!({ "type": "input_json_delta", "partial_json": text }), out);
        } else {
            self.advance(false, out);
        }
    }

    /// Opens calls in their order. The next one waits while the one before it may still grow: blocks
    /// stand one after the other here, and other dialects write several calls in turns.
    fn advance(&mut self, ended: bool, out: &mut String) {
        while let Some(at) = self.calls.iter().position(|call| !call.written) {
            if let Some(Open::Call(before)) = self.open {
                let whole =
                    self.calls.get(before).is_some_and(|call| serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok());
                if !whole && !ended {
                    return;
                }
            }
            let Some(call) = self.calls.get_mut(at) else { return };
            call.written = true;
            let start = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
            let so_far = call.arguments.clone();
            self.close(out);
            self.open(Open::Call(at), &start.to_string(), out);
            if !so_far.is_empty() {
                self.delta(&json!({ "type": "input_json_delta", "partial_json": so_far }), out);
            }
        }
    }

    fn native(&mut self, raw: &RawValue, out: &mut String) {
        let object = RawObject::parse(raw.get()).unwrap_or_default();
        match object.get("delta") {
            // It may come before the first word of its text.
            Some(delta) if delta.get().contains("citations_delta") => {
                self.enter(Open::Text, || json!({ "type": "text", "text": "" }), out);
                self.raw_delta(delta.get(), out);
            }
            // More of a block of the provider's own.
            Some(delta) if self.open.is_some() => self.raw_delta(delta.get(), out),
            Some(_) => {}
            None => {
                self.close(out);
                self.open(Open::Native, raw.get(), out);
            }
        }
    }

    fn enter(&mut self, kind: Open, start: impl Fn() -> Value, out: &mut String) {
        if self.open != Some(kind) {
            self.close(out);
            self.open(kind, &start().to_string(), out);
        }
    }

    fn open(&mut self, kind: Open, block: &str, out: &mut String) {
        self.begin("", "", out);
        let at = self.next;
        self.next += 1;
        self.open = Some(kind);
        event(out, "content_block_start", &format!("{{\"type\":\"content_block_start\",\"index\":{at},\"content_block\":{block}}}"));
    }

    fn close(&mut self, out: &mut String) {
        if self.open.take().is_some() {
            let at = self.next.saturating_sub(1);
            event(out, "content_block_stop", &format!("{{\"type\":\"content_block_stop\",\"index\":{at}}}"));
        }
    }

    /// A block that comes whole.
    fn block(&mut self, block: &str, out: &mut String) {
        self.close(out);
        self.open(Open::Native, block, out);
        self.close(out);
    }

    fn delta(&self, delta: &Value, out: &mut String) {
        self.raw_delta(&delta.to_string(), out);
    }

    fn raw_delta(&self, delta: &str, out: &mut String) {
        let at = self.next.saturating_sub(1);
        event(out, "content_block_delta", &format!("{{\"type\":\"content_block_delta\",\"index\":{at},\"delta\":{delta}}}"));
    }

    /// Writes the end; `total` is the usage of all turns together.
    pub(in crate::llm) fn end(&mut self, total: Option<Usage>, report: Option<&Value>, out: &mut String) {
        self.begin("", "", out);
        self.advance(true, out);
        self.close(out);
        let (finish, native) = self.finish.take().unwrap_or_default();
        let finish = if finish == Finish::Stop && !self.calls.is_empty() { Finish::Calls } else { finish };
        let counted = total.or(self.usage).unwrap_or_default();
        let delta = json!({ "stop_reason": reason(finish, &native), "stop_sequence": null });
        let mut last = json!({ "type": "message_delta", "delta": delta, "usage": usage(&counted) });
        if let (Some(report), Some(object)) = (report, last.as_object_mut()) {
            object.insert("portolan".to_owned(), report.clone());
        }
        event(out, "message_delta", &last.to_string());
        event(out, "message_stop", "{\"type\":\"message_stop\"}");
    }
}

fn event(out: &mut String, name: &str, data: &str) {
    let _ = write!(out, "event: {name}\ndata: {data}\n\n");
}
