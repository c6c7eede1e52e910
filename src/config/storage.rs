//! `storage:`: where state is kept.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Text;

/// Where state is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// `sqlite:PATH`; without it, `portolan.db` in the data directory.
    url: Option<Text>,
    #[serde(skip)]
    base: PathBuf,
}

impl Storage {
    pub(super) fn rebase(&mut self, base: &Path) {
        base.clone_into(&mut self.base);
    }

    /// The database file.
    pub fn file(&self, data_dir: &Path) -> Result<PathBuf, super::Error> {
        let Some(url) = &self.url else { return Ok(data_dir.join("portolan.db")) };
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(self.base.join(path.trim_start_matches("//"))),
            _ => Err(super::Error::wrong("storage.url", "only `sqlite:PATH` is supported")),
        }
    }
}
