//! A request in nobody's words: what every dialect can say, so that each is translated once and not once per other.
//!
//! A request that goes to a provider of its own dialect never takes this form: it keeps its bytes.

use serde_json::value::RawValue;

use super::dialect::Dialect;
use crate::domain::{RawObject, clip};

/// A completion that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// What stands before all turns.
    pub system: Vec<Part>,
    /// Who said what, in order.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub functions: Vec<Function>,
    /// Which of them it must call.
    pub choice: Option<Choice>,
    /// Whether it may call several at once.
    pub parallel: Option<bool>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// Sampling, as it was written.
    pub temperature: Option<Box<RawValue>>,
    /// Nucleus sampling, as it was written.
    pub top_p: Option<Box<RawValue>>,
    /// Sampling among so many tokens.
    pub top_k: Option<Box<RawValue>>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How much it thinks before it answers.
    pub thinking: Option<Thinking>,
    /// The shape of the answer.
    pub format: Option<Format>,
    /// A name of the end user that tells nothing about them.
    pub user: Option<String>,
    /// What requests share whose beginnings a provider shall cache together.
    pub cache_key: Option<String>,
    /// Whether it comes as a stream.
    pub stream: bool,
    /// Fields that this form does not hold, by their names.
    pub lost: Vec<String>,
}

/// What one side said.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// What.
    pub parts: Vec<Part>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the middle of a conversation.
    System,
    /// The client, and what tools answered.
    User,
    /// The model.
    Assistant,
}

/// Something that was said.
#[derive(Clone, Debug)]
pub enum Part {
    /// A text, with the marker that ends a stretch the provider shall cache.
    Text(String, Option<Box<RawValue>>),
    /// An image.
    Image(Source),
    /// A document, with its name.
    File(Source, Option<String>),
    /// A call of a function: its id, the function, its arguments as JSON text.
    Call(Call),
    /// What a call was answered with.
    Result {
        /// The id of the call.
        call: String,
        /// The answer.
        parts: Vec<Part>,
        /// Whether it is an error.
        failed: bool,
        /// The marker that ends a stretch the provider shall cache.
        cache: Option<Box<RawValue>>,
    },
    /// What the model thought, and the seal that lets it read it again.
    Thinking(String, Option<String>),
    /// The same, sealed as a whole.
    Redacted(String),
    /// That it will not answer.
    Refusal(String),
    /// A call that the gateway runs itself, where it begins.
    Runs(Box<Ran>),
    /// The same, and what came of it.
    Ran(Box<Ran>),
    /// The tools of a server that the client named.
    Listed(Box<Listed>),
    /// What only this dialect has.
    Native(Dialect, Box<RawValue>),
}

/// A function call of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The id its result must name.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, a text that should be JSON.
    pub arguments: String,
}

/// A call that the gateway ran.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The call, its name as the provider was told it.
    pub call: Call,
    /// The server, and the tool's name there.
    pub server: String,
    /// The tool's own name.
    pub tool: String,
    /// The answer, or why there is none.
    pub outcome: Result<String, String>,
    /// Whether the client asked for the tool by naming its server, and so is told of the call.
    pub shown: bool,
}

/// The tools of a server that a client named in its request.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The server.
    pub server: String,
    /// Its tools: name, description and `input_schema` of each.
    pub tools: Vec<Box<RawValue>>,
}

/// Where an image or a document is.
#[derive(Clone, Debug)]
pub enum Source {
    /// At an address.
    Url(String),
    /// Here: its media type, and its bytes in base64.
    Data(String, String),
    /// At the provider, by its id.
    Id(String),
}

/// A function that a model may call.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub schema: Option<Box<RawValue>>,
    /// Whether the arguments must keep to it.
    pub strict: Option<bool>,
    /// The marker that ends a stretch the provider shall cache.
    pub cache: Option<Box<RawValue>>,
}

/// Which functions a model must call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Function(String),
}

/// How much a model thinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// As much as it finds right, up to an effort: `low`, `medium`, `high` …
    Effort(String),
    /// At most so many tokens.
    Budget(u64),
    /// As much as it finds right.
    Adaptive,
}

/// The shape of an answer.
#[derive(Clone, Debug)]
pub enum Format {
    /// Any JSON object.
    Object,
    /// What a JSON Schema says.
    Schema {
        /// The schema's name.
        name: String,
        /// The schema.
        schema: Box<RawValue>,
        /// Whether the answer must keep to it.
        strict: Option<bool>,
    },
}

/// A field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, and how to mend it.
    pub why: String,
    /// The field.
    pub param: Option<String>,
}

impl Wrong {
    /// A field that is wrong.
    pub fn at(param: impl Into<String>, why: impl Into<String>) -> Self {
        Self { why: why.into(), param: Some(param.into()) }
    }
}

impl Part {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into(), None)
    }

    /// All text in some parts.
    pub fn texts(parts: &[Self]) -> String {
        let texts = parts.iter().filter_map(|part| match part {
            Self::Text(text, _) => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

impl Conversation {
    /// Everything that was said, what tools answered included.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let all = self.system.iter().chain(self.turns.iter().flat_map(|turn| &turn.parts));
        all.flat_map(|part| {
            let inner = if let Part::Result { parts, .. } = part { parts.as_slice() } else { &[] };
            std::iter::once(part).chain(inner)
        })
    }

    /// Refuses what only another dialect has: left out, the model would answer something else.
    pub fn only_of(&self, dialect: Dialect) -> Result<(), Wrong> {
        let foreign = |part: &Part| match part {
            Part::Native(own, raw) if *own != dialect => RawObject::parse(raw.get()).ok()?.string("type"),
            _ => None,
        };
        match self.parts().find_map(foreign) {
            None => Ok(()),
            Some(kind) => Err(Wrong::at("messages", format!("this model cannot be given a part of type `{}`", clip(&kind, 40)))),
        }
    }

    /// Adds what somebody said; what one side says in a row is one turn.
    pub fn say(&mut self, role: Role, parts: Vec<Part>) {
        match self.turns.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts }),
        }
    }
}
