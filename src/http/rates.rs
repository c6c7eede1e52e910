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
    let mut write = |names: [HeaderName; 3], left: Left| {
        let reset = format!("{}s", left.reset.as_secs_f64().ceil());
        for (name, value) in names.into_iter().zip([left.limit.to_string(), left.remaining.to_string(), reset]) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    };
    if let Some(left) = allowance.requests {
        write(REQUESTS, left);
    }
    if let Some(left) = allowance.tokens {
        write(TOKENS, left);
    }
}
