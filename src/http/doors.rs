//! Who answers a request.

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::Method;
use axum::response::Response;
use futures::TryFutureExt as _;
use futures::future::BoxFuture;
use tower::Service as _;

use super::caller::{Caller, Door, ModelCaller};
use super::error::ApiError;
use super::paths::Name;
use super::state::State;
use super::{completions, mcp, paths};

/// Finds who answers a request. The doors that nearly all requests come to are found first: the way through the
/// router costs each of them the boxes of a service, of two futures, and of what is kept of the path.
pub(super) fn answering(state: &State, router: &Router, request: Request) -> Answering {
    let posted = Some(request.uri().path()).filter(|_| *request.method() == Method::POST);
    let one = || posted?.strip_prefix(paths::BELOW_AGGREGATE).filter(|name| !name.is_empty() && !name.contains(['/', '%']));
    let state = state.clone();
    match posted {
        Some(paths::CHAT) => Box::pin(async move {
            let caller = ModelCaller::of(door(&state, &request)).await?;
            completions::chat(Shared(state), caller, request).await
        }),
        Some(paths::MESSAGES) => Box::pin(async move {
            let caller = ModelCaller::of(door(&state, &request)).await?;
            completions::messages(Shared(state), caller, request).await
        }),
        Some(paths::RESPONSES) => Box::pin(async move {
            let caller = ModelCaller::of(door(&state, &request)).await?;
            completions::responses(Shared(state), caller, request).await
        }),
        Some(paths::EMBEDDINGS) => Box::pin(async move {
            let caller = ModelCaller::of(door(&state, &request)).await?;
            completions::embed(Shared(state), caller, request).await
        }),
        Some(paths::AGGREGATE) => Box::pin(async move {
            let caller = Caller::of(door(&state, &request)).await?;
            mcp::aggregate(Shared(state), caller, request).await
        }),
        _ => match one().map(|name| Name(name.to_owned())) {
            Some(name) => Box::pin(async move {
                let caller = Caller::of(door(&state, &request)).await?;
                mcp::target(Shared(state), caller, name, request).await
            }),
            None => Box::pin(router.clone().call(request).map_err(|never| match never {})),
        },
    }
}

fn door<'d>(state: &'d State, request: &'d Request) -> Door<'d> {
    Door { state, path: request.uri().path(), headers: request.headers() }
}

/// An answer that is being made.
pub(super) type Answering = BoxFuture<'static, Result<Response, ApiError>>;
