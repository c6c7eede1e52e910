//! How much somebody may do in a minute: requests, and tokens of models.
//!
//! Each caller has a bucket of each kind that fills evenly and holds a minute's worth. What a completion takes is known only
//! when it is done, so tokens may run into debt: the next request waits until the debt is paid.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::config;
use crate::domain::Principal;

/// Most callers that are remembered; those who have not been seen for a minute have full buckets, and can be forgotten.
const MOST: usize = 50_000;
const MINUTE: Duration = Duration::from_secs(60);

/// The rates of all callers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rates(Arc<Inner>);

#[derive(Default)]
struct Inner {
    usual: ArcSwap<Usual>,
    callers: Mutex<HashMap<String, Buckets>>,
}

/// What a caller may do where nothing else is said.
#[derive(Clone, Copy, Default)]
struct Usual {
    requests: Option<u64>,
    tokens: Option<u64>,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How much there is in a minute.
    pub limit: u64,
    /// How much is left now.
    pub remaining: u64,
    /// How long until all of it is there again.
    pub reset: Duration,
}

/// What is left of both rates; none of one that is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Requests.
    pub requests: Option<Left>,
    /// Tokens.
    pub tokens: Option<Left>,
}

/// A rate is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {} {what} a minute that this caller has are used up; try again in {} s", .left.limit, .wait.as_secs_f64().ceil())]
pub struct Exceeded {
    /// `requests` or `tokens`.
    pub what: &'static str,
    /// How long until there is something again.
    pub wait: Duration,
    /// What is left of it.
    pub left: Left,
}

struct Buckets {
    requests: Bucket,
    tokens: Bucket,
    at: Instant,
}

/// How much is in it; below nothing while a debt is paid.
struct Bucket(f64);

impl Bucket {
    #[allow(clippy::cast_precision_loss)] // No limit comes near 2^53.
    fn fill(&mut self, limit: u64, passed: Duration) {
        let limit = limit as f64;
        self.0 = (self.0 + limit * passed.as_secs_f64() / MINUTE.as_secs_f64()).min(limit);
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As above, and never below nothing.
    fn left(&self, limit: u64) -> Left {
        Left { limit, remaining: self.0.max(0.0) as u64, reset: self.until(limit, limit as f64) }
    }

    #[allow(clippy::cast_precision_loss)]
    fn until(&self, limit: u64, wanted: f64) -> Duration {
        MINUTE.mul_f64(((wanted - self.0) / limit as f64).clamp(0.0, 1e6))
    }
}

impl Rates {
    /// Takes over what callers may do where nothing else is said.
    pub fn configure(&self, limits: &config::Limits) {
        let usual =
            Usual { requests: limits.requests_per_minute.map(|n| n.get().into()), tokens: limits.tokens_per_minute.map(Into::into) };
        self.0.usual.store(usual.into());
    }

    fn of(&self, principal: &Principal) -> Usual {
        if principal.is_owner() {
            return Usual::default();
        }
        let (usual, own) = (self.0.usual.load(), principal.grants());
        Usual { requests: own.requests_per_minute.or(usual.requests), tokens: own.tokens_per_minute.or(usual.tokens) }
    }

    /// Takes one request, and says what is left; refused, it takes nothing.
    pub fn take(&self, principal: &Principal) -> Result<Allowance, Exceeded> {
        self.within(principal, Instant::now(), |limits, buckets| {
            let exceeded =
                |what, bucket: &Bucket, limit, wanted| Exceeded { what, wait: bucket.until(limit, wanted), left: bucket.left(limit) };
            if let Some(limit) = limits.tokens.filter(|_| buckets.tokens.0 <= 0.0) {
                return Err(exceeded("tokens", &buckets.tokens, limit, 1.0));
            }
            if let Some(limit) = limits.requests {
                if buckets.requests.0 < 1.0 {
                    return Err(exceeded("requests", &buckets.requests, limit, 1.0));
                }
                buckets.requests.0 -= 1.0;
            }
            let left = |limit: Option<u64>, bucket: &Bucket| limit.map(|limit| bucket.left(limit));
            Ok(Allowance { requests: left(limits.requests, &buckets.requests), tokens: left(limits.tokens, &buckets.tokens) })
        })
        .unwrap_or(Ok(Allowance::default()))
    }

    /// Notes the tokens that a completion took.
    #[allow(clippy::cast_precision_loss)] // No answer comes near 2^53 tokens.
    pub fn spend(&self, principal: &Principal, tokens: u64) {
        self.within(principal, Instant::now(), |_, buckets| buckets.tokens.0 -= tokens as f64);
    }

    /// Does something with a caller's buckets, as full as they are by now; nothing where the caller has no limit.
    fn within<T>(&self, principal: &Principal, now: Instant, work: impl FnOnce(Usual, &mut Buckets) -> T) -> Option<T> {
        let limits = self.of(principal);
        if limits.requests.is_none() && limits.tokens.is_none() {
            return None;
        }
        let mut callers = self.0.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST && !callers.contains_key(principal.id()) {
            callers.retain(|_, buckets| now.duration_since(buckets.at) < MINUTE);
        }
        let buckets = callers.entry(principal.id().to_owned()).or_insert_with(|| Buckets {
            requests: Bucket(f64::INFINITY),
            tokens: Bucket(f64::INFINITY),
            at: now,
        });
        let passed = now.duration_since(buckets.at);
        buckets.at = now;
        buckets.requests.fill(limits.requests.unwrap_or(u64::MAX), passed);
        buckets.tokens.fill(limits.tokens.unwrap_or(u64::MAX), passed);
        Some(work(limits, buckets))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::Grants;

    fn caller(requests: Option<u64>, tokens: Option<u64>) -> Principal {
        Principal::key("k", Grants { requests_per_minute: requests, tokens_per_minute: tokens, ..Grants::default() }, BTreeMap::new())
    }

    #[test]
    fn a_minutes_worth_can_be_taken_at_once_and_comes_back_evenly() {
        let rates = Rates::default();
        let caller = caller(Some(60), None);
        for left in (0..60).rev() {
            assert_eq!(rates.take(&caller).unwrap().requests.unwrap().remaining, left);
        }
        let refused = rates.take(&caller).unwrap_err();
        assert!(refused.what == "requests" && refused.wait <= Duration::from_secs(1), "{refused:?}");
        let later = Instant::now() + Duration::from_millis(2_500);
        let full = rates.within(&caller, later, |_, buckets| buckets.requests.0).unwrap();
        assert!((2.4..2.7).contains(&full), "{full}");
    }

    #[test]
    fn tokens_run_into_debt_and_the_next_one_waits_until_it_is_paid() {
        let rates = Rates::default();
        let caller = caller(None, Some(600));
        rates.take(&caller).unwrap();
        rates.spend(&caller, 900);
        let refused = rates.take(&caller).unwrap_err();
        assert!(refused.what == "tokens" && (29..32).contains(&refused.wait.as_secs()), "{refused:?}");
        assert_eq!(refused.left.remaining, 0);
    }

    #[test]
    fn whoever_has_no_limit_is_not_even_remembered() {
        let rates = Rates::default();
        assert_eq!(rates.take(&caller(None, None)), Ok(Allowance::default()));
        assert_eq!(rates.take(&Principal::owner()), Ok(Allowance::default()));
        assert!(rates.0.callers.lock().unwrap().is_empty());
    }
}
