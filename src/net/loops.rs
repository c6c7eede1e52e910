//! Requests that came back: each says which gateway sent it, so that none becomes a server or a provider of its own (RFC 8586).

use std::sync::LazyLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Who a request went through.
const LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// What this process is called there: nobody else's name.
static OWN: LazyLock<Option<HeaderValue>> = LazyLock::new(|| format!("portolan-{}", uuid::Uuid::new_v4().simple()).try_into().ok());

/// Says that a request went through here.
pub(super) fn mark(headers: &mut HeaderMap) {
    if let Some(own) = &*OWN {
        headers.append(LOOP, own.clone());
    }
}

/// Whether a request went through here already.
pub fn came_back(headers: &HeaderMap) -> bool {
    let own = OWN.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
    headers.get_all(LOOP).iter().any(|value| value.as_bytes().split(|byte| *byte == b',').any(|one| one.trim_ascii() == own))
}
