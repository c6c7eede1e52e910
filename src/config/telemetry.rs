//! `telemetry:`: logs and traces.

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::error::Error;
use super::otlp::Otlp;
use super::value::Text;

/// Logs, which go to standard error, and traces.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter in `tracing`'s words.
    pub log: Text,
    /// `text` or `json`; by default text on a terminal and JSON otherwise.
    pub format: Option<Format>,
    /// Where traces go; nowhere without it.
    pub otlp: Option<Otlp>,
}

impl Telemetry {
    /// What is logged.
    ///
    /// # Errors
    /// When the text is neither a level nor a filter.
    pub fn filter(&self) -> Result<EnvFilter, Error> {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let word = self.log.chars().all(char::is_alphanumeric);
        let known = !word || levels.iter().any(|level| level.eq_ignore_ascii_case(&self.log));
        let filter = EnvFilter::try_new(&*self.log).ok().filter(|_| known);
        let wrong = || {
            Error::wrong(
                "telemetry.log",
                format!("`{}` is no level; write one of {}, or a filter such as `info,portolan=debug`", self.log, levels.join(", ")),
            )
        };
        filter.ok_or_else(wrong)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.filter()?;
        self.otlp.as_ref().map_or(Ok(()), Otlp::check)
    }
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
        Self { log: "info".into(), format: None, otlp: None }
    }
}
