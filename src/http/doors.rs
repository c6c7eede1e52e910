//! Who answers a request.

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::Method;
use axum::response::Response;
use futures::TryFutureExt as _;
use futures::future::BoxFuture;
use tower::Service as _;

use super::caller::{Caller, ModelCaller};
use super::error::ApiError;
use super::paths::Name;
use super::state::State;
use super::{completions, mcp, paths};

/// Finds who answers a request. The doors that nearly all requests come to are found first: the way through the
/// router costs each of them the boxes of a service, of two futures, and of what is kept of the path.
pub(super) fn answering(state: &State, router: &Router, request: Request) -> Result<Answering, ApiError> {
    let shared = || Shared(state.clone());
    let posted = Some(request.uri().path()).filter(|_| *request.method() == Method::POST);
    let one = || posted?.strip_prefix(paths::BELOW_AGGREGATE).filter(|name| !name.is_empty() && !name.contains(['/', '%']));
    Ok(match posted {
        Some(paths::CHAT) => Box::pin(completions::chat(shared(), ModelCaller::of(request.headers(), state)?, request)),
        Some(paths::MESSAGES) => Box::pin(completions::messages(shared(), ModelCaller::of(request.headers(), state)?, request)),
        Some(paths::RESPONSES) => Box::pin(completions::responses(shared(), ModelCaller::of(request.headers(), state)?, request)),
        Some(paths::EMBEDDINGS) => Box::pin(completions::embed(shared(), ModelCaller::of(request.headers(), state)?, request)),
        Some(paths::AGGREGATE) => Box::pin(mcp::aggregate(shared(), Caller::of(request.headers(), state)?, request)),
        _ => match one().map(|name| Name(name.to_owned())) {
            Some(name) => Box::pin(mcp::target(shared(), Caller::of(request.headers(), state)?, name, request)),
            None => Box::pin(router.clone().call(request).map_err(|never| match never {})),
        },
    })
}

/// An answer that is being made.
pub(super) type Answering = BoxFuture<'static, Result<Response, ApiError>>;
