//! One model turn: what it said, and which of its calls are ours to run.

use serde_json::value::RawValue;

use crate::domain::{RawObject, Usage, raw};
use crate::llm::{ToolCall, answer_calls};

/// A whole answer, opened for the loop.
pub(super) struct Turn {
    /// The assistant's message as the provider wrote it.
    pub(super) message: Box<RawValue>,
    /// All its calls.
    pub(super) calls: Vec<ToolCall>,
    /// What it cost, as far as the provider said.
    pub(super) usage: Usage,
}

impl Turn {
    /// Opens an answer. None when it has not exactly one choice: such an answer goes to the caller as it is.
    pub(super) fn read(body: &RawObject<'_>) -> Option<Self> {
        let choices: Vec<&RawValue> = serde_json::from_str(body.get("choices")?.get()).ok()?;
        let [choice] = choices.as_slice() else { return None };
        let choice = RawObject::parse(choice.get()).ok()?;
        let message = choice.get("message")?.to_owned();
        let calls = answer_calls(&RawObject::parse(message.get()).ok()?);
        Some(Self { message, calls, usage: body.read("usage").unwrap_or_default() })
    }
}

/// An answer without the calls that are ours: what a caller gets of a turn that mixed both.
pub(super) fn without(body: &RawObject<'_>, ours: &dyn Fn(&str) -> bool) -> Option<Box<RawValue>> {
    let choices: Vec<&RawValue> = serde_json::from_str(body.get("choices")?.get()).ok()?;
    let mut choice = RawObject::parse(choices.first()?.get()).ok()?.into_owned();
    let message = choice.get("message")?.to_owned();
    let mut message = RawObject::parse(message.get()).ok()?.into_owned();
    let mut calls: Vec<Box<RawValue>> = message.read("tool_calls")?;
    calls.retain(|call| !function_name(call).is_some_and(|name| ours(&name)));
    message.set("tool_calls", raw(&calls));
    choice.set("message", message.to_raw());
    let mut body = body.clone();
    body.set("choices", raw(&[choice.to_raw()]));
    Some(body.to_raw())
}

pub(super) fn function_name(call: &RawValue) -> Option<String> {
    RawObject::parse(RawObject::parse(call.get()).ok()?.get("function")?.get()).ok()?.string("name")
}
