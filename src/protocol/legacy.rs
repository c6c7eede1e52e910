//! The revisions with sessions, to 2025-11-25.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::{Dialect, RpcError};
use crate::domain::RawObject;

/// Answers peers that opened a session.
pub(super) struct Legacy;

impl Dialect for Legacy {
    fn result<'r>(&self, _method: &str, result: &'r RawValue) -> Cow<'r, str> {
        // Strict parsers of older revisions refuse members they do not know at the top of a result.
        static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"resultType\""));
        if KEY.find(result.get().as_bytes()).is_none() {
            return result.get().into();
        }
        let Ok(mut object) = RawObject::parse(result.get()) else { return result.get().into() };
        let stripped = ["resultType", "ttlMs", "cacheScope"].map(|key| object.remove(key).is_some());
        if stripped.contains(&true) { object.to_text().into() } else { result.get().into() }
    }

    fn error(&self, error: RpcError) -> RpcError {
        error
    }

    fn status(&self, error: &RpcError) -> u16 {
        match error.code {
            RpcError::PARSE | RpcError::INVALID_REQUEST => 400,
            RpcError::NO_SESSION => 404,
            _ => 200,
        }
    }
}
