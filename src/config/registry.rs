//! `registry:`: how changes of upstream definitions are noticed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::Span;

/// The shortest time between two looks at a server.
const LEAST: Duration = Duration::from_millis(100);

/// How changes of upstream definitions are noticed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How often the definitions of each server are read again, beside its own notices of change; at least `100ms`.
    pub refresh: Span,
}

impl Registry {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.refresh.0 < LEAST {
            return Err(Error::wrong("registry.refresh", "would ask servers without a pause; write `100ms` or more"));
        }
        Ok(())
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self { refresh: Span(Duration::from_secs(600)) }
    }
}
