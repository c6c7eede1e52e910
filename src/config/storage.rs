//! `storage:`: where state is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::value::{Span, Text};

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// `sqlite:PATH`; without it, `portolan.db` in the data directory.
    url: Option<Text>,
    /// How long responses are kept that clients go on from by `previous_response_id`; `0s` keeps none.
    pub responses: Span,
    #[serde(skip)]
    base: PathBuf,
}

impl Default for Storage {
    fn default() -> Self {
        Self { url: None, responses: Span(Duration::from_secs(7 * 24 * 60 * 60)), base: PathBuf::new() }
    }
}

impl Storage {
    pub(super) fn rebase(&mut self, base: &Path) {
        base.clone_into(&mut self.base);
    }

    /// Whether the file says where the database is.
    pub fn is_named(&self) -> bool {
        self.url.is_some()
    }

    /// The database file.
    pub fn file(&self, data_dir: &Path) -> Result<PathBuf, Error> {
        let Some(url) = &self.url else { return Ok(data_dir.join("portolan.db")) };
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(self.base.join(path.trim_start_matches("//"))),
            _ => Err(Error::wrong("storage.url", "only `sqlite:PATH` is supported")),
        }
    }
}
