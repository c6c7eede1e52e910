//! An answer as one JSON body, or as a stream when progress comes before it.

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use futures::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::reply::{json, refusal};
use crate::http::sse;
use crate::protocol::{Era, Id, Outgoing, RpcError};
use crate::upstream::{Listener, Note};

/// Notifications that may wait for a client that reads slowly.
const QUEUE: usize = 64;

/// A request on its way: what it comes to.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Box<RawValue>, RpcError>> + Send>>;

/// A queue for progress, when the caller asked for it and can take it.
pub(super) fn progress(token: Option<&RawValue>, streams: impl FnOnce() -> bool) -> (Option<Listener>, Option<mpsc::Receiver<Note>>) {
    let Some(token) = token.filter(|_| streams()) else { return (None, None) };
    let (out, notes) = mpsc::channel(QUEUE);
    (Some(Listener { token: token.to_owned(), out }), Some(notes))
}

/// Waits for the result; the first notification before it turns the answer into a stream.
pub(super) async fn answer(era: Era, id: Id, method: String, mut work: Work, notes: Option<mpsc::Receiver<Note>>) -> Response {
    let Some(mut notes) = notes else { return whole(era, &id, &method, work.await) };
    let mut outcome = None;
    // Whoever is ready: a server that tells without end must not keep the work from coming to its end.
    let first = tokio::select! {
        Some(note) = notes.recv() => note,
        done = &mut work => match notes.try_recv() {
            // What came together with the result came before it.
            Ok(note) => {
                outcome = Some(done);
                note
            }
            Err(_) => return whole(era, &id, &method, done),
        },
    };
    let events = async_stream::stream! {
        yield note_event(&first);
        while outcome.is_none() {
            tokio::select! {
                Some(note) = notes.recv() => yield note_event(&note),
                done = &mut work => outcome = Some(done),
            }
        }
        while let Ok(note) = notes.try_recv() {
            yield note_event(&note);
        }
        if let Some(outcome) = outcome {
            yield sse::message(encode(era, &id, &method, &outcome).1);
        }
    };
    sse::response(events.boxed())
}

fn note_event(note: &Note) -> bytes::Bytes {
    sse::message(Outgoing::notification(&note.method, &note.params))
}

fn whole(era: Era, id: &Id, method: &str, outcome: Result<Box<RawValue>, RpcError>) -> Response {
    match outcome {
        Ok(_) => {
            let (status, body) = encode(era, id, method, &outcome);
            json(status, body)
        }
        Err(error) => refusal(era, Some(id), error),
    }
}

fn encode(era: Era, id: &Id, method: &str, outcome: &Result<Box<RawValue>, RpcError>) -> (u16, String) {
    let dialect = era.dialect();
    let said = outcome.as_deref().map_err(Clone::clone).and_then(|result| dialect.result(method, result));
    match said {
        Ok(result) => (200, Outgoing::result(id, &result)),
        Err(error) => (dialect.status(&error), Outgoing::error(Some(id), &dialect.error(error))),
    }
}
