//! Batches: several messages in one body, which 2025-03-26 allows and no revision after it (§basic/transports).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::future::join_all;

use super::reply::{id_of, json};
use super::session::{Batch, Out, begin, drive, find, opened};
use super::visit::Visit;
use crate::http::error::ApiError;
use crate::http::exchange::Step;
use crate::http::sse;
use crate::protocol::{Incoming, Outgoing, Revision, RpcError, Unreadable};

/// Whether a body is a batch.
pub(super) fn is_batch(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'[')
}

/// Answers all messages of a batch: each by itself, on one stream or in one list.
pub(super) async fn answer(visit: Visit, bytes: &[u8]) -> Result<Response, ApiError> {
    let refused = |why: &str| json(400, Outgoing::error(None, &RpcError::new(RpcError::INVALID_REQUEST, why)));
    let session = match find(&visit) {
        Ok(session) if session.revision() == Revision::V2025_03_26 => session,
        Ok(_) => return Ok(refused("this revision has no batches; send one message")),
        // A session cannot be opened by one of many.
        Err(error) if error.code == "session_missing" => return Ok(refused("a batch belongs into a session; send one message")),
        Err(error) => return Err(error),
    };
    let messages = Incoming::parse_batch(bytes);
    let messages = match messages {
        Ok(messages) => messages,
        Err(error) => return Ok(json(400, Outgoing::error(None, &error))),
    };
    let streams = visit.accepts("text/event-stream");
    let (mut exchanges, mut unreadable) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Ok(Incoming::Request { id, method, .. }) if method == "initialize" => {
                unreadable.push(Outgoing::error(Some(&id), &RpcError::new(RpcError::INVALID_REQUEST, "`initialize` stands alone")));
            }
            Ok(message) => match visit.another(&message) {
                Ok(one) => exchanges.extend(begin(one, &session, message, streams)),
                // The others are under way already, and their answers must not be lost with this one's.
                Err(refused) => {
                    let error = RpcError::new(RpcError::FORBIDDEN, refused.message);
                    unreadable.extend(id_of(&message).map(|id| Outgoing::error(Some(id), &error)));
                }
            },
            Err(Unreadable { id, error }) => unreadable.push(Outgoing::error(id.as_ref(), &error)),
        }
    }
    if exchanges.is_empty() && unreadable.is_empty() {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    if !streams {
        let answers = exchanges.into_iter().map(async |mut exchange| {
            loop {
                if let Step::Done(outcome) = exchange.step().await {
                    return exchange.answer(&outcome).1;
                }
            }
        });
        let answers = join_all(answers).await;
        return Ok(json(200, format!("[{}]", [answers, unreadable].concat().join(","))));
    }
    let outbox = opened(&session);
    for message in unreadable {
        outbox.push(message);
    }
    let batch = Arc::new(Batch { session: session.clone(), outbox: outbox.clone() });
    for exchange in exchanges {
        tokio::spawn(drive(session.clone(), exchange, None, Out::Shared(batch.clone())));
    }
    drop(batch);
    Ok(sse::response(outbox.read(0).boxed()))
}
