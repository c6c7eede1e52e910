//! The stateless revision 2026-07-28: what a request must carry, and how it is answered.

use serde_json::value::RawValue;

use super::headers::{HEADER_METHOD, HEADER_NAME, HEADER_VERSION, decoded, named_by};
use super::meta::{CLIENT_CAPABILITIES, CLIENT_INFO, PROTOCOL_VERSION, client_meta, edit_meta};
use super::{Dialect, Era, Incoming, Revision, RpcError};
use crate::domain::{RawObject, clip, raw};

/// Answers stateless peers.
pub(super) struct Modern;

/// Methods whose results may be cached and must say for how long (§server/utilities/caching).
const CACHEABLE: [&str; 6] =
    ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];

impl Dialect for Modern {
    fn result(&self, method: &str, result: Box<RawValue>) -> Box<RawValue> {
        let Ok(mut object) = RawObject::parse(result.get()) else { return result };
        let mut changed = false;
        let mut fill = |key: &'static str, value: &str| {
            if !object.has(key) {
                object.set(key, RawValue::from_string(value.to_owned()).unwrap_or_else(|_| raw(&())));
                changed = true;
            }
        };
        fill("resultType", "\"complete\"");
        if CACHEABLE.contains(&method) {
            fill("ttlMs", "0");
            fill("cacheScope", "\"private\"");
        }
        if changed { object.to_raw() } else { result }
    }

    fn error(&self, mut error: RpcError) -> RpcError {
        if error.code == RpcError::RESOURCE_NOT_FOUND {
            error.code = RpcError::INVALID_PARAMS;
        }
        error
    }

    fn status(&self, error: &RpcError) -> u16 {
        match error.code {
            RpcError::PARSE
            | RpcError::INVALID_REQUEST
            | RpcError::HEADER_MISMATCH
            | RpcError::MISSING_CAPABILITY
            | RpcError::UNSUPPORTED_VERSION => 400,
            RpcError::METHOD_NOT_FOUND => 404,
            _ => 200,
        }
    }
}

/// How a message on the HTTP endpoint opens.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// A stateless request that carries all it needs.
    Modern,
    /// A session is asked for.
    Initialize,
    /// Part of a session.
    Session,
}

/// Why a stateless request is refused: the status and the error.
#[derive(Debug)]
pub struct Refusal(pub u16, pub RpcError);

/// Says which era a message belongs to, and refuses a stateless one whose headers, version or
/// `_meta` are not what §basic/transports and §basic/index want.
pub fn classify<'h>(header: &dyn Fn(&str) -> Option<&'h str>, message: &Incoming) -> Result<Opening, Refusal> {
    let (method, params) = match message {
        Incoming::Request { method, params, .. } | Incoming::Notification { method, params } => (method.as_str(), params.as_deref()),
        Incoming::Response { .. } => return Ok(Opening::Session),
    };
    let meta = client_meta(params);
    let in_header = header(HEADER_VERSION);
    let dated = |text: &str| text.len() == 10 && text.split('-').all(|part| part.parse::<u16>().is_ok());
    let modern_header = in_header.is_some_and(|version| dated(version) && version > Revision::LATEST.as_str());
    let meta_version = meta.string(PROTOCOL_VERSION);
    if meta_version.is_none() && !modern_header {
        return Ok(if method == "initialize" { Opening::Initialize } else { Opening::Session });
    }
    let mismatch = |what: String| Refusal(400, RpcError::new(RpcError::HEADER_MISMATCH, what));
    let Some(version) = meta_version else {
        return Err(Refusal(400, RpcError::params(format!("`params._meta` must carry `{PROTOCOL_VERSION}`"))));
    };
    if in_header != Some(version.as_str()) {
        return Err(mismatch(format!("the header `MCP-Protocol-Version` must be `{}`, as in `_meta`", clip(&version, 40))));
    }
    if version != Era::MODERN {
        let data = serde_json::json!({ "supported": [Era::MODERN], "requested": clip(&version, 40) });
        let error = RpcError::new(RpcError::UNSUPPORTED_VERSION, "this protocol version is not supported here");
        return Err(Refusal(400, error.with_data(&data)));
    }
    if meta.get(CLIENT_CAPABILITIES).is_none_or(|raw| !raw.get().starts_with('{')) {
        return Err(Refusal(400, RpcError::params(format!("`params._meta` must carry `{CLIENT_CAPABILITIES}`, an object"))));
    }
    if header(HEADER_METHOD) != Some(method) {
        return Err(mismatch(format!("the header `Mcp-Method` must be `{}`", clip(method, 80))));
    }
    if let Some(key) = named_by(method) {
        let name = params.and_then(|params| RawObject::parse(params.get()).ok()?.string(key)).unwrap_or_default();
        if header(HEADER_NAME).and_then(decoded).as_deref() != Some(name.as_str()) {
            return Err(mismatch(format!("the header `Mcp-Name` must be the request's `params.{key}`")));
        }
    }
    Ok(Opening::Modern)
}

