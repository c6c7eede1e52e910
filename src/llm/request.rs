//! A request in the dialect it came in, opened only where it is touched: all other members keep their bytes.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::conversation::{Conversation, Turn, Wrong};
use super::dialect::Dialect;
use super::members::Members;
use crate::domain::{RawObject, is_deep, raw, raw_string, walk};

/// Longest name of a model, in bytes.
const MAX_MODEL: usize = 256;

/// A request of one dialect.
#[derive(Clone)]
pub struct Request {
    dialect: Dialect,
    members: Members,
    /// Where each item of the conversation stands in its list, once that was walked over; none where it cannot be.
    places: OnceLock<Vec<Range<usize>>>,
    model: String,
    stream: bool,
    /// Headers that go to a provider of the same dialect.
    headers: Vec<(&'static str, String)>,
    /// Whether the answer goes to the client as it comes.
    relayed: bool,
}

impl Request {
    /// Reads a body and refuses what could do harm or waste a call; the error says what is wrong, and in which field.
    pub fn parse(dialect: Dialect, body: &Bytes) -> Result<Self, Wrong> {
        Self::read(dialect, body, |request| {
            if dialect.is_plain(request) {
                return dialect.check(&request.members.without(dialect.list()), true);
            }
            dialect.check(&request.members.object(), false)
        })
    }

    /// Reads a body that asks for embeddings.
    pub fn parse_embeddings(body: &Bytes) -> Result<Self, Wrong> {
        Self::read(Dialect::Chat, body, |_| Ok(()))
    }

    /// Reads a body whose tokens are to be counted.
    pub fn parse_count(body: &Bytes) -> Result<Self, Wrong> {
        Self::read(Dialect::Messages, body, |request| super::messages::check(&request.members.object(), true))
    }

    fn read(dialect: Dialect, body: &Bytes, check: impl Fn(&Self) -> Result<(), Wrong>) -> Result<Self, Wrong> {
        let whole = |why: String| Wrong { why, param: None };
        let body = ByteString::try_from(body.clone()).map_err(|_| whole("the body is not UTF-8".to_owned()))?;
        let members = match walk::members(&body) {
            Some(parts) => Members::parts(&body, &parts),
            None if is_deep(body.as_bytes()) => return Err(whole("the body is nested too deeply".to_owned())),
            None => {
                let object =
                    RawObject::parse(&body).map_err(|error| whole(format!("the body cannot be read as a JSON object: {error}")))?;
                Members::of(&body, &object)
            }
        };
        let model = members.get("model").and_then(|model| serde_json::from_str::<String>(model).ok()).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| Wrong::at("model", "`model` must name a model"))?;
        if model.len() > MAX_MODEL {
            return Err(Wrong::at("model", format!("`model` is longer than {MAX_MODEL} bytes, which no model's name is")));
        }
        let stream = match members.get("stream") {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(Wrong::at("stream", "`stream` must be true or false")),
        };
        let request = Self { dialect, members, places: OnceLock::new(), model, stream, headers: Vec::new(), relayed: true };
        check(&request)?;
        Ok(request)
    }

    /// A request that was translated.
    pub(super) fn of(dialect: Dialect, members: &RawObject<'_>, model: String, stream: bool) -> Self {
        let members = Members::of(&ByteString::new(), members);
        Self { dialect, members, places: OnceLock::new(), model, stream, headers: Vec::new(), relayed: true }
    }

