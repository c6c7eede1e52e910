//! The one sender: credential, time, size, and streams that tell the truth about their end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use url::Url;

use super::dialect::Dialect;
use super::error::{Error, Refusal};
use super::provider::{Body, Events};
use super::request::Request;
use super::routing::asked;
use super::verdict::{Verdict, error_in};
use crate::config;
use crate::domain::{Secret, clip, printable};
use crate::net::{self, Destination, Net, Reach, Reply, Splitter};
use crate::trace::{Span, attribute};

/// Largest whole answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Longest body that is looked through for an error.
const MAX_REFUSAL: usize = 64 << 10;

/// The paths that are asked, below a provider's base address.
const PATHS: [&str; 7] =
    ["/chat/completions", "/messages", "/messages/count_tokens", "/responses", "/embeddings", "/models", "/models?limit=1000"];

/// A provider at the other end of a connection.
pub(super) struct Remote {
    base: String,
    /// The host, and the port, for traces.
    host: String,
    port: Option<u16>,
    /// What everybody calls the provider, where that is known.
    known: Option<&'static str>,
    /// The addresses below it, read once.
    destinations: Vec<(&'static str, Destination)>,
    /// What goes with a plain GET, with a request for a whole answer, and for a stream.
    plain: HeaderMap,
    whole: HeaderMap,
    stream: HeaderMap,
    secrets: Arc<[Secret]>,
    idle: Duration,
}

impl Remote {
    pub(super) fn new(net: &Net, name: &str, provider: &config::Provider, idle: Duration) -> Self {
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        let mut add = |header: HeaderName, value: String, secret: &Secret| match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(header, value);
                secrets.push(secret.clone());
            }
            Err(_) => tracing::error!("provider `{name}`: the value of `{header}` cannot be sent in a header; it is left out"),
        };
        let anthropic = provider.kind == config::Kind::Anthropic;
        if let Some(key) = &provider.api_key {
            if anthropic {
                add(X_API_KEY, key.secret().reveal().to_owned(), key.secret());
            } else {
                add(AUTHORIZATION, format!("Bearer {}", key.secret().reveal()), key.secret());
            }
        }
        for (header, value) in &provider.headers {
            match HeaderName::try_from(header.as_str()) {
                Ok(header) => add(header, value.secret().reveal().to_owned(), value.secret()),
                Err(_) => tracing::error!("provider `{name}`: `{header}` is not a header name; it is left out"),
            }
        }
        if anthropic {
            headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static(provider.version().as_str()));
        }
        let accepting = |media_type| {
            let mut headers = net::dressed(&headers);
            headers.insert(ACCEPT, HeaderValue::from_static(media_type));
            headers
        };
        let (plain, mut whole, mut stream) = (accepting(JSON), accepting(JSON), accepting(EVENT_STREAM));
        for headers in [&mut whole, &mut stream] {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        let base = provider.base().to_owned();
        let address = Url::parse(&base).ok();
        let host = address.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
        let port = address.as_ref().and_then(Url::port_or_known_default);
        let known = match provider.kind {
            config::Kind::Openai => Some("openai"),
            config::Kind::Anthropic => Some("anthropic"),
            config::Kind::OpenaiCompatible => None,
        };
        let to = |path: &str| net.to(Url::parse(&format!("{base}{path}")).ok()?, Reach::Operator).ok();
        let destinations = PATHS.iter().filter_map(|path| Some((*path, to(path)?))).collect();
        Self { base, host, port, known, destinations, plain, whole, stream, secrets: secrets.into(), idle }
    }

    async fn request(
        &self,
        method: Method,
        path: &'static str,
        (body, more): (Bytes, &[(&'static str, String)]),
        streams: bool,
        span: &mut Span,
    ) -> Result<Reply, Error> {
        let destination = self.destinations.iter().find(|(known, _)| *known == path).map(|(_, to)| to).ok_or(Error::Unreachable)?;
        let mut headers = Cow::Borrowed(match (streams, body.is_empty()) {
            (true, _) => &self.stream,
            (false, false) => &self.whole,
            (false, true) => &self.plain,
        });
        for (name, value) in more {
            // The operator's betas stay when a client asks for others.
            let own = headers.get(*name).filter(|_| *name == "anthropic-beta").and_then(|own| own.to_str().ok());
            let value = own.map_or_else(|| value.clone(), |own| format!("{own},{value}"));
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.to_mut().insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(carrier) = span.carrier() {
            self.note(span);
            for (name, value) in carrier.headers() {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.to_mut().insert(HeaderName::from_static(name), value);
                }
            }
        }
        // Who waits for a whole answer says how long; a stream must begin within the time that it may be silent.
        let sent = if streams {
            timeout(self.idle, destination.send(method, &headers, body)).await.map_err(|_| Error::Idle(self.idle))?
        } else {
            destination.send(method, &headers, body).await
        };
        let reply = sent.map_err(|error| self.broke(&error, Error::Unreachable))?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        Err(Box::pin(self.refused(reply)).await)
    }

    /// Notes in a span who is asked.
    fn note(&self, span: &mut Span) {
        span.peer(&self.host, self.port);
        if let Some(known) = self.known {
            span.set(attribute::PROVIDER, known);
        }
    }

    fn broke(&self, error: &net::Error, otherwise: Error) -> Error {
        tracing::warn!(provider.base = %self.base, "the provider at {} failed: {error}", self.base);
        match error {
            net::Error::Timeout => Error::Idle(self.idle),
            net::Error::TooLarge(_) => Error::TooLarge,
            net::Error::Redirect => Error::Protocol("it is a redirect"),
            net::Error::Failed(_) => otherwise,
            _ => Error::Unreachable,
        }
    }

    /// Why there is no answer.
    async fn refused(&self, reply: Reply) -> Error {
        let status = reply.status;
        let retry_after = asked(&reply.headers);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Credential(status.as_u16()),
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { retry_after },
            status if status.is_client_error() => {
                let body = reply.whole(256 << 10).await.unwrap_or_default();
                Error::Refused(status.as_u16(), self.refusal(&body))
            }
            status if status.is_server_error() => Error::Failed(status.as_u16(), retry_after),
            _ => Error::Protocol("it answered with an unexpected status"),
        }
    }

    /// What the provider said, without anything that is ours to keep.
    fn refusal(&self, body: &[u8]) -> Refusal {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = body.get("error").unwrap_or(&body);
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(|text| clean(&self.secrets, text));
        Refusal { message: text("message").unwrap_or_else(|| "it gave no reason".to_owned()), code: text("code"), param: text("param") }
    }

    /// Sends a request for a model, and returns the answer or its beginning; its bytes are not touched.
    pub(super) async fn ask(&self, path: &'static str, model: &str, request: &Request, span: &mut Span) -> Result<Body, Error> {
        let body = (request.for_model(model), request.headers());
        if request.stream() {
            return Box::pin(self.stream(path, body, request.dialect(), span)).await;
        }
        let reply = self.request(Method::POST, path, body, false, span).await?;
        self.json(reply).await.map(Body::Json)
    }

    /// A whole JSON answer to a plain GET.
    pub(super) async fn get(&self, path: &'static str) -> Result<Bytes, Error> {
        let reply = self.request(Method::GET, path, (Bytes::new(), &[]), false, &mut Span::default()).await?;
        self.json(reply).await
    }

    async fn json(&self, reply: Reply) -> Result<Bytes, Error> {
        if !is(&reply, JSON) {
            return Err(Error::Protocol("it is not JSON"));
        }
        let whole = reply.whole(MAX_ANSWER).await;
        let body = whole.map_err(|error| match error {
            net::Error::TooLarge(_) => Error::TooLarge,
            net::Error::Timeout => Error::Unreachable,
            _ => Error::Truncated,
        })?;
        // Its two ends tell a whole object from half a one; the rest is the caller's to read.
        let ends = (body.trim_ascii().first(), body.trim_ascii().last());
        if ends != (Some(&b'{'), Some(&b'}')) {
            return Err(Error::Protocol("it is not a JSON object"));
        }
        // Some providers say in a good answer that they have none.
        match Some(&body).filter(|body| body.len() < MAX_REFUSAL).and_then(|body| error_in(body)) {
            Some(refusal) => Err(Error::said(cleaned(&self.secrets, &refusal))),
            None => Ok(body),
        }
    }

    /// A stream, held until its first event has come: until then another target can still answer.
    async fn stream(
        &self,
        path: &'static str,
        body: (Bytes, &[(&'static str, String)]),
        dialect: Dialect,
        span: &mut Span,
    ) -> Result<Body, Error> {
        let reply = self.request(Method::POST, path, body, true, span).await?;
        if is(&reply, JSON) {
            // Some providers answer an error, or a whole answer, although a stream was asked for.
            let body = self.json(reply).await?;
            return Err(
                error_in(&body).map_or(Error::Protocol("it is not a stream"), |refusal| Error::said(cleaned(&self.secrets, &refusal)))
            );
        }
        if !is(&reply, EVENT_STREAM) {
            return Err(Error::Protocol("it is not a stream of events"));
        }
        let mut events = events(reply, self.idle, self.secrets.clone(), dialect);
        loop {
            match events.next().await {
                Some(Ok(first)) if first.iter().any(|event| event.data.is_some()) => return Ok(Body::Stream(first, events)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Truncated),
            }
        }
    }
}

/// A provider's words without anything that is ours to keep.
fn clean(secrets: &[Secret], text: &str) -> String {
    // What is shorter is no secret, and would be found in every other word.
    let known = secrets.iter().filter(|secret| secret.reveal().len() >= 8);
    let text = known.fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "•••"));
    printable(&clip(&text, 2_000))
}

fn cleaned(secrets: &[Secret], refusal: &Refusal) -> Refusal {
    let clean = |text: &String| clean(secrets, text);
    Refusal { message: clean(&refusal.message), code: refusal.code.as_ref().map(clean), param: refusal.param.as_ref().map(clean) }
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

fn is(reply: &Reply, wanted: &str) -> bool {
    reply.media_type().eq_ignore_ascii_case(wanted)
}

/// Reads events to the end. The end is true when the dialect's last word came, or when the connection
/// closed in order after the answer had; anything else is an answer that was cut off.
fn events(mut reply: Reply, idle: Duration, secrets: Arc<[Secret]>, dialect: Dialect) -> Events {
    Box::pin(async_stream::stream! {
        let mut splitter = Splitter::default();
        let mut finished = false;
        let mut heard = Instant::now();
        // One alarm that is set again when it rings too early, not one for each piece.
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(heard + idle));
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = reply.chunk() => chunk,
                () = &mut alarm => {
                    if heard.elapsed() < idle {
                        alarm.as_mut().reset(heard + idle);
                        continue;
                    }
                    yield Err(Error::Idle(idle));
                    return;
                }
            };
            heard = Instant::now();
            let Ok(chunk) = chunk else {
                yield Err(Error::Truncated);
                return;
            };
            let ended = chunk.is_none();
            if chunk.is_some_and(|chunk| splitter.push(&chunk).is_err()) {
                yield Err(Error::TooLarge);
                return;
            }
            let mut ready = Vec::new();
            let mut verdict = None;
            while let Some(event) = splitter.next_event().or_else(|| if ended { splitter.finish() } else { None }) {
                let Some(data) = event.data.as_deref() else {
                    continue;
                };
                let said = dialect.verdict(&event, data);
                if matches!(said, Verdict::Done) {
                    verdict = Some(Ok(()));
                    break;
                }
                if let Verdict::Failed(error) = &said {
                    verdict = Some(Err(Error::said(cleaned(&secrets, error))));
                    break;
                }
                // Its two ends tell a whole object from half a one; who reads it finds out the rest.
                if !data.trim_start().starts_with('{') || !data.trim_end().ends_with('}') {
                    verdict = Some(Err(if ended { Error::Truncated } else { Error::Protocol("an event is not JSON") }));
                    break;
                }
                finished = finished || matches!(said, Verdict::Finished);
                if matches!(said, Verdict::Ends) {
                    ready.push(event);
                    verdict = Some(Ok(()));
                    break;
                }
                ready.push(event);
            }
            if !ready.is_empty() {
                yield Ok(ready);
            }
            match verdict {
                Some(Ok(())) => return,
                Some(Err(error)) => {
                    yield Err(error);
                    return;
                }
                None if ended && finished => return,
                None if ended => {
                    yield Err(Error::Truncated);
                    return;
                }
                None => {}
            }
        }
    })
}
