//! `telemetry:`: logs.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Text;

/// Logs. They go to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter in `tracing`'s words.
    pub log: Text,
    /// `text` or `json`; by default text on a terminal and JSON otherwise.
    pub format: Option<Format>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".into(), format: None }
    }
}
