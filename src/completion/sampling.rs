//! What a server asks of a model while it works for a caller (`sampling/createMessage`), where the caller's client has none to offer and
//! the operator lets the gateway answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::Error;
use crate::domain::{Grants, Principal, Sampling, Usage, clip, now_ms, raw};
use crate::federation::Samples;
use crate::journal::{Entry, Journal, Outcome};
use crate::llm::{Dialect, Request};
use crate::protocol::{Params, RpcError};

/// Milliseconds of a day.
const DAY: i64 = 24 * 3_600_000;

/// Completes a request of somebody's.
pub type Complete = Arc<dyn Fn(Principal, Request) -> BoxFuture<'static, Result<Answer, Error>> + Send + Sync>;

/// Answers with the models of the gateway, within what each server may spend.
pub struct Sampler {
    complete: Complete,
    journal: Journal,
    /// The day, and how many tokens each server has taken on it.
    spent: Mutex<HashMap<String, (i64, u64)>>,
}

impl Sampler {
    /// Answers with what `complete` makes of a request.
    pub fn new(complete: Complete, journal: Journal) -> Self {
        Self { complete, journal, spent: Mutex::default() }
    }

    /// Sets tokens aside that an answer may take; false when the day's are used up.
    fn reserve(&self, server: &str, policy: &Sampling) -> bool {
        let (mut spent, today) = (self.spent.lock().unwrap_or_else(PoisonError::into_inner), now_ms() / DAY);
        let entry = spent.entry(server.to_owned()).or_insert((today, 0));
        if entry.0 != today {
            *entry = (today, 0);
        }
        let left = entry.1 < policy.tokens_per_day;
        if left {
            entry.1 = entry.1.saturating_add(u64::from(policy.max_tokens));
        }
        left
    }

    /// Puts what an answer took in place of what was set aside for it.
    fn settle(&self, server: &str, policy: &Sampling, took: u64) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = spent.get_mut(server) {
            entry.1 = entry.1.saturating_sub(u64::from(policy.max_tokens)).saturating_add(took);
        }
    }

    async fn answer(&self, principal: &Principal, policy: &Sampling, request: Request) -> Result<(Arc<str>, Value, Option<Usage>), Error> {
        // The operator's word for it is the server's policy; whose request it is stays on record.
        let mut grants = Grants::local();
        (grants.mcp, grants.model_names) = (false, crate::domain::Globs::new(vec![escaped(&policy.model)]).unwrap_or_default());
        let asker = principal.with_grants(grants);
        match (self.complete)(asker, request).await? {
            Answer::Json(meta, bytes, usage) => Ok((meta.model, serde_json::from_slice(&bytes).unwrap_or_default(), usage)),
            Answer::Stream(meta, _) => Ok((meta.model, Value::Null, None)),
        }
    }
}

/// A name as a pattern that matches nothing else.
fn escaped(name: &str) -> String {
    name.chars().map(|c| if "*?[]{}\\!".contains(c) { format!("\\{c}") } else { c.to_string() }).collect()
}

#[async_trait]
impl Samples for Sampler {
    async fn sample(&self, principal: &Principal, server: &str, policy: &Sampling, params: &Params) -> Result<Box<RawValue>, RpcError> {
        let mut open =
            self.journal.open(|| Entry { target: Some(policy.model.as_str().into()), ..Entry::new("sampling", principal, server) });
        let refused = |why: &str| RpcError::new(RpcError::INVALID_REQUEST, why);
        let asked = body(policy, params).and_then(|body| {
            let request = Request::parse(Dialect::Chat, &Bytes::from(body.to_string())).map_err(|wrong| wrong.why)?;
            let used_up = "the server has used up what it may ask of models today";
            self.reserve(server, policy).then_some(request).ok_or_else(|| used_up.to_owned())
        });
        let asked = match asked {
            Ok(request) => self.answer(principal, policy, request).await,
            Err(why) => {
                open.add(|entry| entry.detail = Some(clip(&why, 200)));
                open.close(Outcome::Refused);
                return Err(refused(&why));
            }
        };
        match asked {
            Ok((model, answer, usage)) => {
                self.settle(server, policy, usage.as_ref().map_or(u64::from(policy.max_tokens), Usage::total));
                let result = result(&model, &answer);
                open.add(|entry| (entry.target, entry.usage) = (Some(model), usage));
                open.close(if result.is_some() { Outcome::Ok } else { Outcome::Failed });
                result.ok_or_else(|| RpcError::new(RpcError::INTERNAL, "the model answered with no text"))
            }
            Err(error) => {
                self.settle(server, policy, 0);
                tracing::warn!(server.name = server, "no model answered what `{server}` asks: {error}");
                open.add(|entry| entry.detail = Some(clip(&error.to_string(), 200)));
                open.close(Outcome::Failed);
                Err(RpcError::new(RpcError::INTERNAL, "no model could answer this now"))
            }
        }
    }
}

