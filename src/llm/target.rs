//! Who answers.

use std::fmt;
use std::time::Duration;

/// One provider's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The provider.
    pub provider: String,
    /// Its own name of the model.
    pub model: String,
    /// How long it may take until its answer begins, where the operator said so.
    pub timeout: Option<Duration>,
}

impl Target {
    /// A target that may take as long as any.
    pub fn new(provider: &str, model: &str) -> Self {
        Self { provider: provider.to_owned(), model: model.to_owned(), timeout: None }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}
