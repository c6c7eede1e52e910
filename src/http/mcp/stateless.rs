//! Requests of 2026-07-28: each carries all it needs, and ends when its connection does.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::{Yard, deliver, go_on};
use super::listen;
use super::visit::Visit;
use crate::domain::raw;
use crate::http::exchange::{Exchange, hearing};
use crate::protocol::{ClientCapabilities, Era, Id, Incoming, Params, RpcError};
use crate::trace::attribute;
use crate::upstream::{Listener, Logs};

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
            listen::stateless(&visit, &id, &params).await
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
            deliver(None, Exchange::new(Era::Modern, id, method, Box::pin(async move { Ok(result.into()) }))).await
        }
        // Gone with the sessions they belonged to.
        "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
            visit.refuse(Era::Modern, &id, RpcError::method(&method))
        }
        _ => {
            if method == "tools/call"
                && let Some(name) = visit.endpoint.header_contradiction(&visit.state, &visit.principal, &params, &|name| visit.header(name))
            {
                let message = format!("the header `Mcp-Param-{name}` must be the argument it mirrors");
                return visit.refuse(Era::Modern, &id, RpcError::new(RpcError::HEADER_MISMATCH, message));
            }
            ask(visit, id, method, params).await
        }
    }
}

/// Asks what stands behind the endpoint, or goes on with what was asked before.
async fn ask(mut visit: Visit, id: Id, method: String, params: Params) -> Response {
    let streams = visit.accepts("text/event-stream");
    let token = params.progress_token().filter(|_| streams).map(ToOwned::to_owned);
    let capabilities = Some(ClientCapabilities::of(&params)).filter(|able| !able.is_empty()).map(Arc::new);
    let asked = may_ask(&method) && capabilities.as_ref().is_some_and(|able| able.can_be_asked());
    let yard = (asked || params.get("requestState").is_some()).then(|| visit.yard(&method, &params));
    if let Some(parked) = yard.as_ref().and_then(Yard::parked) {
        return match parked {
            Ok(mut parked) => {
                // What the work is, is on record with the request that began it.
                std::mem::take(&mut visit.span).done();
                (parked.exchange.id, parked.exchange.token) = (id, token);
                go_on(yard, parked, None).await
            }
            Err(error) => visit.refuse(Era::Modern, &id, error),
        };
    }
    let logs = params.log_level().filter(|_| streams).map_or(Logs::None, Logs::From);
    let (listener, heard) = if token.is_some() || asked || logs != Logs::None {
        let of = |out| Listener::new(visit.principal.id(), token.is_some(), logs, capabilities.clone().unwrap_or_default(), out);
        let (listener, heard) = hearing(of);
        (Some(listener), Some(heard))
    } else {
        (None, None)
    };
    let wanted = method.clone();
    let work = Box::pin(async move {
        let caller = visit.caller(None, listener).in_rounds(capabilities);
        let outcome = visit.endpoint.request(&visit.state, &caller, &wanted, params).await;
        visit.settle(outcome.as_deref());
        outcome
    });
    deliver(yard, Exchange::new(Era::Modern, id, method, work).heard(token, heard)).await
}

/// Whether a request may be answered with what the server wants to know first (2026-07-28 §basic/patterns/mrtr).
fn may_ask(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}
