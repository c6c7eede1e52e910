//! Sessions of 2025-11-25 and before: opened by `initialize`, bound to a principal and an endpoint.

use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::answer::{Work, answer as deliver, progress};
use super::listen as streams;
use super::reply::{id_of, json as whole};
use super::visit::Visit;
use crate::domain::raw;
use crate::http::error::ApiError;
use crate::http::sessions::Session;
use crate::protocol::{Era, HEADER_SESSION, HEADER_VERSION, Incoming, Outgoing, Revision, RpcError};

/// Opens a session. The revision is the client's, if we know it, and never the stateless one.
pub(super) fn initialize(mut visit: Visit, message: Incoming) -> Response {
    let Incoming::Request { id, params, .. } = message else { return StatusCode::ACCEPTED.into_response() };
    let wanted = params.string("protocolVersion");
    let Some(wanted) = wanted else {
        return visit.refuse(Era::Legacy(Revision::LATEST), &id, RpcError::params("`params.protocolVersion` must name a revision"));
    };
    let revision: Revision = wanted.parse().unwrap_or(Revision::LATEST);
    let session = visit.state.sessions.open(visit.principal.id(), visit.endpoint.path(), revision);
    let mut result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": visit.endpoint.capabilities(&visit.state),
        "serverInfo": visit.endpoint.server_info(&visit.state),
    });
    if let (Some(text), Some(members)) = (visit.endpoint.instructions(&visit.state, &visit.principal), result.as_object_mut()) {
        members.insert("instructions".to_owned(), text.into());
    }
    visit.in_session(&session.id, revision);
    std::mem::take(&mut visit.span).done();
    let mut response = whole(200, Outgoing::result(&id, &result.to_string()));
    if let Ok(value) = HeaderValue::try_from(&session.id) {
        response.headers_mut().insert(HEADER_SESSION, value);
    }
    response
}

/// The session a request belongs to. One of somebody else is answered like one that never was.
fn find(visit: &Visit) -> Result<Arc<Session>, ApiError> {
    let Some(id) = visit.header(HEADER_SESSION) else {
        let message = "the header `Mcp-Session-Id` is missing; open a session with `initialize` first";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "session_missing", message));
    };
    if let Some(version) = visit.header(HEADER_VERSION)
        && version.parse::<Revision>().is_err()
    {
        let message = format!("the header `MCP-Protocol-Version` names no revision with sessions: `{}`", crate::domain::clip(version, 40));
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "unsupported_version", message));
    }
    let session = visit.state.sessions.get(id, visit.principal.id(), visit.endpoint.path());
    session.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "session_not_found", "there is no such session; open a new one with `initialize`")
    })
}

/// Answers one message of a session.
pub(super) async fn answer(mut visit: Visit, message: Incoming) -> Response {
    let session = match find(&visit) {
        Ok(session) => session,
        Err(error) => {
            // The request's id is known here, so the error can carry it.
            let code = if error.status == StatusCode::NOT_FOUND { RpcError::NO_SESSION } else { RpcError::INVALID_REQUEST };
            std::mem::take(&mut visit.span).refused(error.code);
            return whole(error.status.as_u16(), Outgoing::error(id_of(&message), &RpcError::new(code, error.message)));
        }
    };
    match message {
        Incoming::Response { .. } => StatusCode::ACCEPTED.into_response(),
        Incoming::Notification { method, params } => {
            if method == "notifications/cancelled"
                && let Some(id) = params.get("requestId")
            {
                session.cancel(id.get());
            }
            StatusCode::ACCEPTED.into_response()
        }
        Incoming::Request { id, method, params } => {
            let era = Era::Legacy(session.revision);
            visit.in_session(&session.id, session.revision);
            match method.as_str() {
                "ping" | "logging/setLevel" => {
                    std::mem::take(&mut visit.span).done();
                    return deliver(era, id, method, Box::pin(async { Ok(raw(&json!({}))) }), None).await;
                }
                "server/discover" | "subscriptions/listen" => return visit.refuse(era, &id, RpcError::method(&method)),
                _ => {}
            }
            let Some(in_flight) = session.begin(&id.to_string()) else {
                let error = RpcError::new(RpcError::INVALID_REQUEST, "this request id is in use, or too many requests are under way");
                return visit.refuse(era, &id, error);
            };
            let (listener, notes) = progress(params.progress_token(), || visit.accepts("text/event-stream"));
            let asked = method.clone();
            let hears = listener.is_some();
            let work = async move {
                let caller = visit.caller(Some(&session.id), listener);
                let outcome = tokio::select! {
                    outcome = visit.endpoint.request(&visit.state, &caller, &asked, params) => outcome,
                    () = in_flight.cancelled.cancelled() => Err(RpcError::new(RpcError::CANCELLED, "the request was cancelled")),
                };
                visit.settle(outcome.as_deref());
                outcome
            };
            let work: Work = Box::pin(work.in_current_span());
            // A client that only disconnects did not cancel (2025-11-25 §basic/transports), nor does one that reads of
            // its progress slowly hold the work up.
            let work: Work = if hears { Box::pin(apart(work)) } else { Box::pin(Outliving(Some(work))) };
            deliver(era, id, method, work, notes).await
        }
    }
}

/// Work in a task of its own.
async fn apart(work: Work) -> Result<Box<RawValue>, RpcError> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(failed()))
}

/// Work that goes on by itself when nobody waits for it any more. It needs a task of its own only then.
struct Outliving(Option<Work>);

impl Future for Outliving {
    type Output = Result<Box<RawValue>, RpcError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out meanwhile: what panics is not to go on.
        let Some(mut work) = self.0.take() else { return Poll::Ready(Err(failed())) };
        match panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Ready(outcome)) => Poll::Ready(outcome),
            Ok(Poll::Pending) => {
                self.0 = Some(work);
                Poll::Pending
            }
            Err(_) => Poll::Ready(Err(failed())),
        }
    }
}

impl Drop for Outliving {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

fn failed() -> RpcError {
    RpcError::new(RpcError::INTERNAL, "the gateway failed on this request")
}

/// `GET`: the stream on which a session hears of changes.
pub(super) fn listen(visit: &Visit) -> Result<Response, ApiError> {
    if !visit.accepts("text/event-stream") {
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "`Accept` must list `text/event-stream`"));
    }
    let session = find(visit)?;
    Ok(streams::session(visit, &session))
}

/// `DELETE`: the session ends.
pub(super) fn end(visit: &Visit) -> Result<Response, ApiError> {
    let session = find(visit)?;
    visit.state.sessions.end(&session.id);
    Ok(StatusCode::NO_CONTENT.into_response())
}
