//! The one sender: credential, time, size, and streams that tell the truth about their end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::Error;
use super::dialect::{Dialect, Verdict, error_in};
use super::error::Refusal;
use super::provider::{Body, Events};
use super::request::Request;
use super::routing::asked;
use crate::config;
use crate::domain::{Secret, clip, printable};
use crate::net::{self, Net, Reach, Splitter};

/// Largest whole answer, in bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Longest body that is looked through for an error.
const MAX_REFUSAL: usize = 64 << 10;
/// How long a provider may think before a whole answer begins.
const PATIENCE: Duration = Duration::from_secs(600);

/// The paths that are asked, below a provider's base address.
const PATHS: [&str; 7] =
    ["/chat/completions", "/messages", "/messages/count_tokens", "/responses", "/embeddings", "/models", "/models?limit=1000"];

/// A provider at the other end of a connection.
pub(super) struct Remote {
    net: Net,
    base: String,
    /// The addresses below it, read once.
    urls: Vec<(&'static str, Url)>,
    headers: HeaderMap,
    secrets: Arc<[Secret]>,
    idle: Duration,
}

impl Remote {
    pub(super) fn new(net: Net, name: &str, provider: &config::Provider, idle: Duration) -> Self {
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
        // What is compressed arrives late; whoever compresses all the same is understood.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let base = provider.base().to_owned();
        let urls = PATHS.iter().filter_map(|path| Some((*path, Url::parse(&format!("{base}{path}")).ok()?))).collect();
        Self { net, base, urls, headers, secrets: secrets.into(), idle }
    }

    async fn request(
        &self,
        method: reqwest::Method,
        path: &'static str,
        body: Option<(Bytes, &[(&'static str, String)])>,
        accept: &'static str,
    ) -> Result<Response, Error> {
        let url = self.urls.iter().find(|(known, _)| *known == path).map(|(_, url)| url.clone()).ok_or(Error::Unreachable)?;
        let client = self.net.client(&url, Reach::Operator).map_err(|_| Error::Unreachable)?;
        let mut request = reqwest::Request::new(method, url);
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some((body, more)) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            for (name, value) in more {
                // The operator's betas stay when a client asks for others.
                let own = headers.get(*name).filter(|_| *name == "anthropic-beta").and_then(|own| own.to_str().ok());
                let value = own.map_or_else(|| value.clone(), |own| format!("{own},{value}"));
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
            *request.body_mut() = Some(body.into());
        }
        let patience = if accept == EVENT_STREAM { self.idle } else { PATIENCE };
        let sent = tokio::time::timeout(patience, client.execute(request)).await.map_err(|_| Error::Idle(patience))?;
        let response = sent.map_err(|error| self.broke(error, Error::Unreachable))?;
        self.accepted(response).await
    }

    fn broke(&self, error: reqwest::Error, otherwise: Error) -> Error {
        let error = net::Error::from(error);
        tracing::warn!(provider.base = %self.base, "the provider at {} failed: {error}", self.base);
        match error {
            net::Error::Timeout => Error::Idle(self.idle),
            net::Error::TooLarge(_) => Error::TooLarge,
            net::Error::Redirect => Error::Protocol("it is a redirect"),
            net::Error::Failed(_) => otherwise,
            _ => Error::Unreachable,
        }
    }

    async fn accepted(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = asked(response.headers());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Credential(status.as_u16())),
            StatusCode::TOO_MANY_REQUESTS => Err(Error::RateLimited { retry_after }),
            status if status.is_client_error() => {
                let body = net::read(response, 256 << 10).await.unwrap_or_default();
                Err(Error::Refused(status.as_u16(), self.refusal(&body)))
            }
            status if status.is_server_error() => Err(Error::Failed(status.as_u16(), retry_after)),
            _ => Err(Error::Protocol("it answered with an unexpected status")),
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
    pub(super) async fn ask(&self, path: &'static str, model: &str, request: &Request) -> Result<Body, Error> {
        let body = (request.for_model(model), request.headers());
        if request.stream() {
            return self.stream(path, body, request.dialect()).await;
        }
        let response = self.request(reqwest::Method::POST, path, Some(body), JSON).await?;
        self.json(response).await.map(Body::Json)
    }

    /// A whole JSON answer to a plain GET.
    pub(super) async fn get(&self, path: &'static str) -> Result<Bytes, Error> {
        let response = self.request(reqwest::Method::GET, path, None, JSON).await?;
        self.json(response).await
    }

    async fn json(&self, response: Response) -> Result<Bytes, Error> {
        if !is(&response, JSON) {
            return Err(Error::Protocol("it is not JSON"));
        }
        let body = tokio::time::timeout(PATIENCE, net::read(response, MAX_ANSWER)).await.map_err(|_| Error::Idle(PATIENCE))?;
        let body = body.map_err(|error| match error {
            net::Error::TooLarge(_) => Error::TooLarge,
            net::Error::Timeout => Error::Idle(PATIENCE),
            _ => Error::Truncated,
        })?;
        // Its two ends tell a whole object from half a one; the rest is the caller's to read.
        let ends = (body.trim_ascii().first(), body.trim_ascii().last());
        if ends != (Some(&b'{'), Some(&b'}')) {
            return Err(Error::Protocol("it is not a JSON object"));
        }
        // Some providers say in a good answer that they have none.
        match std::str::from_utf8(&body).ok().filter(|text| text.len() < MAX_REFUSAL).and_then(error_in) {
            Some(refusal) => Err(Error::said(cleaned(&self.secrets, &refusal))),
            None => Ok(body.into()),
        }
    }

    /// A stream, held until its first event has come: until then another target can still answer.
    async fn stream(&self, path: &'static str, body: (Bytes, &[(&'static str, String)]), dialect: Dialect) -> Result<Body, Error> {
        let response = self.request(reqwest::Method::POST, path, Some(body), EVENT_STREAM).await?;
        if is(&response, JSON) {
            // Some providers answer an error, or a whole answer, although a stream was asked for.
            let body = self.json(response).await?;
            return Err(error_in(&String::from_utf8_lossy(&body))
                .map_or(Error::Protocol("it is not a stream"), |refusal| Error::said(cleaned(&self.secrets, &refusal))));
        }
        if !is(&response, EVENT_STREAM) {
            return Err(Error::Protocol("it is not a stream of events"));
        }
        let mut events = events(response, self.idle, self.secrets.clone(), dialect);
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

fn is(response: &Response, wanted: &str) -> bool {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// Reads events to the end. The end is true when the dialect's last word came, or when the connection
/// closed in order after the answer had; anything else is an answer that was cut off.
fn events(mut response: Response, idle: Duration, secrets: Arc<[Secret]>, dialect: Dialect) -> Events {
    Box::pin(async_stream::stream! {
        let mut splitter = Splitter::default();
        let mut finished = false;
        let mut heard = Instant::now();
        // One alarm that is set again when it rings too early, not one for each piece.
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(heard + idle));
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = response.chunk() => chunk,
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
