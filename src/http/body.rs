//! Request bodies: JSON, plain, bounded, and in time.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;

use super::error::ApiError;

/// The longest a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How long, with what silence, and for how many bytes a refused body is let pass by.
const DISCARDING: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(500);
const MOST_DISCARDED: u64 = 256 << 20;

/// Reads a JSON body of at most `limit` bytes; with it come the headers.
pub(super) async fn read_json(request: Request, limit: usize) -> Result<(HeaderMap, Bytes), ApiError> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
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
    let mut body = body.into_data_stream();
    if let Some(length) = length.filter(|length| *length > limit as u64) {
        // Whoever asks first whether to go on is told before anything was sent.
        if length <= MOST_DISCARDED && !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large());
    }
    match tokio::time::timeout(ARRIVAL, gather(&mut body, limit)).await {
        Ok(Ok(Some(bytes))) => Ok((headers, bytes)),
        Ok(Ok(None)) => {
            discard(body).await;
            Err(too_large())
        }
        Ok(Err(_)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "body_incomplete", "the body did not arrive whole")),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", format!("the body did not arrive within {ARRIVAL:?}"))),
    }
}

/// The whole body; none when it is larger than `limit`. One that came in a single piece is not copied.
async fn gather(body: &mut BodyDataStream, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(piece) = body.try_next().await? {
        if first.len() + whole.len() + piece.len() > limit {
            return Ok(None);
        }
        if first.is_empty() && whole.is_empty() {
            first = piece;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&piece);
    }
    Ok(Some(if whole.is_empty() { first } else { whole.freeze() }))
}

/// Lets the rest of a refused body pass by for a moment: most clients read the refusal only when they
/// have sent everything, and would see a broken connection instead.
async fn discard(mut body: BodyDataStream) {
    let mut left = MOST_DISCARDED;
    let pass = async {
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(SILENCE, body.try_next()).await {
            left = left.saturating_sub(piece.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARDING, pass).await;
}
