//! `context:`: what can be put into completions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Error;
use super::value::{Span, Text};
use crate::domain::ServerName;

/// What can be put into completions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// Sources by name.
    pub sources: BTreeMap<String, Source>,
    /// How long one completion waits for all its sources together.
    pub deadline: Span,
}

impl Default for Context {
    fn default() -> Self {
        Self { sources: BTreeMap::new(), deadline: Span(Duration::from_secs(5)) }
    }
}

/// One source: a `resource` or a `prompt` of a `server`, or a `file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The MCP server to ask.
    pub server: Option<ServerName>,
    /// A resource of that server, by its own URI.
    pub resource: Option<Text>,
    /// A prompt of that server.
    pub prompt: Option<Text>,
    /// Arguments of the prompt.
    #[serde(default)]
    pub arguments: BTreeMap<String, Text>,
    /// A text file, relative to the configuration.
    pub file: Option<PathBuf>,
    /// How long a fetched text is used again.
    #[serde(default = "minute")]
    pub ttl: Span,
    /// What happens when it cannot be had: the completion goes on without it, or fails.
    #[serde(default)]
    pub on_error: OnError,
}

/// What a source that cannot be had does to a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The completion goes on without it, and its report says so.
    #[default]
    Skip,
    /// The completion is refused.
    Fail,
}

fn minute() -> Span {
    Span(Duration::from_secs(60))
}

impl Source {
    pub(super) fn rebase(&mut self, base: &Path) {
        if let Some(file) = &mut self.file {
            *file = base.join(&*file);
        }
    }

    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        let kinds = [self.resource.is_some(), self.prompt.is_some(), self.file.is_some()];
        let at = format!("context.sources.{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(Error::wrong(at, "a source's name is made of letters, digits, `-`, `_` and `.`"));
        }
        if kinds.iter().filter(|on| **on).count() != 1 {
            return Err(Error::wrong(at, "needs exactly one of `resource`, `prompt` and `file`"));
        }
        if self.file.is_none() && self.server.is_none() {
            return Err(Error::wrong(format!("{at}.server"), "is needed with `resource` and `prompt`"));
        }
        Ok(())
    }
}
