//! The spans of requests: what their headers and messages say of a trace, and how they begin.

use std::borrow::Cow;
use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName};

use super::state::State;
use crate::domain::Principal;
use crate::protocol::Incoming;
use crate::trace::{Asker, McpRequest, Origin, Span, Told};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Begins the span of a request for a model.
pub(super) fn model_door(state: &State, principal: &Principal, headers: &HeaderMap, route: &'static str) -> Span {
    if !state.tracer.is_on() {
        return Span::default();
    }
    let asker = Asker { principal, request: request_id(headers) };
    state.tracer.model_door(route, asker, || Origin::of_http(&told(headers)))
}

/// Begins the span of an MCP request; other messages have none.
pub(super) fn mcp_door(state: &State, principal: &Principal, headers: &HeaderMap, message: &Incoming, began: Option<SystemTime>) -> Span {
    let (Some(began), Incoming::Request { id, method, params }) = (began, message) else { return Span::default() };
    let asker = Asker { principal, request: request_id(headers) };
    let name = if matches!(method.as_str(), "tools/call" | "prompts/get") { params.string("name") } else { None };
    let asked = McpRequest { began, method, name: name.as_deref(), id: id.as_raw().get() };
    state.tracer.mcp_door(&asked, asker, || Origin::of_message(&params.told(), &told(headers)))
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok())
}

/// What the headers say of a trace. Two parents are none, and states add up (W3C Trace Context §3.2, §3.3).
fn told(headers: &HeaderMap) -> Told<'_> {
    let texts = |name: &HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    let parent = match texts(&TRACEPARENT).as_slice() {
        [parent] => Some(Cow::Borrowed(*parent)),
        _ => None,
    };
    let states = texts(&TRACESTATE);
    Told { traceparent: parent, tracestate: (!states.is_empty()).then(|| states.join(",").into()), baggage: None }
}
