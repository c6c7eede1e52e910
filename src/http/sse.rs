//! Our own event streams: heartbeats while nothing happens, and headers that keep proxies from holding them back.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use tokio::time::Instant;

use crate::domain::one_line;

/// The longest silence before a comment is sent, so that no hop takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream of events as a response.
pub(super) fn response(events: BoxStream<'static, Bytes>) -> Response {
    let mut events = events;
    let body = async_stream::stream! {
        let mut said = Instant::now();
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(said + HEARTBEAT));
        loop {
            let next = tokio::select! {
                biased;
                next = events.next() => next,
                () = &mut alarm => {
                    // One alarm that is set again when it rings too early, not one for each event.
                    if said.elapsed() >= HEARTBEAT {
                        said = Instant::now();
                        yield Ok::<_, std::convert::Infallible>(Bytes::from_static(b": still here\n\n"));
                    }
                    alarm.as_mut().reset(said + HEARTBEAT);
                    continue;
                }
            };
            let Some(bytes) = next else { return };
            said = Instant::now();
            yield Ok(bytes);
        }
    };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    let mut response = (headers, Body::from_stream(body)).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}

/// One message as an event.
pub(super) fn message(text: String) -> Bytes {
    Bytes::from(format!("event: message\ndata: {}\n\n", one_line(text)))
}
