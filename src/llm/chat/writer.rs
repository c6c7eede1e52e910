//! Writes a stream of Chat Completions: one id, one role, one end, whatever it is made of.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::answer::{reason, usage};
use crate::domain::{RawObject, Usage, now_ms};
use crate::llm::answer::{Finish, Piece};
use crate::llm::dialect::Dialect;
use crate::llm::request::Request;

/// A writer of one stream.
#[derive(Default)]
pub struct Writer {
    /// Whether the client wants the usage at the end.
    wants_usage: bool,
    /// What stands before each delta.
    head: String,
    /// What stands before the choices of a chunk.
    frame: String,
    calls: usize,
    thought: String,
    usage: Option<Usage>,
    finish: Option<(Finish, String)>,
}

#[derive(serde::Deserialize)]
struct Options {
    include_usage: Option<bool>,
}

impl Writer {
    pub(in crate::llm) fn new(request: &Request) -> Self {
        let options: Option<Options> = request.field("stream_options");
        Self { wants_usage: options.is_some_and(|options| options.include_usage == Some(true)), ..Self::default() }
    }

    /// Writes what a piece is to the client.
    pub(in crate::llm) fn piece(&mut self, piece: Piece, out: &mut String) {
        match piece {
            Piece::Begin { id, model } => self.begin(&id, &model, out),
            Piece::Text(text) => self.delta("content", &text, out),
            Piece::Refusal(text) => self.delta("refusal", &text, out),
            Piece::Thinking(text) => {
                self.thought.push_str(&text);
                self.delta("reasoning_content", &text, out);
            }
            Piece::Signature(signature) => {
                let thought = std::mem::take(&mut self.thought);
                self.delta("thinking_blocks", &json!([{ "type": "thinking", "thinking": thought, "signature": signature }]), out);
            }
            Piece::Redacted(data) => self.delta("thinking_blocks", &json!([{ "type": "redacted_thinking", "data": data }]), out),
            Piece::Call { id, name } => {
                let call = json!([{ "index": self.calls, "id": id, "type": "function", "function": { "name": name, "arguments": "" } }]);
                self.calls += 1;
                self.delta("tool_calls", &call, out);
            }
            Piece::Arguments(at, text) => self.delta("tool_calls", &json!([{ "index": at, "function": { "arguments": text } }]), out),
            Piece::Native(Dialect::Chat, extra) => {
                let extra = RawObject::parse(extra.get()).unwrap_or_default();
                let (delta, logprobs) =
                    (extra.get("delta").map_or("{}", |raw| raw.get()), extra.get("logprobs").map_or("null", |raw| raw.get()));
                let _ = write!(out, "{}{delta},\"logprobs\":{logprobs},\"finish_reason\":null}}]}}\n\n", self.head);
            }
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Finish(finish, native) => self.finish = Some((finish, native)),
            Piece::Break | Piece::Beat | Piece::Runs(_) | Piece::Ran(_) | Piece::Listed(_) | Piece::Native(..) => {}
        }
    }

    fn begin(&mut self, id: &str, model: &str, out: &mut String) {
        // A later turn of one answer begins nothing.
        if self.frame.is_empty() {
            let id = if id.is_empty() { format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()) } else { id.to_owned() };
            let frame = json!({ "id": id, "object": "chat.completion.chunk", "created": now_ms() / 1000, "model": model }).to_string();
            self.frame = format!("data: {}", frame.trim_end_matches('}'));
            self.head = format!("{},\"choices\":[{{\"index\":0,\"delta\":", self.frame);
            let _ =
                write!(out, "{}{{\"role\":\"assistant\",\"content\":\"\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n", self.head);
        }
    }

    fn delta<T: serde::Serialize + ?Sized>(&mut self, key: &str, value: &T, out: &mut String) {
        let value = serde_json::to_string(value).unwrap_or_default();
        let _ = write!(out, "{}{{\"{key}\":{value}}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n", self.head);
    }

    /// Writes the end; `usage` is that of all turns together.
    pub(in crate::llm) fn end(&mut self, total: Option<Usage>, report: Option<&Value>, out: &mut String) {
        self.begin("", "", out);
        let (finish, native) = self.finish.take().unwrap_or_default();
        let word = if self.calls > 0 && finish == Finish::Stop { "tool_calls" } else { reason(finish) };
        let _ = write!(out, "{}{{}},\"logprobs\":null,\"finish_reason\":\"{word}\"", self.head);
        if !native.is_empty() && native != word {
            let _ = write!(out, ",\"native_finish_reason\":{}", Value::from(native));
        }
        out.push_str("}]}\n\n");
        if let Some(counted) = total.or(self.usage).filter(|_| self.wants_usage) {
            let _ = write!(out, "{},\"choices\":[],\"usage\":{}}}\n\n", self.frame, usage(&counted).get());
        }
        if let Some(report) = report {
            let _ = write!(out, "{},\"choices\":[],\"portolan\":{report}}}\n\n", self.frame);
        }
        out.push_str("data: [DONE]\n\n");
    }
}