/// The params of `sampling/createMessage` as a request for a chat completion; the error says what of them cannot be told to a model.
fn body(policy: &Sampling, params: &Params) -> Result<Value, String> {
    if params.get("tools").is_some() {
        return Err("a model that answers for a client is given no tools".to_owned());
    }
    let asked: Vec<Value> = params.read_member("messages").unwrap_or_default();
    if asked.is_empty() {
        return Err("`params.messages` must be a list of messages".to_owned());
    }
    let system = params.string("systemPrompt").map(|text| json!({ "role": "system", "content": text }));
    let messages: Result<Vec<Value>, String> = asked.iter().map(message).collect();
    let wanted: u32 = params.read_member("maxTokens").unwrap_or(policy.max_tokens);
    let mut body = serde_json::Map::new();
    body.insert("model".to_owned(), policy.model.as_str().into());
    body.insert("messages".to_owned(), system.into_iter().chain(messages?).collect());
    body.insert("max_tokens".to_owned(), wanted.clamp(1, policy.max_tokens).into());
    for (name, ours) in [("temperature", "temperature"), ("stopSequences", "stop")] {
        if let Some(value) = params.read_member::<Value>(name) {
            body.insert(ours.to_owned(), value);
        }
    }
    Ok(body.into())
}

fn message(message: &Value) -> Result<Value, String> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let role = text(message, "role");
    if !["user", "assistant"].contains(&role.as_str()) {
        return Err("the `role` of a message must be `user` or `assistant`".to_owned());
    }
    let content = message.get("content").cloned().unwrap_or_default();
    let parts = match content {
        Value::Array(parts) => parts,
        part => vec![part],
    };
    let part = |part: &Value| match text(part, "type").as_str() {
        "text" => Ok(json!({ "type": "text", "text": text(part, "text") })),
        "image" => {
            let url = format!("data:{};base64,{}", text(part, "mimeType"), text(part, "data"));
            Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        other => Err(format!("content of the type `{}` is not told to a model", clip(other, 40))),
    };
    let parts: Vec<Value> = parts.iter().map(part).collect::<Result<_, _>>()?;
    let content = match parts.as_slice() {
        [only] if only.get("text").is_some() => only.get("text").cloned().unwrap_or_default(),
        _ => Value::Array(parts),
    };
    Ok(json!({ "role": role, "content": content }))
}

/// A chat completion as the result of `sampling/createMessage`; none where it says nothing.
fn result(model: &str, answer: &Value) -> Option<Box<RawValue>> {
    let text = answer.pointer("/choices/0/message/content")?.as_str()?;
    let stopped = match answer.pointer("/choices/0/finish_reason").and_then(Value::as_str) {
        Some("length") => "maxTokens",
        _ => "endTurn",
    };
    Some(raw(&json!({ "role": "assistant", "content": { "type": "text", "text": text }, "model": model, "stopReason": stopped })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Sampling {
        Sampling { model: "fast".to_owned(), max_tokens: 100, tokens_per_day: 1_000 }
    }

    #[test]
    fn what_a_server_asks_becomes_a_chat_within_its_bounds() {
        let params = Params::default()
            .with(
                "messages",
                &json!([{ "role": "user", "content": { "type": "text", "text": "hi" } }, { "role": "assistant", "content": [
                { "type": "text", "text": "a" }, { "type": "image", "data": "AA==", "mimeType": "image/png" },
            ] }]),
            )
            .with("systemPrompt", "be brief")
            .with("maxTokens", &5_000)
            .with("stopSequences", &json!(["x"]));
        let body = body(&policy(), &params).unwrap();
        assert_eq!(body["max_tokens"], 100);
        assert_eq!(body["messages"][0], json!({ "role": "system", "content": "be brief" }));
        assert_eq!(body["messages"][1], json!({ "role": "user", "content": "hi" }));
        assert_eq!(body["messages"][2]["content"][1]["image_url"]["url"], "data:image/png;base64,AA==");
        assert_eq!(body["stop"], json!(["x"]));
    }

    #[test]
    fn what_a_model_cannot_be_told_is_refused_with_the_reason() {
        let params = |content: Value| Params::default().with("messages", &json!([{ "role": "user", "content": content }]));
        assert!(body(&policy(), &params(json!({ "type": "audio", "data": "" }))).unwrap_err().contains("`audio`"));
        assert!(body(&policy(), &Params::default()).is_err());
        assert!(body(&policy(), &params(json!({ "type": "text", "text": "" })).with("tools", &json!([]))).is_err());
    }
}
