//! `registry:`: how changes of upstream definitions are noticed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Span;

/// How changes of upstream definitions are noticed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How often the definitions of each server are read again, beside its own notices of change.
    pub refresh: Span,
}

impl Default for Registry {
    fn default() -> Self {
        Self { refresh: Span(Duration::from_secs(600)) }
    }
}
