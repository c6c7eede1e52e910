//! What the tests stand on: a gateway that really runs, a provider and MCP servers that say what a
//! test wants them to say, and a client so plain that it hides nothing.
//!
//! Everything talks over sockets and processes, as users do; nothing reaches into the library.

mod anthropic;
pub mod authority;
mod collector;
mod door;
mod exacting;
mod gateway;
pub mod issuer;
mod mcp_client;
mod mcp_upstream;
pub mod official;
mod prompt_cache;
mod provider;
mod puppet;
mod seen;
mod wait;
mod web;

pub use anthropic::tool_use;
pub use collector::{Collector, Spanned};
pub use door::{Door, as_stream};
pub use gateway::{Cli, TestGateway};
pub use issuer::Issuer;
pub use mcp_client::{Answer, Events, Modern, REVISION_MODERN, Session, http, initialize, modern, post, session};
pub use mcp_upstream::{McpUpstream, Speaks, tool};
pub use prompt_cache::Cached;
pub use provider::{Reply, StubProvider};
pub use puppet::{Call, Manner, Puppet, form, named, question, saying};
pub use seen::Seen;
pub use wait::{PATIENCE, settles, until, within};
pub use web::{Page, WebServer};

/// The command of the demo server, as a configuration writes it.
pub const DEMO: &str = "[portolan, demo-server]";

/// The text of a tool result's first content block.
pub fn text_of(result: &serde_json::Value) -> &str {
    result.pointer("/content/0/text").and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// The `name` of every item.
pub fn names(items: &[serde_json::Value]) -> Vec<&str> {
    items.iter().filter_map(|item| item.get("name")?.as_str()).collect()
}

/// The body of a chat completion with one user message.
pub fn chat(model: &str, text: &str) -> serde_json::Value {
    serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

/// The same, streamed.
pub fn streamed(model: &str, text: &str) -> serde_json::Value {
    let mut body = chat(model, text);
    body["stream"] = true.into();
    body
}
