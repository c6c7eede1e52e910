//! Requests of 2026-07-28: each carries all it needs, and ends when its connection does.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{answer as deliver, progress};
use super::listen;
use super::visit::Visit;
use crate::domain::raw;
use crate::protocol::{Era, Incoming, RpcError};
use crate::trace::attribute;

/// Answers one message. Dropping the future, when the client leaves, cancels what was begun.
pub(super) async fn answer(mut visit: Visit, message: Incoming) -> Response {
    let (id, method, params) = match message {
        Incoming::Request { id, method, params } => (id, method, params),
        Incoming::Notification { .. } | Incoming::Response { .. } => return StatusCode::ACCEPTED.into_response(),
    };
    visit.span.set(attribute::MCP_VERSION, Era::MODERN);
    match method.as_str() {
        "subscriptions/listen" => {
            // What comes of listening goes on for as long as the client wants; the span is of its beginning.
            std::mem::take(&mut visit.span).done();
            listen::stateless(&visit, &id, &params)
        }
        "server/discover" => {
            let mut result = json!({
                "supportedVersions": [Era::MODERN],
                "capabilities": visit.endpoint.capabilities(&visit.state),
                "ttlMs": 60_000,
                "cacheScope": "private",
                "_meta": { "io.modelcontextprotocol/serverInfo": visit.endpoint.server_info(&visit.state) },
            });
            if let (Some(text), Some(members)) = (visit.endpoint.instructions(&visit.state, &visit.principal), result.as_object_mut()) {
                members.insert("instructions".to_owned(), text.into());
            }
            let result = raw(&result);
            visit.settle(Ok(&result));
            deliver(Era::Modern, id, method, Box::pin(async move { Ok(result) }), None).await
        }
        // Gone with the sessions they belonged to.
        "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
            visit.refuse(Era::Modern, &id, RpcError::method(&method))
        }
        _ => {
            if method == "tools/call"
                && let Some(name) = visit.endpoint.header_contradiction(&visit.state, &params, &|name| visit.header(name))
            {
                let message = format!("the header `Mcp-Param-{name}` must be the argument it mirrors");
                return visit.refuse(Era::Modern, &id, RpcError::new(RpcError::HEADER_MISMATCH, message));
            }
            let (listener, notes) = progress(params.progress_token(), || visit.accepts("text/event-stream"));
            let asked = method.clone();
            let work = Box::pin(async move {
                let outcome = visit.endpoint.request(&visit.state, &visit.caller(None, listener), &asked, params).await;
                visit.settle(outcome.as_deref());
                outcome
            });
            deliver(Era::Modern, id, method, work, notes).await
        }
    }
}
