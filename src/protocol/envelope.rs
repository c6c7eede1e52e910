//! One JSON-RPC message, opened just far enough to route it.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::RpcError;
use super::params::Params;
use crate::domain::{Needle, RawObject, clip, is_deep, walk};

/// A request id as it was written: a string or an integer.
#[derive(Clone, Debug)]
pub struct Id(Box<RawValue>);

impl Id {
    /// The id as JSON.
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// Whether it is this number.
    pub fn is(&self, number: u64) -> bool {
        self.0.get().parse() == Ok(number)
    }

    fn read(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let integer = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        (integer || text.starts_with('"')).then(|| Self(raw.to_owned()))
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

/// Most messages of one batch.
const MOST_OF_A_BATCH: usize = 100;

/// A message from a peer.
#[derive(Debug)]
pub enum Incoming {
    /// Something to answer.
    Request {
        /// To be repeated in the answer.
        id: Id,
        /// What is wanted.
        method: String,
        /// Its params; empty when there are none.
        params: Params,
    },
    /// Something to take note of.
    Notification {
        /// What happened.
        method: String,
        /// Its params; empty when there are none.
        params: Params,
    },
    /// An answer to a request of ours.
    Response {
        /// The id we gave the request; none when the peer could not read it.
        id: Option<Id>,
        /// The result's own bytes, or the error.
        outcome: Result<Box<RawValue>, RpcError>,
    },
}

impl Incoming {
    /// Reads a client's message, which must not be nested deeper than anything honest is.
    pub fn parse_shallow(bytes: &[u8]) -> Result<Self, Unreadable> {
        if is_deep(bytes) { Err(invalid("it is nested too deeply").into()) } else { Self::parse(bytes) }
    }

    /// Reads one message. Keys are matched exactly; a key that stands twice makes it invalid.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let object = Self::open(bytes)?;
        let id = match object.get("id") {
            None => None,
            Some(raw) if raw.get() == "null" => None,
            Some(raw) => Some(Id::read(raw).ok_or_else(|| invalid("`id` must be a string or an integer"))?),
        };
        Self::read(&object, id.clone()).map_err(|error| Unreadable { id, error })
    }

    /// Reads a message, or a batch of them, which was allowed in 2025-03-26 and before.
    pub fn parse_all(bytes: &[u8]) -> Vec<Result<Self, Unreadable>> {
        if bytes.trim_ascii_start().first() != Some(&b'[') {
            return vec![Self::parse(bytes)];
        }
        Self::parse_batch(bytes).unwrap_or_else(|error| vec![Err(error.into())])
    }

    /// Reads the messages of a client's batch (2025-03-26 §basic).
    pub fn parse_batch(bytes: &[u8]) -> Result<Vec<Result<Self, Unreadable>>, RpcError> {
        if is_deep(bytes) {
            return Err(invalid("it is nested too deeply"));
        }
        let batch: Vec<&RawValue> =
            serde_json::from_slice(bytes).map_err(|error| RpcError::new(RpcError::PARSE, format!("the batch is not JSON: {error}")))?;
        match batch.len() {
            0 => Err(invalid("a batch holds at least one message")),
            1..=MOST_OF_A_BATCH => Ok(batch.into_iter().map(|message| Self::parse(message.get().as_bytes())).collect()),
            _ => Err(invalid(&format!("a batch holds at most {MOST_OF_A_BATCH} messages"))),
        }
    }

    fn open(bytes: &[u8]) -> Result<RawObject<'_>, RpcError> {
        let text = std::str::from_utf8(bytes).map_err(|_| RpcError::new(RpcError::PARSE, "the body is not UTF-8"))?;
        let first = text.trim_start().as_bytes().first();
        if first == Some(&b'[') {
            return Err(RpcError::new(RpcError::INVALID_REQUEST, "a batch is not supported; send one message"));
        }
        RawObject::parse(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => invalid(&error.to_string()),
            _ => RpcError::new(RpcError::PARSE, format!("the body is not JSON: {error}")),
        })
    }

    fn read(object: &RawObject<'_>, id: Option<Id>) -> Result<Self, RpcError> {
        if object.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(invalid("`jsonrpc` must be \"2.0\""));
        }
        let null_id = id.is_none() && object.has("id");
        if let Some(method) = object.get("method") {
            let method: String = serde_json::from_str(method.get()).map_err(|_| invalid("`method` must be a string"))?;
            let params = match object.get("params").filter(|raw| raw.get() != "null") {
                Some(params) => Params::read(params).map_err(|error| invalid(&format!("`params`: {error}")))?,
                None => Params::default(),
            };
            return match id {
                Some(id) => Ok(Self::Request { id, method, params }),
                None if null_id => Err(invalid("`id` must not be null")),
                None => Ok(Self::Notification { method, params }),
            };
        }
        match (object.get("result"), object.get("error")) {
            (Some(result), None) => Ok(Self::Response { id, outcome: Ok(result.to_owned()) }),
            (None, Some(error)) => Ok(Self::Response { id, outcome: Err(read_error(error)) }),
            _ => Err(invalid("it has neither a `method` nor one of `result` and `error`")),
        }
    }
}

