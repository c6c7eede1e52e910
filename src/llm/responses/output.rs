//! A response object: the frame that every event repeats, its output items, its usage.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::seal::seal;
use super::unfold::{id_of, new_turn};
use crate::domain::{Digest, RawObject, Usage, now_ms, raw, raw_string};
use crate::llm::answer::{Answer, Finish};
use crate::llm::conversation::{Call, Part, Ran};

/// What is known of a response before anything was said: its id, and what it repeats of the request.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The response's id.
    pub(in crate::llm) id: String,
    members: RawObject<'static>,
    /// Tools that take any text.
    custom: HashSet<String>,
    /// Tools within a namespace: the namespace and the own name, by the name that a provider is told.
    spaced: HashMap<String, (String, String)>,
}

/// Members that a response repeats, and what they are when the request has none.
const REPEATED: [(&str, &str); 15] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("service_tier", "\"default\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

/// A value in one line, as an event's data must be. A text holds no line break as it is, so none is lost.
fn in_one_line(value: &RawValue) -> Box<RawValue> {
    match value.get() {
        text if text.contains(['\n', '\r']) => raw_string(text.replace(['\n', '\r'], " ")).unwrap_or_else(|_| value.to_owned()),
        _ => value.to_owned(),
    }
}

impl Frame {
    pub(in crate::llm) fn new(request: &RawObject<'_>) -> Self {
        let id = format!("resp_{}", uuid::Uuid::now_v7().simple());
        let mut members = RawObject::default();
        members.set("id", raw(&id));
        members.set("object", raw("response"));
        members.set("created_at", raw(&(now_ms() / 1000)));
        members.set("model", request.get("model").map_or_else(|| raw(""), ToOwned::to_owned));
        for (key, otherwise) in REPEATED {
            let given = request.get(key).filter(|value| value.get() != "null").map(in_one_line);
            let value = given.or_else(|| raw_string(otherwise.to_owned()).ok());
            members.set(key, value.unwrap_or_else(|| RawValue::NULL.to_owned()));
        }
        let tools = request.read_raw("tools").unwrap_or_default();
        let (mut custom, mut spaced) = (HashSet::new(), HashMap::new());
        for tool in tools.iter().filter_map(|tool| RawObject::parse(tool.get()).ok()) {
            let name = tool.string("name").unwrap_or_default();
            match tool.string("type").as_deref() {
                Some("custom") => drop(custom.insert(name)),
                Some("namespace") => {
                    let inner = tool.read_raw("tools").unwrap_or_default();
                    let own = inner.iter().filter_map(|tool| RawObject::parse(tool.get()).ok()?.string("name"));
                    spaced.extend(own.map(|own| (flat(&name, &own), (name.clone(), own))));
                }
                _ => {}
            }
        }
        Self { id, members, custom, spaced }
    }

    /// The response as it is: its status, its items so far, and what its end says.
    pub(super) fn response(
        &self,
        model: &str,
        status: &str,
        output: &[Box<RawValue>],
        end: Option<(&Usage, Finish)>,
    ) -> RawObject<'static> {
        let mut response = self.members.clone();
        if !model.is_empty() {
            response.set("model", raw(model));
        }
        response.set("status", raw(status));
        response.set("output", raw(output));
        response.set("error", RawValue::NULL.to_owned());
        let reason = match end {
            Some((_, Finish::Length)) => Some("max_output_tokens"),
            Some((_, Finish::Filter | Finish::Refusal)) => Some("content_filter"),
            _ => None,
        };
        response.set("incomplete_details", reason.map_or_else(|| RawValue::NULL.to_owned(), |reason| raw(&json!({ "reason": reason }))));
        response.set("usage", end.map_or_else(|| RawValue::NULL.to_owned(), |(counted, _)| raw(&usage(counted))));
        response
    }

    /// A function's name as the client gave it, within its namespace.
    pub(super) fn own_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.spaced.get(name).map_or(name, |(_, own)| own)
    }

    /// Whether a tool takes any text.
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.custom.contains(name)
    }
}

/// The name that a provider is told of a tool in a namespace, in the 64 characters that it may have.
pub(super) fn flat(space: &str, name: &str) -> String {
    let whole = format!("{space}__{name}");
    if whole.chars().count() <= 64 {
        return whole;
    }
    let digest = Digest::of("portolan/namespace", whole.as_bytes()).short();
    let head: String = whole.chars().take(63 - digest.len()).collect();
    format!("{head}_{digest}")
}

/// How a response ends.
pub(super) fn status(finish: Finish) -> &'static str {
    if matches!(finish, Finish::Length | Finish::Filter | Finish::Refusal) { "incomplete" } else { "completed" }
}

/// Usage in the words of Responses.
pub(in crate::llm) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write },
        "output_tokens": usage.output, "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.total(),
    })
}

