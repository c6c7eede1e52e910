//! A whole answer of Messages, read into pieces and written from what they came to.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::grown::blocks;
use super::input::input;
use super::items::call;
use crate::domain::{RawObject, Usage, raw};
use crate::llm::answer::{Answer, Finish, Piece};
use crate::llm::conversation::{Part, Ran};
use crate::llm::dialect::Dialect;
use crate::llm::error::Error;

/// Reads an answer.
pub(in crate::llm) fn read(body: &RawObject<'_>) -> Result<Vec<Piece>, Error> {
    let wrong = || Error::Protocol("the answer has no list of blocks");
    let mut pieces = vec![Piece::Begin { id: body.string("id").unwrap_or_default(), model: body.string("model").unwrap_or_default() }];
    let mut calls = 0;
    for block in body.read_raw("content").ok_or_else(wrong)? {
        let object = RawObject::parse(block.get()).map_err(|_| wrong())?;
        let text = |key: &str| object.string(key).unwrap_or_default();
        match object.string("type").as_deref() {
            Some("text") => {
                pieces.extend([Piece::Break, Piece::Text(text("text"))]);
                pieces.extend(object.read_raw("citations").into_iter().flatten().map(cited));
            }
            Some("thinking") => pieces.extend([Piece::Break, Piece::Thinking(text("thinking")), Piece::Signature(text("signature"))]),
            Some("redacted_thinking") => pieces.push(Piece::Redacted(text("data"))),
            Some("tool_use") => {
                pieces.push(Piece::Call { id: text("id"), name: text("name") });
                pieces.push(Piece::Arguments(calls, object.get("input").map_or("{}", RawValue::get).to_owned()));
                calls += 1;
            }
            _ => pieces.push(Piece::Native(Dialect::Messages, block.to_owned())),
        }
    }
    if let Some(usage) = body.read::<Usage>("usage") {
        pieces.push(Piece::Usage(usage));
    }
    let native = body.string("stop_reason").ok_or(Error::Protocol("the answer does not say why it ended"))?;
    pieces.push(Piece::Finish(finish(&native)?, native));
    Ok(pieces)
}

/// What a text rests on, as a stream tells it.
fn cited(citation: &RawValue) -> Piece {
    let mut delta = RawObject::default();
    delta.set("type", raw("citations_delta"));
    delta.lend("citation", citation);
    let mut grown = RawObject::default();
    grown.set("delta", delta.to_raw());
    Piece::Native(Dialect::Messages, grown.to_raw())
}

/// Why an answer ended. A reason that is not known is none: it might mean a failure.
pub(super) fn finish(native: &str) -> Result<Finish, Error> {
    Ok(match native {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::Sequence,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Refusal,
        "pause_turn" | "compaction" => Finish::Pause,
        _ => return Err(Error::Protocol("it ended the answer for a reason that is not known")),
    })
}

/// The word for an answer's end; the provider's own where it is one of this dialect's.
pub(super) fn reason(finish: Finish, native: &str) -> &str {
    if self::finish(native).is_ok_and(|own| own == finish) {
        return native;
    }
    match finish {
        Finish::Stop => "end_turn",
        Finish::Sequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
        Finish::Filter | Finish::Refusal => "refusal",
        Finish::Pause => "pause_turn",
    }
}

/// Usage in Anthropic's words: cached tokens are counted apart.
pub(in crate::llm) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.uncached(), "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached, "output_tokens": usage.output,
    })
}

/// Writes an answer.
pub(in crate::llm) fn whole(answer: &Answer) -> RawObject<'static> {
    let blocks = blocks(answer.parts.iter(), |part| match part {
        Part::Text(text, _) | Part::Refusal(text) if text.is_empty() => None,
        Part::Text(text, _) | Part::Refusal(text) => Some(raw(&json!({ "type": "text", "text": text }))),
        Part::Thinking(text, seal) => {
            Some(raw(&json!({ "type": "thinking", "thinking": text, "signature": seal.as_deref().unwrap_or_default() })))
        }
        Part::Redacted(data) => Some(raw(&json!({ "type": "redacted_thinking", "data": data }))),
        Part::Call(own) => Some(call(own)),
        Part::Native(Dialect::Messages, block) => Some(block.clone()),
        Part::Runs(ran) if ran.shown => Some(use_block(ran)),
        Part::Ran(ran) if ran.shown => Some(result_block(ran)),
        _ => None,
    });
    let (finish, native) = answer.finish.clone().unwrap_or_default();
    let mut body = RawObject::default();
    body.set("id", raw(&id(&answer.id)));
    body.set("type", raw("message"));
    body.set("role", raw("assistant"));
    body.set("model", raw(&answer.model));
    body.set("content", raw(&blocks));
    body.set("stop_reason", raw(reason(finish, &native)));
    body.set("stop_sequence", RawValue::NULL.to_owned());
    body.set("usage", raw(&usage(&answer.usage.unwrap_or_default())));
    body
}

/// An answer's id. One of another dialect is not taken over: clients join answers that share one, and
/// not every provider gives each its own.
pub(super) fn id(id: &str) -> String {
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{}", uuid::Uuid::now_v7().simple()) }
}

/// A call that the gateway ran, as the client that named the server is told of it.
pub(super) fn use_block(ran: &Ran) -> Box<RawValue> {
    let mut block = RawObject::default();
    block.set("type", raw("mcp_tool_use"));
    block.set("id", raw(&ran.call.id));
    block.set("name", raw(&ran.tool));
    block.set("server_name", raw(&ran.server));
    block.set("input", input(&ran.call.arguments));
    block.to_raw()
}

/// What came of it.
pub(super) fn result_block(ran: &Ran) -> Box<RawValue> {
    let (text, failed) = match &ran.outcome {
        Ok(text) => (text, false),
        Err(text) => (text, true),
    };
    let content = json!([{ "type": "text", "text": text }]);
    raw(&json!({ "type": "mcp_tool_result", "tool_use_id": ran.call.id, "is_error": failed, "content": content }))
}
