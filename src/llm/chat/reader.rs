//! Reads a stream of Chat Completions. It remembers what later chunks refer to.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{ended, finish, id_or_new, is_reason};
use crate::domain::{RawObject, Usage};
use crate::llm::answer::Piece;
use crate::llm::dialect::Dialect;
use crate::llm::error::Error;

/// A reader of one stream.
#[derive(Default)]
pub struct Reader {
    begun: bool,
    calls: Vec<Pending>,
    /// Calls whose name is known to be whole, and that are told of.
    told: usize,
}

/// A call that is being written.
struct Pending {
    index: usize,
    id: String,
    name: String,
    /// Its number among the calls that were told of.
    told: Option<usize>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Elsewhere<'a>>,
}

/// Some providers put the usage deeper down.
#[derive(Deserialize)]
struct Elsewhere<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(default)]
    index: Option<usize>,
    id: Option<String>,
    #[serde(borrow)]
    function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Reader {
    /// Reads one event's data.
    pub(in crate::llm) fn event(&mut self, data: &str, out: &mut Vec<Piece>) -> Result<(), Error> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|_| Error::Protocol("an event is no chunk of an answer"))?;
        if !self.begun {
            self.begun = true;
            let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned).unwrap_or_default();
            out.push(Piece::Begin { id: text(chunk.id), model: text(chunk.model) });
        }
        let choice = chunk.choices.into_iter().find(|choice| choice.index == 0);
        let counted = choice.as_ref().and_then(|choice| choice.usage);
        if let Some(choice) = choice {
            self.choice(&choice, out)?;
        }
        // Odd counts are no counts, and no reason to lose the answer.
        let counted = chunk.usage.or(chunk.x_groq.and_then(|groq| groq.usage)).or(counted);
        out.extend(counted.and_then(|usage| serde_json::from_str::<Option<Usage>>(usage.get()).ok()?).map(Piece::Usage));
        Ok(())
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Piece>) -> Result<(), Error> {
        let mut delta = choice.delta.and_then(|delta| RawObject::parse(delta.get()).ok()).unwrap_or_default();
        let mut take = |key: &str| {
            let text = delta.remove(key).and_then(|value| serde_json::from_str::<Option<String>>(value.get()).ok()?);
            text.filter(|text| !text.is_empty())
        };
        take("role");
        let (thought, other_name) = (take("reasoning_content"), take("reasoning"));
        out.extend(thought.or(other_name).map(Piece::Thinking));
        out.extend(take("content").map(Piece::Text));
        out.extend(take("refusal").map(Piece::Refusal));
        if let Some(calls) = delta.remove("tool_calls") {
            let calls: Option<Vec<CallDelta<'_>>> =
                serde_json::from_str(calls.get()).map_err(|_| Error::Protocol("a call cannot be read"))?;
            for call in calls.unwrap_or_default() {
                self.call(call, out);
            }
        }
        let logprobs = choice.logprobs.filter(|logprobs| logprobs.get() != "null");
        if logprobs.is_some() || delta.iter().any(|(_, value)| !matches!(value.get(), "null" | "\"\"" | "[]" | "{}")) {
            let mut extra = RawObject::default();
            extra.set("delta", delta.to_raw());
            if let Some(logprobs) = logprobs {
                extra.set("logprobs", logprobs.to_owned());
            }
            out.push(Piece::Native(Dialect::Chat, extra.to_raw()));
        }
        if let Some(native) = choice.finish_reason.as_ref().filter(|native| is_reason(native)) {
            self.tell(self.calls.len(), out);
            out.push(ended(finish(native)?, !self.calls.is_empty()));
        }
        Ok(())
    }

    fn call(&mut self, delta: CallDelta<'_>, out: &mut Vec<Piece>) {
        let function = delta.function;
        let name = function.as_ref().and_then(|function| function.name.as_deref()).unwrap_or_default();
        // Some providers give every call the index 0; a new id with a name is a new call all the same.
        let index = delta.index.unwrap_or_else(|| self.calls.last().map_or(0, |last| last.index));
        let same = |pending: &Pending| {
            let new_id = delta.id.as_deref().is_some_and(|id| !id.is_empty() && id != pending.id);
            pending.index == index && (name.is_empty() || !new_id)
        };
        let at = match self.calls.iter().rposition(same) {
            Some(at) => at,
            None => {
                // Where another call begins, the names before it are whole.
                self.tell(self.calls.len(), out);
                self.calls.push(Pending { index, id: delta.id.clone().unwrap_or_default(), name: String::new(), told: None });
                self.calls.len() - 1
            }
        };
        let Some(pending) = self.calls.get_mut(at) else { return };
        if pending.id.is_empty() {
            pending.id = delta.id.unwrap_or_default();
        }
        // Some providers say name and id again with every piece.
        if pending.told.is_none() && pending.name != name {
            pending.name.push_str(name);
        }
        let arguments = function.and_then(|function| function.arguments).filter(|arguments| arguments.get() != "null");
        let arguments = arguments.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()));
        if let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) {
            // A name may come in pieces, but never after the arguments have begun.
            self.tell(at + 1, out);
            if let Some(number) = self.calls.get(at).and_then(|pending| pending.told) {
                out.push(Piece::Arguments(number, arguments));
            }
        }
    }

    /// Tells of the first calls, whose names are whole.
    fn tell(&mut self, first: usize, out: &mut Vec<Piece>) {
        for pending in self.calls.iter_mut().take(first).filter(|pending| pending.told.is_none()) {
            pending.told = Some(self.told);
            self.told += 1;
            pending.id = id_or_new(std::mem::take(&mut pending.id));
            out.push(Piece::Call { id: pending.id.clone(), name: pending.name.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::answer::Answer;

    fn read(deltas: &[serde_json::Value]) -> Answer {
        let mut reader = Reader::default();
        let mut pieces = Vec::new();
        for delta in deltas {
            reader.event(&json!({ "id": "a", "choices": [{ "index": 0, "delta": delta }] }).to_string(), &mut pieces).unwrap();
        }
        reader.event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#, &mut pieces).unwrap();
        Answer::of(pieces)
    }

    #[test]
    fn arguments_that_come_in_turns_go_to_their_own_calls() {
        let call = |index: usize, id: &str, name: &str| json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": "" } }] });
        let more = |index: usize, text: &str| json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] });
        let answer = read(&[call(0, "x", "f"), call(1, "y", "f"), more(0, "{\"a\""), more(1, "{\"b\""), more(0, ":1}"), more(1, ":2}")]);
        let calls: Vec<_> = answer.calls().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, [("x", "{\"a\":1}"), ("y", "{\"b\":2}")]);
        assert_eq!(answer.finish.unwrap().0, crate::llm::answer::Finish::Calls, "`stop` with calls means calls");
    }

    #[test]
    fn a_call_without_arguments_is_a_call() {
        let answer = read(&[json!({ "tool_calls": [{ "index": 0, "id": "x", "function": { "name": "now" } }] })]);
        assert_eq!(answer.calls().next().map(|call| call.name.as_str()), Some("now"));
    }

    #[test]
    fn what_is_unknown_is_kept() {
        let answer = read(&[json!({ "content": "a", "annotations": [{ "url": "u" }] })]);
        assert!(format!("{:?}", answer.parts).contains("annotations"));
    }
}
