//! Completions and embeddings: one handler for each dialect that clients speak, one way through.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request as Post, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;

use super::body::read_json;
use super::caller::ModelCaller;
use super::error::{ApiError, Shape};
use super::meters::Meter;
use super::paths;
use super::rates::show;
use super::record::{Record, refused};
use super::sse;
use super::state::State;
use super::timing::Elsewhere;
use super::traced::model_door;
use crate::completion::{Answer, Asked, split_names, split_tags};
use crate::domain::Principal;
use crate::llm::{Dialect, Request, Wrong};
use crate::trace::Span;

/// `POST /v1/chat/completions`.
pub(super) async fn chat(Shared(state): Shared<State>, ModelCaller(principal): ModelCaller, request: Post) -> Result<Response, ApiError> {
    complete(&state, &principal, request, Dialect::Chat).await
}

/// `POST /v1/messages`.
pub(super) async fn messages(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    request: Post,
) -> Result<Response, ApiError> {
    complete(&state, &principal, request, Dialect::Messages).await
}

/// `POST /v1/responses`.
pub(super) async fn responses(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    request: Post,
) -> Result<Response, ApiError> {
    complete(&state, &principal, request, Dialect::Responses).await
}

/// `POST /v1/messages/count_tokens`.
pub(super) async fn count_tokens(
    Shared(state): Shared<State>,
    ModelCaller(principal): ModelCaller,
    request: Post,
) -> Result<Response, ApiError> {
    let start = Instant::now();
    let span = model_door(&state, &principal, request.headers(), paths::COUNT_TOKENS);
    let (span, request, asked) = read(&state, span, request, Request::parse_count, true).await?;
    let completions = state.completions.load_full();
    let record = Record::open(&state, &completions, "count_tokens", &principal, &request, &asked, span)?;
    let answer = completions.count(&principal, request, asked).await;
    respond(answer, record, "count_tokens", Shape::Messages, start)
}

/// `POST /v1/embeddings`.
pub(super) async fn embed(Shared(state): Shared<State>, ModelCaller(principal): ModelCaller, request: Post) -> Result<Response, ApiError> {
    let start = Instant::now();
    let span = model_door(&state, &principal, request.headers(), paths::EMBEDDINGS);
    let (span, request, asked) = read(&state, span, request, Request::parse_embeddings, false).await?;
    let completions = state.completions.load_full();
    let record = Record::open(&state, &completions, "embeddings", &principal, &request, &asked, span)?;
    let answer = completions.embed(&principal, request, asked).await;
    respond(answer, record, "embeddings", Shape::Chat, start)
}

async fn complete(state: &State, principal: &Principal, request: Post, dialect: Dialect) -> Result<Response, ApiError> {
    let start = Instant::now();
    let (operation, shape, route) = match dialect {
        Dialect::Chat => ("chat", Shape::Chat, paths::CHAT),
        Dialect::Messages => ("messages", Shape::Messages, paths::MESSAGES),
        Dialect::Responses => ("responses", Shape::Responses, paths::RESPONSES),
    };
    let span = model_door(state, principal, request.headers(), route);
    let parse = |body: &Bytes| Request::parse(dialect, body);
    let (span, request, asked) = read(state, span, request, parse, dialect == Dialect::Messages).await?;
    let completions = state.completions.load_full();
    let record = Record::open(state, &completions, operation, principal, &request, &asked, span)?;
    let answer = completions.complete(principal, request, asked).await;
    respond(answer, record, operation, shape, start)
}

