//! What came of a source: its text with all that is known of it, or why there is none.

use std::sync::{Arc, OnceLock};

use crate::config::{Refresh, Sharing, Trust};
use crate::domain::Digest;
use crate::policy::Blocked;

/// A text from a source, with where it came from.
#[derive(Debug)]
pub struct Fetched {
    /// The text.
    pub text: String,
    /// Its digest.
    pub digest: Digest,
    /// The beginning of its digest, as people are shown it.
    pub mark: String,
    /// Where it came from: a file, a host, or a server and what was asked of it.
    pub origin: String,
    /// How far it is trusted.
    pub trust: Trust,
    /// How many tokens it has.
    pub tokens: usize,
    /// Whether it was longer and was cut.
    pub cut: bool,
    /// What is made of it for requests; once, for it is put into many.
    prepared: OnceLock<String>,
}

impl Fetched {
    pub(super) fn new(text: String, tokens: usize, cut: bool, origin: String, trust: Trust) -> Self {
        let digest = Digest::of("portolan/context", text.as_bytes());
        Self { text, digest, mark: digest.short(), origin, trust, tokens, cut, prepared: OnceLock::new() }
    }

    /// How many bytes it takes, with what is made of it.
    pub fn weight(&self) -> usize {
        self.text.len() + self.prepared.get().map_or(self.text.len(), String::len) + self.origin.len()
    }

    /// What was made of the text for requests, or is made now.
    pub fn prepared(&self, make: impl FnOnce(&Self) -> String) -> &str {
        self.prepared.get_or_init(|| make(self))
    }
}

/// How one source fared in one completion.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The source.
    pub source: Arc<str>,
    /// Its text, or why there is none.
    pub text: Result<Arc<Fetched>, String>,
    /// Whether the text was at hand.
    pub cached: bool,
    /// Whether the text is older than it should be, because a newer one could not be had.
    pub stale: bool,
    /// When the operator wants it fetched anew.
    pub refresh: Refresh,
    /// Who shares the text.
    pub sharing: Sharing,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// Why context stops a completion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No source of that name.
    #[error("there is no context source `{name}`{}", there_are(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The caller may not use it.
    #[error("the context source `{0}` is not for this caller")]
    Forbidden(String),
    /// It failed, and the operator wants that to stop completions.
    #[error("the context source `{source_name}` failed: {why}")]
    Failed {
        /// The source.
        source_name: String,
        /// Why.
        why: String,
    },
    /// The operator has blocked what it is for.
    #[error(transparent)]
    Blocked(#[from] Blocked),
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() { "; none are configured".to_owned() } else { format!("; there are: {}", names.join(", ")) }
}
