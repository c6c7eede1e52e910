//! Sessions of 2025-11-25 and before: opened by `initialize`, bound to a principal and an endpoint.

use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use tracing::instrument::Instrumented;

use super::listen as streams;
use super::reply::{id_of, json as whole};
use super::visit::{SESSION, VERSION, Visit};
use crate::domain::{clip, raw};
use crate::http::error::ApiError;
use crate::http::exchange::{Exchange, Outcome, Step, Work, failed, hearing};
use crate::http::sessions::{Greeting, Outbox, Session};
use crate::http::sse;
use crate::protocol::{ClientCapabilities, Era, Id, Incoming, Outgoing, Params, Revision, RpcError};
use crate::upstream::{Listener, Logs};

/// The header by which a client says which event it saw last.
const LAST_EVENT: &str = "last-event-id";

/// Opens a session. The revision is the client's, if we know it, and never the stateless one.
pub(super) fn initialize(mut visit: Visit, message: Incoming) -> Response {
    let Incoming::Request { id, params, .. } = message else { return StatusCode::ACCEPTED.into_response() };
    let revision = match revision(&params) {
        Ok(revision) => revision,
        Err(error) => return visit.refuse(Era::Legacy(Revision::LATEST), &id, error),
    };
    let session = visit.state.sessions.open(visit.principal.id(), visit.endpoint.path(), revision, params.get("capabilities"));
    let text = Outgoing::result(&id, &greeting(&visit, revision));
    visit.in_session(&session.id, revision);
    std::mem::take(&mut visit.span).done();
    let mut response = whole(200, text);
    if let Ok(value) = HeaderValue::from_str(&session.id) {
        response.headers_mut().insert(&SESSION, value);
    }
    response
}

/// The revision that is agreed on: the client's, if we know it.
fn revision(params: &Params) -> Result<Revision, RpcError> {
    let wanted = params.string("protocolVersion");
    let wanted = wanted.ok_or_else(|| RpcError::params("`params.protocolVersion` must name a revision"))?;
    Ok(wanted.parse().unwrap_or(Revision::LATEST))
}

/// What the gateway says of itself.
fn greeting(visit: &Visit, revision: Revision) -> String {
    let mut result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": visit.endpoint.capabilities(&visit.state),
        "serverInfo": visit.endpoint.server_info(&visit.state),
    });
    if let (Some(text), Some(members)) = (visit.endpoint.instructions(&visit.state, &visit.principal), result.as_object_mut()) {
        members.insert("instructions".to_owned(), text.into());
    }
    result.to_string()
}

