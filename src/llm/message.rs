//! Requests and answers in OpenAI's words, opened only where they are touched.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Refusal;
use crate::domain::{RawObject, is_deep, raw};
use crate::net::Event;

/// Longest name of a model, in bytes.
const MAX_MODEL: usize = 256;

/// A request body: the fields we touch can be changed, all others keep their bytes.
#[derive(Clone)]
pub struct ChatRequest {
    members: RawObject<'static>,
    model: String,
    stream: bool,
}

impl ChatRequest {
    /// Reads a body; the error says what is wrong with it, and which field.
    pub fn parse(body: &[u8]) -> Result<Self, (String, Option<&'static str>)> {
        if is_deep(body) {
            return Err(("the body is nested too deeply".to_owned(), None));
        }
        let text = std::str::from_utf8(body).map_err(|_| ("the body is not UTF-8".to_owned(), None))?;
        let members = RawObject::parse(text).map_err(|error| (format!("the body is not a JSON object: {error}"), None))?;
        let model = members.string("model").filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| ("`model` must name a model".to_owned(), Some("model")))?;
        if model.len() > MAX_MODEL {
            return Err((format!("`model` is longer than {MAX_MODEL} bytes, which no model's name is"), Some("model")));
        }
        let stream = match members.get("stream").map(RawValue::get) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(("`stream` must be true or false".to_owned(), Some("stream"))),
        };
        Ok(Self { members: members.into_owned(), model, stream })
    }

    /// The model's name as the caller wrote it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is wanted as a stream.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// A field's own bytes.
    pub fn get(&self, field: &str) -> Option<&RawValue> {
        self.members.get(field)
    }

    /// Puts a field in place.
    pub fn set(&mut self, field: &'static str, value: Box<RawValue>) {
        self.members.set(field, value);
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: &str) -> Option<Box<RawValue>> {
        self.members.remove(field)
    }

    /// A field that is a list, item by item; none when it is absent or null, an error when it is no list.
    pub fn list(&self, field: &str) -> Result<Option<Vec<Box<RawValue>>>, ()> {
        match self.members.get(field) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => serde_json::from_str(value.get()).map(Some).map_err(|_| ()),
        }
    }

    /// The body for a provider's model.
    pub fn for_model(&self, model: &str) -> Bytes {
        let mut members = self.members.clone();
        members.set("model", raw(model));
        Bytes::from(serde_json::to_vec(&members).unwrap_or_default())
    }
}

/// A function call of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The id its result must name.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, a text that should be JSON.
    pub arguments: String,
}

#[derive(Deserialize)]
struct RawCall<'a> {
    #[serde(default)]
    id: String,
    #[serde(borrow)]
    function: Option<RawFunction<'a>>,
}

#[derive(Deserialize)]
struct RawFunction<'a> {
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// The calls of an assistant message. Arguments may be a text, or already an object.
pub fn answer_calls(message: &RawObject<'_>) -> Vec<ToolCall> {
    let Some(list) = message.get("tool_calls").filter(|list| list.get() != "null") else { return Vec::new() };
    let calls: Vec<RawCall<'_>> = serde_json::from_str(list.get()).unwrap_or_default();
    let read = |call: RawCall<'_>| {
        let function = call.function?;
        let arguments = function.arguments.map(|raw| serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()));
        Some(ToolCall { id: call.id, name: function.name, arguments: arguments.unwrap_or_default() })
    };
    calls.into_iter().filter_map(read).collect()
}

/// The error in an event that is one.
pub fn stream_error(event: &Event) -> Option<Refusal> {
    let data = event.data.as_deref().filter(|data| data.contains("\"error\""))?;
    let object = RawObject::parse(data).ok()?;
    let error = object.get("error").filter(|error| error.get() != "null")?;
    if object.has("choices") {
        return None;
    }
    let error: serde_json::Value = serde_json::from_str(error.get()).ok()?;
    let text = |key: &str| error.get(key).and_then(|value| value.as_str()).map(|text| crate::domain::clip(text, 500));
    let message = text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| "it gave no reason".to_owned());
    Some(Refusal { message, code: text("code"), param: None })
}

/// The reason a chunk gives for the answer's end.
pub fn finish_reason(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        finish_reason: Option<String>,
    }
    // Most chunks say `null` or nothing, and are not parsed for it.
    let at = data.find("\"finish_reason\"")?;
    let value = data.get(at + 15..)?.trim_start_matches([':', ' ']);
    if value.starts_with("null") && data.matches("\"finish_reason\"").count() == 1 {
        return None;
    }
    let chunk: Chunk = serde_json::from_str(data).ok()?;
    chunk.choices.into_iter().find_map(|choice| choice.finish_reason)
}

/// An error as a stream's last event.
pub fn error_event(error: &serde_json::Value) -> Bytes {
    Bytes::from(format!("data: {}\n\n", serde_json::json!({ "error": error })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes_on_the_way_to_a_provider() {
        let body = br#"{"model":"a","temperature":0.10,"x_new":{"k":1e2},"messages":[ {"role":"user","content":"hi"} ]}"#;
        let request = ChatRequest::parse(body).unwrap();
        let sent = request.for_model("b");
        assert_eq!(&sent[..], br#"{"model":"b","temperature":0.10,"x_new":{"k":1e2},"messages":[ {"role":"user","content":"hi"} ]}"#);
    }

    #[test]
    fn a_finish_reason_is_found_wherever_it_stands() {
        assert_eq!(finish_reason(r#"{"choices":[{"delta":{"content":"finish_reason"},"finish_reason":null}]}"#), None);
        assert_eq!(finish_reason(r#"{"choices":[{"finish_reason": "stop"}]}"#).as_deref(), Some("stop"));
        assert_eq!(finish_reason(r#"{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}"#).as_deref(), Some("length"));
    }
}
