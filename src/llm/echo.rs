//! `portolan/echo`: a model that is part of the gateway, to try everything without a key or a network.
//!
//! It answers with the last user text. Asked `call NAME {…}` it calls that tool, if it was given one
//! of that name, and then says what the tool answered. Asked `context` it shows its system text.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::error::{Error, Refusal};
use super::provider::{Body, Endpoint, Provider};
use super::request::Request;
use crate::config::BUILT_IN;
use crate::domain::{now_ms, raw};
use crate::net::Event;
use crate::trace::Span;

/// The built-in provider.
pub(super) struct Echo;

/// The one model it has.
const MODEL: &str = "echo";

enum Saying {
    Text(String),
    Call(String, String),
}

#[async_trait]
impl Provider for Echo {
    fn speaks(&self, _: Dialect, _: bool) -> Dialect {
        Dialect::Chat
    }

    async fn send(&self, model: &str, endpoint: Endpoint, request: &Request, _: &mut Span) -> Result<Body, Error> {
        if model != MODEL {
            let message = format!("the built-in provider has only the model `{BUILT_IN}/{MODEL}`");
            return Err(Error::Refused(404, Refusal { message, code: Some("model_not_found".into()), ..Default::default() }));
        }
        if endpoint != Endpoint::Completion {
            return Err(Error::NotOffered(BUILT_IN.to_owned()));
        }
        let messages: Vec<Value> = request.field("messages").unwrap_or_default();
        let tools: Vec<Value> = request.field("tools").unwrap_or_default();
        let saying = say(&messages, &tools, request.get("tool_choice") == Some("\"none\""));
        let words = |text: &str| text.split_whitespace().count() as u64;
        let prompt: u64 = messages.iter().map(|message| words(&text_of(message))).sum();
        let answer = match &saying {
            Saying::Text(text) => words(text),
            Saying::Call(name, arguments) => words(name) + words(arguments),
        };
        let usage = json!({ "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer });
        let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
        if request.stream() {
            let options: Value = request.field("stream_options").unwrap_or_default();
            let usage = options.get("include_usage").and_then(Value::as_bool).unwrap_or(false).then_some(usage);
            let events = stream(&id, saying, usage);
            let rest = futures::stream::empty().boxed();
            return Ok(Body::Stream(events, rest));
        }
        let (message, reason) = match saying {
            Saying::Text(text) => (json!({ "role": "assistant", "content": text, "refusal": null }), "stop"),
            Saying::Call(name, arguments) => {
                let call = json!({ "id": call_id(), "type": "function", "function": { "name": name, "arguments": arguments } });
                (json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": [call] }), "tool_calls")
            }
        };
        let body = json!({
            "id": id, "object": "chat.completion", "created": now_ms() / 1000, "model": MODEL,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": reason }], "usage": usage,
        });
        Ok(Body::Json(Bytes::from(raw(&body).get().to_owned())))
    }

    async fn models(&self) -> Result<Vec<String>, Error> {
        Ok(vec![MODEL.to_owned()])
    }
}

fn call_id() -> String {
    format!("call_{}", uuid::Uuid::new_v4().simple())
}

fn say(messages: &[Value], tools: &[Value], no_tools: bool) -> Saying {
    let role = |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(last) = messages.last().filter(|message| role(message) == "tool") {
        let id = last.get("tool_call_id");
        let calls = messages.iter().rev().filter_map(|message| message.get("tool_calls")?.as_array()).flatten();
        let mut names = calls.filter(|call| call.get("id") == id).filter_map(|call| call.pointer("/function/name")?.as_str());
        return Saying::Text(format!("{} answered: {}", names.next().unwrap_or("the tool"), text_of(last)));
    }
    let asked = messages.iter().rev().find(|message| role(message) == "user").map(text_of).unwrap_or_default();
    let asked = asked.trim();
    if asked == "context" {
        let system = messages.iter().filter(|message| matches!(role(message).as_str(), "system" | "developer")).map(text_of);
        return Saying::Text(system.collect::<Vec<_>>().join("\n\n"));
    }
    if let Some(rest) = asked.strip_prefix("call ").filter(|_| !no_tools) {
        let (name, arguments) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), "{}"));
        if tools.iter().any(|tool| tool.pointer("/function/name").and_then(Value::as_str) == Some(name)) {
            return Saying::Call(name.to_owned(), arguments.trim().to_owned());
        }
        return Saying::Text(format!("I was given no tool `{name}`."));
    }
    Saying::Text(asked.to_owned())
}

fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn stream(id: &str, saying: Saying, usage: Option<Value>) -> Vec<Event> {
    let created = now_ms() / 1000;
    let chunk = |delta: &Value, reason: Option<&str>| {
        let choices = json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason }]);
        event(&json!({ "id": id, "object": "chat.completion.chunk", "created": created, "model": MODEL, "choices": choices }))
    };
    let mut events = Vec::new();
    match saying {
        Saying::Text(text) => {
            events.push(chunk(&json!({ "role": "assistant", "content": "" }), None));
            events.extend(text.split_inclusive(' ').map(|word| chunk(&json!({ "content": word }), None)));
            events.push(chunk(&json!({}), Some("stop")));
        }
        Saying::Call(name, arguments) => {
            let call = json!({ "index": 0, "id": call_id(), "type": "function", "function": { "name": name, "arguments": "" } });
            events.push(chunk(&json!({ "role": "assistant", "content": null, "tool_calls": [call] }), None));
            events.push(chunk(&json!({ "tool_calls": [{ "index": 0, "function": { "arguments": arguments } }] }), None));
            events.push(chunk(&json!({}), Some("tool_calls")));
        }
    }
    if let Some(usage) = usage {
        let last =
            json!({ "id": id, "object": "chat.completion.chunk", "created": created, "model": MODEL, "choices": [], "usage": usage });
        events.push(event(&last));
    }
    events
}

fn event(chunk: &Value) -> Event {
    let data = chunk.to_string();
    Event { raw: Bytes::from(format!("data: {data}\n\n")), data: Some(data.into()), ..Event::default() }
}
