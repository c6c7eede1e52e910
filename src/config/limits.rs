//! `limits:`: how far anything may go.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Size, Span};

/// How far anything may go before the gateway stops it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body on `/v1`; `/mcp` takes at most 4 MiB of it.
    pub body: Size,
    /// Model turns in one agent loop.
    pub tool_turns: NonZeroU32,
    /// The longest one tool call may take.
    pub tool_timeout: Span,
    /// The longest one completion may take, its agent loop included.
    pub completion: Span,
    /// The longest silence of a streaming provider.
    pub stream_idle: Span,
    /// How long requests in flight may still run once the gateway was told to stop.
    pub drain: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size(20 << 20),
            tool_turns: NonZeroU32::MIN.saturating_add(9),
            tool_timeout: Span(Duration::from_secs(60)),
            completion: Span(Duration::from_secs(600)),
            stream_idle: Span(Duration::from_secs(60)),
            drain: Span(Duration::from_secs(30)),
        }
    }
}
