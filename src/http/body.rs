//! Request bodies: JSON, plain, bounded, and in time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;

use super::error::ApiError;

/// The longest a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Reads a JSON body of at most `limit` bytes.
pub(super) async fn read_json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let message = "the body must be JSON, and `Content-Type` must say `application/json`";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "compressed request bodies are not taken";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message));
    }
    let too_large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("the body is larger than {limit} bytes"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(ARRIVAL, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length(&error) => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body did not arrive whole")),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", format!("the body did not arrive within {ARRIVAL:?}"))),
    }
}

fn is_length(error: &axum::Error) -> bool {
    let chain = std::iter::successors(std::error::Error::source(error), |error| error.source());
    chain.into_iter().any(|error| error.to_string().contains("length limit"))
}