    /// The dialect it came in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The model's name as the caller wrote it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is wanted as a stream.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// A header that goes to a provider of the same dialect.
    pub fn send_header(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.to_owned()));
    }

    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// Says that the answer will be opened here, and so must come in a dialect that can be read.
    pub fn open_answer(&mut self) {
        self.relayed = false;
    }

    pub(super) fn relayed(&self) -> bool {
        self.relayed
    }

    /// A field's own bytes.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.members.get(field).filter(|value| *value != "null")
    }

    /// A field read as `T`; none when it is absent or of another shape.
    pub fn field<T: serde::de::DeserializeOwned>(&self, field: &str) -> Option<T> {
        serde_json::from_str(self.get(field)?).ok()
    }

    /// Puts a field in place.
    pub fn set(&mut self, field: &'static str, value: Box<RawValue>) {
        self.put(field, Box::<str>::from(value).into_string());
    }

    /// Puts a text that is JSON in place, as when a list was put together of items that are.
    fn put(&mut self, field: &'static str, text: String) {
        self.members.set(field, text);
        self.forget_places(field);
    }

    fn forget_places(&mut self, changed: &str) {
        if changed == self.dialect.list() {
            self.places.take();
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: &str) -> Option<Box<RawValue>> {
        self.forget_places(field);
        self.members.remove(field)
    }

    /// A field that is a list, item by item; none when it is absent or null, an error when it is no list.
    pub fn list(&self, field: &str) -> Result<Option<Vec<Box<RawValue>>>, Wrong> {
        let wrong = |_| Wrong::at(field, format!("`{field}` must be a list"));
        self.get(field).map(|value| serde_json::from_str(value).map_err(wrong)).transpose()
    }

    /// The conversation, item by item, to be read.
    pub fn said(&self) -> Result<Vec<Cow<'_, str>>, Wrong> {
        let key = self.dialect.list();
        let wrong = || Wrong::at(key, format!("`{key}` must be a list"));
        let text = self.get(key).ok_or_else(wrong)?;
        if self.dialect == Dialect::Responses && text.starts_with('"') {
            let text: String = serde_json::from_str(text).unwrap_or_default();
            return Ok(vec![Cow::Owned(json!({ "type": "message", "role": "user", "content": text }).to_string())]);
        }
        let places = self.places.get_or_init(|| walk::items(text).unwrap_or_default());
        if !places.is_empty() {
            return Ok(places.iter().filter_map(|place| text.get(place.clone()).map(Cow::Borrowed)).collect());
        }
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| wrong())?;
        Ok(items.into_iter().map(|item| Cow::Borrowed(item.get())).collect())
    }

    /// The conversation, item by item, to be changed.
    pub fn items(&self) -> Result<Vec<Box<RawValue>>, Wrong> {
        let key = self.dialect.list();
        let own = |item: Cow<'_, str>| raw_string(item.into_owned()).map_err(|_| Wrong::at(key, format!("`{key}` must be a list")));
        self.said()?.into_iter().map(own).collect()
    }

    /// Puts a conversation in place of the one there is.
    pub fn set_items(&mut self, items: &[Box<RawValue>]) {
        let length = items.iter().map(|item| item.get().len() + 1).sum::<usize>() + 2;
        self.put(self.dialect.list(), list(length, items.iter().map(|item| [item.get()])));
    }

    /// Makes calls and results of the blocks and items that told the client of calls the gateway ran; `name` is a
    /// tool's name as models are told it, by server and tool.
    pub fn unfold(&mut self, name: &dyn Fn(&str, &str) -> String) -> Result<(), Wrong> {
        let holds = |list: &str, mark: &str| self.get(list).is_some_and(|list| list.contains(mark));
        let items = match self.dialect {
            Dialect::Messages if holds("messages", "\"mcp_tool_") => super::messages::unfold(self.items()?, name),
            Dialect::Responses if holds("input", "\"mcp_") => super::responses::unfold(self.items()?, name),
            _ => return Ok(()),
        };
        self.set_items(&items);
        Ok(())
    }

    /// Adds what was said since.
    pub fn say(&mut self, turns: &[Turn]) -> Result<(), Wrong> {
        let mut items = self.items()?;
        items.extend(self.dialect.items(turns));
        self.set_items(&items);
        Ok(())
    }

    /// Puts a text, which is given as a JSON string, at the end of the system block, so that all before it keeps its bytes.
    pub fn instruct(&mut self, text: &str) -> Result<(), Wrong> {
        match self.dialect {
            Dialect::Chat => {
                let items = self.said()?;
                let at = items.iter().take_while(|item| matches!(role(item).as_deref(), Some("system" | "developer"))).count();
                let length = items.iter().map(|item| item.len() + 1).sum::<usize>() + text.len() + 64;
                let mut pieces: Vec<[&str; 3]> = items.iter().map(|item| [item.as_ref(), "", ""]).collect();
                pieces.insert(at, ["{\"role\":\"system\",\"content\":", text, "}"]);
                let list = list(length, pieces.into_iter());
                self.put("messages", list);
            }
            Dialect::Messages => {
                let block = format!("{{\"type\":\"text\",\"text\":{text}}}");
                let system = match self.get("system") {
                    // A text that is empty is refused.
                    Some("\"\"") => format!("[{block}]"),
                    Some(own) if own.starts_with('"') => format!("[{{\"type\":\"text\",\"text\":{own}}},{block}]"),
                    _ => match self.list("system")?.unwrap_or_default() {
                        own if own.is_empty() => format!("[{block}]"),
                        own => format!("{},{block}]", raw(&own).get().strip_suffix(']').unwrap_or("[")),
                    },
                };
                self.put("system", system);
            }
            Dialect::Responses => {
                let own = self.field::<String>("instructions").map(|own| raw(&format!("{own}\n\n")));
                let own = own.as_ref().map_or("\"", |own| own.get().strip_suffix('"').unwrap_or("\""));
                self.put("instructions", format!("{own}{}", text.strip_prefix('"').unwrap_or(text)));
            }
        }
        Ok(())
    }

    /// The last text that a person wrote.
    pub fn last_human_text(&self) -> Option<String> {
        self.said().ok()?.iter().rev().find_map(|item| Self::human(item))
    }

    /// The first text that a person wrote.
    pub fn first_human_text(&self) -> Option<String> {
        self.said().ok()?.iter().find_map(|item| Self::human(item))
    }

    /// The text of an item, if a person wrote it.
    pub fn human(item: &str) -> Option<String> {
        if role(item).as_deref() != Some("user") {
            return None;
        }
        let item = RawObject::parse(item).ok()?;
        let content = item.get("content")?;
        if content.get().starts_with('"') {
            return serde_json::from_str(content.get()).ok();
        }
        let parts: Vec<serde_json::Value> = serde_json::from_str(content.get()).ok()?;
        let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    /// Lets the model call nothing more.
    pub fn forbid_calls(&mut self) {
        if self.get("tools").is_some() {
            let none = match self.dialect {
                Dialect::Chat | Dialect::Responses => raw("none"),
                Dialect::Messages => raw(&json!({ "type": "none" })),
            };
            self.set("tool_choice", none);
        }
    }

    /// A forced call is forced once: from now on the model may call what it likes.
    pub fn free_choice(&mut self) {
        let Some(choice) = self.get("tool_choice") else { return };
        let object = RawObject::parse(choice).ok();
        let kind = object.as_ref().and_then(|choice| choice.string("type"));
        let forced = choice == "\"required\"" || matches!(kind.as_deref(), Some("function" | "any" | "tool" | "custom" | "allowed_tools"));
        if !forced {
            return;
        }
        let free = match self.dialect {
            Dialect::Chat | Dialect::Responses => raw("auto"),
            Dialect::Messages => {
                let mut free = object.unwrap_or_default();
                free.remove("name");
                free.set("type", raw("auto"));
                free.to_raw()
            }
        };
        self.set("tool_choice", free);
    }

    /// Whether thoughts are asked for that the client may not be able to send back.
    pub fn asks_for_thought(&self) -> bool {
        match self.dialect {
            Dialect::Chat => self.get("reasoning_effort").is_some(),
            Dialect::Responses => self.get("reasoning").is_some(),
            Dialect::Messages => false,
        }
    }

    /// The request in nobody's words.
    pub fn conversation(&self) -> Result<Conversation, Wrong> {
        self.dialect.read(&self.members.object())
    }

    pub(super) fn object(&self) -> RawObject<'_> {
        self.members.object()
    }

    /// The body for a provider's model.
    pub fn for_model(&self, model: &str) -> Bytes {
        self.members.with("model", raw(model).get())
    }
}

