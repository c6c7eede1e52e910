//! `journal:`: what is on record.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::Span;

/// What is on record. Acts of administration always are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// Whether completions and calls of tools are.
    pub traffic: bool,
    /// Whether completions and calls are refused while they cannot be put on record, as when the disk is full.
    pub required: bool,
    /// How long entries are kept; the oldest go before that once there are five million.
    pub keep: Span,
}

impl Default for Journal {
    fn default() -> Self {
        Self { traffic: true, required: false, keep: Span(Duration::from_secs(30 * 24 * 60 * 60)) }
    }
}

impl Journal {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.required && !self.traffic {
            return Err(Error::wrong("journal.required", "needs `traffic: true`, or nothing would ever be answered"));
        }
        if self.keep.0 < Duration::from_secs(60) {
            return Err(Error::wrong("journal.keep", "must be a minute or more"));
        }
        Ok(())
    }
}
