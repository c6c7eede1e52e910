//! Asking the same target again: when, after how long, and how often at all.
//!
//! A retry helps one request and costs a provider in trouble a second one. So retries come out of a budget that
//! answers to how much is asked: an outage is never multiplied by more than a fifth.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// The longest that a request waits to ask again. Whoever asks for more is not asked again.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// The most that a provider can put us off.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What each request adds to its provider's budget, and what is always there: so many, and one more each ten seconds.
const SHARE: f64 = 0.2;
const FLOOR: f64 = 10.0;
const PER_SECOND: f64 = 0.1;

/// How long a provider asks to be left alone, in its answer's headers.
pub(in crate::llm) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let exact = text("retry-after-ms").and_then(seconds).map(|millis| millis / 1_000.0);
    let length = exact.or_else(|| text(RETRY_AFTER.as_str()).and_then(seconds));
    if let Some(length) = length {
        return Some(Duration::from_secs_f64(length.min(LONGEST.as_secs_f64())));
    }
    let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default().min(LONGEST))
}

/// How long to wait before the attempt of this number, from 1; nothing when that is longer than anyone waits.
/// `chance` is between 0 and 1, so that those who failed together do not come back together.
pub fn pause(attempt: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    let own = FIRST.saturating_mul(1 << (attempt.clamp(1, 16) - 1)).min(PATIENCE);
    match asked {
        Some(asked) if asked > PATIENCE => None,
        // Never sooner than asked for, and a little later by chance.
        Some(asked) => Some(asked + FIRST.mul_f64(chance / 4.0)),
        None => Some(own.mul_f64(0.5 + chance / 2.0)),
    }
}

/// The budget of each provider. Cheap to clone.
#[derive(Clone, Default)]
pub struct Budgets(Arc<Mutex<HashMap<String, Budget>>>);

struct Budget {
    left: f64,
    at: Instant,
}

impl Budgets {
    fn with<T>(&self, provider: &str, now: Instant, change: impl FnOnce(&mut Budget) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = all.get_mut(provider) {
            let since = now.saturating_duration_since(std::mem::replace(&mut budget.at, now));
            budget.left = (budget.left + since.as_secs_f64() * PER_SECOND).min(FLOOR);
            return change(budget);
        }
        change(all.entry(provider.to_owned()).or_insert(Budget { left: FLOOR, at: now }))
    }

    /// Notes a request that is no retry.
    pub fn asked(&self, provider: &str) {
        self.with(provider, Instant::now(), |budget| budget.left = (budget.left + SHARE).min(FLOOR));
    }

    /// Takes leave for one retry.
    pub fn take(&self, provider: &str) -> bool {
        self.with(provider, Instant::now(), |budget| {
            let enough = budget.left >= 1.0;
            if enough {
                budget.left -= 1.0;
            }
            enough
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn every_way_to_ask_for_patience_is_understood() {
        let read = |name, value| asked(&headers(name, value));
        assert_eq!(read("retry-after", " 7 "), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("retry-after", "1e300"), Some(LONGEST));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(read("retry-after", &soon).is_some_and(|length| (58..=60).contains(&length.as_secs())));
        for nonsense in ["", "soon", "-1", "NaN", "inf", "7 seconds"] {
            assert_eq!(read("retry-after", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_pause_grows_has_an_end_and_is_never_shorter_than_asked() {
        for chance in [0.0, 0.5, 1.0] {
            assert!(pause(1, None, chance).unwrap() <= FIRST && pause(2, None, chance).unwrap() >= FIRST);
            assert!(pause(u32::MAX, None, chance).unwrap() <= PATIENCE);
            assert!(pause(1, Some(PATIENCE), chance).unwrap() >= PATIENCE);
            assert_eq!(pause(1, Some(PATIENCE + Duration::from_millis(1)), chance), None);
        }
    }

    #[test]
    fn an_outage_is_multiplied_by_no_more_than_a_fifth() {
        let budgets = Budgets::default();
        let mut retries = 0;
        for _ in 0..1_000 {
            budgets.asked("a");
            retries += u32::from(budgets.take("a"));
        }
        assert!((200..=210).contains(&retries), "{retries}");
        assert!(budgets.take("b"), "another provider has its own");
        let left = |later| budgets.with("a", Instant::now() + Duration::from_secs(later), |budget| budget.left);
        assert!(left(0) < 1.0 && left(10) >= 1.0, "a little is given with time");
    }
}
