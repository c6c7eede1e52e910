//! The wall clock, for records only, and lengths of time that a new configuration changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A length of time that may be set anew while it is in use. Clones share it.
#[derive(Clone, Debug)]
pub struct Adjustable(Arc<AtomicU64>);

impl Adjustable {
    /// A length of time, to the millisecond.
    pub fn new(length: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(millis(length))))
    }

    /// What it is now.
    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Sets it for all who use it.
    pub fn set(&self, length: Duration) {
        self.0.store(millis(length), Ordering::Relaxed);
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
