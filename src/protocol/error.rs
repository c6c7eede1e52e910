//! A JSON-RPC error, with the codes the revisions give meaning to.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::raw;

/// A JSON-RPC 2.0 error object.
#[derive(Clone, Debug, Serialize)]
pub struct RpcError {
    /// Its code.
    pub code: i64,
    /// One sentence for people and models.
    pub message: String,
    /// More, for machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// The text is not JSON.
    pub const PARSE: i64 = -32700;
    /// The JSON is not a request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The params do not fit.
    pub const INVALID_PARAMS: i64 = -32602;
    /// We failed.
    pub const INTERNAL: i64 = -32603;
    /// No such session (legacy; implementation-defined range).
    pub const NO_SESSION: i64 = -32001;
    /// No such resource, to 2025-11-25.
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// A header contradicts the body (2026-07-28 §basic/transports).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The server needs something the client did not declare (2026-07-28).
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// A revision we do not speak (2026-07-28).
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// An upstream server could not be reached or did not answer. Ours: outside the reserved range.
    pub const UPSTREAM: i64 = -31001;
    /// There is no such server here. Ours.
    pub const NO_SERVER: i64 = -31004;
    /// The caller may not do this. Ours.
    pub const FORBIDDEN: i64 = -31003;

    /// What a request hears that was cancelled while its connection is still open. Ours.
    pub const CANCELLED: i64 = -31002;

    /// An error with a message.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with data.
    pub fn with_data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = Some(raw(data));
        self
    }

    /// Whether it is the server's own failure, and not what was asked of it (conventions for MCP spans: `rpc.response.status_code`).
    pub fn is_fault(&self) -> bool {
        matches!(self.code, Self::INTERNAL | Self::UPSTREAM | -32099..=-32000)
    }

    /// A server's answer that is no object, or none that two readers would read alike.
    pub fn unreadable() -> Self {
        Self::new(Self::UPSTREAM, "the server's answer cannot be read")
    }

    /// Params that do not fit.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }

    /// A method that is not there.
    pub fn method(method: &str) -> Self {
        Self::new(Self::METHOD_NOT_FOUND, format!("there is no method `{}`", crate::domain::clip(method, 80)))
    }
}
