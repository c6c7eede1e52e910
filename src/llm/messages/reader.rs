//! Reads a stream of Messages. It remembers which block is which call, and what was counted so far.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answer::finish;
use crate::domain::{RawObject, Usage, raw};
use crate::llm::answer::Piece;
use crate::llm::dialect::Dialect;
use crate::llm::error::Error;

/// A reader of one stream.
#[derive(Default)]
pub struct Reader {
    /// Blocks that are calls: the call's number, and whether its arguments have begun.
    calls: HashMap<u64, (usize, bool)>,
    told: usize,
    counted: Map<String, Value>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    usage: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

impl Reader {
    /// Reads one event's data.
    pub(in crate::llm) fn event(&mut self, data: &str, out: &mut Vec<Piece>) -> Result<(), Error> {
        let wrong = |_| Error::Protocol("an event is none of this dialect");
        let event: Event<'_> = serde_json::from_str(data).map_err(wrong)?;
        match event.kind.as_str() {
            "message_start" => {
                let message = RawObject::parse(event.message.map_or("{}", RawValue::get)).map_err(wrong)?;
                self.count(message.read("usage"), out);
                out.push(Piece::Begin { id: message.string("id").unwrap_or_default(), model: message.string("model").unwrap_or_default() });
            }
            "content_block_start" => self.start(event.index, event.content_block, out),
            "content_block_delta" => self.delta(event.index, event.delta, out)?,
            "content_block_stop" => {
                // A call without arguments must still have an object of them.
                if let Some((number, begun @ false)) = self.calls.get_mut(&event.index) {
                    *begun = true;
                    out.push(Piece::Arguments(*number, "{}".to_owned()));
                }
            }
            "message_delta" => {
                self.count(event.usage, out);
                let delta = event.delta.and_then(|delta| serde_json::from_str::<Delta>(delta.get()).ok());
                if let Some(native) = delta.and_then(|delta| delta.stop_reason) {
                    out.push(Piece::Finish(finish(&native)?, native));
                }
            }
            _ => out.push(Piece::Beat),
        }
        Ok(())
    }

    /// Counts come in parts, at the beginning and at the end: what is said later holds, what is not said stays.
    fn count(&mut self, usage: Option<Map<String, Value>>, out: &mut Vec<Piece>) {
        let Some(usage) = usage else { return };
        self.counted.extend(usage.into_iter().filter(|(_, value)| !value.is_null()));
        if let Ok(usage) = serde_json::from_value::<Usage>(Value::Object(self.counted.clone())) {
            out.push(Piece::Usage(usage));
        }
    }

    fn start(&mut self, index: u64, block: Option<&RawValue>, out: &mut Vec<Piece>) {
        let Some(block) = block else { return };
        let object = RawObject::parse(block.get()).unwrap_or_default();
        let text = |key: &str| object.string(key).unwrap_or_default();
        match object.string("type").as_deref() {
            Some("text") => {
                out.push(Piece::Break);
                out.extend(Some(text("text")).filter(|text| !text.is_empty()).map(Piece::Text));
            }
            Some("thinking") => {
                out.push(Piece::Break);
                out.extend(Some(text("thinking")).filter(|text| !text.is_empty()).map(Piece::Thinking));
            }
            Some("redacted_thinking") => out.push(Piece::Redacted(text("data"))),
            Some("tool_use") => {
                let number = self.told;
                self.told += 1;
                out.push(Piece::Call { id: text("id"), name: text("name") });
                let input = object.get("input").map(RawValue::get).filter(|input| !matches!(*input, "{}" | "null" | "\"\""));
                out.extend(input.map(|input| Piece::Arguments(number, input.to_owned())));
                self.calls.insert(index, (number, input.is_some()));
            }
            _ => out.push(Piece::Native(Dialect::Messages, block.to_owned())),
        }
    }

    fn delta(&mut self, index: u64, delta: Option<&RawValue>, out: &mut Vec<Piece>) -> Result<(), Error> {
        let Some(whole) = delta else { return Ok(()) };
        let delta: Delta = serde_json::from_str(whole.get()).map_err(|_| Error::Protocol("a piece of a block cannot be read"))?;
        match delta.kind.as_deref() {
            Some("text_delta") => out.extend(delta.text.filter(|text| !text.is_empty()).map(Piece::Text)),
            Some("thinking_delta") => out.extend(delta.thinking.filter(|text| !text.is_empty()).map(Piece::Thinking)),
            Some("signature_delta") => out.extend(delta.signature.map(Piece::Signature)),
            Some("input_json_delta") => {
                let Some(json) = delta.partial_json.filter(|json| !json.is_empty()) else { return Ok(()) };
                match self.calls.get_mut(&index) {
                    Some((number, begun)) => {
                        *begun = true;
                        out.push(Piece::Arguments(*number, json));
                    }
                    None => out.push(Piece::Native(Dialect::Messages, grown(whole))),
                }
            }
            _ => out.push(Piece::Native(Dialect::Messages, grown(whole))),
        }
        Ok(())
    }
}

/// What a block of the provider's own grows by.
fn grown(delta: &RawValue) -> Box<RawValue> {
    let mut object = RawObject::default();
    object.set("delta", delta.to_owned());
    raw(&object)
}
