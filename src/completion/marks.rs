//! What tells two histories apart: the meaning of each item, without what clients change from turn to turn.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{Digest, walk};
use crate::llm::{Answer, Part};

/// Members that say nothing of what was said: markers for a cache move on, ids and states come and go.
const VOLATILE: [&str; 5] = ["cache_control", "id", "status", "annotations", "logprobs"];

/// A history, as another one is told from it.
pub(super) struct History {
    /// The digests of all its beginnings: of nothing, of the first item, of the first two …
    pub(super) prefixes: Vec<Digest>,
    /// The places of what the model said.
    pub(super) answers: Vec<usize>,
}

impl History {
    /// Reads one, each item once; `base` is of what else tells it apart.
    pub(super) fn read(base: Digest, items: &[impl AsRef<str>]) -> Self {
        let mut prefixes = Vec::with_capacity(items.len() + 1);
        let mut answers = Vec::new();
        let mut last = base;
        prefixes.push(last);
        for (at, item) in items.iter().map(AsRef::as_ref).enumerate() {
            let by_model = match plain(item) {
                Some([role, content]) => {
                    // Its meaning, without building anything.
                    last = last.then(&[&role, "\u{1f}", &content, "\u{1e}\u{1f}{}"]);
                    is_by_model(Some(&role), None)
                }
                None => {
                    last = last.then(&[&meaning(item)]);
                    said_by(item)
                }
            };
            prefixes.push(last);
            if by_model {
                answers.push(at);
            }
        }
        Self { prefixes, answers }
    }
}

/// Role and content of an item that is a text of somebody and says nothing else, as most are.
fn plain(item: &str) -> Option<[Cow<'_, str>; 2]> {
    let members = walk::members(item)?;
    let text = |key: &str| walk::text(walk::find(&members, key)?);
    let texts = [text("role")?, text("content")?];
    (members.len() == texts.len()).then_some(texts)
}

/// An item's meaning as text: who, what, and all else it says.
fn meaning(item: &str) -> String {
    let mut object = match serde_json::from_str(item).unwrap_or_default() {
        Value::Object(object) => object,
        other => return other.to_string(),
    };
    // `call_id` and the like stay; an item's own id does not.
    for key in VOLATILE {
        object.remove(key);
    }
    object.retain(|_, value| !value.is_null());
    if object.get("type").and_then(Value::as_str) == Some("message") {
        object.remove("type");
    }
    let mut text = object.remove("role").and_then(|role| role.as_str().map(str::to_owned)).unwrap_or_default();
    text.push('\u{1f}');
    match object.remove("content") {
        Some(Value::Array(parts)) => parts.into_iter().for_each(|part| push(part, &mut text)),
        Some(content) => push(content, &mut text),
        None => {}
    }
    object.sort_keys();
    text.push('\u{1f}');
    text + &Value::Object(object).to_string()
}

/// A text and a part that is a text say the same.
fn push(mut part: Value, out: &mut String) {
    if let Some(object) = part.as_object_mut() {
        object.remove("cache_control");
        let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
        if matches!(kind, "text" | "input_text" | "output_text")
            && let Some(text) = object.get("text").and_then(Value::as_str)
        {
            part = Value::from(text);
        }
    }
    match part {
        Value::String(text) => out.push_str(&text),
        other => out.push_str(&other.to_string()),
    }
    out.push('\u{1e}');
}

/// The meaning of instructions that stand apart from the history. A line of billing that one agent puts first changes with each request.
pub(super) fn instructions(system: &str) -> String {
    let mut text = String::new();
    if system.is_empty() {
        return text;
    }
    match serde_json::from_str(system).unwrap_or_default() {
        Value::Array(parts) => parts.into_iter().filter(|part| !bills(part)).for_each(|part| push(part, &mut text)),
        Value::Null => {}
        whole => push(whole, &mut text),
    }
    text
}

fn bills(part: &Value) -> bool {
    part.get("text").and_then(Value::as_str).is_some_and(|text| text.starts_with("x-anthropic-billing-header"))
}

