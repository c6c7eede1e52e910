//! `registry:`: how changes of upstream definitions are noticed, and what becomes of them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::Span;
use crate::domain::{Checks, OnChange, Profile, Review};

/// The shortest time between two looks at a server.
const LEAST: Duration = Duration::from_millis(100);

/// How changes of upstream definitions are noticed, and what becomes of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// How often the definitions of each server are read again, beside its own notices of change; at least `100ms`.
    pub refresh: Span,
    /// What becomes of each class of change: `laptop`, `team`, `locked`, or `observe`.
    pub profile: Profile,
    /// Verdicts that differ from the profile's.
    pub on_change: OnChange,
    /// How strictly calls are held up to the release that the caller was shown: `off`, `warn` or `enforce`.
    pub validate: Checks,
}

impl Registry {
    /// How changes are judged, unless a server has its own way.
    pub fn review(&self) -> Review {
        Review { profile: Some(self.profile), on_change: self.on_change, validate: self.validate }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.refresh.0 < LEAST {
            return Err(Error::wrong("registry.refresh", "would ask servers without a pause; write `100ms` or more"));
        }
        Ok(())
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            refresh: Span(Duration::from_secs(600)),
            profile: Profile::default(),
            on_change: OnChange::default(),
            validate: Checks::default(),
        }
    }
}
