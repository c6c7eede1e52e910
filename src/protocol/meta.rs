//! `params._meta`: the stamp of stateless requests, and progress tokens.

use serde_json::value::RawValue;

use crate::domain::{RawObject, raw};

pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const PROGRESS_TOKEN: &str = "progressToken";

/// The `_meta` of a request's params; empty when there is none.
pub fn client_meta(params: Option<&RawValue>) -> RawObject<'_> {
    let meta = params.and_then(|params| {
        let object: Meta<'_> = serde_json::from_str(params.get()).ok()?;
        RawObject::parse(object.meta?.get()).ok()
    });
    meta.unwrap_or_default()
}

#[derive(serde::Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// The progress token a caller gave, as it was written.
pub fn progress_token(params: Option<&RawValue>) -> Option<Box<RawValue>> {
    client_meta(params).remove(PROGRESS_TOKEN)
}

/// The params with another progress token, or without one.
pub fn with_progress_token(params: Option<&RawValue>, token: Option<u64>) -> Box<RawValue> {
    edit_meta(params, |meta| match token {
        Some(token) => meta.set(PROGRESS_TOKEN, raw(&token)),
        None => {
            meta.remove(PROGRESS_TOKEN);
        }
    })
}

/// The params without what only a stateless server understands.
pub fn without_modern_meta(params: Option<&RawValue>) -> Box<RawValue> {
    edit_meta(params, |meta| {
        for key in [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL] {
            meta.remove(key);
        }
    })
}

/// The params with an edited `_meta`; an empty one is left out.
pub(super) fn edit_meta(params: Option<&RawValue>, edit: impl FnOnce(&mut RawObject<'_>)) -> Box<RawValue> {
    let mut object = params.and_then(|params| RawObject::parse(params.get()).ok()).unwrap_or_default();
    let old = object.remove("_meta");
    let mut meta = old.as_ref().and_then(|raw| RawObject::parse(raw.get()).ok()).unwrap_or_default();
    edit(&mut meta);
    if !meta.is_empty() {
        let meta = meta.to_raw();
        object.set("_meta", meta);
    }
    object.to_raw()
}