/// Whether the model said an item.
fn said_by(item: &str) -> bool {
    #[derive(Default, Deserialize)]
    struct Who<'a> {
        #[serde(borrow, default)]
        role: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "type")]
        kind: Option<Cow<'a, str>>,
    }
    let who: Who<'_> = serde_json::from_str(item).unwrap_or_default();
    is_by_model(who.role.as_deref(), who.kind.as_deref())
}

fn is_models(item: &Map<String, Value>) -> bool {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    is_by_model(text("role"), text("type"))
}

fn is_by_model(role: Option<&str>, kind: Option<&str>) -> bool {
    role == Some("assistant") || matches!(kind, Some("function_call" | "custom_tool_call" | "reasoning"))
}

/// The digest of what the model said from a place on, until somebody else spoke.
pub(super) fn said_after(items: &[impl AsRef<str>], at: usize) -> Digest {
    let (mut texts, mut ids) = (String::new(), Vec::new());
    for item in items.iter().skip(at) {
        let item: Map<String, Value> = serde_json::from_str(item.as_ref()).unwrap_or_default();
        if !is_models(&item) {
            break;
        }
        collect(&item, &mut texts, &mut ids);
    }
    digest(&texts, &ids)
}

fn collect(item: &Map<String, Value>, texts: &mut String, ids: &mut Vec<String>) {
    let id = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match item.get("content") {
        Some(Value::String(text)) => texts.push_str(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                match part.get("type").and_then(Value::as_str) {
                    Some("text" | "output_text") => texts.push_str(part.get("text").and_then(Value::as_str).unwrap_or_default()),
                    Some("tool_use") => ids.extend(id(part, "id")),
                    _ => {}
                }
            }
        }
        _ => {}
    }
    let calls = item.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    ids.extend(calls.iter().filter_map(|call| id(call, "id")));
    ids.extend(item.get("call_id").and_then(Value::as_str).map(str::to_owned));
}

/// The digest of an answer, as [`said_after`] finds it when the client sends it back.
pub(super) fn answer(answer: &Answer) -> Digest {
    let text = |part: &Part| match part {
        Part::Text(text, _) => text.clone(),
        _ => String::new(),
    };
    let ids: Vec<String> = answer.calls().map(|call| call.id.clone()).collect();
    digest(&answer.parts.iter().map(text).collect::<String>(), &ids)
}

fn digest(texts: &str, ids: &[String]) -> Digest {
    // Clients trim, and join texts with blanks of their own.
    let texts: String = texts.split_whitespace().collect();
    Digest::of("portolan/answer", format!("{texts}\n{}", ids.join("\n")).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::Piece;

    #[test]
    fn a_marker_that_moves_on_and_a_text_that_becomes_a_list_change_nothing() {
        let same = [
            json!({ "role": "user", "content": "hi" }),
            json!({ "role": "user", "content": [{ "type": "text", "text": "hi", "cache_control": { "type": "ephemeral" } }] }),
            json!({ "type": "message", "id": "msg_1", "role": "user", "content": [{ "type": "input_text", "text": "hi" }] }),
        ];
        let mark = |item: &Value| History::read(Digest::of("", b""), &[item.to_string()]).prefixes.last().copied();
        let marks: Vec<_> = same.iter().map(mark).collect();
        assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
        assert_ne!(mark(&json!({ "role": "user", "content": "ho" })), marks[0]);
    }

    #[test]
    fn an_answer_is_known_again_in_every_dialect() {
        let given = Answer::of([Piece::Text("Aye, ".into()), Piece::Break, Piece::Text("sir.".into())]);
        for items in [
            vec![json!({ "role": "assistant", "content": "Aye, sir." })],
            vec![json!({ "role": "assistant", "content": [{ "type": "text", "text": "Aye," }, { "type": "text", "text": "sir." }] })],
            vec![
                json!({ "type": "reasoning" }),
                json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Aye, sir." }] }),
            ],
        ] {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            assert_eq!(said_after(&items, 0), answer(&given));
        }
    }
}
