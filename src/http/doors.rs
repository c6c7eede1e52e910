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
use super::name::Name;
use super::state::State;
use super::{completions, mcp, paths};

/// Finds who answers a request. The doors that nearly all requests come to are found first: the way through the
/// router costs each of them the boxes of a service, of two futures, and of what is kept of the path.
pub(super) fn answering(state: &State, router: &Router, request: Request) -> Answering {
    let posted = Some(request.uri().path()).filter(|_| *request.method() == Method::POST);
    let one = || posted?.strip_prefix(paths::BELOW_AGGREGATE).filter(|name| !name.is_empty() && !name.contains(['/', '%']));
    let state = state.clone();
    match posted {
        Some(paths::CHAT) => model(state, request, completions::chat),
        Some(paths::MESSAGES) => model(state, request, completions::messages),
        Some(paths::RESPONSES) => model(state, request, completions::responses),
        Some(paths::EMBEDDINGS) => model(state, request, completions::embed),
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

/// A door for those who may use models.
fn model<W>(state: State, request: Request, handle: fn(Shared<State>, ModelCaller, Request) -> W) -> Answering
where
    W: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    Box::pin(async move {
        let caller = ModelCaller::of(door(&state, &request)).await?;
        handle(Shared(state), caller, request).await
    })
}

fn door<'d>(state: &'d State, request: &'d Request) -> Door<'d> {
    Door { state, path: request.uri().path(), headers: request.headers() }
}

/// An answer that is being made.
pub(super) type Answering = BoxFuture<'static, Result<Response, ApiError>>;