/// Reads a request: what is asked of a model, and what of the gateway itself. One that is refused ends its span.
async fn read(
    state: &State,
    span: Span,
    post: Post,
    parse: impl FnOnce(&Bytes) -> Result<Request, Wrong>,
    passes: bool,
) -> Result<(Span, Request, Asked), ApiError> {
    let read = async {
        let (headers, body) = read_json(post, state.settings.load().body).await?;
        let mut request = parse(&body).map_err(crate::completion::Error::from)?;
        if passes {
            pass_headers(&mut request, &headers)?;
        }
        Ok((request, asked(&headers)?))
    };
    match read.await {
        Ok((request, asked)) => {
            let trace = span.trace();
            Ok((span, request, Asked { trace, ..asked }))
        }
        Err(error) => Err(refused(span, error)),
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TAGS: HeaderName = HeaderName::from_static("x-portolan-tags");
const TOOLS: HeaderName = HeaderName::from_static("x-portolan-tools");
/// Both what is asked for and what was joined in.
const CONTEXT: HeaderName = HeaderName::from_static("x-portolan-context");

/// What the headers ask of the gateway itself.
fn asked(headers: &HeaderMap) -> Result<Asked, ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let names = |name: &HeaderName| text(name).map(split_names).unwrap_or_default();
    let tags = text(&TAGS).map(split_tags).transpose()?.unwrap_or_default();
    let request = text(&REQUEST_ID).map(Into::into);
    Ok(Asked { context: names(&CONTEXT), tools: names(&TOOLS), tags, request, ..Asked::default() })
}

/// Headers of Anthropic's clients that go to Anthropic as they are.
const PASSED: [&str; 2] = ["anthropic-version", "anthropic-beta"];
/// Longest of them, in bytes.
const MAX_PASSED: usize = 2_048;

fn pass_headers(request: &mut Request, headers: &HeaderMap) -> Result<(), ApiError> {
    for name in PASSED {
        let all: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let value = all.join(",");
        if value.len() > MAX_PASSED {
            let message = format!("the header `{name}` is longer than {MAX_PASSED} bytes");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message));
        }
        if !value.is_empty() {
            request.send_header(name, &value);
        }
    }
    Ok(())
}

const MODEL: HeaderName = HeaderName::from_static("x-portolan-model");
const CACHE: HeaderName = HeaderName::from_static("x-portolan-cache");
const DROPPED: HeaderName = HeaderName::from_static("x-portolan-dropped");

/// An answer with the headers that say where it came from. Whatever comes of it is on record.
fn respond(
    answer: Result<Answer, crate::completion::Error>,
    mut record: Record,
    operation: &'static str,
    shape: Shape,
    start: Instant,
) -> Result<Response, ApiError> {
    let allowance = record.allowance;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(record.failed(ApiError::from(error))),
    };
    let (meta, mut response) = match answer {
        Answer::Json(meta, body, usage) => {
            Meter::of(operation, &meta.model).note(start.elapsed(), usage);
            record.took(&meta.model, usage);
            record.done();
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (meta, response)
        }
        Answer::Stream(meta, mut events) => {
            let mut model = meta.model.clone();
            record.took(&model, None);
            record.begin();
            let bytes = async_stream::stream! {
                let (mut usage, mut place) = (None, None);
                while let Some(item) = events.next().await {
                    match item {
                        Ok(sent) => {
                            if sent.usage.is_some() || sent.model.is_some() {
                                usage = sent.usage.or(usage);
                                model = sent.model.unwrap_or(model);
                                record.took(&model, usage);
                            }
                            place = sent.place.or(place);
                            if !sent.bytes.is_empty() {
                                yield sent.bytes;
                            }
                        }
                        Err(error) => {
                            tracing::warn!("a stream of {model} ended with an error: {error}");
                            Meter::of(operation, &model).note(start.elapsed(), usage);
                            let error = record.failed(ApiError::from(error));
                            yield Bytes::from(shape.last_event(&error, place.take()));
                            return;
                        }
                    }
                }
                Meter::of(operation, &model).note(start.elapsed(), usage);
                record.done();
            };
            (meta, sse::response(bytes.boxed()))
        }
    };
    response.extensions_mut().insert(Elsewhere(meta.provider));
    let headers = response.headers_mut();
    show(&allowance, headers);
    let mut set = |name: HeaderName, value: &str| {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    };
    set(MODEL, &meta.model);
    set(CONTEXT, &meta.context);
    set(CACHE, meta.memo);
    set(DROPPED, &meta.dropped);
    Ok(response)
}
