//! LLM providers: who they are, which of them answers, and how bytes get there and back.
//!
//! A provider translates and never sends; `send.rs` sends for all. To add one: `llm/<name>.rs` and one
//! arm in `providers.rs`, or one line of data in `config/providers.rs` if it speaks OpenAI's dialect.

mod echo;
mod error;
mod message;
mod openai;
mod provider;
mod providers;
mod route;
mod send;
mod target;

pub use error::Error;
pub use message::{ChatRequest, ToolCall, answer_calls, error_event};
pub use provider::{Endpoint, Events, Reply};
pub use providers::Providers;
pub use route::{Route, Router, Unknown};
pub use target::Target;
