//! `GET` and `DELETE /v1/responses/{id}`: responses that are kept here, for the caller they were made for.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::caller::ModelCaller;
use super::error::ApiError;
use super::name::Name;
use super::state::State;

/// One response, as it was answered.
pub(super) async fn show(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    Name(id): Name,
    uri: Uri,
) -> Result<impl IntoResponse, ApiError> {
    // What only adds to an answer, as `include` does, is left aside.
    if uri.query().is_some_and(|query| query.split('&').any(|wish| wish == "stream=true")) {
        let message = "a response that is kept is given as a whole; leave `stream` out";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "unsupported", message).about("stream"));
    }
    let body = state.completions.load_full().response(&principal, &id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}

/// Forgets one response.
pub(super) async fn remove(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    Name(id): Name,
) -> Result<Json<Value>, ApiError> {
    state.completions.load_full().forget(&principal, &id).await?;
    Ok(Json(json!({ "id": id, "object": "response", "deleted": true })))
}
