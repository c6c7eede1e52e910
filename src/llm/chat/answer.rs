//! A whole answer of Chat Completions, read into pieces and written from what they came to.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::items::{block, extend};
use super::read::read_call;
use crate::domain::{RawObject, Usage, now_ms, raw};
use crate::llm::answer::{Answer, Finish, Piece};
use crate::llm::conversation::Part;
use crate::llm::dialect::Dialect;
use crate::llm::error::Error;

/// Members of a message that have pieces of their own.
const KNOWN: [&str; 6] = ["role", "content", "tool_calls", "refusal", "reasoning_content", "reasoning"];

/// Reads an answer with one choice.
pub(in crate::llm) fn read(body: &RawObject<'_>) -> Result<Vec<Piece>, Error> {
    let wrong = || Error::Protocol("the answer has no choice with a message");
    let choices: Vec<&RawValue> = body.get("choices").and_then(|list| serde_json::from_str(list.get()).ok()).ok_or_else(wrong)?;
    let choice = RawObject::parse(choices.first().ok_or_else(wrong)?.get()).map_err(|_| wrong())?;
    let message = choice.get("message").ok_or_else(wrong)?;
    let message = RawObject::parse(message.get()).map_err(|_| wrong())?;
    let mut pieces = vec![Piece::Begin { id: body.string("id").unwrap_or_default(), model: body.string("model").unwrap_or_default() }];
    let said = |key: &str| message.string(key).filter(|text| !text.is_empty());
    if let Some(thought) = said("reasoning_content").or_else(|| said("reasoning")) {
        pieces.push(Piece::Thinking(thought));
    }
    pieces.extend(said("content").map(Piece::Text));
    pieces.extend(said("refusal").map(Piece::Refusal));
    let calls: Vec<&RawValue> = message.read_raw("tool_calls").unwrap_or_default();
    let called = !calls.is_empty();
    for (at, call) in calls.into_iter().enumerate() {
        let call = read_call(call, "message").map_err(|_| Error::Protocol("a call of the answer names no function"))?;
        pieces.push(Piece::Call { id: id_or_new(call.id), name: call.name });
        pieces.push(Piece::Arguments(at, call.arguments));
    }
    let mut extra = message.clone();
    for key in KNOWN {
        extra.remove(key);
    }
    if extra.iter().any(|(_, value)| !matches!(value.get(), "null" | "[]")) {
        pieces.push(Piece::Native(Dialect::Chat, raw(&json!({ "delta": extra.to_raw() }))));
    }
    if let Some(usage) = body.read::<Usage>("usage") {
        pieces.push(Piece::Usage(usage));
    }
    let native = choice.string("finish_reason").filter(|native| is_reason(native));
    let native = native.ok_or(Error::Protocol("the answer does not say why it ended"))?;
    pieces.push(ended(finish(&native)?, called));
    Ok(pieces)
}

/// An id where a provider gave none: results must be able to name their call.
pub(super) fn id_or_new(id: String) -> String {
    if id.is_empty() { format!("call_{}", uuid::Uuid::new_v4().simple()) } else { id }
}

/// Whether a reason for the end is one: some write a text where there is none yet.
pub(super) fn is_reason(native: &str) -> bool {
    !matches!(native, "" | "null")
}

/// Why an answer ended, in the words of OpenAI and of those who speak like it; some of them say it in their own words, in
/// capitals or behind OpenAI's (`content_filter: SAFETY`). A reason that means a failure is one, and never taken for an end;
/// and one that nobody knows might mean one.
pub(super) fn finish(native: &str) -> Result<Piece, Error> {
    let word = native.rsplit(':').next().unwrap_or(native).trim().to_ascii_lowercase();
    let finish = match word.as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" => Finish::Stop,
        "length" | "model_length" | "max_tokens" | "max_output_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => Finish::Calls,
        "content_filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "sensitive"
        | "refusal"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "language"
        | "model_armor"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation" => Finish::Filter,
        "error"
        | "abort"
        | "network_error"
        | "insufficient_system_resource"
        | "other"
        | "finish_reason_unspecified"
        | "no_image"
        | "image_other"
        | "malformed_function_call"
        | "unexpected_tool_call"
        | "too_many_tool_calls" => {
            return Err(Error::Protocol("it ended the answer for a failure of its own"));
        }
        _ => return Err(Error::Protocol("it ended the answer for a reason that is not known")),
    };
    Ok(Piece::Finish(finish, native.to_owned()))
}

