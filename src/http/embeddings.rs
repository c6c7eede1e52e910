//! `POST /v1/embeddings`.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;

use super::body::read_json;
use super::caller::ModelCaller;
use super::completions::{asked, respond};
use super::error::{ApiError, Shape};
use super::state::State;
use crate::llm::Request;

/// Relays an embeddings request.
pub(super) async fn embed(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let start = Instant::now();
    let body = read_json(&headers, body, state.settings.load().body).await?;
    let request = Request::parse_embeddings(&body).map_err(crate::completion::Error::from)?;
    let completions = state.completions.load_full();
    Ok(respond(completions.embed(&principal, request, asked(&headers)?).await?, "embeddings", Shape::Chat, start))
}
