//! One request, before its body is read.

use axum::extract::Request;
use axum::http::header::AsHeaderName;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::answer::Yard;
use super::endpoint::Endpoint;
use super::reply::refusal;
use crate::domain::Principal;
use crate::federation::{Caller, Waited};
use crate::http::body::read_json;
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::http::traced::mcp_door;
use crate::policy::Allowance;
use crate::protocol::{Era, HEADER_SESSION, HEADER_VERSION, Id, Incoming, Params, Revision, RpcError, is_tool_error};
use crate::trace::{Span, attribute};
use crate::upstream::Listener;

/// Largest message from a client, in bytes.
const MAX_BODY: usize = 4 << 20;
/// Headers that are looked for in each request.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static SESSION: HeaderName = HeaderName::from_static(HEADER_SESSION);
pub(super) static VERSION: HeaderName = HeaderName::from_static(HEADER_VERSION);

/// One request at an MCP endpoint.
pub(super) struct Visit {
    pub(super) state: State,
    pub(super) principal: Principal,
    pub(super) endpoint: Endpoint,
    pub(super) headers: HeaderMap,
    /// How long servers took for the answer.
    pub(super) waited: Waited,
    /// The span of the message, if it is a request.
    pub(super) span: Span,
}

impl Visit {
    /// The caller of a request, who may hear of it meanwhile.
    pub(super) fn caller<'v>(&'v self, session: Option<&'v str>, listener: Option<Listener>) -> Caller<'v> {
        let request = self.header(&REQUEST_ID).map(Into::into);
        let (waited, trace) = (self.waited.clone(), self.span.trace());
        Caller { listener, request, waited, trace, ..Caller::new(&self.principal, session) }
    }

    /// Reads the body of a message; its headers are the visit's from then on.
    pub(super) async fn read(&mut self, request: Request) -> Result<Bytes, ApiError> {
        let limit = self.state.settings.load().body.min(MAX_BODY);
        let (headers, bytes) = read_json(request, limit).await?;
        self.headers = headers;
        Ok(bytes)
    }

    /// The same for one of several messages, which counts by itself.
    pub(super) fn another(&self, message: &Incoming) -> Result<Self, ApiError> {
        let (state, principal, headers) = (self.state.clone(), self.principal.clone(), self.headers.clone());
        let span = mcp_door(&state, &principal, &headers, message, state.tracer.now());
        let one = Self { state, principal, endpoint: self.endpoint.clone(), headers, waited: self.waited.clone(), span };
        one.allowed(message).map(|_| one)
    }

    /// Counts a message, where it is one that counts.
    pub(super) fn allowed(&self, message: &Incoming) -> Result<Allowance, ApiError> {
        match message {
            Incoming::Request { method, .. } if method == "tools/call" && !matches!(self.endpoint, Endpoint::Control) => {
                self.state.rates.take(&self.principal).map_err(ApiError::from)
            }
            _ => Ok(Allowance::default()),
        }
    }

    /// Where a stateless request may be parked.
    pub(super) fn yard(&self, method: &str, params: &Params) -> Yard {
        Yard {
            parks: self.state.parks.clone(),
            principal: self.principal.id().to_owned(),
            endpoint: self.endpoint.path().to_owned(),
            method: method.to_owned(),
            params: params.clone(),
        }
    }

    /// Notes in the span which session the request is part of.
    pub(super) fn in_session(&mut self, id: &str, revision: Revision) {
        self.span.text(attribute::MCP_SESSION, id);
        self.span.set(attribute::MCP_VERSION, revision.as_str());
    }

    /// Ends the span by what came of the request.
    pub(super) fn settle(&mut self, outcome: Result<&RawValue, &RpcError>) {
        let mut span = std::mem::take(&mut self.span);
        if !span.is_recording() {
            return span.done();
        }
        match outcome {
            Ok(result) if is_tool_error(result) => span.failed("tool_error"),
            Ok(_) => span.done(),
            Err(error) if error.code == RpcError::CANCELLED => span.refused("cancelled"),
            Err(error) => {
                span.set(attribute::RPC_STATUS, error.code.to_string());
                if error.is_fault() { span.failed(error.code.to_string()) } else { span.refused(error.code.to_string()) }
            }
        }
    }

    /// Refuses a request in the words of an era.
    pub(super) fn refuse(&mut self, era: Era, id: &Id, error: RpcError) -> Response {
        self.settle(Err(&error));
        refusal(era, Some(id), error)
    }

    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the headers alone say that the request is stateless.
    pub(super) fn is_modern(&self) -> bool {
        self.header(&VERSION).is_some_and(|version| version > Revision::LATEST.as_str() && version.starts_with("20"))
    }

    pub(super) fn accepts(&self, media_type: &str) -> bool {
        accepts(&self.headers, media_type)
    }
}

/// Whether a client takes a media type.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).filter(|value| value.to_str().is_ok()) else { return true };
    let media_type = media_type.as_bytes();
    let family = media_type.split(|byte| *byte == b'/').next().unwrap_or_default();
    accept
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(|part| part.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii())
        .any(|part| part.eq_ignore_ascii_case(media_type) || part == b"*/*" || part.strip_suffix(b"/*").is_some_and(|part| part == family))
}
