//! The dialects that clients and providers speak, and what can be done in each.
//!
//! To add one: a folder beside `chat`, and its arm in each `match` here.

use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::answer::{Answer, Piece};
use super::conversation::{Conversation, Function, Turn, Wrong};
use super::error::{Error, Refusal};
use super::request::Request;
use super::{chat, messages, responses};
use crate::domain::{RawObject, Usage, clip, raw};
use crate::net::Event;

/// A dialect of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's Chat Completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// OpenAI's Responses.
    Responses,
}

/// What an event of a stream means for its end.
pub(super) enum Verdict {
    /// The stream goes on.
    Goes,
    /// All is said; the connection may close.
    Finished,
    /// It has ended; the event says so and is part of the answer.
    Ends,
    /// It has ended; the event is no part of the answer.
    Done,
    /// The provider failed.
    Failed(Refusal),
}

impl Dialect {
    /// The member of a request that holds the conversation.
    pub fn list(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Responses => "input",
        }
    }

    /// The path below a provider's base address.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Messages => "/messages",
            Self::Responses => "/responses",
        }
    }

    /// Refuses what could do harm or waste a call; nothing is changed.
    pub(super) fn check(self, body: &RawObject<'_>, plain: bool) -> Result<(), Wrong> {
        match self {
            Self::Chat => chat::check(body, plain),
            Self::Messages => messages::check(body, false),
            Self::Responses => responses::check(body),
        }
    }

    /// Whether a conversation is seen at once to be right, as most are; [`Self::check`] finds out about the others.
    pub(super) fn is_plain(self, list: &str) -> bool {
        self == Self::Chat && chat::is_plain(list)
    }

    /// Reads a request that another dialect shall carry.
    pub fn read(self, body: &RawObject<'_>) -> Result<Conversation, Wrong> {
        match self {
            Self::Chat => chat::read(body),
            Self::Messages => messages::read(body),
            Self::Responses => responses::read(body),
        }
    }

    /// Turns as items of the conversation.
    pub fn items(self, turns: &[Turn]) -> Vec<Box<RawValue>> {
        match self {
            Self::Chat => chat::items(turns),
            Self::Messages => messages::items(turns),
            Self::Responses => responses::items(turns),
        }
    }

    /// A function as a tool of a request.
    pub fn tool(self, function: &Function) -> Box<RawValue> {
        match self {
            Self::Chat => chat::tool(function),
            Self::Messages => messages::tool(function),
            Self::Responses => responses::tool(function),
        }
    }

    /// The pieces of a whole answer.
    pub fn answer(self, body: &RawObject<'_>) -> Result<Vec<Piece>, Error> {
        match self {
            Self::Chat => chat::read_answer(body),
            Self::Messages => messages::read_answer(body),
            Self::Responses => Err(Error::Protocol("it came in a dialect that is only passed on")),
        }
    }

    /// Usage in the dialect's words.
    pub fn usage(self, usage: &Usage) -> Box<RawValue> {
        match self {
            Self::Chat => chat::usage(usage),
            Self::Messages => raw(&messages::usage(usage)),
            Self::Responses => raw(&responses::usage(usage)),
        }
    }

    /// The member of an answer that holds what was said.
    pub fn said(self) -> &'static str {
        match self {
            Self::Chat => "choices",
            Self::Messages => "content",
            Self::Responses => "output",
        }
    }

    /// A reader of a stream; none for a dialect that is only passed on.
    pub fn reader(self) -> Option<Reader> {
        match self {
            Self::Chat => Some(Reader::Chat(chat::Reader::default())),
            Self::Messages => Some(Reader::Messages(messages::Reader::default())),
            Self::Responses => None,
        }
    }

    /// What an event means for the end of its stream.
    pub(super) fn verdict(self, event: &Event, data: &str) -> Verdict {
        match self {
            Self::Chat => chat_verdict(event, data),
            Self::Messages | Self::Responses => typed_verdict(data),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
        })
    }
}

fn chat_verdict(event: &Event, data: &str) -> Verdict {
    if data.trim() == "[DONE]" {
        return Verdict::Done;
    }
    match error_in(data.as_bytes()) {
        Some(refusal) => Verdict::Failed(refusal),
        None if event.data.is_some() && finishes(data) => Verdict::Finished,
        None => Verdict::Goes,
    }
}

/// Words that stand in every event that may end a stream of typed events.
static ENDS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| ["message_stop", "error", "response."].map(Finder::new));

fn typed_verdict(data: &str) -> Verdict {
    // The types that end a stream are few, and most events have none of their names in them.
    if data.trim() == "[DONE]" {
        return Verdict::Done;
    }
    if !ENDS.iter().any(|name| name.find(data.as_bytes()).is_some()) {
        return Verdict::Goes;
    }
    let kind = RawObject::parse(data).ok().and_then(|event| event.string("type"));
    match kind.as_deref() {
        Some("message_stop" | "response.completed" | "response.incomplete" | "response.failed") => Verdict::Ends,
        Some("error") | None => error_in(data.as_bytes()).map_or(Verdict::Goes, Verdict::Failed),
        Some(_) => Verdict::Goes,
    }
}

