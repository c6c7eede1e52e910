//! The name that a path ends with, for handlers.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::error::ApiError;
use super::state::State;

/// The name that a path ends with.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<State> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let unreadable = |_| ApiError::new(StatusCode::NOT_FOUND, "not_found", "the path is not UTF-8, and there is nothing at it");
        Path::from_request_parts(parts, state).await.map(|Path(name)| Self(name)).map_err(unreadable)
    }
}
