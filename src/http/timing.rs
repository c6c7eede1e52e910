//! How long an answer took, here and elsewhere.

use std::time::Duration;

use axum::http::HeaderValue;

/// How long others took for an answer, put into its extensions by handlers.
#[derive(Clone, Copy)]
pub(super) struct Elsewhere(pub(super) Duration);

/// How long we took, and how long others did, in milliseconds (W3C Server Timing).
pub(super) fn timing(here: Duration, elsewhere: Duration) -> HeaderValue {
    let mut text = String::with_capacity(64);
    for (name, time) in [("gateway;dur=", here), (", upstream;dur=", elsewhere)] {
        let mut number = itoa::Buffer::new();
        text.push_str(name);
        text.push_str(number.format(time.as_millis()));
        // A thousand in front keeps the zeroes behind the point.
        text.push('.');
        text.push_str(number.format(1_000 + time.subsec_micros() % 1_000).get(1..).unwrap_or_default());
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds_with_three_digits() {
        let told = |here, elsewhere| timing(Duration::from_micros(here), Duration::from_micros(elsewhere));
        assert_eq!(told(1_007, 0), "gateway;dur=1.007, upstream;dur=0.000");
        assert_eq!(told(90, 61_000_250), "gateway;dur=0.090, upstream;dur=61000.250");
    }
}
