//! An address of the operator's, asked over HTTP: a page, a JSON API, a vector database.
//!
//! What goes wrong is told without the address and without the answer: both may hold what callers must not see.

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::answer::{Read, select};
use crate::config::{Method, Source};
use crate::net::{self, Net, Reach};

/// Largest answer that is read, in bytes; of what is selected, less is used.
const MAX_ANSWER: usize = 4 << 20;

/// Asks, and takes from the answer what the source selects.
pub(super) async fn read(net: &Net, source: &Source, url: Url, body: Option<&Value>) -> Result<Read, String> {
    let destination = net.to(url, Reach::Operator).map_err(told)?;
    let method = match source.method {
        Some(Method::Post) => reqwest::Method::POST,
        None if body.is_some() => reqwest::Method::POST,
        Some(Method::Get) | None => reqwest::Method::GET,
    };
    let sent = body.map(|body| body.to_string().into()).unwrap_or_default();
    let reply = destination.send(method, &net::dressed(&headers(source, body.is_some())), sent).await.map_err(told)?;
    if !reply.status.is_success() {
        return Err(format!("it answered with status {}", reply.status.as_u16()));
    }
    let packed = reply.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    if packed {
        return Err("its answer is compressed, which was not asked for".to_owned());
    }
    let bytes = reply.whole(MAX_ANSWER).await.map_err(told)?;
    let text = match source.select.as_deref() {
        Some(pointer) => {
            let value: Value = serde_json::from_slice(&bytes).map_err(|_| "its answer is not JSON, so nothing can be selected")?;
            select(&value, pointer)?
        }
        None => String::from_utf8(bytes.into()).map_err(|_| "its answer is not UTF-8 text")?,
    };
    if text.trim().is_empty() { Err("its answer is empty".to_owned()) } else { Ok(Read::plain(text)) }
}

fn headers(source: &Source, has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.1"));
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &source.headers {
        // Both were checked with the file.
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.secret().reveal())) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}

/// An error without addresses.
fn told(error: net::Error) -> String {
    match error {
        net::Error::NotAllowed(_) => "its address is not allowed".to_owned(),
        net::Error::Failed(why) => {
            tracing::debug!("a context source's connection failed: {why}");
            "the connection failed".to_owned()
        }
        net::Error::Redirect => "it answered with a redirect that is not followed; write the final address instead".to_owned(),
        other => other.to_string(),
    }
}
