//! One request, before its body is read.

use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::reply::refusal;
use crate::domain::Principal;
use crate::federation::{Caller, Waited};
use crate::http::state::State;
use crate::protocol::{Era, HEADER_VERSION, Id, Revision, RpcError, is_tool_error};
use crate::trace::{Span, attribute};
use crate::upstream::Listener;

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
    /// The caller of a request, who may hear of progress.
    pub(super) fn caller<'v>(&'v self, session: Option<&'v str>, listener: Option<Listener>) -> Caller<'v> {
        let request = self.header("x-request-id").map(Into::into);
        Caller { principal: &self.principal, session, listener, request, waited: self.waited.clone(), trace: self.span.trace() }
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

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the headers alone say that the request is stateless.
    pub(super) fn is_modern(&self) -> bool {
        self.header(HEADER_VERSION).is_some_and(|version| version > Revision::LATEST.as_str() && version.starts_with("20"))
    }

    pub(super) fn accepts(&self, media_type: &str) -> bool {
        accepts(&self.headers, media_type)
    }
}

/// Whether a client takes a media type.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else { return true };
    let family = media_type.split('/').next().unwrap_or_default();
    accept
        .split(',')
        .map(|part| part.split(';').next().unwrap_or_default().trim())
        .any(|part| part.eq_ignore_ascii_case(media_type) || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == family))
}
