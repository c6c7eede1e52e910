//! How one era is answered.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::RpcError;

/// A result in the words of an era. Most are somebody else's text with another end, and so are not written anew for it.
pub struct Said<'r> {
    text: Cow<'r, str>,
    end: &'static str,
}

impl<'r> Said<'r> {
    pub(super) fn new(text: impl Into<Cow<'r, str>>, end: &'static str) -> Self {
        Self { text: text.into(), end }
    }

    /// Its text, in pieces that follow each other.
    pub fn pieces(&self) -> [&str; 2] {
        [&self.text, self.end]
    }
}

/// Puts results and errors, from whatever era they came, into the words of a peer's era.
pub trait Dialect: Send + Sync {
    /// A result as this era spells it. Bytes that fit already come back as they are; what cannot be read is an error.
    fn result<'r>(&self, method: &str, result: &'r RawValue) -> Result<Said<'r>, RpcError>;
    /// An error with the code this era gives it.
    fn error(&self, error: RpcError) -> RpcError;
    /// The HTTP status an error travels with, when it is the first thing said.
    fn status(&self, error: &RpcError) -> u16;
}
