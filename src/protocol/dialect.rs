//! How one era is answered.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::RpcError;

/// Puts results and errors, from whatever era they came, into the words of a peer's era.
pub trait Dialect: Send + Sync {
    /// A result's text as this era spells it. Bytes that fit already come back as they are; what cannot be read is an error.
    fn result<'r>(&self, method: &str, result: &'r RawValue) -> Result<Cow<'r, str>, RpcError>;
    /// An error with the code this era gives it.
    fn error(&self, error: RpcError) -> RpcError;
    /// The HTTP status an error travels with, when it is the first thing said.
    fn status(&self, error: &RpcError) -> u16;
}
