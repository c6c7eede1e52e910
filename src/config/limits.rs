//! `limits:`: how far anything may go.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::models::check_retries;
use super::value::{Size, Span};

/// How far anything may go before the gateway stops it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body on `/v1`; `/mcp` takes at most 4 MiB of it.
    pub body: Size,
    /// Completions, embeddings and calls of tools that a caller may ask for in a minute, where its key says nothing else.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens that a caller's completions and embeddings may take in a minute, where its key says nothing else.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Model turns in one agent loop.
    pub tool_turns: NonZeroU32,
    /// The longest one tool call may take.
    pub tool_timeout: Span,
    /// The longest one completion may take, its agent loop included.
    pub completion: Span,
    /// The longest silence of a streaming provider.
    pub stream_idle: Span,
    /// Extra attempts at a target that fails or is out of its rate, at most 5.
    pub retries: u32,
    /// Failures in a row after which a target is left out for a while.
    pub breaker_failures: NonZeroU32,
    /// How long it is left out at first; longer each time that it fails again.
    pub breaker_open: Span,
    /// How long requests in flight may still run once the gateway was told to stop.
    pub drain: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size(20 << 20),
            requests_per_minute: None,
            tokens_per_minute: None,
            tool_turns: NonZeroU32::MIN.saturating_add(9),
            tool_timeout: Span(Duration::from_secs(60)),
            completion: Span(Duration::from_secs(600)),
            stream_idle: Span(Duration::from_secs(60)),
            retries: 1,
            breaker_failures: NonZeroU32::MIN.saturating_add(4),
            breaker_open: Span(Duration::from_secs(5)),
            drain: Span(Duration::from_secs(30)),
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_retries(self.retries, || "limits.retries".to_owned())
    }
}
