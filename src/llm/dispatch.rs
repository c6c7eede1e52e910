//! What can be done in each dialect: an arm for each folder.

use serde_json::value::RawValue;

use super::answer::{Answer, Piece};
use super::conversation::{Conversation, Function, Turn, Wrong};
use super::dialect::Dialect;
use super::error::Error;
use super::request::Request;
use super::{chat, messages, responses};
use crate::domain::{RawObject, Usage, raw};

impl Dialect {
    /// Refuses what could do harm or waste a call; nothing is changed.
    pub(super) fn check(self, body: &RawObject<'_>, plain: bool) -> Result<(), Wrong> {
        match self {
            Self::Chat => chat::check(body, plain),
            Self::Messages => messages::check(body, false),
            Self::Responses => responses::check(body),
        }
    }

    /// Whether a conversation is seen at once to be right, as most are; [`Self::check`] finds out about the others.
    pub(super) fn is_plain(self, request: &Request) -> bool {
        self == Self::Chat && request.said().is_ok_and(|messages| chat::is_plain(&messages))
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

    /// A reader of a stream; none for a dialect that is only passed on.
    pub fn reader(self) -> Option<Reader> {
        match self {
            Self::Chat => Some(Reader::Chat(chat::Reader::default())),
            Self::Messages => Some(Reader::Messages(messages::Reader::default())),
            Self::Responses => None,
        }
    }
}

impl Request {
    /// A writer of its answer.
    pub fn writer(&self) -> Writer {
        Writer::new(self)
    }
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
    fn new(request: &Request) -> Self {
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
