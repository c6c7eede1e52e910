//! Why a schema cannot be told to a provider.

use std::fmt;

use crate::domain::clip;

/// Why a tool cannot be offered, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unfit {
    /// JSON Pointer to the place in the schema; empty for the whole.
    pub at: String,
    /// What is wrong there.
    pub why: String,
}

impl Unfit {
    pub(super) fn new(at: &str, why: impl Into<String>) -> Self {
        Self { at: at.to_owned(), why: why.into() }
    }

    /// A schema that is more than can be worked on.
    pub(super) fn large() -> Self {
        Self::new("", "is too large when its references are written out")
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            write!(f, "its schema {}", self.why)
        } else {
            write!(f, "`{}` of its schema {}", clip(&self.at, 200), self.why)
        }
    }
}