fn role(item: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    match walk::members(item) {
        Some(members) => walk::text(walk::find(&members, "role")?),
        None => serde_json::from_str(item).ok().map(|Said { role }| role),
    }
}

/// A JSON list of items, each of which comes in pieces; `length` is about how long it gets.
fn list<'i, const N: usize>(length: usize, items: impl Iterator<Item = [&'i str; N]>) -> String {
    let mut text = String::with_capacity(length);
    text.push('[');
    for pieces in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.extend(pieces);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes_on_the_way_to_a_provider() {
        let body = br#"{"model":"a","temperature":0.10,"x_new":{"k":1e2},"messages":[ {"role":"user","content":"hi"} ]}"#;
        let request = Request::parse(Dialect::Chat, &Bytes::from_static(body)).unwrap();
        let sent = request.for_model("b");
        assert_eq!(&sent[..], br#"{"model":"b","temperature":0.10,"x_new":{"k":1e2},"messages":[ {"role":"user","content":"hi"} ]}"#);
    }

    #[test]
    fn instructions_stand_behind_those_there_are_in_every_dialect() {
        let with = |dialect, body: &str| {
            let mut request = Request::read(dialect, &Bytes::copy_from_slice(body.as_bytes()), |_| Ok(())).unwrap();
            request.instruct("\"CTX\"").unwrap();
            String::from_utf8(request.for_model("m").to_vec()).unwrap()
        };
        let chat = with(Dialect::Chat, r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"U"}]}"#);
        assert!(chat.contains(r#"{"role":"system","content":"S"},{"role":"system","content":"CTX"},{"role":"user""#), "{chat}");
        let messages = with(Dialect::Messages, r#"{"model":"m","system":"S","messages":[]}"#);
        assert!(messages.contains(r#""system":[{"type":"text","text":"S"},{"type":"text","text":"CTX"}]"#), "{messages}");
        let empty = with(Dialect::Messages, r#"{"model":"m","system":"","messages":[]}"#);
        assert!(empty.contains(r#""system":[{"type":"text","text":"CTX"}]"#), "{empty}");
        let responses = with(Dialect::Responses, r#"{"model":"m","instructions":"S","input":"U"}"#);
        assert!(responses.contains(r#""instructions":"S\n\nCTX""#), "{responses}");
    }

    #[test]
    fn the_last_text_of_the_person_is_found_behind_what_tools_said() {
        let last =
            |body: &str| Request::read(Dialect::Chat, &Bytes::copy_from_slice(body.as_bytes()), |_| Ok(())).unwrap().last_human_text();
        let parts = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{}},{"type":"text","text":"two"}]},{"role":"tool","content":"x"}]}"#;
        assert_eq!(last(parts).as_deref(), Some("one\ntwo"));
        assert_eq!(last(r#"{"model":"m","messages":[{"role":"system","content":"x"}]}"#), None);
    }
}