/// Writes an answer.
pub(in crate::llm) fn whole(frame: &Frame, answer: &Answer) -> RawObject<'static> {
    let mut output = Vec::new();
    let (mut turn, mut begins) = (new_turn(), false);
    for part in &answer.parts {
        // Where calls begin behind something else, a turn does.
        match (std::mem::replace(&mut begins, matches!(part, Part::Runs(_))), part) {
            (false, Part::Runs(_)) => turn = new_turn(),
            (_, Part::Ran(ran)) if ran.shown => output.push(item_as(frame, part, &id_of(&turn, &ran.call.id), "completed")),
            _ => output.extend(item_of(frame, part, "completed").map(|(_, item)| item)),
        }
    }
    let (finish, _) = answer.finish.clone().unwrap_or_default();
    let counted = answer.usage.unwrap_or_default();
    frame.response(&answer.model, status(finish), &output, Some((&counted, finish)))
}

/// A part as an output item, with the item's new id; none for what is not shown.
pub(super) fn item_of(frame: &Frame, part: &Part, status: &str) -> Option<(String, Box<RawValue>)> {
    let id = |prefix: &str| format!("{prefix}_{}", uuid::Uuid::now_v7().simple());
    let id = match part {
        Part::Text(..) | Part::Refusal(_) => id("msg"),
        Part::Thinking(..) | Part::Redacted(_) => id("rs"),
        Part::Call(call) if frame.is_custom(&call.name) => id("ctc"),
        Part::Call(_) => id("fc"),
        Part::Listed(_) => id("mcpl"),
        _ => return None,
    };
    let item = item_as(frame, part, &id, status);
    Some((id, item))
}

/// A part as an output item of a known id.
pub(super) fn item_as(frame: &Frame, part: &Part, id: &str, status: &str) -> Box<RawValue> {
    match part {
        Part::Text(text, _) => message(id, status, &output_text(text)),
        Part::Refusal(text) => message(id, status, &json!({ "type": "refusal", "refusal": text })),
        Part::Thinking(text, _) => {
            let summary = if text.is_empty() { json!([]) } else { json!([{ "type": "summary_text", "text": text }]) };
            let mut item = json!({ "id": id, "type": "reasoning", "summary": summary });
            if let (Some(content), Some(object)) = (seal(part), item.as_object_mut()) {
                object.insert("encrypted_content".to_owned(), content.into());
            }
            raw(&item)
        }
        Part::Redacted(_) => raw(&json!({ "id": id, "type": "reasoning", "summary": [], "encrypted_content": seal(part) })),
        Part::Call(call) if frame.is_custom(&call.name) => raw(
            &json!({ "id": id, "type": "custom_tool_call", "status": status, "call_id": call.id, "name": call.name, "input": custom_input(call) }),
        ),
        Part::Call(call) => {
            let arguments = if call.arguments.is_empty() && status == "completed" { "{}" } else { &call.arguments };
            let (space, name) = (frame.spaced.get(&call.name).map(|(space, _)| space), frame.own_name(&call.name));
            let mut item =
                json!({ "id": id, "type": "function_call", "status": status, "call_id": call.id, "name": name, "arguments": arguments });
            if let (Some(space), Some(object)) = (space, item.as_object_mut()) {
                object.insert("namespace".to_owned(), space.as_str().into());
            }
            raw(&item)
        }
        Part::Ran(ran) => mcp_call(ran, id, status),
        Part::Listed(listed) => {
            let mut item = RawObject::default();
            item.set("id", raw(id));
            item.set("type", raw("mcp_list_tools"));
            item.set("server_label", raw(&listed.server));
            item.set("tools", raw(&listed.tools));
            item.set("error", RawValue::NULL.to_owned());
            item.to_raw()
        }
        _ => RawValue::NULL.to_owned(),
    }
}

pub(super) fn output_text(text: &str) -> Value {
    json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text })
}

fn message(id: &str, status: &str, part: &Value) -> Box<RawValue> {
    raw(&json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": [part] }))
}

/// The text that a call of a custom tool carries.
pub(super) fn custom_input(call: &Call) -> String {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    arguments.get("input").and_then(Value::as_str).map_or_else(|| call.arguments.clone(), str::to_owned)
}

/// A call that the gateway ran.
fn mcp_call(ran: &Ran, id: &str, status: &str) -> Box<RawValue> {
    let (output, error) = match &ran.outcome {
        _ if status == "in_progress" => (Value::Null, Value::Null),
        Ok(text) => (Value::from(text.as_str()), Value::Null),
        Err(why) => (Value::Null, json!({ "type": "mcp_tool_execution_error", "content": [{ "type": "text", "text": why }] })),
    };
    let arguments = if ran.call.arguments.is_empty() { "{}" } else { &ran.call.arguments };
    let status = if status == "completed" && ran.outcome.is_err() { "failed" } else { status };
    raw(&json!({
        "id": id, "type": "mcp_call", "status": status, "approval_request_id": null, "server_label": ran.server, "name": ran.tool,
        "arguments": arguments, "output": output, "error": error,
    }))
}
