//! Who answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One provider's model. Cheap to clone: each request carries it through routing, breakers, metrics and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `provider/model`.
    name: Arc<str>,
    /// How long the provider's name is.
    provider: usize,
    /// How long it may take until its answer begins, where the operator said so.
    pub timeout: Option<Duration>,
}

impl Target {
    /// A target that may take as long as any.
    pub fn new(provider: &str, model: &str) -> Self {
        Self { name: format!("{provider}/{model}").into(), provider: provider.len(), timeout: None }
    }

    /// The provider.
    pub fn provider(&self) -> &str {
        self.name.get(..self.provider).unwrap_or_default()
    }

    /// The provider's own name of the model.
    pub fn model(&self) -> &str {
        self.name.get(self.provider + 1..).unwrap_or_default()
    }

    /// Both, as callers may write them.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
