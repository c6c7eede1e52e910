//! LLM providers: who they are, which of them answers, and how bytes get there and back.
//!
//! Clients and providers speak dialects: Chat Completions, Messages, Responses. Where both speak the
//! same one, bytes pass as they are; where they do not, the request takes the form of `conversation.rs`
//! and the answer that of `answer.rs`, so that each dialect is read and written once.
//!
//! A provider says what it speaks and never sends; `send.rs` sends for all. To add one: `llm/<name>.rs`
//! and one arm in `providers.rs`, or one line of data in `config/providers.rs` if it speaks like OpenAI.

mod answer;
mod anthropic;
mod chat;
mod conversation;
mod declared;
mod dialect;
mod dispatch;
mod echo;
mod error;
mod fields;
mod lists;
mod media;
mod members;
mod messages;
mod openai;
mod place;
mod provider;
mod providers;
mod request;
mod responses;
mod routing;
mod seals;
mod send;
mod target;
mod traced;
mod translate;
mod verdict;

pub use answer::{Answer, Piece};
pub use conversation::{Call, Function, Listed, Part, Ran, Role, Turn, Wrong};
pub use dialect::Dialect;
pub use dispatch::Writer;
pub use error::Error;
pub use place::{beside, with_thoughts};
pub use provider::{Body, Endpoint, Events, Reply};
pub use providers::Providers;
pub use request::Request;
pub use routing::{Explanation, Facts, Permit, Route, Router, Unknown, pause};
pub use target::Target;