/// Puts our own stamp on a request to a stateless server: revision, client and its capabilities.
pub fn stamp(params: Option<&RawValue>) -> Box<RawValue> {
    edit_meta(params, |meta| {
        meta.set(PROTOCOL_VERSION, raw(Era::MODERN));
        meta.set(CLIENT_CAPABILITIES, raw(&serde_json::json!({})));
        meta.set(CLIENT_INFO, raw(&serde_json::json!({ "name": "portolan", "version": env!("CARGO_PKG_VERSION") })));
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn request(method: &str, params: &serde_json::Value) -> Incoming {
        let text = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        Incoming::parse(text.as_bytes()).unwrap()
    }

    fn opening(headers: &[(&str, &'static str)], message: &Incoming) -> Result<Opening, (u16, i64)> {
        let map: HashMap<String, &'static str> = headers.iter().map(|(key, value)| (key.to_lowercase(), *value)).collect();
        classify(&|name| map.get(&name.to_lowercase()).copied(), message).map_err(|Refusal(status, error)| (status, error.code))
    }

    #[test]
    fn each_missing_or_wrong_part_of_a_stateless_request_has_its_own_code() {
        let meta = serde_json::json!({ PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {} });
        let call = request("tools/call", &serde_json::json!({ "name": "a", "_meta": meta }));
        let version = ("MCP-Protocol-Version", "2026-07-28");
        let method = ("Mcp-Method", "tools/call");
        assert_eq!(opening(&[version, method, ("Mcp-Name", "a")], &call), Ok(Opening::Modern));
        assert_eq!(opening(&[version, method, ("Mcp-Name", "=?base64?YQ==?=")], &call), Ok(Opening::Modern));
        assert_eq!(opening(&[version, method, ("Mcp-Name", "b")], &call), Err((400, -32020)));
        assert_eq!(opening(&[version, method], &call), Err((400, -32020)));
        assert_eq!(opening(&[version, ("Mcp-Name", "a")], &call), Err((400, -32020)));
        assert_eq!(opening(&[], &call), Err((400, -32020)));
        assert_eq!(opening(&[version], &request("tools/list", &serde_json::json!({}))), Err((400, -32602)));
        let newer = serde_json::json!({ "_meta": { PROTOCOL_VERSION: "2099-01-01", CLIENT_CAPABILITIES: {} } });
        assert_eq!(opening(&[("MCP-Protocol-Version", "2099-01-01")], &request("tools/list", &newer)), Err((400, -32022)));
    }

    #[test]
    fn a_session_is_recognised_by_what_it_lacks() {
        let list = request("tools/list", &serde_json::json!({}));
        assert_eq!(opening(&[("MCP-Protocol-Version", "2025-11-25")], &list), Ok(Opening::Session));
        assert_eq!(opening(&[], &request("initialize", &serde_json::json!({}))), Ok(Opening::Initialize));
    }
}