/// Whether a result of `tools/call` says that the tool failed.
pub fn is_tool_error(result: &RawValue) -> bool {
    static KEY: Needle = Needle::new("\"isError\"");
    let text = result.get();
    let is_true = |behind: &str| behind.trim_start().strip_prefix(':').is_some_and(|value| value.trim_start().starts_with("true"));
    // Most say nothing of it, or that it did not, and are not read.
    if !KEY.behind(text).any(is_true) {
        return false;
    }
    match walk::members(text) {
        Some(members) => walk::find(&members, "isError") == Some("true"),
        None => RawObject::parse(text).is_ok_and(|result| result.get("isError").is_some_and(|value| value.get() == "true")),
    }
}

/// A message that is none, with its id as far as that could be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The id, so that the sender can tell which request was refused.
    pub id: Option<Id>,
    /// Why.
    pub error: RpcError,
}

impl From<RpcError> for Unreadable {
    fn from(error: RpcError) -> Self {
        Self { id: None, error }
    }
}

fn invalid(why: &str) -> RpcError {
    RpcError::new(RpcError::INVALID_REQUEST, format!("not a JSON-RPC message: {}", clip(why, 200)))
}

fn read_error(raw: &RawValue) -> RpcError {
    let object = RawObject::parse(raw.get()).unwrap_or_default();
    RpcError {
        code: object.read("code").unwrap_or(RpcError::INTERNAL),
        message: object.string("message").unwrap_or_else(|| "an error without a message".to_owned()),
        data: object.get("data").map(ToOwned::to_owned),
    }
}

/// Messages to a peer, written around bytes that are already JSON.
pub struct Outgoing;

impl Outgoing {
    /// A request, around its params' own text.
    pub fn request(id: u64, method: &str, params: &str) -> String {
        let method = crate::domain::raw(method);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, method.get())
    }

    /// A notification.
    pub fn notification(method: &str, params: &Params) -> String {
        #[derive(Serialize)]
        struct Notification<'a> {
            jsonrpc: &'static str,
            method: &'a str,
            #[serde(skip_serializing_if = "Params::is_empty")]
            params: &'a Params,
        }
        serde_json::to_string(&Notification { jsonrpc: "2.0", method, params }).unwrap_or_default()
    }

    /// An answer, around a result's own text.
    pub fn result(id: &Id, result: &str) -> String {
        Self::answer(id, [result, ""])
    }

    /// The same, around a result's text in pieces.
    pub fn answer(id: &Id, [result, end]: [&str; 2]) -> String {
        let id = id.as_raw().get();
        let mut text = String::with_capacity(result.len() + end.len() + id.len() + 40);
        for part in ["{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"result\":", result, end, "}"] {
            text.push_str(part);
        }
        text
    }

    /// A refusal; the id is null when the request could not be read.
    pub fn error(id: Option<&Id>, error: &RpcError) -> String {
        let id = id.map_or("null", |id| id.as_raw().get());
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#, crate::domain::raw(error).get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_ignored_and_params_keep_their_bytes() {
        let message = Incoming::parse(br#"{"jsonrpc":"2.0","id":"a","method":"x","params":{"n":1.0 },"more":1}"#).unwrap();
        let Incoming::Request { id, params, .. } = message else { panic!("{message:?}") };
        assert_eq!((id.to_string(), params.get("n").map(RawValue::get)), ("\"a\"".into(), Some("1.0")));
    }

    #[test]
    fn what_is_not_one_message_is_refused_with_its_code() {
        let cases: [(&[u8], i64); 9] = [
            (b"{", RpcError::PARSE),
            (b"\xff", RpcError::PARSE),
            (b"[]", RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1,"Method":"x"}"#, RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#, RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, RpcError::INVALID_REQUEST),
            (br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, RpcError::INVALID_REQUEST),
        ];
        for (bytes, code) in cases {
            assert_eq!(Incoming::parse(bytes).unwrap_err().error.code, code, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
