//! Requests that come back: each says which gateways it went through, so that none becomes a server or a provider of its own,
//! by itself or by way of others (RFC 8586).

use std::sync::LazyLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Whom a request went through.
pub const LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// The same for a child that may send requests here.
pub const LOOP_VARIABLE: &str = "PORTOLAN_LOOP";

/// What this process is called there: nobody else's name.
static OWN: LazyLock<String> = LazyLock::new(|| format!("portolan-{}", uuid::Uuid::new_v4().simple()));

/// Longest list of others that is handed on, in bytes: some thirty gateways.
const LONGEST: usize = 1_024;

tokio::task_local! {
    /// Whom the request that is being answered went through before.
    static PASSED: HeaderValue;
}

/// Whom a request went through before it came here.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// Nobody, as far as it says.
    Nobody,
    /// These others.
    Others(HeaderValue),
    /// This process, or more than anything honest does.
    Us,
}

/// What this process is called.
pub fn loop_name() -> &'static str {
    &OWN
}

/// Reads whom a request went through.
pub fn passed(headers: &HeaderMap) -> Passed {
    if !headers.contains_key(LOOP) {
        return Passed::Nobody;
    }
    let names: Vec<&[u8]> = headers.get_all(LOOP).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    let is_own = |name: &&[u8]| name.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii() == OWN.as_bytes();
    let all = names.join(b",".as_slice());
    match HeaderValue::from_bytes(&all) {
        Ok(all) if all.len() <= LONGEST && !names.iter().any(is_own) => Passed::Others(all),
        _ => Passed::Us,
    }
}

/// Does what a request asks for; what is sent for it says whom it went through before.
pub async fn having_passed<W: Future>(others: HeaderValue, work: W) -> W::Output {
    PASSED.scope(others, work).await
}

/// Says that a request went through here.
pub(super) fn mark(headers: &mut HeaderMap) {
    if let Ok(own) = HeaderValue::from_str(&OWN) {
        headers.append(LOOP, own);
    }
}

/// Says whom the request went through for which this one is sent.
pub(super) fn hand_on(headers: &mut HeaderMap) {
    let _ = PASSED.try_with(|others| headers.append(LOOP, others.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (LOOP, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_request_that_went_through_here_is_known_among_others() {
        let own = loop_name();
        assert_eq!(passed(&HeaderMap::new()), Passed::Nobody);
        assert_eq!(passed(&with(&["cdn.example; v=1", "other"])), Passed::Others(HeaderValue::from_static("cdn.example; v=1,other")));
        for values in [vec![own], vec!["other", own], vec![&*format!("other,{own} ;v=1, third")], vec![&*"x".repeat(LONGEST + 1)]] {
            assert_eq!(passed(&with(&values)), Passed::Us, "{values:?}");
        }
        assert!(matches!(passed(&with(&[&format!("{own}0")])), Passed::Others(_)));
    }
}
