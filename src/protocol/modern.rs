//! The stateless revision 2026-07-28: what a request must carry, and how it is answered.

use serde_json::value::RawValue;

use super::dialect::{Dialect, Said};
use super::envelope::Incoming;
use super::era::{Era, Revision};
use super::error::RpcError;
use super::headers::{HEADER_METHOD, HEADER_NAME, HEADER_VERSION, decoded, named_by};
use super::params::{CLIENT_CAPABILITIES, PROTOCOL_VERSION};
use crate::domain::{Needle, RawObject, clip, hides_keys, raw, raw_string};

/// Answers stateless peers.
pub(super) struct Modern;

/// Methods whose results may be cached and must say for how long (§server/utilities/caching).
const CACHEABLE: [&str; 6] =
    ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];

/// What a result must say of itself: that it is one, and for how long it holds (§server/utilities/caching).
const MEMBERS: [(&str, &str); 3] = [("resultType", "\"complete\""), TTL, SCOPE];

/// What is seen here depends on who looks, so nothing is for everybody: a server cannot know that, whatever it says of its results.
const SCOPE: (&str, &str) = ("cacheScope", "\"private\"");

/// How long it holds: nobody is told that it can be kept, unless the server says so, for a time that is one.
const TTL: (&str, &str) = ("ttlMs", "0");
/// The longest that a server may say, in milliseconds.
const LONGEST_MS: u64 = 3_600_000;

/// The keys of these.
static KEYS: [Needle; 3] = [Needle::new(MEMBERS[0].0), Needle::new(MEMBERS[1].0), Needle::new(MEMBERS[2].0)];

/// How an object ends that says the first of them, or all.
const ENDS: [&str; 2] = [r#","resultType":"complete"}"#, r#","resultType":"complete","ttlMs":0,"cacheScope":"private"}"#];

/// An object's text with members put at its end.
fn appended<'r>(text: &'r str, members: &[(&str, &str)]) -> Said<'r> {
    let open = text.trim_end().strip_suffix('}').unwrap_or(text).trim_end();
    let end = if members.len() == 1 { ENDS[0] } else { ENDS[1] };
    Said::new(open, if open.ends_with('{') { end.trim_start_matches(',') } else { end })
}

impl Dialect for Modern {
    fn result<'r>(&self, method: &str, result: &'r RawValue) -> Result<Said<'r>, RpcError> {
        let wanted = if CACHEABLE.contains(&method) { MEMBERS.as_slice() } else { &MEMBERS[..1] };
        let text = result.get();
        // A long list is not opened for the sake of members that it certainly lacks.
        if !KEYS.iter().zip(wanted).any(|(key, _)| key.is_in(text)) && !hides_keys(text) {
            return Ok(appended(text, wanted));
        }
        let read = RawObject::parse(text);
        let plain = read.is_ok();
        let mut object = read.or_else(|_| RawObject::forgiving(text)).map_err(|_| RpcError::unreadable())?;
        let holds = |member: &(&str, &str)| match object.get(member.0) {
            Some(said) if *member == SCOPE => said.get() == SCOPE.1,
            Some(said) if *member == TTL => said.get().parse::<u64>().is_ok_and(|ms| ms <= LONGEST_MS),
            Some(_) => true,
            None => false,
        };
        let missing: Vec<_> = wanted.iter().filter(|member| !holds(member)).copied().collect();
        if missing.is_empty() && plain {
            return Ok(Said::new(text, ""));
        }
        for (key, value) in missing {
            object.set(key, raw_string(value.to_owned()).unwrap_or_else(|_| raw(&())));
        }
        Ok(Said::new(object.to_text(), ""))
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
        Incoming::Request { method, params, .. } | Incoming::Notification { method, params } => (method.as_str(), params),
        Incoming::Response { .. } => return Ok(Opening::Session),
    };
    let in_header = header(HEADER_VERSION);
    let dated = |text: &str| text.len() == 10 && text.split('-').all(|part| part.parse::<u16>().is_ok());
    let modern_header = in_header.is_some_and(|version| dated(version) && version > Revision::LATEST.as_str());
    let meta_version = params.stamped_version();
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
    if !params.declares_capabilities() {
        return Err(Refusal(400, RpcError::params(format!("`params._meta` must carry `{CLIENT_CAPABILITIES}`, an object"))));
    }
    if header(HEADER_METHOD) != Some(method) {
        return Err(mismatch(format!("the header `Mcp-Method` must be `{}`", clip(method, 80))));
    }
    if let Some(key) = named_by(method) {
        let name = params.string(key).unwrap_or_default();
        if header(HEADER_NAME).and_then(decoded).as_deref() != Some(name.as_str()) {
            return Err(mismatch(format!("the header `Mcp-Name` must be the request's `params.{key}`")));
        }
    }
    Ok(Opening::Modern)
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
    fn a_result_says_what_it_is_whether_or_not_it_had_to_be_opened() {
        let dressed = |method: &str, text: &str| Modern.result(method, &raw_string(text.to_owned()).unwrap()).unwrap().pieces().concat();
        let whole = r#""resultType":"complete","ttlMs":0,"cacheScope":"private"}"#;
        assert_eq!(dressed("tools/list", "{ }"), format!("{{{whole}"));
        assert_eq!(dressed("tools/list", r#"{"tools":[]}"#), format!(r#"{{"tools":[],{whole}"#));
        assert_eq!(dressed("tools/call", r#"{"content":[]}"#), r#"{"content":[],"resultType":"complete"}"#);
        assert_eq!(dressed("tools/call", r#"{"resultType":"complete"}"#), r#"{"resultType":"complete"}"#);
        // A key may hide behind an escape, or a text may only look like one.
        assert_eq!(dressed("tools/call", r#"{"result\u0054ype":"complete"}"#), r#"{"result\u0054ype":"complete"}"#);
        assert_eq!(dressed("tools/call", r#"{"a":"resultType"}"#), r#"{"a":"resultType","resultType":"complete"}"#);
        let said = |scope: &str| format!(r#"{{"contents":[],"resultType":"complete","ttlMs":5,"cacheScope":"{scope}"}}"#);
        assert_eq!(dressed("resources/read", &said("public")), said("private"), "what is for one caller is for nobody else");
        for (ttl, told) in [("3600000", "3600000"), ("3600001", "0"), ("99999999999999", "0"), ("-1", "0"), ("\"x\"", "0"), ("1.5", "0")] {
            let dressed = dressed("resources/read", &format!(r#"{{"contents":[],"ttlMs":{ttl}}}"#));
            assert!(dressed.contains(&format!("\"ttlMs\":{told},")), "{ttl}: {dressed}");
        }
        let twice = said("private").replacen('{', r#"{"cacheScope":"public","cacheScope":"public","#, 1);
        assert!(!dressed("resources/read", &twice).contains("public"));
        let unreadable = raw_string(r#"{"\ud800":1,"cacheScope":"public"}"#.to_owned()).unwrap();
        assert!(Modern.result("resources/read", &unreadable).is_err());
    }

    #[test]
    fn a_session_is_recognised_by_what_it_lacks() {
        let list = request("tools/list", &serde_json::json!({}));
        assert_eq!(opening(&[("MCP-Protocol-Version", "2025-11-25")], &list), Ok(Opening::Session));
        assert_eq!(opening(&[], &request("initialize", &serde_json::json!({}))), Ok(Opening::Initialize));
    }
}