/// The error in an event, or in a body, that is one.
pub(super) fn error_in(data: &[u8]) -> Option<Refusal> {
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
    ERROR.find(data)?;
    let data = std::str::from_utf8(data).ok()?;
    let object = RawObject::parse(data).ok()?;
    let typed = object.string("type").as_deref() == Some("error");
    let error = match object.get("error").filter(|error| error.get() != "null") {
        Some(error) => error,
        None if typed => return Some(refusal(&serde_json::from_str(data).ok()?)),
        None => return None,
    };
    // A response that failed is passed on as it is. An answer of another dialect with an error is none.
    if object.has("output") || matches!(error.get(), "{}" | "\"\"" | "false") {
        return None;
    }
    Some(refusal(&serde_json::from_str(error.get()).ok()?))
}

fn refusal(error: &serde_json::Value) -> Refusal {
    let text = |key: &str| error.get(key).and_then(|value| value.as_str()).map(|text| clip(text, 500));
    let message = text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| "it gave no reason".to_owned());
    let number = error.get("code").filter(|code| code.is_u64()).map(ToString::to_string);
    Refusal { message, code: text("code").or(number).or_else(|| text("type")), param: None }
}

/// Whether a chunk gives a reason for the answer's end.
fn finishes(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Chunk {
        #[serde(default)]
        choices: Vec<Choice>,
    }
    #[derive(serde::Deserialize)]
    struct Choice {
        finish_reason: Option<serde::de::IgnoredAny>,
    }
    // Most chunks say `null` or nothing, and are not parsed for it.
    static REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
    let Some(at) = REASON.find(data.as_bytes()) else { return false };
    let value = data.get(at + 15..).unwrap_or_default().trim_start_matches([':', ' ']);
    if value.starts_with("null") && REASON.find_iter(data.as_bytes()).take(2).count() == 1 {
        return false;
    }
    serde_json::from_str::<Chunk>(data).is_ok_and(|chunk| chunk.choices.iter().any(|choice| choice.finish_reason.is_some()))
}

/// Reads one stream of a dialect; it remembers what later events refer to.
pub enum Reader {
    /// Of Chat Completions.
    Chat(chat::Reader),
    /// Of Messages.
    Messages(messages::Reader),
}

impl Reader {
    /// Reads one event's data; it may be no piece, or several.
    pub fn event(&mut self, data: &str, out: &mut Vec<Piece>) -> Result<(), Error> {
        match self {
            Self::Chat(reader) => reader.event(data, out),
            Self::Messages(reader) => reader.event(data, out),
        }
    }
}

/// Writes one answer in the dialect of the request it answers.
pub enum Writer {
    /// Of Chat Completions.
    Chat(chat::Writer),
    /// Of Messages.
    Messages(messages::Writer),
    /// Of Responses.
    Responses(Box<responses::Writer>, responses::Frame),
}

impl Writer {
    /// A writer of the answer to a request, as the client sent it.
    pub(super) fn new(request: &Request) -> Self {
        match request.dialect() {
            Dialect::Chat => Self::Chat(chat::Writer::new(request)),
            Dialect::Messages => Self::Messages(messages::Writer::default()),
            Dialect::Responses => {
                let frame = responses::Frame::new(&request.object());
                Self::Responses(Box::new(responses::Writer::new(frame.clone())), frame)
            }
        }
    }

    /// Writes what a piece is to the client.
    pub fn piece(&mut self, piece: Piece, out: &mut String) {
        match self {
            Self::Chat(writer) => writer.piece(piece, out),
            Self::Messages(writer) => writer.piece(piece, out),
            Self::Responses(writer, _) => writer.piece(piece, out),
        }
    }

    /// Writes the end of a stream; `total` is the usage of all turns together, where there were several.
    pub fn end(&mut self, total: Option<Usage>, report: Option<&serde_json::Value>, out: &mut String) {
        match self {
            Self::Chat(writer) => writer.end(total, report, out),
            Self::Messages(writer) => writer.end(total, report, out),
            Self::Responses(writer, _) => writer.end(total, report, out),
        }
    }

    /// A whole answer.
    pub fn whole(&self, answer: &Answer) -> RawObject<'static> {
        match self {
            Self::Chat(_) => chat::whole(answer),
            Self::Messages(_) => messages::whole(answer),
            Self::Responses(_, frame) => responses::whole(frame, answer),
        }
    }

    /// The id of a response that can be gone on from.
    pub fn response_id(&self) -> Option<&str> {
        match self {
            Self::Responses(_, frame) => Some(&frame.id),
            Self::Chat(_) | Self::Messages(_) => None,
        }
    }

    /// A response's id and the number of its next event.
    pub fn place(&self) -> Option<(String, u64)> {
        match self {
            Self::Responses(writer, frame) => Some((frame.id.clone(), writer.next_number())),
            Self::Chat(_) | Self::Messages(_) => None,
        }
    }

    /// The output of a streamed response.
    pub fn output(&self) -> Vec<Box<RawValue>> {
        match self {
            Self::Responses(writer, _) => writer.output(),
            Self::Chat(_) | Self::Messages(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_from_a_word_that_looks_like_one() {
        let goes =
            |text: &str| matches!(chat_verdict(&Event { data: Some(text.to_owned().into()), ..Event::default() }, text), Verdict::Goes);
        assert!(goes(r#"{"choices":[{"delta":{"content":"finish_reason"},"finish_reason":null}]}"#));
        assert!(!goes(r#"{"choices":[{"finish_reason": "stop"}]}"#));
        assert!(!goes(r#"{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}"#));
        assert!(matches!(typed_verdict(r#"{"type":"content_block_delta","delta":{"text":"message_stop error"}}"#), Verdict::Goes));
        assert!(matches!(typed_verdict(r#"{"type":"message_stop" }"#), Verdict::Ends));
        assert!(matches!(typed_verdict(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#), Verdict::Failed(_)));
    }
}
