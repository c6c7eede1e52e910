//! JSON-RPC messages as whole responses.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::protocol::{Era, Id, Incoming, Outgoing, RpcError};

pub(super) fn id_of(message: &Incoming) -> Option<&Id> {
    match message {
        Incoming::Request { id, .. } => Some(id),
        Incoming::Notification { .. } | Incoming::Response { .. } => None,
    }
}

/// A JSON-RPC message as a whole response.
pub(super) fn json(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// An error as a whole response, in the words of an era.
pub(super) fn refusal(era: Era, id: Option<&Id>, error: RpcError) -> Response {
    let dialect = era.dialect();
    let status = dialect.status(&error);
    json(status, Outgoing::error(id, &dialect.error(error)))
}
