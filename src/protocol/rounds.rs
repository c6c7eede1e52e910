//! Round trips: a stateless server answers a request with what it wants to know first (2026-07-28 §basic/patterns/mrtr).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::params::Params;
use super::question::{Entry, Question};
use crate::domain::{Digest, Needle, RawObject, hides_keys, raw};
use crate::schema::canonical;

/// Most questions that are taken at one time.
const MOST: usize = 32;

/// The kinds of result (`resultType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// All there is, or nothing is said of it.
    Complete,
    /// The server wants to know something first.
    InputRequired,
    /// A task that goes on by itself.
    Task,
    /// What only an extension knows.
    Other,
}

impl ResultKind {
    /// What a result says that it is; none when it cannot be read, or says it twice: others might read the other one.
    pub fn of(result: &RawValue) -> Option<Self> {
        let said = RawObject::parse(result.get()).ok()?;
        let Some(kind) = said.get("resultType") else { return Some(Self::Complete) };
        Some(match kind.get() {
            "\"complete\"" => Self::Complete,
            "\"input_required\"" => Self::InputRequired,
            "\"task\"" => Self::Task,
            _ => Self::Other,
        })
    }
}

/// Tells whether two requests ask the same, however they are written: what continues a request must be that request.
pub fn request_digest(method: &str, params: &Params) -> String {
    let text = params.text_without(&["inputResponses", "requestState"]);
    let text = canonical(&text, &|_| false).unwrap_or(text);
    Digest::of("portolan/request", format!("{method} {text}").as_bytes()).hex()
}

/// What a server wants to know before it goes on.
#[derive(Debug)]
pub struct InputRequired {
    /// Its questions, by the keys that the answers go under.
    pub questions: Vec<(String, Question)>,
    /// What is to be given back to it as it is.
    pub state: Option<Box<RawValue>>,
}

impl InputRequired {
    /// Reads a result of that kind; the error says what is wrong with it.
    pub fn read(result: &RawValue) -> Result<Self, &'static str> {
        let object = RawObject::parse(result.get()).map_err(|_| "its result cannot be read")?;
        let state = object.get("requestState").filter(|state| state.get() != "null").map(ToOwned::to_owned);
        if state.as_ref().is_some_and(|state| !state.get().starts_with('"')) {
            return Err("its `requestState` is no text");
        }
        let asked: BTreeMap<String, Entry> = match object.get("inputRequests").filter(|asked| asked.get() != "null") {
            Some(asked) => serde_json::from_str(asked.get()).map_err(|_| "its `inputRequests` cannot be read")?,
            None => BTreeMap::new(),
        };
        if asked.len() > MOST {
            return Err("it asks too much at one time");
        }
        if asked.is_empty() && state.is_none() {
            return Err("it wants something, and does not say what");
        }
        let questions = asked.into_iter().map(|(key, entry)| Some((key, Question::of_entry(&entry)?)));
        let questions = questions.collect::<Option<_>>().ok_or("it asks what no client can be asked")?;
        Ok(Self { questions, state })
    }

    /// The result that asks a client.
    pub fn result(&self) -> Box<RawValue> {
        let mut result = RawObject::default();
        result.set("resultType", raw("input_required"));
        if !self.questions.is_empty() {
            let asked: BTreeMap<&str, _> = self.questions.iter().map(|(key, question)| (key.as_str(), question.entry())).collect();
            result.set("inputRequests", raw(&asked));
        }
        if let Some(state) = &self.state {
            result.set("requestState", state.clone());
        }
        result.to_raw()
    }
}

/// What a result says of itself.
pub(super) static RESULT_TYPE: Needle = Needle::new("\"resultType\"");

/// Whether a result says that it is all there is, or says nothing of it. It is opened only where a look does not tell.
pub fn is_complete(result: &str) -> bool {
    if RESULT_TYPE.behind(result).all(|rest| rest.starts_with(":\"complete\"")) && !hides_keys(result) {
        return true;
    }
    // What says it twice says nothing: others might read the other one.
    RawObject::parse(result).is_ok_and(|result| result.get("resultType").is_none_or(|kind| kind.get() == "\"complete\""))
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn a_result_that_wants_something_is_told_from_one_that_only_quotes_the_word() {
        for complete in [
            r#"{"content":[]}"#,
            r#"{"resultType":"complete","content":[]}"#,
            r#"{"resultType": "complete"}"#,
            r#"{"content":[{"resultType":"input_required"}]}"#,
            r#"{"structuredContent":{"resultType":7},"resultType":"complete"}"#,
        ] {
            assert!(is_complete(complete), "{complete}");
        }
        for wants in [
            r#"{"resultType":"input_required"}"#,
            r#"{"a":{"resultType":"complete"},"resultType" : "task"}"#,
            r#"{"resultType":"complete","resultType":"input_required"}"#,
            r#"{"result\u0054ype":"input_required"}"#,
            r#"{"resultType":"input_required","resultType":"input_required"}"#,
        ] {
            assert!(!is_complete(wants), "{wants}");
        }
    }
}
