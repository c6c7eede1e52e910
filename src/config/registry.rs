//! `registry:`: how changes of upstream definitions are noticed, and what becomes of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::{Span, Text};
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
    /// Where it stands what is approved: in the gateway's own `database`, or in a `lock` file that people review and commit.
    pub source: Source,
    /// The lock file; relative to this file.
    pub lock: Text,
    /// How strictly calls are held up to the release that the caller was shown: `off`, `warn` or `enforce`.
    pub validate: Checks,
    #[serde(skip)]
    base: PathBuf,
}

/// Where it stands what is approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// In the gateway's database; `portolan registry approve` and `reject` change it.
    #[default]
    Database,
    /// In the lock file, and nowhere else; `portolan registry lock` writes it.
    Lock,
}

impl Registry {
    pub(super) fn rebase(&mut self, base: &Path) {
        base.clone_into(&mut self.base);
    }

    /// Where the lock file is.
    pub fn lock_file(&self) -> PathBuf {
        self.base.join(&*self.lock)
    }

    /// The lock file, where it says what is approved.
    pub fn locked_by(&self) -> Option<PathBuf> {
        (self.source == Source::Lock).then(|| self.lock_file())
    }

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
            source: Source::default(),
            lock: Text::from("portolan.lock"),
            validate: Checks::default(),
            base: PathBuf::new(),
        }
    }
}
