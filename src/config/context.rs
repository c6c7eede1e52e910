//! `context:`: what can be put into completions.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::Error;
use super::source::Source;
use super::value::Span;

/// What can be put into completions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// Sources by name.
    pub sources: BTreeMap<String, Source>,
    /// How long one completion waits for all its sources together.
    pub deadline: Span,
    /// Most tokens that all sources of one completion may have together; given out in their order.
    pub max_tokens: NonZeroU32,
}

impl Default for Context {
    fn default() -> Self {
        let max_tokens = NonZeroU32::MIN.saturating_add(31_999);
        Self { sources: BTreeMap::new(), deadline: Span(Duration::from_secs(5)), max_tokens }
    }
}

impl Context {
    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, source) in &self.sources {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
                let at = format!("context.sources.{name}");
                return Err(Error::wrong(at, "a source's name is made of letters, digits, `-`, `_` and `.`"));
            }
            source.check(&format!("context.sources.{name}"))?;
        }
        Ok(())
    }
}