/// The session a request belongs to. One of somebody else is answered like one that never was.
pub(super) fn find(visit: &Visit) -> Result<Arc<Session>, ApiError> {
    let Some(id) = visit.header(&SESSION) else {
        let message = "the header `Mcp-Session-Id` is missing; open a session with `initialize` first";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "session_missing", message));
    };
    if let Some(version) = visit.header(&VERSION)
        && version.parse::<Revision>().is_err()
    {
        let known = Revision::ALL.map(Revision::as_str).join(", ");
        let message =
            format!("the header `MCP-Protocol-Version` names no revision with sessions: `{}`; those are {known}", clip(version, 40));
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "unsupported_version", message));
    }
    let session = visit.state.sessions.get(id, visit.principal.id(), visit.endpoint.path());
    session.filter(|session| session.line().is_none()).ok_or_else(|| {
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
    let streams = visit.accepts("text/event-stream");
    let Some(mut exchange) = begin(visit, &session, message, streams) else { return StatusCode::ACCEPTED.into_response() };
    match exchange.step().await {
        Step::Done(outcome) => {
            let (status, text) = exchange.answer(&outcome);
            whole(status, text)
        }
        step => {
            let outbox = opened(&session);
            tokio::spawn(drive(session, exchange, Some(step), Out::Box(outbox.clone())));
            sse::response(outbox.read(0).boxed())
        }
    }
}

/// A stream of its own for one answer, or those of a batch.
pub(super) fn opened(session: &Session) -> Arc<Outbox> {
    let outbox = session.outbox();
    // Older clients take an event without data for a broken one.
    if session.revision() >= Revision::V2025_11_25 {
        outbox.prime();
    }
    outbox
}

/// Takes note of a message; a request is on its way then.
pub(super) fn begin(mut visit: Visit, session: &Arc<Session>, message: Incoming, streams: bool) -> Option<Exchange> {
    match message {
        Incoming::Response { id, outcome } => {
            // What is no object would be an answer to nothing that can be asked.
            let outcome = outcome.and_then(|answer| {
                let wrong = || RpcError::params("the client answered with something else than an object");
                answer.get().starts_with('{').then_some(answer).ok_or_else(wrong)
            });
            if let Some(id) = id {
                session.answered(id.as_raw().get(), outcome);
            }
            None
        }
        Incoming::Notification { method, params } => {
            if method == "notifications/cancelled"
                && let Some(id) = params.get("requestId")
            {
                session.cancel(id.get());
            }
            None
        }
        Incoming::Request { id, method, params } => {
            visit.in_session(&session.id, session.revision());
            Some(request(visit, session, id, method, params, streams))
        }
    }
}

fn request(mut visit: Visit, session: &Arc<Session>, id: Id, method: String, params: Params, streams: bool) -> Exchange {
    let era = Era::Legacy(session.revision());
    let at_once = |mut visit: Visit, outcome: Outcome, id: Id, method: String| {
        visit.settle(outcome.as_deref());
        Exchange::new(era, id, method, Box::pin(async { outcome }))
    };
    match method.as_str() {
        "initialize" if session.line().is_some() => {
            let outcome = greeted(&visit, session, &params);
            let era = Era::Legacy(session.revision());
            visit.settle(outcome.as_deref());
            return Exchange::new(era, id, method, Box::pin(async { outcome }));
        }
        "ping" => return at_once(visit, Ok(raw(&json!({})).into()), id, method),
        "logging/setLevel" => {
            let level = params.string("level").and_then(|level| level.parse().ok());
            let wrong = || RpcError::params("`params.level` must be one of the levels of RFC 5424, as `info`");
            let outcome = level.ok_or_else(wrong).map(|level| {
                session.set_level(level);
                raw(&json!({})).into()
            });
            return at_once(visit, outcome, id, method);
        }
        "server/discover" | "subscriptions/listen" | "initialize" => {
            let error = RpcError::method(&method);
            return at_once(visit, Err(error), id, method);
        }
        _ => {}
    }
    let Some(in_flight) = session.begin(&id.to_string()) else {
        let error = RpcError::new(RpcError::INVALID_REQUEST, "this request id is in use, or too many requests are under way");
        return at_once(visit, Err(error), id, method);
    };
    let token = params.progress_token().filter(|_| streams).map(ToOwned::to_owned);
    let capabilities = session.capabilities().filter(|able| streams && !able.is_empty()).cloned();
    // Whom a server may log to or ask something must hear it.
    let told = || visit.endpoint.servers().is_some_and(|scope| visit.state.federation.logs(scope));
    let works = || matches!(method.as_str(), "tools/call" | "prompts/get" | "resources/read" | "completion/complete");
    let (listener, heard) = if streams && (token.is_some() || (works() && (capabilities.is_some() || told()))) {
        let whose = format!("{} {:x}", visit.principal.id(), session.number);
        let of = |out| Listener::new(&whose, token.is_some(), session.logs(), capabilities.clone().unwrap_or_default(), out);
        let (listener, heard) = hearing(of);
        (Some(listener), Some(heard))
    } else {
        (None, None)
    };
    let params = match session.logs() {
        // A stateless server logs only for whoever asks for it.
        Logs::From(level) if streams => params.logged(level),
        _ => params,
    };
    let (asked, session) = (method.clone(), session.clone());
    let work = async move {
        let mut caller = visit.caller(Some(&session.id), listener);
        caller.capabilities = capabilities;
        let working = async {
            match asked.as_str() {
                "resources/subscribe" => follow(&visit, &session, &params).await,
                "resources/unsubscribe" => {
                    session.changes.unfollow(&params.string("uri").unwrap_or_default());
                    Ok(raw(&json!({})).into())
                }
                _ => visit.endpoint.request(&visit.state, &caller, &asked, params).await,
            }
        };
        let outcome = tokio::select! {
            outcome = working => outcome,
            () = in_flight.cancelled.cancelled() => Err(RpcError::new(RpcError::CANCELLED, "the request was cancelled")),
        };
        drop(caller);
        visit.settle(outcome.as_deref());
        outcome
    };
    // A client that only disconnects did not cancel (2025-11-25 §basic/transports).
    let work: Work = Box::pin(work);
    let work: Work = Box::pin(Outliving(Some(work.in_current_span())));
    Exchange::new(era, id, method, work).heard(token, heard)
}

/// `initialize` in a session that is there before the client has said who it is.
fn greeted(visit: &Visit, session: &Session, params: &Params) -> Outcome {
    let revision = revision(params)?;
    let capabilities = Arc::new(ClientCapabilities::read(params.get("capabilities"), Era::Legacy(revision)));
    if !session.greet(Greeting { revision, capabilities }) {
        return Err(RpcError::new(RpcError::INVALID_REQUEST, "the session was opened already"));
    }
    crate::domain::raw_string(greeting(visit, revision)).map(Into::into).map_err(|_| failed())
}

/// `resources/subscribe`.
async fn follow(visit: &Visit, session: &Arc<Session>, params: &Params) -> Outcome {
    let uri = params.string("uri").ok_or_else(|| RpcError::params("`params.uri` must name a resource"))?;
    let Some(scope) = visit.endpoint.servers() else { return Err(RpcError::method("resources/subscribe")) };
    if !session.changes.follows(&uri) {
        let weak = Arc::downgrade(&session.changes);
        let told = move |uri| {
            if let Some(changes) = weak.upgrade() {
                changes.update(uri);
            }
        };
        let followed = visit.state.federation.follow(&visit.principal, Some(&session.id), scope, &uri, told).await?;
        if !session.changes.follow(&uri, followed) {
            return Err(RpcError::new(RpcError::INVALID_REQUEST, "the session follows too many resources already"));
        }
    }
    Ok(raw(&json!({})).into())
}

/// Where the messages of an exchange go.
pub(super) enum Out {
    /// Onto a stream of their own.
    Box(Arc<Outbox>),
    /// Onto one that others share, which ends with the last of them.
    Shared(Arc<Batch>),
    /// Onto the one stream of the session.
    Line(mpsc::Sender<Bytes>),
}

/// The stream of several exchanges; closed when dropped.
pub(super) struct Batch {
    pub(super) session: Arc<Session>,
    pub(super) outbox: Arc<Outbox>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.outbox.close();
        if Handle::try_current().is_ok() {
            self.session.sweep();
        }
    }
}