/// Some say `stop` although they called functions.
pub(super) fn ended(piece: Piece, called: bool) -> Piece {
    match piece {
        Piece::Finish(Finish::Stop, native) if called => Piece::Finish(Finish::Calls, native),
        other => other,
    }
}

/// Usage in OpenAI's words.
pub(in crate::llm) fn usage(usage: &Usage) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Counted {
        prompt_tokens: u64,
        completion_tokens: u64,
        total_tokens: u64,
        prompt_tokens_details: Input,
        completion_tokens_details: Output,
    }
    #[derive(Serialize)]
    struct Input {
        cached_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_write_tokens: Option<u64>,
    }
    #[derive(Serialize)]
    struct Output {
        reasoning_tokens: u64,
    }
    raw(&Counted {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.total(),
        prompt_tokens_details: Input {
            cached_tokens: usage.cached,
            cache_write_tokens: Some(usage.cache_write).filter(|tokens| *tokens > 0),
        },
        completion_tokens_details: Output { reasoning_tokens: usage.reasoning },
    })
}

/// The word for an answer's end.
pub(super) fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter | Finish::Refusal => "content_filter",
    }
}

/// Writes an answer.
pub(in crate::llm) fn whole(answer: &Answer) -> RawObject<'static> {
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let mut texts = String::new();
    let mut thoughts = String::new();
    let (mut refusal, mut calls, mut blocks) = (None::<String>, Vec::new(), Vec::new());
    for part in &answer.parts {
        match part {
            Part::Text(text, _) => texts.push_str(text),
            Part::Refusal(text) => refusal.get_or_insert_default().push_str(text),
            Part::Call(call) => {
                let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                calls.push(json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } }));
            }
            Part::Thinking(text, _) => thoughts.push_str(text),
            _ => {}
        }
        blocks.extend(block(part));
    }
    let (finish, native) = answer.finish.clone().unwrap_or_default();
    if finish == Finish::Refusal && refusal.is_none() {
        refusal = Some(std::mem::take(&mut texts));
    }
    message.insert(
        "content".to_owned(),
        if texts.is_empty() && (!calls.is_empty() || refusal.is_some()) { Value::Null } else { texts.into() },
    );
    message.insert("refusal".to_owned(), refusal.into());
    if !thoughts.is_empty() {
        message.insert("reasoning_content".to_owned(), thoughts.into());
    }
    for (key, list) in [("thinking_blocks", blocks), ("tool_calls", calls)] {
        if !list.is_empty() {
            message.insert(key.to_owned(), list.into());
        }
    }
    for part in &answer.parts {
        if let Part::Native(Dialect::Chat, extra) = part {
            extend(&mut message, extra);
        }
    }
    let mut choice = RawObject::default();
    choice.set("index", raw(&0));
    choice.set("message", raw(&message));
    choice.set("logprobs", RawValue::NULL.to_owned());
    choice.set("finish_reason", raw(reason(finish)));
    if !native.is_empty() && native != reason(finish) {
        choice.set("native_finish_reason", raw(&native));
    }
    let mut body = RawObject::default();
    body.set("id", raw(&answer.id));
    body.set("object", raw("chat.completion"));
    body.set("created", raw(&(now_ms() / 1000)));
    body.set("model", raw(&answer.model));
    body.set("choices", raw(&[choice]));
    body.set("usage", usage(&answer.usage.unwrap_or_default()));
    body
}
