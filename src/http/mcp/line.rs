//! The HTTP+SSE transport of 2024-11-05: `GET` opens a stream on which everything is said, and names the address to send to.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::listen;
use super::reply::json;
use super::session::{Out, begin, drive};
use super::visit::Visit;
use crate::http::error::ApiError;
use crate::http::sessions::{Session, Sessions};
use crate::http::sse;
use crate::protocol::{Incoming, Outgoing, RpcError, Unreadable};

/// What may wait for a client that reads slowly.
const QUEUE: usize = 64;

/// A session ends with its stream.
struct Open {
    sessions: Sessions,
    session: Arc<Session>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sessions.end(&self.session.id);
    }
}

/// `GET`: a session, and its stream. Messages are sent to the same path, with the session's id.
pub(super) fn open(visit: &Visit, path: &str) -> Result<Response, ApiError> {
    if !visit.accepts("text/event-stream") {
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "`Accept` must list `text/event-stream`"));
    }
    let (line, mut said) = mpsc::channel(QUEUE);
    let session = visit.state.sessions.open_line(visit.principal.id(), visit.endpoint.path(), line);
    let first = Bytes::from(format!("event: endpoint\ndata: {path}?session_id={}\n\n", session.id));
    let mut changes = listen::changes(visit, &session);
    let open = Open { sessions: visit.state.sessions.clone(), session };
    let closing = visit.state.closing.clone();
    let events = async_stream::stream! {
        let open = open;
        yield first;
        loop {
            tokio::select! {
                () = open.session.ended.cancelled() => return,
                () = closing.cancelled() => return,
                Some(event) = said.recv() => yield event,
                change = changes.next() => match change {
                    // Nobody hears of changes who has not said who it is.
                    Some(change) if open.session.is_greeted() => yield change,
                    Some(_) => {}
                    None => return,
                },
            }
        }
    };
    Ok(sse::response(events.boxed()))
}

/// `POST`: a message, which is answered on the stream.
pub(super) fn post(visit: &Visit, query: &str, bytes: &[u8]) -> Result<Response, ApiError> {
    let wrong = |status, message: &str| ApiError::new(status, "session_not_found", message);
    let id = query.split('&').find_map(|pair| pair.strip_prefix("session_id="));
    let id = id.ok_or_else(|| wrong(StatusCode::BAD_REQUEST, "the address lacks its `session_id`; open a stream with GET first"))?;
    let session = visit.state.sessions.get(id, visit.principal.id(), visit.endpoint.path());
    let session = session.and_then(|session| Some((session.line()?.clone(), session)));
    let (line, session) =
        session.ok_or_else(|| wrong(StatusCode::NOT_FOUND, "there is no such session; its stream has ended: open a new one with GET"))?;
    let message = match Incoming::parse_shallow(bytes) {
        Ok(message) => message,
        Err(Unreadable { id, error }) => return Ok(json(400, Outgoing::error(id.as_ref(), &error))),
    };
    let opens = matches!(&message, Incoming::Request { method, .. } if method == "initialize" || method == "ping");
    if let (Incoming::Request { id, .. }, false, false) = (&message, opens, session.is_greeted()) {
        let error = RpcError::new(RpcError::INVALID_REQUEST, "the session begins with `initialize`");
        return Ok(json(400, Outgoing::error(Some(id), &error)));
    }
    let one = visit.another(&message)?;
    if let Some(exchange) = begin(one, &session, message, true) {
        // A client that reads slowly holds up what it is told, and never the work.
        tokio::spawn(drive(session, exchange.apart(), None, Out::Line(line)));
    }
    Ok((StatusCode::ACCEPTED, "Accepted").into_response())
}
