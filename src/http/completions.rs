//! `POST /v1/chat/completions`.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;

use super::body::read_json;
use super::caller::ModelCaller;
use super::error::ApiError;
use super::layers::Elsewhere;
use super::meters::Meter;
use super::sse;
use super::state::State;
use crate::completion::{Answer, Asked, split_names};
use crate::domain::{RawObject, Usage};
use crate::llm::{ChatRequest, error_event};

/// Answers a chat completion, whole or streamed.
pub(super) async fn chat(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let start = Instant::now();
    let request = read(&state, &headers, body).await?;
    let names = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(split_names).unwrap_or_default();
    let asked = Asked { context: names("x-portolan-context"), tools: names("x-portolan-tools"), ..Asked::default() };
    let completions = state.completions.load_full();
    let answer = completions.chat(&principal, request, asked).await?;
    Ok(respond(answer, "chat", start))
}

/// Reads a request of OpenAI's dialect.
pub(super) async fn read(state: &State, headers: &HeaderMap, body: Body) -> Result<ChatRequest, ApiError> {
    let limit = state.settings.load().body;
    let body = read_json(headers, body, limit).await?;
    ChatRequest::parse(&body).map_err(|(why, param)| {
        let error = ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", why);
        match param {
            Some(param) => error.about(param),
            None => error,
        }
    })
}

/// An answer with the headers that say where it came from.
pub(super) fn respond(answer: Answer, operation: &'static str, start: Instant) -> Response {
    let (meta, mut response) = match answer {
        Answer::Json(meta, body) => {
            Meter::of(operation, &meta.model).note(start.elapsed(), usage_of(&body));
            (meta, ([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        Answer::Stream(meta, mut events) => {
            let told = meta.clone();
            let bytes = async_stream::stream! {
                let mut tail = Usage::default();
                while let Some(item) = events.next().await {
                    match item {
                        Ok(bytes) => {
                            tail = stream_usage(&bytes).unwrap_or(tail);
                            yield bytes;
                        }
                        Err(error) => {
                            tracing::warn!("a stream of {} ended with an error: {error}", told.model);
                            yield error_event(&ApiError::from(error).openai());
                            break;
                        }
                    }
                }
                Meter::of(operation, &told.model).note(start.elapsed(), Some(tail));
            };
            (meta, sse::response(bytes.boxed()))
        }
    };
    response.extensions_mut().insert(Elsewhere(meta.provider));
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-portolan-model", &meta.model);
    set("x-portolan-context", &meta.context);
    response
}

/// The usage at the end of an answer, found without reading what stands before it.
fn usage_of(body: &Bytes) -> Option<Usage> {
    let text = std::str::from_utf8(body).ok()?;
    let at = text.rfind("\"usage\"")?;
    let value = text.get(at + 7..)?.trim_start().strip_prefix(':')?;
    let mut read = serde_json::Deserializer::from_str(value).into_iter::<Usage>();
    match read.next() {
        Some(Ok(usage)) => Some(usage),
        _ => RawObject::parse(text).ok()?.read("usage"),
    }
}

/// The usage in a piece of a stream; most pieces have none.
fn stream_usage(bytes: &Bytes) -> Option<Usage> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind("\"usage\"")?;
    let value = text.get(at + 7..)?.trim_start().strip_prefix(':')?.trim_start();
    if value.starts_with('{') { serde_json::Deserializer::from_str(value).into_iter::<Usage>().next()?.ok() } else { None }
}
