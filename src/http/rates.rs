//! What is left of a caller's rates, in the headers that OpenAI's clients read.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::{Allowance, Left};

/// Writes what is left of each rate that is limited.
pub(super) fn show(allowance: &Allowance, headers: &mut HeaderMap) {
    const REQUESTS: [HeaderName; 3] = [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ];
    const TOKENS: [HeaderName; 3] = [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ];
    let mut write = |[limit, remaining, reset]: [HeaderName; 3], left: Left| {
        let seconds = left.reset.as_secs() + u64::from(left.reset.subsec_nanos() > 0);
        headers.reserve(3);
        headers.insert(limit, left.limit.into());
        headers.insert(remaining, left.remaining.into());
        if let Ok(seconds) = HeaderValue::try_from(format!("{seconds}s")) {
            headers.insert(reset, seconds);
        }
    };
    if let Some(left) = allowance.requests {
        write(REQUESTS, left);
    }
    if let Some(left) = allowance.tokens {
        write(TOKENS, left);
    }
}