impl Out {
    async fn push(&self, message: String) {
        match self {
            Self::Box(outbox) => outbox.push(message),
            Self::Shared(batch) => batch.outbox.push(message),
            Self::Line(line) => {
                let _ = line.send(sse::message(message)).await;
            }
        }
    }
}

/// Sees an exchange through to its end, whether or not somebody listens to it.
pub(super) async fn drive(session: Arc<Session>, mut exchange: Exchange, first: Option<Step>, out: Out) {
    let (mut step, mut asked) = (first, Vec::new());
    loop {
        let next = match step.take() {
            Some(step) => step,
            None => exchange.step().await,
        };
        match next {
            Step::Note(note) => {
                if let Some(text) = exchange.note(note) {
                    out.push(text).await;
                }
            }
            Step::Asked(question) => {
                let params = question.question.clone();
                let id = session.ask(question);
                out.push(exchange.question(&id, &params)).await;
                asked.push(id);
            }
            Step::Done(outcome) => {
                for id in asked {
                    if session.forget_question(&id) {
                        out.push(taken_back(&id)).await;
                    }
                }
                out.push(exchange.answer(&outcome).1).await;
                break;
            }
        }
    }
    if let Out::Box(outbox) = out {
        outbox.close();
        session.sweep();
    }
}

/// The message that a question, whose id is JSON, needs no answer any more.
fn taken_back(id: &str) -> String {
    let why = "the request is over for which this was asked";
    let params = Params::default().with("requestId", &raw(&id.trim_matches('"'))).with("reason", why);
    Outgoing::notification("notifications/cancelled", &params)
}

/// Work that goes on by itself when nobody waits for it any more. It needs a task of its own only then.
struct Outliving(Option<Instrumented<Work>>);

impl Future for Outliving {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken out meanwhile: what panics is not to go on.
        let Some(mut work) = self.0.take() else { return Poll::Ready(Err(failed())) };
        match panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut work).poll(context))) {
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

/// `GET`: the stream on which a session hears of changes, or one that broke off before its end.
pub(super) fn listen(visit: &Visit) -> Result<Response, ApiError> {
    if !visit.accepts("text/event-stream") {
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "`Accept` must list `text/event-stream`"));
    }
    let session = find(visit)?;
    if let Some((outbox, next)) = visit.header(LAST_EVENT).and_then(|last| session.resume(last)) {
        return Ok(sse::response(outbox.read(next).boxed()));
    }
    Ok(streams::session(visit, &session))
}

/// `DELETE`: the session ends.
pub(super) fn end(visit: &Visit) -> Result<Response, ApiError> {
    let session = find(visit)?;
    visit.state.sessions.end(&session.id);
    Ok(StatusCode::NO_CONTENT.into_response())
}
